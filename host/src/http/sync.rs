//! `/sync`: where LiveStore apps reach the logs that are kept here, over a WebSocket or by HTTP requests. It owns what
//! lies between a TCP connection and a [`Session`](crate::backend::Session): what a URL asks for, who may come in, how
//! many, how fast, and what is said to those who may not. What a frame means is the backend's affair, and no answer or
//! log line in here repeats a credential.

mod answer;
mod connection;
mod doors;
mod pace;
mod peer;
mod post;
mod request;
mod socket;
mod stream;
mod upgrade;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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
use pace::Pace;
use request::{Transport, Wanted};

pub use peer::Origins;

/// One store that clients sync with here.
#[derive(Debug)]
pub struct Served {
    log: Log,
    access: Access,
    origins: Origins,
    limits: Limits,
    pace: Pace,
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
    stores: HashMap<StoreId, Arc<Served>>,
    doors: Arc<Doors>,
    trusted_proxies: Vec<IpAddr>,
    clock: Clock,
    metrics: Arc<Metrics>,
    patience: Patience,
    connections: TaskTracker,
    closing: CancellationToken,
}

/// Somebody who may come in.
struct Admitted {
    served: Arc<Served>,
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
            pace: Pace::new(limits.events_per_second),
        }
    }
}

impl Endpoint {
    /// Serves `stores`.
    pub fn new(
        stores: impl IntoIterator<Item = Served>,
        addresses: Addresses,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let stores = stores.into_iter();
        Self {
            stores: stores
                .map(|served| (served.log.store().clone(), Arc::new(served)))
                .collect(),
            doors: Arc::new(Doors::new(&addresses, Arc::clone(&metrics))),
            trusted_proxies: addresses.trusted_proxies,
            clock,
            metrics,
            patience: Patience::default(),
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
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
        let address = peer::address(peer.ip(), &parts.headers, &self.trusted_proxies);
        if let Err(refusal) = self.doors.knock(address) {
            return self.refuse(refusal, origin.as_ref());
        }
        let Some(served) = self.store(&wanted.store) else {
            let refusal = Refusal::UnknownStore(wanted.store);
            return self.refuse(refusal, origin.as_ref());
        };
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
        let answer = match self.admit(address, &parts, &wanted, served).await {
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

    fn store(&self, name: &str) -> Option<&Arc<Served>> {
        self.stores.get(&name.parse::<StoreId>().ok()?)
    }

    /// Lets somebody in, or says why not.
    async fn admit(
        &self,
        address: IpAddr,
        parts: &Parts,
        wanted: &Wanted,
        served: &Arc<Served>,
    ) -> Result<Admitted, Refusal> {
        let credentials = Credentials {
            payload: wanted.payload.as_ref(),
            bearer: request::bearer(&parts.headers),
        };
        let store = served.log.store();
        let grant = served.access.admit(store, &credentials, self.clock.now())?;
        wanted.check(parts)?;
        let place = self.doors.enter(store, address, &served.limits)?;
        let connected = served.log.connect(grant.rights).await;
        let client = connected.map_err(|error| {
            tracing::warn!(%store, %error, "a client was refused");
            Refusal::Unavailable(error.for_clients())
        })?;
        Ok(Admitted {
            served: Arc::clone(served),
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
