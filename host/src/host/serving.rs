//! What the configuration says about logs that are kept here, as the endpoint that clients sync at wants it.

use std::sync::Arc;

use anyhow::Context as _;

use crate::actor::Clock;
use crate::backend::access::{self, Access, JwtRules};
use crate::backend::{Backend, Rights};
use crate::config::{self, Config, Jwt, Mode, StoreConfig, Sync};
use crate::http::sync::{Addresses, Endpoint, Limits, Origins, Served};
use crate::supervisor::log_of;
use crate::telemetry::Metrics;

/// The endpoint for every embedded store of `config`.
pub(super) fn endpoint(
    config: &Config,
    backend: &Backend,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Endpoint> {
    let server = config.server();
    let addresses = Addresses {
        connections: server.connections_per_address,
        connects_per_minute: server.connects_per_minute,
        trusted_proxies: server.trusted_proxies.clone(),
    };
    let embedded = config.stores().iter().filter(|store| match store.sync {
        Sync::Embedded => true,
        Sync::Remote(_) => false,
    });
    let served: anyhow::Result<Vec<Served>> =
        embedded.map(|store| served(store, backend)).collect();
    Ok(Endpoint::new(served?, addresses, clock, metrics))
}

/// One store.
fn served(store: &StoreConfig, backend: &Backend) -> anyhow::Result<Served> {
    let config::Limits {
        connections,
        connections_per_address,
        events_per_second,
        message_size,
        log_size: _,
    } = store.limits;
    let limits = Limits {
        connections,
        connections_per_address,
        events_per_second,
        message_bytes_max: usize::try_from(message_size).unwrap_or(usize::MAX),
    };
    let tokens = store.access.tokens.iter();
    let tokens = tokens.map(|token| (token.secret.expose_text(), rights(token.mode)));
    let jwt = store.access.jwt.as_ref().map(jwt);
    // The configuration has read the key once already.
    let access =
        Access::new(tokens, jwt.as_ref()).with_context(|| format!("store {}", store.id))?;
    let origins = match (&store.access.origins, access.is_open()) {
        (Some(origins), _) => Origins::Only(origins.clone()),
        (None, true) => Origins::Local,
        (None, false) => Origins::Any,
    };
    let log = log_of(store, backend);
    Ok(Served::new(log, access, origins, limits))
}

fn jwt(jwt: &Jwt) -> JwtRules<'_> {
    JwtRules {
        algorithm: match jwt.algorithm {
            config::Algorithm::Hs256 => access::Algorithm::Hs256,
            config::Algorithm::Rs256 => access::Algorithm::Rs256,
            config::Algorithm::EdDsa => access::Algorithm::EdDsa,
        },
        key: jwt.key.expose_text(),
        issuer: jwt.issuer.as_deref(),
        audience: jwt.audience.as_deref(),
        store_claim: &jwt.store_claim,
        mode_claim: &jwt.mode_claim,
    }
}

fn rights(mode: Mode) -> Rights {
    match mode {
        Mode::ReadOnly => Rights::ReadOnly,
        Mode::ReadWrite => Rights::ReadWrite,
    }
}
