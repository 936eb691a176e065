//! Where the rest of the host asks the supervisor something or gives it an order, and what it answers.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::act::Act;
use crate::config::{Diff, Problem};
use crate::id::StoreId;

/// Orders that may wait.
const QUEUE: usize = 16;

/// The supervisor, from outside. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Desk {
    orders: mpsc::Sender<Order>,
}

/// What the supervisor is asked.
#[derive(Debug)]
pub(super) enum Order {
    /// Read the configuration again, and apply it.
    Reload(oneshot::Sender<ReloadReport>),
    /// What would a reload do, or this other configuration?
    Preview {
        config: Option<PathBuf>,
        answer: oneshot::Sender<ReloadReport>,
    },
    /// Something about one store.
    Store {
        store: StoreId,
        wish: Wish,
        act: Act,
        answer: oneshot::Sender<Result<Followed, OrderError>>,
    },
}

/// What is to become of a store, whatever its configuration says, until somebody wishes something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "wish")]
pub enum Wish {
    /// It rests: what runs is finished, nothing is connected.
    Pause,
    /// It runs again, as its configuration says.
    Resume,
    /// As `Pause`, but only once all that it has committed is in its log.
    Drain {
        /// How long that may take; then it goes on as it was.
        within: Duration,
    },
    /// It is as if it were not configured. Its journal stays.
    Remove,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The store.
    pub store: StoreId,
    /// Its state now, in one word.
    pub state: String,
    /// What else is worth knowing.
    pub note: Option<String>,
}

/// Why an order was not followed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such store.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Impossible(String),
    /// It could not be written down.
    #[error("{0}")]
    Failed(String),
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// In one word.
    pub outcome: ReloadOutcome,
    /// What is different now, or would be.
    pub diff: Diff,
    /// Stores that go on with what was configured before, because of a mistake.
    pub kept: Vec<StoreId>,
    /// Keys whose new value counts only after a restart of the process.
    pub restart_needed: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is worth knowing without being wrong.
    pub notes: Vec<String>,
}

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadOutcome {
    /// Nothing is different.
    Unchanged,
    /// The difference is applied; `kept` and `problems` say what was left out of it.
    Applied,
    /// It would be.
    WouldApply,
    /// A mistake in what concerns all stores: nothing is changed.
    Refused,
}

impl Desk {
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        (Self { orders }, queue)
    }

    /// One that nobody sits at.
    #[cfg(test)]
    pub(crate) fn deserted() -> Self {
        Self::new().0
    }

    /// Reads the configuration again, and answers once what it says is under way. None while the host stops.
    pub async fn reload(&self) -> Option<ReloadReport> {
        self.ask(Order::Reload).await
    }

    /// What a reload would do, or another configuration: a folder or file by its full path. None while the host stops.
    pub async fn preview(&self, config: Option<PathBuf>) -> Option<ReloadReport> {
        self.ask(|answer| Order::Preview { config, answer }).await
    }

    /// Has a wish followed, also after a restart.
    ///
    /// # Errors
    /// There is no such store, it cannot be done, or it could not be written down.
    pub async fn wish(&self, store: StoreId, wish: Wish, act: Act) -> Result<Followed, OrderError> {
        let order = |answer| Order::Store {
            store,
            wish,
            act,
            answer,
        };
        let stopping = || OrderError::Failed("the host is stopping".to_owned());
        self.ask(order).await.unwrap_or_else(|| Err(stopping()))
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.ok()?;
        answered.await.ok()
    }
}
