//! Frames to values and values to frames; no I/O. One JSON object per text frame, `_tag` names its kind (the protocol
//! of `@effect/rpc` 0.75). What is of no concern is skipped, and what matters and cannot be understood is
//! [`Malformed`]: never guessed, never a panic. Nothing here recurses deeper than serde_json's own limit.

mod encode;
mod failure;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::event::{Event, SeqNum};
use crate::id::BackendId;
use crate::store::RequestId;
use crate::time::Timestamp;

pub(super) use encode::{Caller, PING, ack, interrupt, pull, push};
pub(super) use failure::Failure;

/// The largest integer that JavaScript holds exactly: no backend counts past it.
const SEQ_NUM_MAX: u64 = (1 << 53) - 1;

/// LiveStore's ids have 21 characters; the journal keeps one, so it has a limit.
const BACKEND_ID_BYTES_MAX: usize = 256;

/// What a backend sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Part of a pull's answer. It has no page if the backend sent none; it wants an ack all the same.
    Chunk {
        request: RequestId,
        page: Option<Page>,
    },
    /// The end of a call.
    Exit {
        request: RequestId,
        result: Result<(), Failure>,
    },
    /// The backend could not read what we sent; which request it was, nobody knows.
    Defect { error: String },
    /// The answer to a ping.
    Pong,
    /// A kind that this version does not know.
    Unknown { tag: String },
}

/// Events of a pull.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) backend_id: BackendId,
    pub(super) events: Vec<Event>,
}

/// Why a frame could not be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {problem}")]
pub(super) struct Malformed {
    subject: String,
    problem: String,
}

impl Malformed {
    fn new(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self {
            subject: subject.to_string(),
            problem: problem.to_string(),
        }
    }
}

/// Reads one text frame.
pub(super) fn decode(text: &str) -> Result<Frame, Malformed> {
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|error| Malformed::new("frame", error))?;
    match &*envelope.tag {
        "Chunk" => decode_chunk(&envelope),
        "Exit" => decode_exit(&envelope),
        "Defect" => Ok(Frame::Defect {
            error: failure::describe_defect(envelope.defect),
        }),
        "Pong" => Ok(Frame::Pong),
        other => Ok(Frame::Unknown {
            tag: other.to_owned(),
        }),
    }
}

/// The fields of every kind, looked into only where the kind has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(rename = "_tag", borrow)]
    tag: Cow<'a, str>,
    #[serde(borrow, default)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exit: Option<&'a RawValue>,
    #[serde(borrow, default)]
    defect: Option<&'a RawValue>,
}

impl Envelope<'_> {
    /// The request that the frame belongs to: a decimal number as a string, as we sent it.
    fn request(&self) -> Result<RequestId, Malformed> {
        let raw = self.request_id.map_or("", RawValue::get);
        let id = serde_json::from_str::<Cow<'_, str>>(raw)
            .ok()
            .and_then(|id| id.parse().ok());
        id.map(RequestId).ok_or_else(|| {
            Malformed::new(
                &self.tag,
                "its requestId is not one of ours: expected a decimal number as a string",
            )
        })
    }
}

/// One item of a pull's stream. `pageInfo` is left out: it does not prove anything (broadcasts overtake pages).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullItem<'a> {
    #[serde(borrow)]
    batch: Vec<BatchItem<'a>>,
    #[serde(borrow)]
    backend_id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchItem<'a> {
    #[serde(borrow)]
    event_encoded: EventEncoded<'a>,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventEncoded<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// Missing in a live page and `null` in one from history, where the event has none.
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(deserialize_with = "seq_num")]
    seq_num: SeqNum,
    #[serde(deserialize_with = "seq_num")]
    parent_seq_num: SeqNum,
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Cow<'a, str>,
}

/// `{"_tag":"None"}`, or `{"_tag":"Some","value":{"createdAt":…}}`.
#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    value: Option<SyncMetadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyncMetadata<'a> {
    #[serde(borrow, default)]
    created_at: Option<Cow<'a, str>>,
}

fn seq_num<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SeqNum, D::Error> {
    let number = u64::deserialize(deserializer)
        .ok()
        .filter(|number| *number <= SEQ_NUM_MAX);
    number.map(SeqNum::new).ok_or_else(|| {
        serde::de::Error::custom("expected a sequence number, an integer from 0 to 2^53 - 1")
    })
}

fn decode_chunk(envelope: &Envelope<'_>) -> Result<Frame, Malformed> {
    let request = envelope.request()?;
    let malformed = |problem: &dyn fmt::Display| {
        Malformed::new(format_args!("chunk of request {}", request.0), problem)
    };
    let values = envelope
        .values
        .ok_or_else(|| malformed(&"missing field `values`"))?;
    let items: Vec<PullItem<'_>> =
        serde_json::from_str(values.get()).map_err(|error| malformed(&error))?;

    let mut page: Option<Page> = None;
    for item in items {
        if !(1..=BACKEND_ID_BYTES_MAX).contains(&item.backend_id.len()) {
            return Err(malformed(&format_args!(
                "expected a backendId of 1 to {BACKEND_ID_BYTES_MAX} bytes"
            )));
        }
        let page = page.get_or_insert_with(|| Page {
            backend_id: BackendId::new(&item.backend_id),
            events: Vec::with_capacity(item.batch.len()),
        });
        if page.backend_id.as_str() != item.backend_id {
            return Err(malformed(&"two different backendIds in one chunk"));
        }
        page.events.extend(item.batch.into_iter().map(Event::from));
    }
    Ok(Frame::Chunk { request, page })
}

impl From<BatchItem<'_>> for Event {
    fn from(item: BatchItem<'_>) -> Self {
        let event = item.event_encoded;
        let created_at = item
            .metadata
            .and_then(|metadata| metadata.value?.created_at);
        Self {
            seq: event.seq_num,
            parent: event.parent_seq_num,
            name: Arc::from(&*event.name),
            args: Arc::from(event.args.map_or("null", RawValue::get)),
            client_id: Arc::from(&*event.client_id),
            session_id: Arc::from(&*event.session_id),
            created_at: created_at.and_then(|text| Timestamp::parse_iso(&text)),
        }
    }
}

#[derive(Deserialize)]
struct Exit<'a> {
    #[serde(rename = "_tag", borrow)]
    tag: Cow<'a, str>,
    #[serde(borrow, default)]
    cause: Option<&'a RawValue>,
}

fn decode_exit(envelope: &Envelope<'_>) -> Result<Frame, Malformed> {
    let request = envelope.request()?;
    let malformed = |problem: &dyn fmt::Display| {
        Malformed::new(format_args!("exit of request {}", request.0), problem)
    };
    let exit = envelope
        .exit
        .ok_or_else(|| malformed(&"missing field `exit`"))?;
    let exit: Exit<'_> = serde_json::from_str(exit.get()).map_err(|error| malformed(&error))?;
    let result = match &*exit.tag {
        "Success" => Ok(()),
        "Failure" => Err(Failure::from_cause(exit.cause)),
        _ => return Err(malformed(&"expected Success or Failure")),
    };
    Ok(Frame::Exit { request, result })
}

#[cfg(test)]
mod tests;
