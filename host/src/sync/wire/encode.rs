//! What we send: calls with their payloads, and the three words that steer them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::{NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{PullKind, RequestId};

/// Exactly this text is answered by Cloudflare's runtime without waking the store's object.
pub(in crate::sync) const PING: &str = r#"{"_tag":"Ping"}"#;

/// Who calls: repeated in every call.
#[derive(Clone, Copy)]
pub(in crate::sync) struct Caller<'a> {
    pub(in crate::sync) store_id: &'a str,
    pub(in crate::sync) payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Request<P> {
    #[serde(rename = "_tag")]
    kind: &'static str,
    /// A number as a string. Anything else makes the backend fall silent for ever.
    id: String,
    tag: &'static str,
    payload: P,
    headers: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PullPayload<'a> {
    store_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    live: bool,
    cursor: Tagged<Cursor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cursor<'a> {
    backend_id: &'a str,
    event_sequence_number: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushPayload<'a> {
    store_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    batch: Vec<EventEncoded<'a>>,
    backend_id: Tagged<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventEncoded<'a> {
    name: &'a str,
    args: &'a RawValue,
    seq_num: u64,
    parent_seq_num: u64,
    client_id: &'a str,
    session_id: &'a str,
}

/// An optional value as Effect's schemas encode it.
#[derive(Serialize)]
#[serde(tag = "_tag", content = "value")]
enum Tagged<T> {
    None,
    Some(T),
}

/// A pull of the events after `after`. Without a backend id it begins at the root: a place means nothing without the
/// log that it is in.
pub(in crate::sync) fn pull(
    request: RequestId,
    caller: Caller<'_>,
    after: SeqNum,
    backend_id: Option<&BackendId>,
    kind: PullKind,
) -> String {
    let cursor = backend_id.map_or(Tagged::None, |backend_id| {
        Tagged::Some(Cursor {
            backend_id: backend_id.as_str(),
            event_sequence_number: after.get(),
        })
    });
    let payload = PullPayload {
        store_id: caller.store_id,
        payload: caller.payload,
        live: match kind {
            PullKind::Finite => false,
            PullKind::Live => true,
        },
        cursor,
    };
    call(request, "SyncWsRpc.Pull", payload)
}

/// A push of `drafts`.
///
/// # Errors
/// The index of the first draft whose arguments are not JSON.
pub(in crate::sync) fn push(
    request: RequestId,
    caller: Caller<'_>,
    backend_id: &BackendId,
    drafts: &[NumberedDraft],
) -> Result<String, usize> {
    let mut batch = Vec::with_capacity(drafts.len());
    for (index, numbered) in drafts.iter().enumerate() {
        batch.push(EventEncoded {
            name: &numbered.draft.name,
            args: serde_json::from_str(&numbered.draft.args).map_err(|_| index)?,
            seq_num: numbered.seq.get(),
            parent_seq_num: numbered.parent.get(),
            client_id: &numbered.client_id,
            session_id: &numbered.session_id,
        });
    }
    let payload = PushPayload {
        store_id: caller.store_id,
        payload: caller.payload,
        batch,
        backend_id: Tagged::Some(backend_id.as_str()),
    };
    Ok(call(request, "SyncWsRpc.Push", payload))
}

/// Lets the backend send the next chunk of `request`.
pub(in crate::sync) fn ack(request: RequestId) -> String {
    format!(r#"{{"_tag":"Ack","requestId":"{}"}}"#, request.0)
}

/// Ends `request`.
pub(in crate::sync) fn interrupt(request: RequestId) -> String {
    format!(r#"{{"_tag":"Interrupt","requestId":"{}"}}"#, request.0)
}

fn call(request: RequestId, tag: &'static str, payload: impl Serialize) -> String {
    let call = Request {
        kind: "Request",
        id: request.0.to_string(),
        tag,
        payload,
        headers: [],
    };
    serde_json::to_string(&call)
        .expect("its keys are strings, and nothing in it can fail to serialize")
}
