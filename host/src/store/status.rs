//! What a store looks like from outside: plain numbers for health, metrics and tests.

use std::sync::Arc;

use serde::Serialize;

use crate::event::SeqNum;
use crate::id::{BackendId, PluginName};
use crate::store::session::Session;
use crate::store::tasks::Task;
use crate::store::{Deferral, RationStatus, StopReason, StoreState};
use crate::time::Timestamp;

/// A store at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How it stands with its backend.
    pub session: SessionStatus,
    /// Since when.
    pub since: Timestamp,
    /// The last thing that went wrong with its connection, while it lasts.
    pub error: Option<Arc<str>>,
    /// The log it belongs to.
    pub backend_id: Option<BackendId>,
    /// The last event scanned without a gap; the root before the first contact.
    pub head: SeqNum,
    /// When something last came from the log or went into it.
    pub last_activity: Option<Timestamp>,
    /// Runs whose drafts wait to be pushed or confirmed.
    pub outbox: usize,
    /// Runs whose drafts the backend refused for good.
    pub parked_pushes: usize,
    /// Triggers given up.
    pub dead_letters: usize,
    /// Runs going on.
    pub runs: usize,
    /// What is left of its ration.
    pub ration: RationStatus,
    /// What its next run waits for, if the ration is used up.
    pub deferred: Option<Deferral>,
    /// How it stands with its tasks.
    pub tasks: TasksStatus,
    /// Each plugin at work here.
    pub subscriptions: Vec<SubscriptionStatus>,
}

/// The tasks of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TasksStatus {
    /// Tasks.
    pub planned: usize,
    /// Those of them that rest.
    pub paused: usize,
    /// Occurrences that are due and not over.
    pub open: usize,
    /// Those of them whose plugins can run.
    pub runnable: usize,
    /// When the next occurrence is due, by the wall clock.
    pub next_due: Option<Timestamp>,
}

/// How a store stands with its backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionStatus {
    /// Opening a socket.
    Connecting,
    /// Reading what is new since the last time.
    CatchingUp,
    /// At the head, and told of every new event.
    Live,
    /// Waiting before the next attempt to connect.
    BackingOff {
        /// When that will be.
        retry_at: Timestamp,
    },
    /// Stopped until somebody looks.
    Stopped(StopReason),
}

/// One plugin at work in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubscriptionStatus {
    /// The plugin.
    pub plugin: PluginName,
    /// Events up to here are dealt with; none before the start is fixed.
    pub cursor: Option<SeqNum>,
    /// Events of the log after the cursor, matching or not.
    pub lag_events: u64,
    /// What it does.
    pub state: SubscriptionState,
    /// How its present trigger failed last.
    pub error: Option<Arc<str>>,
    /// What is left of its own ration.
    pub ration: RationStatus,
    /// What its next run waits for, if that is used up.
    pub deferred: Option<Deferral>,
    /// Runs that failed in a row.
    pub failures: u32,
    /// Until when it rests because of that, if it does.
    pub open_until: Option<Timestamp>,
}

/// What a subscription does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionState {
    /// Not caught up for the first time.
    Starting,
    /// Waiting for an event.
    Idle,
    /// A run goes on.
    Running,
    /// Waiting for the next attempt.
    Retrying,
    /// Resting, because it failed too often in a row.
    Tripped,
    /// Waiting until enough of its ration has flowed in.
    Rationed,
    /// The plugin is not in the catalog, or lacks a grant; its cursor waits.
    Parked,
}

impl StoreState {
    /// Why the store was stopped, if it was.
    pub fn stop_reason(&self) -> Option<&StopReason> {
        match &self.session {
            Session::Stopped(reason) => Some(reason),
            Session::Offline { .. } | Session::Connecting { .. } | Session::Open(_) => None,
        }
    }

    /// How the store stands with its backend.
    pub fn session_status(&self) -> SessionStatus {
        match &self.session {
            Session::Offline { retry_at } => SessionStatus::BackingOff {
                retry_at: *retry_at,
            },
            Session::Connecting { .. } => SessionStatus::Connecting,
            Session::Open(open) if open.live => SessionStatus::Live,
            Session::Open(_) => SessionStatus::CatchingUp,
            Session::Stopped(reason) => SessionStatus::Stopped(reason.clone()),
        }
    }

    /// The last event scanned without a gap.
    pub fn head(&self) -> SeqNum {
        self.scan.head()
    }

    /// The last thing that went wrong with the connection, while it lasts.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    fn tasks_status(&self) -> TasksStatus {
        let rests = |task: &&Task| task.record.paused.is_some();
        let all = self.subscriptions.iter();
        let available = all.filter(|it| it.settings.available);
        let runnable = available.flat_map(|it| self.tasks.busy_of(&it.settings.plugin));
        TasksStatus {
            planned: self.tasks.wanted().count(),
            paused: self.tasks.wanted().filter(rests).count(),
            open: self.tasks.open(),
            runnable: runnable.map(|(_, task)| task.open.len()).sum(),
            next_due: self.tasks.next_due(),
        }
    }

    /// What the store looks like from outside.
    pub fn status(&self) -> Status {
        let head = self.scan.head();
        Status {
            session: self.session_status(),
            since: self.since,
            error: self.error.clone(),
            backend_id: self.backend_id.clone(),
            head,
            last_activity: self.last_activity,
            outbox: self.outbox.waiting(),
            parked_pushes: self.outbox.parked(),
            dead_letters: self.dead_letters.len(),
            runs: self.runs(),
            ration: self.ration.status(),
            deferred: self.deferred,
            tasks: self.tasks_status(),
            subscriptions: self
                .subscriptions
                .iter()
                .map(|it| it.status(head))
                .collect(),
        }
    }
}
