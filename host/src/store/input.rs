//! What can happen to a store. Every way in is a variant here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Draft, Event, SeqNum};
use crate::id::BackendId;
use crate::stamp::RunId;
use crate::store::{
    DeadLetter, Ending, Generation, KvWrite, RequestId, RunToken, ScheduleWrite, Settings, TaskKey,
    TaskOrder, Usage,
};

/// Something that happened to a store.
#[derive(Clone, Debug)]
pub enum Input {
    /// The socket of `generation` is open.
    Connected { generation: Generation },
    /// The socket of `generation` is gone, or could not be opened. `error` says why in one line.
    Disconnected {
        generation: Generation,
        error: Arc<str>,
    },
    /// One chunk of events arrived for a pull, ended or not. It wants one `Effect::Ack` in its own time.
    Pulled {
        generation: Generation,
        request: RequestId,
        backend_id: BackendId,
        events: Vec<Event>,
    },
    /// A finite pull has sent all it had when it was asked: the backend's `Exit`, not its `NoMore`.
    PullEnded {
        generation: Generation,
        request: RequestId,
    },
    /// A pull was refused. `mismatch` carries the backend's id if that was the reason and it was told.
    PullRefused {
        generation: Generation,
        request: RequestId,
        error: Arc<str>,
        mismatch: Option<BackendId>,
    },
    /// A push was answered.
    PushAnswered {
        generation: Generation,
        request: RequestId,
        answer: PushAnswer,
    },
    /// A run ended, one way or another.
    RunFinished { token: RunToken, end: RunEnd },
    /// The commit that was in flight is in the journal.
    Committed,
    /// Run a dead letter again (read from the journal by the caller). One whose turn has not come when this life ends
    /// stays dead, and may be asked for again.
    Redrive { letter: Box<DeadLetter> },
    /// Forget a dead letter.
    Discard { run: RunId },
    /// Push parked drafts again.
    Unpark { run: RunId },
    /// An operator wants something of a task.
    Task { key: TaskKey, order: TaskOrder },
    /// The wall clock shows another time than the clock that never jumps: this much more, in milliseconds.
    ClockSet { ahead: i64 },
    /// The operator's or a plugin's settings are others. The machine takes them in place if it can; else it ends this life
    /// as after `Renew`. Whoever sends this begins the next life with the newest settings, whichever way it ended. Equal
    /// settings change nothing.
    Reconfigure { settings: Box<Settings> },
    /// What surrounds the machine is another: say `Effect::Restart` when no run is in flight any more and all is written.
    Renew,
    /// No new runs; say `Effect::Drained` when nothing is left in flight. Nothing that is told later changes that.
    Drain,
}

/// What the backend said to a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushAnswer {
    /// In the log, at exactly the numbers sent.
    Accepted,
    /// The first parent is not the backend's head. `head` is the head it has.
    ServerAhead { head: SeqNum },
    /// The backend holds another log; its id if it said so.
    BackendIdMismatch { actual: Option<BackendId> },
    /// Anything else: it may have landed or not.
    Unknown { error: Arc<str> },
}

/// All about the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// What follows from it.
    pub outcome: RunOutcome,
    /// What ended it.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
    /// Which version of the plugin it was, for people: `1.2.0 (sha256 0123456789ab)`. None if nobody knows.
    pub build: Option<Arc<str>>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// The guest returned ok; this is what it asked for.
    Finished {
        drafts: Vec<Draft>,
        kv: Vec<KvWrite>,
        /// Changes to the plugin's own tasks, in order.
        schedule: Vec<ScheduleWrite>,
        /// What it says of itself, in one line; only of a task.
        output: Option<Arc<str>>,
    },
    /// Try again later: the guest asked for it, trapped, ran out of fuel or of time.
    Retry { error: Arc<str> },
    /// Never try again: the guest refused its trigger.
    Reject { error: Arc<str> },
}

impl RunEnd {
    /// The end of a run that was refused before it began.
    pub(super) fn refused(error: Arc<str>) -> Self {
        Self {
            outcome: RunOutcome::Reject { error },
            ending: Ending::Reject,
            usage: Usage::default(),
            build: None,
        }
    }
}

impl RunOutcome {
    /// A run that committed `drafts`, wrote `kv`, and wanted nothing else.
    pub fn finished(drafts: Vec<Draft>, kv: Vec<KvWrite>) -> Self {
        Self::Finished {
            drafts,
            kv,
            schedule: Vec::new(),
            output: None,
        }
    }
}

/// Whether a run may have effects outside its own kv.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The trigger lies in the past of the subscription: kv only.
    Projecting,
    /// The trigger is to be answered.
    Reacting,
}
