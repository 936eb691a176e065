//! Where a store's log is and how this process gets to it, from what the configuration says. A log that is kept in a host
//! is opened here if no host runs; else the host that runs is asked for it, like any other backend.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::backend::{self, Backend, BackendConfig, Log};
use crate::cli::peer::link::Link;
use crate::cli::peer::pass::Pass;
use crate::cli::stores::Named;
use crate::config::{StoreConfig, Sync};
use crate::id::StoreId;
use crate::store::Timing;
use crate::supervisor::log_of;
use crate::sync::{Endpoint, Limits};

/// What LiveStore's own examples call the token in a payload.
const TOKEN_KEY: &str = "authToken";

/// What a command is going to do with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Intent {
    /// Look at it.
    Read,
    /// Append to it; then it is made if it is not there.
    Write,
}

/// A store's log, as something to connect to.
pub(in crate::cli) struct Target {
    store: StoreConfig,
    route: Route,
}

/// The way to a log.
enum Route {
    /// A backend somewhere else.
    Remote(Arc<Endpoint>),
    /// The host that runs and keeps the log. What opens its door may be good for a while only.
    Host { url: String, pass: Pass },
    /// This process, which keeps everybody else from the logs meanwhile.
    Here { backend: Backend, log: Log },
}

impl Target {
    /// The way to the store's log. `token` stands in for what the configuration says.
    ///
    /// # Errors
    /// There is none, and what to do about it.
    pub(in crate::cli) fn of(
        named: &Named,
        intent: Intent,
        token: Option<&str>,
    ) -> anyhow::Result<Self> {
        let store = &named.store;
        let route = match &store.sync {
            Sync::Remote(url) => {
                let configured = store.payload.as_ref().map(|payload| payload.expose());
                let payload = payload(configured, token);
                Route::Remote(endpoint(store, url.as_str(), payload.as_ref())?)
            }
            Sync::Embedded => {
                embedded(named, intent, token).with_context(|| format!("store {}", store.id))?
            }
        };
        Ok(Self {
            store: store.clone(),
            route,
        })
    }

    /// The store.
    pub(in crate::cli) fn store(&self) -> &StoreId {
        &self.store.id
    }

    /// How patient the store's configuration is.
    pub(in crate::cli) fn timing(&self) -> &Timing {
        &self.store.timing
    }

    /// Whether nobody else can write to the log as long as this process works on it.
    pub(in crate::cli) fn is_ours_alone(&self) -> bool {
        match self.route {
            Route::Here { .. } => true,
            Route::Remote(_) | Route::Host { .. } => false,
        }
    }

    /// Events in one push. The original backend appends only 14 atomically: if a push of more fails halfway, the first
    /// of them stay in the log, its head stays behind them, and nobody can push to that store any more. Ours appends a
    /// push whole or not at all, so LiveStore's own limit holds.
    pub(in crate::cli) fn push_events_max(&self) -> usize {
        match self.route {
            Route::Remote(_) => 14,
            Route::Host { .. } | Route::Here { .. } => 100,
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub(super) async fn connect(&self) -> anyhow::Result<Link> {
        let store = || format!("store {}", self.store.id);
        match &self.route {
            Route::Remote(remote) => Link::to(remote).await.with_context(store),
            Route::Here { log, .. } => Link::into_log(log).await.with_context(store),
            Route::Host { url, pass } => {
                let token = pass.token(&self.store.id)?;
                let host = endpoint(&self.store, url, payload(None, token.as_deref()).as_ref())?;
                let link = Link::to(&host).await.with_context(|| {
                    format!(
                        "store {}: another process works on the logs of this host, and the server could not be asked",
                        self.store.id
                    )
                })?;
                Ok(link)
            }
        }
    }

    /// Leaves the log to others.
    pub(super) async fn release(self) {
        match self.route {
            Route::Here { backend, .. } => backend.shutdown().await,
            Route::Remote(_) | Route::Host { .. } => {}
        }
    }
}

/// The way to a log of this host.
fn embedded(named: &Named, intent: Intent, token: Option<&str>) -> anyhow::Result<Route> {
    let (server, store) = (&named.server, &named.store);
    let folder = server.data.join("logs");
    if intent == Intent::Read {
        refuse_missing(&folder, &store.id)?;
    }
    let config = BackendConfig {
        // For one store.
        writers: 1,
        readers: 1,
        ..BackendConfig::new(folder)
    };
    match Backend::open(&config) {
        Ok(backend) => {
            let log = log_of(store, &backend);
            Ok(Route::Here { backend, log })
        }
        Err(backend::Error::Locked { .. }) => Ok(Route::Host {
            url: format!("ws://{}/sync", reachable(server.listen)),
            pass: Pass::of(&store.access, intent, token)?,
        }),
        Err(error) => Err(error.into()),
    }
}

/// Whoever only looks must not make a log: in a wrong folder it would look like an empty one.
fn refuse_missing(folder: &Path, store: &StoreId) -> anyhow::Result<()> {
    let path = backend::path_of(folder, store);
    let exists = path.try_exists();
    if !exists.with_context(|| format!("cannot read {}", path.display()))? {
        bail!(
            "there is no log at {}: nothing was committed yet, or server.data is another folder than the server's \
             (it is meant from the folder that a command is started in)",
            path.display()
        );
    }
    Ok(())
}

/// Where a process of the same machine reaches a server that listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn endpoint(
    store: &StoreConfig,
    url: &str,
    payload: Option<&Value>,
) -> anyhow::Result<Arc<Endpoint>> {
    let limits = Limits {
        connect_timeout: store.timing.connect_timeout,
        ping_period: store.ping_period,
        ..Limits::default()
    };
    let endpoint = Endpoint::new(url, store.id.clone(), payload, limits);
    let endpoint = endpoint.with_context(|| format!("store {}", store.id))?;
    Ok(Arc::new(endpoint))
}

/// The configured payload with `token` in the place of its own.
fn payload(configured: Option<&Value>, token: Option<&str>) -> Option<Value> {
    let Some(token) = token else {
        return configured.cloned();
    };
    let mut payload = configured.cloned().unwrap_or_else(|| json!({}));
    if let Some(fields) = payload.as_object_mut() {
        fields.insert(TOKEN_KEY.to_owned(), token.into());
    }
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_in_for_the_one_in_the_payload() {
        let configured = json!({ "authToken": "old", "team": "t" });
        assert_eq!(payload(Some(&configured), None), Some(configured.clone()));
        assert_eq!(
            payload(Some(&configured), Some("new")),
            Some(json!({ "authToken": "new", "team": "t" }))
        );
        assert_eq!(
            payload(None, Some("new")),
            Some(json!({ "authToken": "new" }))
        );
        assert_eq!(payload(None, None), None);
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_this_machine() {
        let reached = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:7070"), "127.0.0.1:7070");
        assert_eq!(reached("[::]:7070"), "[::1]:7070");
        assert_eq!(reached("10.0.0.5:80"), "10.0.0.5:80");
    }
}
