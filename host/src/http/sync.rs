//! `/sync`: where LiveStore apps reach the logs that are kept here, over a WebSocket or by HTTP requests. It owns what
//! lies between a TCP connection and a [`Session`](crate::backend::Session): what a URL asks for, who may come in, how
//! many, how fast, and what is said to those who may not. What a frame means is the backend's affair, and no answer or
//! log line in here repeats a credential.

mod answer;
mod connection;
mod doors;
mod knocks;
mod offer;
mod pace;
mod peer;
mod post;
mod request;
mod socket;
mod stream;
mod upgrade;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actor::Clock;
use crate::backend::access::{Access, Credentials, Grant};
use crate::backend::{Client, Log};
use crate::http::Site;
use crate::id::StoreId;
use crate::telemetry::Metrics;
use answer::Refusal;
use doors::{Doors, Place};
use offer::{Offer, Open};
use request::{Transport, Wanted};

pub use peer::Origins;

/// One store that clients sync with here.
#[derive(Debug)]
pub struct Served {
    log: Log,
    access: Access,
    origins: Origins,
    limits: Limits,
}

/// How much clients may do with one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time.
    pub connections: u32,
    /// Of those, from one address.
    pub connections_per_address: u32,
    /// Events that the store takes in a second; who has more is slowed.
    pub events_per_second: u32,
    /// Bytes of one message from a client.
    pub message_bytes_max: usize,
}

/// How much one address may do, and whom we believe about addresses.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Connections that are open at the same time, over all stores.
    pub connections: u32,
    /// Connections and requests that begin in a minute.
    pub connects_per_minute: u32,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Without a byte from it, until it is asked whether it is there.
    quiet: Duration,
    /// For its answer to that.
    answer: Duration,
    /// For one of our messages to go out, or one of its requests to come in.
    transfer: Duration,
    /// For it to take leave, once we have because of it.
    farewell: Duration,
    /// For it to take leave, once we have because we must go.
    leave: Duration,
}

/// All stores that are served, and everything that clients of them have in common.
#[derive(Debug)]
pub struct Endpoint {
    /// A lock, because the configuration changes while every request looks here. A request holds it to clone one
    /// pointer, and a change to put another one there.
    offer: RwLock<Arc<Offer>>,
    doors: Arc<Doors>,
    clock: Clock,
    metrics: Arc<Metrics>,
    patience: Patience,
    connections: TaskTracker,
    closing: CancellationToken,
}

/// Somebody who may come in.
struct Admitted {
    open: Arc<Open>,
    grant: Grant,
    /// Counts it for as long as it stays.
    place: Place,
    client: Client,
}

/// For connections to end in order once the host stops: some times what one of them takes.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

impl Default for Patience {
    fn default() -> Self {
        Self {
            // LiveStore's own clients ping every 10 seconds, so only others are ever asked.
            quiet: Duration::from_secs(60),
            answer: Duration::from_secs(30),
            // Some megabytes over a bad mobile network.
            transfer: Duration::from_secs(30),
            // Somebody who reads slowly should still get to the reason.
            farewell: Duration::from_secs(5),
            // A round trip to the other side of the world; `@livestore/sync-cf` 0.4.0 never answers a close.
            leave: Duration::from_millis(500),
        }
    }
}

impl Served {
    /// Serves `log` to whom `access` lets in, and to pages of `origins` only.
    pub fn new(log: Log, access: Access, origins: Origins, limits: Limits) -> Self {
        Self {
            log,
            access,
            origins,
            limits,
        }
    }

    /// Whether `other` lets in the same clients: who is inside of one may as well be inside of the other.
    fn has_rules_of(&self, other: &Self) -> bool {
        self.access == other.access && self.origins == other.origins
    }
}

impl PartialEq for Served {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            log,
            access: _,
            origins: _,
            limits,
        } = self;
        log.store() == other.log.store()
            && log.settings() == other.log.settings()
            && self.has_rules_of(other)
            && *limits == other.limits
    }
}

