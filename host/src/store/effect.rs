//! What is to be done for a store, in order. Whatever follows an `Effect::Commit` and leaves the host was decided after
//! an earlier commit was confirmed, so effects may be carried out as they come.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::stamp::Stamp;
use crate::store::{Cause, Commit, Mode};
use crate::time::Timestamp;

/// One socket of a store, counted in the life of a machine. Nothing of an older one is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// A pull or a push on one socket, counted from 0 with each generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A run in flight, counted in the life of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunToken(pub u64);

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open a socket; answer `Connected` or `Disconnected`.
    Connect { generation: Generation },
    /// Drop the socket; no answer is wanted.
    Disconnect { generation: Generation },
    /// Ask for the events after `after`.
    Pull {
        generation: Generation,
        request: RequestId,
        after: SeqNum,
        backend_id: Option<BackendId>,
        kind: PullKind,
    },
    /// Let the backend send the next chunk of a pull.
    Ack {
        generation: Generation,
        request: RequestId,
    },
    /// Append whole runs. The first draft's parent is the head that this life has scanned.
    Push {
        generation: Generation,
        request: RequestId,
        backend_id: BackendId,
        drafts: Vec<NumberedDraft>,
    },
    /// Write to the journal; answer `Committed`. If it fails, drop the machine and begin again from the journal.
    Commit(Box<Commit>),
    /// Call a guest; answer `RunFinished`.
    Run(Box<RunRequest>),
    /// Drop this machine and begin again from the journal: a cursor must go behind the scan, or the settings or what
    /// surrounds the machine are others. Nothing is in flight any more but pushes.
    Restart,
    /// Archive the journal and begin with a fresh one: the backend holds another log.
    StartOver { backend_id: Option<BackendId> },
    /// Nothing is in flight any more, after `Input::Drain`.
    Drained,
}

/// How a pull ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullKind {
    /// With the last event there is.
    Finite,
    /// Never: what is pushed later follows.
    Live,
}

/// One call of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    /// To match the answer.
    pub token: RunToken,
    /// Which run, and its depth.
    pub stamp: Stamp,
    /// What it answers.
    pub cause: Cause,
    /// Whether it may commit.
    pub mode: Mode,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The time that the guest sees: when the backend took the event in, 0 if it did not say; or when the task was due.
    pub now: Timestamp,
    /// The fuel that it may use.
    pub fuel: u64,
    /// How long it may take, if its task says so.
    pub timeout: Option<Duration>,
    /// How much later it begins than its task wants; only of a first attempt that was due by the timetable.
    pub late: Option<Duration>,
}

/// Why a store was stopped for good. Each needs somebody to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The backend holds another log than the journal belongs to.
    BackendReset {
        journal: BackendId,
        backend: Option<BackendId>,
    },
    /// The backend no longer has the event that was the head.
    Truncated { head: SeqNum },
    /// The backend shows events past the head that it admits pushes to.
    PastHead { head: SeqNum, backend: SeqNum },
    /// Two different events claim one place, or an event's parent is not before it.
    Fork { seq: SeqNum },
    /// Whole pulls bring no event that follows the head.
    Gap { head: SeqNum, next: SeqNum },
    /// The configured number of attempts to connect is used up.
    GaveUp { attempts: u32 },
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendReset { journal, backend } => {
                let backend = backend.as_ref().map_or("another", BackendId::as_str);
                write!(
                    f,
                    "the backend holds another log (id {backend}, the journal belongs to {journal}); if it was wiped on \
                     purpose, set on_reset = \"start-over\" for this store or delete its journal"
                )
            }
            Self::Truncated { head } => write!(
                f,
                "the backend no longer has event {head} under the same backend id; restore its log, or delete this \
                 store's journal to begin with what is left"
            ),
            Self::PastHead { head, backend } => write!(
                f,
                "the backend shows events up to {head} but admits pushes only after {backend}: a push was stored in part; \
                 only the backend's owner can mend its log"
            ),
            Self::Fork { seq } => write!(
                f,
                "the backend showed two different events in place {seq}, or one whose parent is not before it; its log \
                 cannot be trusted until its owner has mended it"
            ),
            Self::Gap { head, next } => write!(
                f,
                "the backend has event {next} but nothing that follows event {head}; its log has lost events and its \
                 owner must restore them"
            ),
            Self::GaveUp { attempts } => write!(
                f,
                "could not connect in {attempts} attempts; check the store's sync URL and payload, then restart the \
                 store, or raise timing.reconnect.attempts_max (0 is for ever)"
            ),
        }
    }
}
