//! The journal's content as plain values: what is written in one transaction, and what is read at a start.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Draft, Event, SeqNum};
use crate::id::{BackendId, PluginName};
use crate::stamp::{RunId, Stamp};
use crate::store::{
    BreakerRecord, ExecutionRecord, Mode, Occurrence, RationRecord, TaskKey, TaskRecord,
    UsageRecord,
};
use crate::time::Timestamp;

/// One transaction on a store's journal: the only way to write to it. Applied whole or not at all, its lists in the
/// order of the fields: a later list wins over an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a commit that is not written is lost"]
pub struct Commit {
    /// The head at which all of this was decided; the next scan need not start before it. It may go back.
    pub scanned: SeqNum,
    /// The time at which it was decided.
    pub clock: Timestamp,
    /// The log that the journal now belongs to, when it is adopted.
    pub adopt: Option<BackendId>,
    /// Subscriptions that end: record, kv, dead letters, ration, breaker, tasks and executions of each go together. Their
    /// drafts stay, and so do the occurrences that landed.
    pub subscriptions_removed: Vec<PluginName>,
    /// Subscriptions as they now stand, inserted or replaced by plugin.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// Writes to kv, in order.
    pub kv: Vec<(PluginName, KvWrite)>,
    /// Runs whose drafts are to be pushed, inserted or replaced by run.
    pub outbox: Vec<OutboxEntry>,
    /// Runs whose drafts are in the log.
    pub outbox_removed: Vec<RunId>,
    /// Dead letters, inserted or replaced by run.
    pub dead_letters: Vec<DeadLetter>,
    /// Dead letters whose drafts turned out to be in the log.
    pub dead_letters_landed: Vec<RunId>,
    /// Dead letters that are done with.
    pub dead_letters_removed: Vec<RunId>,
    /// Dead letters that found no room among newer ones.
    pub dead_letters_dropped: Vec<RunId>,
    /// Runs that ended, whatever came of them, in the order of their ends.
    pub usage: Vec<UsageRecord>,
    /// What is left of rations, inserted or replaced by owner.
    pub rations: Vec<RationRecord>,
    /// Breakers as they now stand, by plugin; one without failures is removed.
    pub breakers: Vec<BreakerRecord>,
    /// Tasks as they now stand, inserted or replaced by key.
    pub tasks: Vec<TaskRecord>,
    /// Tasks that are forgotten. What became of their occurrences stays for some weeks.
    pub tasks_removed: Vec<TaskKey>,
    /// Executions as they now stand, inserted or replaced by key and due time. One that is done stays as it is.
    pub executions: Vec<ExecutionRecord>,
    /// Runs of tasks that were seen in the log and may be yet to come here.
    pub landed_occurrences: Vec<RunId>,
    /// Those that need not be remembered any more.
    pub landed_forgotten: Vec<RunId>,
    /// Whether it must survive a power cut before it is confirmed, whatever the store's durability.
    pub synced: bool,
}

/// What a confirmed commit survives. The log keeps every effect single in either case, because the stamps are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The death of the process; a power cut may take back the last commits, unless they were `synced`.
    #[default]
    Normal,
    /// A power cut as well: every commit is synced.
    Full,
}

/// All that a machine needs of a journal to begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The log it belongs to; none before the first contact.
    pub backend_id: Option<BackendId>,
    /// See [`Commit::scanned`].
    pub scanned: SeqNum,
    /// The time of the last commit.
    pub clock: Timestamp,
    /// Every subscription, in any order.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// The outbox by `order`, parked entries included.
    pub outbox: Vec<OutboxEntry>,
    /// Which runs are dead, and which of those have landed. The letters themselves stay in the journal.
    pub dead_letters: Vec<(RunId, Landed)>,
    /// What was left of rations.
    pub rations: Vec<RationRecord>,
    /// Breakers of plugins that failed last.
    pub breakers: Vec<BreakerRecord>,
    /// Every task, in any order.
    pub tasks: Vec<TaskRecord>,
    /// Executions that are waiting or running, in any order.
    pub executions: Vec<ExecutionRecord>,
    /// Runs of tasks that were seen in the log and may be yet to come here.
    pub landed_occurrences: Vec<RunId>,
}

/// Whether a dead letter's drafts are in the log all the same, from another instance or an earlier life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Landed {
    /// Not seen in the log.
    #[default]
    No,
    /// Seen in the log: a redrive writes kv only.
    Yes,
}

/// A subscription at rest. One exists only after its start was fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// The plugin.
    pub plugin: PluginName,
    /// Events up to here are dealt with.
    pub cursor: SeqNum,
    /// Where it started: the head when it was caught up for the first time, or the root.
    pub start: SeqNum,
    /// Events up to here are delivered in `Mode::Projecting`.
    pub react_from: SeqNum,
    /// Attempts that may have been used up on the first matching event after `cursor`, counted before they begin.
    pub attempts: u32,
    /// How those attempts failed, as far as anybody lived to tell.
    pub failures: Vec<Failure>,
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// In one line.
    pub error: Arc<str>,
    /// Which version of the plugin it was, for people: `1.2.0 (sha256 0123456789ab)`. None if nobody lived to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Arc<str>>,
}

/// One write to a plugin's kv in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvWrite {
    /// The key.
    pub key: Arc<str>,
    /// The value; none deletes.
    pub value: Option<Arc<[u8]>>,
}

/// The drafts of one run, on their way into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Its place in the queue; unique in a journal's life.
    pub order: u64,
    /// The run.
    pub stamp: Stamp,
    /// What it wants to say; never empty.
    pub drafts: Vec<Draft>,
    /// Why it is not pushed, if the backend refused it for good.
    pub parked: Option<Arc<str>>,
}

/// What a run answers, with all that its plugin is handed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cause {
    /// An event of the log.
    Event(Event),
    /// One due time of a task.
    Occurrence(Occurrence),
}

/// A trigger that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The run, with the depth it had.
    pub stamp: Stamp,
    /// The mode it had; a redrive has the same.
    pub mode: Mode,
    /// Whether its drafts are in the log.
    pub landed: Landed,
    /// What it was to answer.
    pub cause: Cause,
    /// How each attempt ended.
    pub failures: Vec<Failure>,
    /// When it was given up.
    pub at: Timestamp,
}

impl Cause {
    /// The time that its run sees.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.created_at.unwrap_or_default(),
            Self::Occurrence(occurrence) => occurrence.due,
        }
    }

    /// The place of the event; the root for an occurrence.
    pub fn seq(&self) -> SeqNum {
        match self {
            Self::Event(event) => event.seq,
            Self::Occurrence(_) => SeqNum::ROOT,
        }
    }
}
