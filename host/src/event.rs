//! What lies in a store's log, and what may come to lie there. An `Event` has a place; a `Draft` has none until it
//! is pushed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A place in a store's log. The first event is 1; 0 is the root, before every event.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SeqNum(u64);

impl SeqNum {
    /// Before the first event: the head of an empty log.
    pub const ROOT: SeqNum = SeqNum(0);

    /// The place `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the place.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> SeqNum {
        SeqNum(self.0 + 1)
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An event in the log, as pulled. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place.
    pub seq: SeqNum,
    /// The place it was appended after.
    pub parent: SeqNum,
    /// Its name, such as `v1.ChatMessageSent`.
    pub name: Arc<str>,
    /// Its arguments: JSON text, schema-encoded by the app. `null` if it has none.
    pub args: Arc<str>,
    /// Who wrote it.
    pub client_id: Arc<str>,
    /// In which session; ours carry a stamp here.
    pub session_id: Arc<str>,
    /// When the backend took it in; a backend may leave it out.
    pub created_at: Option<Timestamp>,
}

impl Event {
    /// Bytes that this event holds in memory, near enough for a limit.
    pub fn size_bytes(&self) -> usize {
        // The struct, and the two counters of each of the four `Arc`s.
        const FIXED: usize = size_of::<Event>() + 4 * 16;
        FIXED + self.name.len() + self.args.len() + self.client_id.len() + self.session_id.len()
    }
}

/// An event that a run wants to commit. It has no place yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The event's name.
    pub name: Arc<str>,
    /// The event's arguments: valid JSON text.
    pub args: Arc<str>,
}

impl Draft {
    /// Bytes that this draft takes in a page of the protocol, besides the envelope.
    pub fn size_bytes(&self) -> usize {
        self.name.len() + self.args.len()
    }
}

/// A draft with its place and author, ready for one push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedDraft {
    /// The place it will have if the push is admitted.
    pub seq: SeqNum,
    /// The place before it.
    pub parent: SeqNum,
    /// What it says.
    pub draft: Draft,
    /// Who writes it.
    pub client_id: Arc<str>,
    /// Its stamp, with index and count.
    pub session_id: Arc<str>,
}
