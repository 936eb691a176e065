//! Where the rest of the host asks the catalog something or gives it an order, and what it answers.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::act::Act;
use crate::id::{PluginDigest, PluginName, StoreId};
use crate::time::Timestamp;

/// Orders that may wait.
const QUEUE: usize = 16;

/// The catalog, from outside. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct CatalogDesk {
    orders: mpsc::Sender<Order>,
}

/// What the catalog is asked. Each is answered once it is kept on the disk.
#[derive(Debug)]
pub(super) enum Order {
    /// What is there?
    List(oneshot::Sender<CatalogReport>),
    /// Let everybody use a version.
    Choose {
        plugin: PluginName,
        choice: Choice,
        act: Act,
        answer: oneshot::Sender<Result<PluginReport, OrderError>>,
    },
}

/// Which version of a plugin is to be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "choice")]
pub enum Choice {
    /// The newest one is withdrawn; every store goes back to the one before it, or to the one named.
    Rollback {
        /// The first digits of its digest, if not the one before.
        to: Option<String>,
    },
    /// One version, whatever else is newer: in one store, or wherever nothing more special is said.
    Pin {
        /// The first digits of its digest.
        to: String,
        /// The store; none for all.
        store: Option<StoreId>,
    },
    /// No such rule any more.
    Unpin {
        /// The store; none for the rule of all.
        store: Option<StoreId>,
    },
    /// The newest version is for every store from now on, though its rollout was only for some, or it was withdrawn.
    Promote,
}

/// Why an order was not followed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is nothing by that name, or no such version of it.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Impossible(String),
    /// It could not be written down.
    #[error("{0}")]
    Failed(String),
}

/// All that is in the catalog.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CatalogReport {
    /// Every plugin that is known, sorted by name.
    pub plugins: Vec<PluginReport>,
    /// The files that were refused.
    pub refused: Vec<Refused>,
}

/// A file that is no plugin for this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The file.
    pub path: std::path::PathBuf,
    /// What is wrong with it, and what goes on instead.
    pub reason: String,
}

/// One plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginReport {
    /// Its name.
    pub name: PluginName,
    /// Whether its file is in the folder; without it, its subscriptions are parked.
    pub present: bool,
    /// Stores that are configured to use it.
    pub stores: usize,
    /// What `rollout` says in the configuration; none for all stores at once.
    pub rollout: Option<String>,
    /// The versions that are kept, newest first.
    pub versions: Vec<VersionReport>,
    /// Rules that somebody gave by hand.
    pub pins: Vec<PinReport>,
    /// The stores in which it lacks a grant, if there are any.
    pub not_granted: Option<NotGrantedReport>,
}

/// The stores in which a plugin is parked because it needs more than it is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotGrantedReport {
    /// How many.
    pub stores: usize,
    /// What it lacks in the first of them, and what to do.
    pub reason: String,
}

/// One version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReport {
    /// The SHA-256 of its file.
    pub sha256: PluginDigest,
    /// What it calls itself.
    pub version: String,
    /// Bytes of its file.
    pub size_bytes: u64,
    /// When it was first seen.
    pub seen_at: Timestamp,
    /// What is done with it.
    pub state: VersionState,
    /// Stores that use it now.
    pub stores: usize,
    /// Runs of it since the start of the process.
    pub runs: u64,
    /// Of those, runs that failed.
    pub failures: u64,
    /// Who withdrew or promoted it by hand, if somebody did.
    pub act: Option<Act>,
}

/// What is done with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// New: only the stores of its rollout use it.
    Candidate,
    /// The one for every store, unless something more special is said.
    Stable,
    /// An older one, kept to go back to.
    Kept,
    /// Not to be used again unless somebody says so.
    Withdrawn,
}

/// One version for one store, or for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReport {
    /// The store; none for all.
    pub store: Option<StoreId>,
    /// The version.
    pub sha256: PluginDigest,
    /// Who said so.
    pub act: Act,
}

impl CatalogDesk {
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        (Self { orders }, queue)
    }

    /// One that nobody sits at.
    #[cfg(test)]
    pub(crate) fn deserted() -> Self {
        Self::new().0
    }

    /// What is there; nothing while the host stops.
    pub async fn list(&self) -> CatalogReport {
        let (answer, answered) = oneshot::channel();
        match self.orders.send(Order::List(answer)).await {
            Ok(()) => answered.await.unwrap_or_default(),
            Err(_) => CatalogReport::default(),
        }
    }

    /// Has a version used from now on, also after a restart.
    ///
    /// # Errors
    /// There is no such version, or nothing to go back to; or it could not be written down.
    pub async fn choose(
        &self,
        plugin: PluginName,
        choice: Choice,
        act: Act,
    ) -> Result<PluginReport, OrderError> {
        let stopping = || OrderError::Failed("the host is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        let order = Order::Choose {
            plugin,
            choice,
            act,
            answer,
        };
        self.orders.send(order).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}
