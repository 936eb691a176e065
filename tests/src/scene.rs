//! The usual scene: a real backend, the host in front of it, and the keys that make it quick enough to test.

use anyhow::Result;

use crate::backend::Backend;
use crate::checker::{Derivation, verify};
use crate::grants::granted;
use crate::history::LogEvent;
use crate::host::Host;
use crate::raw::RawClient;

/// Patience of seconds where an operator has minutes, so that what only helps after a timeout shows up in a test.
pub const QUICK_TIMING: &str = r#"timing = { ping_period = "500ms", check_period = "2s", pull_timeout = "3s", push_timeout = "2s", connect_timeout = "3s", reconnect = { first = "100ms", longest = "1s" }, run = { first = "50ms", longest = "200ms", attempts_max = 3 }, breaker = { failures = 1000 } }"#;

/// A backend and a host. Both end with the value.
pub struct Scene {
    /// The backend.
    pub backend: Backend,
    /// The host; not started yet.
    pub host: Host,
}

impl Scene {
    /// A backend, and a host whose stores run these plugins on it.
    pub async fn new(plugins: &[&str]) -> Result<Self> {
        Self::on(Backend::start().await?, plugins)
    }

    /// The same on a given backend.
    pub fn on(backend: Backend, plugins: &[&str]) -> Result<Self> {
        let host = host_on(&backend.url(), plugins)?;
        Ok(Self { backend, host })
    }

    /// Adds stores with nothing but the defaults.
    pub fn stores<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        ids.into_iter().try_for_each(|id| self.host.store(id, ""))
    }

    /// Appends events to a store's log as another writer; returns the place of the last.
    pub async fn append(&self, store: &str, events: &[(&str, serde_json::Value)]) -> Result<u64> {
        let mut writer = RawClient::connect(&self.backend.url(), store).await?;
        writer.catch_up().await?;
        writer.append(events).await
    }

    /// The store's whole log.
    pub async fn log(&self, store: &str) -> Result<Vec<LogEvent>> {
        RawClient::log_of(&self.backend.url(), store).await
    }

    /// Waits until the host has nothing left to do in the store, and checks its log.
    pub async fn verify(&self, store: &str, derivations: &[Derivation]) -> Result<Vec<LogEvent>> {
        let log = self.settled_log(store).await?;
        verify(&log, derivations)?;
        Ok(log)
    }

    /// Waits until the host has nothing left to do in the store: it is quiet at the very end of the log.
    pub async fn settled_log(&self, store: &str) -> Result<Vec<LogEvent>> {
        loop {
            let head = self.log(store).await?.last().map_or(0, |event| event.seq);
            self.host.quiet(store, head).await?;
            let log = self.log(store).await?;
            if log.last().map_or(0, |event| event.seq) == head {
                return Ok(log);
            }
        }
    }
}

/// A host whose stores are at `url` and run these plugins.
pub fn host_on(url: &str, plugins: &[&str]) -> Result<Host> {
    let host = Host::new(&format!(
        "sync = {url:?}\n{}\n{QUICK_TIMING}",
        granted(plugins)
    ))?;
    for plugin in plugins {
        host.install(plugin)?;
    }
    Ok(host)
}

/// A host whose stores have their logs in it, and run no plugins. It keeps its address, so that clients find it again
/// after a restart.
pub fn host_with_logs<'a>(stores: impl IntoIterator<Item = &'a str>) -> Result<Host> {
    let mut host = Host::new("sync = \"embedded\"\nplugins = []")?;
    host.keep_address();
    for store in stores {
        host.store(store, "")?;
    }
    Ok(host)
}