impl Endpoint {
    /// Serves nothing yet.
    pub fn new(addresses: Addresses, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            offer: RwLock::new(Arc::new(Offer::nothing(addresses))),
            doors: Arc::new(Doors::new(Arc::clone(&metrics))),
            clock,
            metrics,
            patience: Patience::default(),
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Serves `stores` from now on, and no others. Who is connected to a store that goes on with the same access rules
    /// and origins stays, whatever else has changed: new limits are for those who come, and a new pace is for all. The
    /// clients of other stores that were served before are sent away; they connect again by themselves, with the
    /// credentials that they have.
    pub fn apply(&self, addresses: Addresses, stores: Vec<Served>) {
        // What a panic in here could leave is the offer from before. Compared under the lock: of two changes at once,
        // the second must follow the first.
        let mut offer = self.offer.write().unwrap_or_else(PoisonError::into_inner);
        let (next, over) = offer.followed_by(addresses, stores, &self.closing);
        *offer = Arc::new(next);
        drop(offer);
        // Now whoever is sent away and comes again finds the new rules.
        for (tenure, leave) in over {
            tenure.end(leave);
        }
    }

    /// Takes leave of every client, and waits until they are gone or a moment is over.
    pub async fn close(&self) {
        self.closing.cancel();
        self.connections.close();
        if timeout(CLOSE_PATIENCE, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.connections.len(),
                "gave up on clients that did not take leave"
            );
        }
    }

    async fn answer(&self, peer: SocketAddr, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let origin = parts.headers.get(header::ORIGIN).cloned();
        if request::is_question(&parts) {
            return answer::ABOUT.into_response();
        }
        let wanted = match Wanted::parse(parts.uri.query().unwrap_or_default()) {
            Ok(wanted) => wanted,
            Err(wrong) => return self.refuse(Refusal::BadRequest(wrong), origin.as_ref()),
        };
        // Before anything that somebody could find out by asking often.
        let offer = self.offer();
        let trusted = &offer.addresses.trusted_proxies;
        let address = peer::address(peer.ip(), &parts.headers, trusted);
        if let Err(refusal) = offer.knocks.knock(address) {
            return self.refuse(refusal, origin.as_ref());
        }
        let id = wanted.store.parse::<StoreId>().ok();
        let Some(open) = id.and_then(|id| offer.stores.get(&id)) else {
            let refusal = Refusal::UnknownStore(wanted.store);
            return self.refuse(refusal, origin.as_ref());
        };
        let served = &open.served;
        let page = peer::origin(&parts.headers);
        if !served.origins.allow(page) {
            // Without the header that lets a page read it: the browser hides the answer.
            return self.refuse(Refusal::Origin, None);
        }
        if parts.method == Method::OPTIONS {
            return answer::preflight(&parts.headers, origin.as_ref());
        }
        if served.access.is_open() && !peer::is_local(peer.ip(), &parts.headers) {
            return self.refuse(Refusal::NotLocal, origin.as_ref());
        }
        let of_address = offer.addresses.connections;
        let admitted = self.admit(address, of_address, &parts, &wanted, open);
        let answer = match admitted.await {
            Err(refusal) => Err(refusal),
            Ok(admitted) => match wanted.transport {
                Transport::WebSocket => self.upgrade(&mut parts, admitted),
                Transport::Http => self.call(body, admitted).await,
            },
        };
        match answer {
            Ok(answer) => answer::readable(answer, origin.as_ref()),
            Err(refusal) => self.refuse(refusal, origin.as_ref()),
        }
    }

    /// What is served at this moment.
    fn offer(&self) -> Arc<Offer> {
        let offer = self.offer.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&offer)
    }

    /// Lets somebody in, or says why not.
    async fn admit(
        &self,
        address: IpAddr,
        connections_of_address: u32,
        parts: &Parts,
        wanted: &Wanted,
        open: &Arc<Open>,
    ) -> Result<Admitted, Refusal> {
        let credentials = Credentials {
            payload: wanted.payload.as_ref(),
            bearer: request::bearer(&parts.headers),
        };
        let served = &open.served;
        let store = served.log.store();
        let grant = served.access.admit(store, &credentials, self.clock.now())?;
        wanted.check(parts)?;
        let limits = &served.limits;
        let place = self
            .doors
            .enter(store, address, limits, connections_of_address)?;
        let connected = served.log.connect(grant.rights).await;
        let client = connected.map_err(|error| {
            tracing::warn!(%store, %error, "a client was refused");
            Refusal::Unavailable(error.for_clients())
        })?;
        Ok(Admitted {
            open: Arc::clone(open),
            grant,
            place,
            client,
        })
    }

    fn refuse(&self, refusal: Refusal, origin: Option<&axum::http::HeaderValue>) -> Response {
        let reason = refusal.counts_as();
        self.metrics.sync_refused(reason);
        tracing::debug!(reason = reason.label(), "a client of /sync was refused");
        answer::readable(refusal.into_response(), origin)
    }
}

/// The handler.
pub(super) async fn sync(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    site.sync.answer(peer, request).await
}
