//! The configuration as values: complete, checked, secrets in place. No text of a file is left in here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::serving::{Access, Limits};
use crate::config::{Given, Hidden, PluginQuota, Quota, TaskConfigs, Tasks, Trace};
use crate::id::{PluginDigest, PluginName, StoreId};
use crate::store::{Durability, Grants, History, OnReset, Timing};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    server: Server,
    rollouts: BTreeMap<PluginName, Rollout>,
    stores: Vec<StoreConfig>,
}

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The folder of everything that is written: journals, compiled plugins.
    pub data: PathBuf,
    /// The folder that plugins are dropped into.
    pub plugins: PathBuf,
    /// Written into every event that this installation commits.
    pub client_id: Arc<str>,
    /// How long a stop waits for what is going on.
    pub shutdown_grace: Duration,
    /// LiveStore connections that one address may have open, over all stores.
    pub connections_per_address: u32,
    /// LiveStore connections that one address may open in a minute.
    pub connects_per_minute: u32,
    /// Peers whose word on where a request came from is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// When a new version of a plugin is taken back without being asked.
    pub rollback: Rollback,
    /// What all runs together may use.
    pub guests: Guests,
}

/// What all runs of plugins together may use of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guests {
    /// Bytes of memory of all instances that live at once.
    pub memory: u64,
    /// Instances that live at once.
    pub runs: NonZeroU32,
    /// Bytes of stack of each.
    pub stack: u64,
    /// Threads that compute for them; none for as many as there are cores.
    pub threads: Option<NonZeroU32>,
}

/// When a new version of a plugin is taken back by itself: it has run often enough to be judged, and fails much more often
/// than the version before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// Percent of its runs that must have failed; none for never.
    pub failures_percent: Option<u8>,
    /// Runs before it is judged.
    pub runs_min: u32,
}

/// Which stores get a new version of a plugin first; the others get it once it is promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// These.
    Stores(BTreeSet<StoreId>),
    /// So many of a hundred, always the same ones.
    Percent(u8),
}

/// One store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// Its id, here and at the backend.
    pub id: StoreId,
    /// Where its log is.
    pub sync: Sync,
    /// What the backend's `validatePayload` is given: a JSON object.
    pub payload: Option<Hidden>,
    /// Whether it rests: nothing is connected, nothing runs.
    pub paused: bool,
    /// What to do when the backend holds another log than before.
    pub on_reset: OnReset,
    /// What a power cut may take.
    pub durability: Durability,
    /// The plugins that work for it, sorted by name; names are unique.
    pub plugins: Vec<PluginConfig>,
    /// What it may use.
    pub quota: Quota,
    /// Periods and patience.
    pub timing: Timing,
    /// Between pings that keep a connection open and find one that is dead.
    pub ping_period: Duration,
    /// What a power cut may take of an embedded log.
    pub log_durability: Durability,
    /// Who may sync with an embedded log.
    pub access: Access,
    /// How much may be done with an embedded log.
    pub limits: Limits,
    /// What its tasks are like where nothing is said of them.
    pub tasks: Tasks,
}

/// Where a store's log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sync {
    /// In this host.
    Embedded,
    /// At a LiveStore backend, by `ws:` or `wss:`. The URL carries no credentials and none of the parameters that the
    /// protocol sets itself.
    Remote(Url),
}

impl StoreConfig {
    /// The period of pings unless configured: below the idle limits of common proxies, of which 30 seconds is a short one.
    pub(super) const PING_PERIOD: Duration = Duration::from_secs(10);
}

/// One plugin at work in a store.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    /// The plugin: the name of its file without `.wasm`.
    pub name: PluginName,
    /// Where it is given to the store.
    pub given: Given,
    /// What it may do there.
    pub grants: Grants,
    /// The one version that works here, if not what the catalog chooses.
    pub sha256: Option<PluginDigest>,
    /// What the past means to it, if not what it says itself.
    pub history: Option<History>,
    /// What it may use here, where that differs from the store's other plugins.
    pub quota: PluginQuota,
    /// What each of its runs is given: a JSON object, empty unless configured.
    pub config: Hidden,
    /// Whether events tell the app about the executions of its tasks.
    pub trace: Trace,
    /// What is said of its tasks here, by their ids.
    pub tasks: TaskConfigs,
}

impl Config {
    /// Puts together what `load` has checked.
    pub(super) fn new(
        server: Server,
        rollouts: BTreeMap<PluginName, Rollout>,
        stores: Vec<StoreConfig>,
    ) -> Self {
        Self {
            server,
            rollouts,
            stores,
        }
    }

    /// The same with another process, and other stores: sorted by id.
    pub(super) fn with(self, server: Server, stores: Vec<StoreConfig>) -> Self {
        Self {
            server,
            stores,
            ..self
        }
    }

    /// All that is said about new versions of plugins.
    pub(super) fn rollouts(&self) -> &BTreeMap<PluginName, Rollout> {
        &self.rollouts
    }

    /// The process itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Which stores get a new version of the plugin first; none for all at once.
    pub fn rollout(&self, plugin: &PluginName) -> Option<&Rollout> {
        self.rollouts.get(plugin)
    }

    /// Leaves out the other stores.
    pub fn keep_stores(&mut self, keep: impl FnMut(&StoreConfig) -> bool) {
        self.stores.retain(keep);
    }

    /// The stores that can run, sorted by id; no two ids differ only in case.
    pub fn stores(&self) -> &[StoreConfig] {
        &self.stores
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7070)),
            data: PathBuf::from("data"),
            plugins: PathBuf::from("plugins/dist"),
            client_id: "quartermaster".into(),
            // Longer than the default limit of a run, so that a stop interrupts no healthy one.
            shutdown_grace: Duration::from_secs(10),
            // A busy office behind one address stays below both, one script that connects in a loop does not.
            connections_per_address: 2000,
            connects_per_minute: 6000,
            trusted_proxies: Vec::new(),
            rollback: Rollback::default(),
            guests: Guests::default(),
        }
    }
}

impl Default for Guests {
    /// A run leaves its thread only to read kv, so some dozens keep every core busy; 2 GiB are half of them using all that
    /// they may by default.
    fn default() -> Self {
        const RUNS: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");
        Self {
            memory: 2 << 30,
            runs: RUNS,
            // QuickJS needs 1 to 2 MiB.
            stack: 2 << 20,
            threads: None,
        }
    }
}

impl Default for Rollback {
    /// Half of twenty: no handful of bad events takes a version back, and a broken one is gone before most stores notice.
    fn default() -> Self {
        Self {
            failures_percent: Some(50),
            runs_min: 20,
        }
    }
}
