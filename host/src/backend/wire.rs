//! The sync protocol as its server speaks it: frames to values and values to frames; no I/O, no state. One JSON object
//! per text frame, `_tag` names its kind (`@effect/rpc` 0.75 under `@livestore/sync-cf` 0.4.0). A frame that cannot be
//! understood is [`Malformed`], with the answer that it gets: never guessed, never a panic. Nothing here recurses, and
//! nothing holds more memory than a small multiple of the frame.

mod encode;
mod request;

use std::fmt;

use crate::event::{Event, SeqNum};
use crate::id::BackendId;

pub(super) use encode::{
    PONG, chunk, defect, exit_die, exit_failure, exit_interrupted, exit_ping, exit_pull, exit_push,
    page_body, page_envelope_bytes, page_event_bytes,
};
pub(super) use request::decode;

/// How the frames travel. The calls have other names on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `SyncWsRpc.*`: many calls on one socket.
    WebSocket,
    /// `SyncHttpRpc.*`: one call in a request's body.
    Http,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The start of a call. The client chose `id`; every answer carries it.
    Request { id: u64, call: Call },
    /// The client took a chunk of this request; it may have the next.
    Ack { request: u64 },
    /// The client wants no more of this request.
    Interrupt { request: u64 },
    /// Keep-alive, answered with [`PONG`].
    Ping,
    /// The client will start no more calls.
    Eof,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Events after the cursor, or all; if `live`, those to come as well.
    Pull {
        live: bool,
        cursor: Option<PullCursor>,
    },
    /// Append these, if the log is the one that the client means.
    Push {
        batch: Vec<Event>,
        backend_id: Option<String>,
    },
    /// Is anybody there? Only over HTTP: a socket has [`Frame::Ping`].
    Ping,
}

/// Where a pull begins: after `seq`, in the log that the client has seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PullCursor {
    pub(super) backend_id: String,
    pub(super) seq: SeqNum,
}

/// Why a frame could not be understood, and how it is answered. The connection goes on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// It belongs to no call: answered with [`defect`].
    #[error("{0}")]
    Frame(String),
    /// The call is known, what it asks for is not: answered with [`exit_die`].
    #[error("request {id}: {problem}")]
    Call { id: u64, problem: String },
}

/// Why a call was refused: the typed errors of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first parent of a push is not the log's head. Also when the client is the one that is ahead.
    ServerAhead {
        /// The log's head.
        head: SeqNum,
        /// The first parent, as pushed.
        provided: SeqNum,
    },
    /// The client has seen another log under this name.
    BackendIdMismatch {
        /// The id of this log.
        expected: BackendId,
        /// The id as the client sent it.
        received: String,
    },
    /// Anything else. Clients try again.
    Unknown {
        /// What kind of error, as JavaScript names errors.
        name: &'static str,
        /// What happened, and what to do.
        message: String,
    },
}

impl Refusal {
    /// A refusal that the protocol has no type for.
    pub(super) fn unknown(name: &'static str, message: String) -> Self {
        Self::Unknown { name, message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerAhead { head, provided } => {
                write!(
                    f,
                    "the log's head is {head}, and the push comes after {provided}"
                )
            }
            Self::BackendIdMismatch { expected, received } => {
                write!(f, "this is log {expected}, and the client means {received}")
            }
            Self::Unknown { name, message } => write!(f, "{name}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests;
