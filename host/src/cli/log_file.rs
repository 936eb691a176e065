//! A store's log as a file, in the shape of LiveStore's own `livestore sync export`: one JSON object with `version`,
//! `storeId`, `exportedAt`, `eventCount` and `events`, its keys in any order. It is written and read event by event, so a
//! log of millions needs no more memory than one of ten. Arguments are never taken apart.

mod read;
mod rules;
mod write;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::Event;

pub(super) use read::read;
pub(super) use rules::{
    Follows, PAGE_BYTES_MAX, check_event, compact_json, encoded_bytes, same_event,
};
pub(super) use write::Writer;

/// The only version that there is.
const VERSION: u64 = 1;

/// An event as the protocol and the file spell it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventEncoded<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    args: Cow<'a, RawValue>,
    seq_num: u64,
    parent_seq_num: u64,
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Cow<'a, str>,
}

impl<'a> EventEncoded<'a> {
    /// How `event` is spelled.
    ///
    /// # Errors
    /// Its arguments are not JSON.
    pub(super) fn of(event: &'a Event) -> Result<Self, serde_json::Error> {
        Ok(Self {
            name: Cow::Borrowed(&event.name),
            args: Cow::Borrowed(serde_json::from_str(&event.args)?),
            seq_num: event.seq.get(),
            parent_seq_num: event.parent.get(),
            client_id: Cow::Borrowed(&event.client_id),
            session_id: Cow::Borrowed(&event.session_id),
        })
    }
}
