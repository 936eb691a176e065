//! What the configuration says about logs that are kept here, as the endpoint that clients sync at wants it.

use tracing::error;

use super::spec::log_of;
use crate::backend::access::{self, Access, JwtRules};
use crate::backend::{Backend, Rights};
use crate::config::{self, Config, Jwt, Mode, Server, StoreConfig, Sync};
use crate::http::sync::{Addresses, Limits, Origins, Served};
use crate::id::StoreId;

/// The limits of addresses, and every embedded store of `config` that was not removed by hand. A store whose key cannot
/// be read is left out; the configuration has read it once already.
pub(super) fn served(
    config: &Config,
    is_removed: impl Fn(&StoreId) -> bool,
    backend: &Backend,
) -> (Addresses, Vec<Served>) {
    let embedded = config.stores().iter().filter(|store| match store.sync {
        Sync::Embedded => !is_removed(&store.id),
        Sync::Remote(_) => false,
    });
    let one = |store: &StoreConfig| match one(store, backend) {
        Ok(served) => Some(served),
        Err(error) => {
            error!(store = %store.id, %error, "apps cannot sync with it: access.jwt.key");
            None
        }
    };
    (
        addresses(config.server()),
        embedded.filter_map(one).collect(),
    )
}

/// How much one address may do.
pub fn addresses(server: &Server) -> Addresses {
    Addresses {
        connections: server.connections_per_address,
        connects_per_minute: server.connects_per_minute,
        trusted_proxies: server.trusted_proxies.clone(),
    }
}

/// One store.
fn one(store: &StoreConfig, backend: &Backend) -> Result<Served, access::BadKey> {
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
    let access = Access::new(tokens, jwt.as_ref())?;
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
