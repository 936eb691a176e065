//! From a client's text to a [`Frame`]. What the original takes is taken here: the last of two equal keys, unknown keys,
//! keys in any order, every spelling of an integer. Event arguments stay the text that was sent.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::backend::wire::{Call, Frame, Malformed, PullCursor, Transport};
use crate::event::{Event, SeqNum};

/// The largest integer that JavaScript holds exactly: no client counts past it.
const SEQ_NUM_MAX: i64 = (1 << 53) - 1;

/// Characters of a client's text that a message repeats: enough to recognize it, too few to send a frame back.
const REPEATED_CHARS_MAX: usize = 100;

/// What is wrong with a call's payload, and where in it.
type Problem = String;

/// Reads one text frame.
pub(in crate::backend) fn decode(text: &str, transport: Transport) -> Result<Frame, Malformed> {
    let names = ["_tag", "id", "tag", "payload", "requestId"];
    let [kind, id, tag, payload, request_id] = fields(text, names).map_err(|error| {
        Malformed::Frame(if error.is_data() {
            "Unknown request tag: undefined".to_owned()
        } else {
            format!("the frame is not JSON: {error}")
        })
    })?;
    let invalid = |id| {
        let shown = repeated(id, "undefined");
        Malformed::Frame(format!(
            "Invalid request id: {shown}; expected a decimal number as a string"
        ))
    };
    let request = || {
        let number = request_id.and_then(request_number);
        number.ok_or_else(|| invalid(request_id))
    };
    match kind.and_then(string).as_deref() {
        Some("Request") => {
            // The original looks at the name first, so that an unknown call with a bad id is an unknown call.
            let known = tag.and_then(|tag| call_named(&string(tag)?, transport));
            let known = known.ok_or_else(|| unknown_tag(tag, ""))?;
            // An id must be a string here, and may be a number where it only refers to a call.
            let number = id.filter(|id| id.get().starts_with('"'));
            let number = number.and_then(request_number);
            let id = number.ok_or_else(|| invalid(id))?;
            match decode_call(known, payload) {
                Ok(call) => Ok(Frame::Request { id, call }),
                Err(problem) => Err(Malformed::Call { id, problem }),
            }
        }
        Some("Ack") => request().map(|request| Frame::Ack { request }),
        Some("Interrupt") => request().map(|request| Frame::Interrupt { request }),
        Some("Ping") => Ok(Frame::Ping),
        Some("Eof") => Ok(Frame::Eof),
        Some(_) | None => Err(unknown_tag(kind, "undefined")),
    }
}

fn unknown_tag(tag: Option<&RawValue>, missing: &str) -> Malformed {
    Malformed::Frame(format!("Unknown request tag: {}", repeated(tag, missing)))
}

/// The beginning of what the client wrote.
fn repeated(raw: Option<&RawValue>, missing: &str) -> String {
    let text = match raw {
        Some(raw) => string(raw).unwrap_or(Cow::Borrowed(raw.get())),
        None => Cow::Borrowed(missing),
    };
    text.chars().take(REPEATED_CHARS_MAX).collect()
}

/// A request's number: decimal, as JSON or in a string.
fn request_number(raw: &RawValue) -> Option<u64> {
    string(raw)
        .unwrap_or(Cow::Borrowed(raw.get()))
        .trim()
        .parse()
        .ok()
}

/// The calls that there are, before anybody looked into their payload.
#[derive(Clone, Copy)]
enum CallName {
    Pull { may_live: bool },
    Push,
    Ping,
}

fn call_named(tag: &str, transport: Transport) -> Option<CallName> {
    match (transport, tag) {
        (Transport::WebSocket, "SyncWsRpc.Pull") => Some(CallName::Pull { may_live: true }),
        (Transport::WebSocket, "SyncWsRpc.Push") => Some(CallName::Push),
        (Transport::Http, "SyncHttpRpc.Pull") => Some(CallName::Pull { may_live: false }),
        (Transport::Http, "SyncHttpRpc.Push") => Some(CallName::Push),
        (Transport::Http, "SyncHttpRpc.Ping") => Some(CallName::Ping),
        (Transport::WebSocket | Transport::Http, _) => None,
    }
}

fn decode_call(name: CallName, payload: Option<&RawValue>) -> Result<Call, Problem> {
    let payload = payload.ok_or("payload: expected an object, found nothing")?;
    let names = ["storeId", "live", "cursor", "batch", "backendId"];
    let [store_id, live, cursor, batch, backend_id] =
        fields(payload.get(), names).map_err(|_| "payload: expected an object")?;
    // Which store is meant was settled when the connection was made; the original wants the field all the same.
    store_id
        .and_then(string)
        .ok_or("payload.storeId: expected a string")?;
    match name {
        CallName::Pull { may_live } => Ok(Call::Pull {
            live: match live.map(RawValue::get) {
                Some("true") => may_live,
                Some("false") => false,
                Some(_) | None if !may_live => false,
                Some(_) | None => return Err("payload.live: expected true or false".to_owned()),
            },
            cursor: match option(cursor, "payload.cursor")? {
                Some(cursor) => Some(decode_cursor(cursor)?),
                None => None,
            },
        }),
        CallName::Push => {
            let batch = batch.ok_or("payload.batch: expected an array, found nothing")?;
            let backend_id = match option(backend_id, "payload.backendId")? {
                Some(id) => {
                    let id = string(id).ok_or("payload.backendId.value: expected a string")?;
                    Some(id.into_owned())
                }
                None => None,
            };
            Ok(Call::Push {
                batch: decode_batch(batch)?,
                backend_id,
            })
        }
        CallName::Ping => Ok(Call::Ping),
    }
}

fn decode_cursor(raw: &RawValue) -> Result<PullCursor, Problem> {
    let [backend_id, seq] = fields(raw.get(), ["backendId", "eventSequenceNumber"])
        .map_err(|_| "payload.cursor.value: expected an object")?;
    let backend_id = backend_id
        .and_then(string)
        .ok_or("payload.cursor.value.backendId: expected a string")?;
    let seq = seq
        .and_then(integer)
        .ok_or("payload.cursor.value.eventSequenceNumber: expected an integer up to 2^53 - 1")?;
    Ok(PullCursor {
        backend_id: backend_id.into_owned(),
        // The original takes negative ones; every event lies after such a place, as after the root.
        seq: SeqNum::new(u64::try_from(seq).unwrap_or(0)),
    })
}

/// An optional value as Effect's schemas encode it: `{"_tag":"None"}` or `{"_tag":"Some","value":…}`.
fn option<'a>(raw: Option<&'a RawValue>, path: &str) -> Result<Option<&'a RawValue>, Problem> {
    let expected =
        || format!("{path}: expected {{\"_tag\":\"None\"}} or {{\"_tag\":\"Some\",\"value\":…}}");
    let raw = raw.ok_or_else(expected)?;
    let [tag, value] = fields(raw.get(), ["_tag", "value"]).map_err(|_| expected())?;
    match (tag.and_then(string).as_deref(), value) {
        (Some("None"), _) => Ok(None),
        (Some("Some"), Some(value)) => Ok(Some(value)),
        (Some(_) | None, _) => Err(expected()),
    }
}

fn decode_batch(raw: &RawValue) -> Result<Vec<Event>, Problem> {
    // Asked here, because serde's own complaint would repeat the whole of a long string.
    if !raw.get().starts_with('[') {
        return Err("payload.batch: expected an array".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer
        .deserialize_seq(Batch)
        .map_err(|error| format!("payload.batch: {error}"))
}

/// Reads event by event, so that a long list of nonsense fails at its first element instead of being kept.
struct Batch;

impl<'de> Visitor<'de> for Batch {
    type Value = Vec<Event>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Event>, A::Error> {
        let mut events: Vec<Event> = Vec::new();
        while let Some(item) = items.next_element::<&RawValue>()? {
            let event = decode_event(item, events.last()).map_err(|problem| {
                A::Error::custom(format_args!("event {}: {problem}", events.len()))
            })?;
            events.push(event);
        }
        Ok(events)
    }
}

/// Reads one event. What it has in common with the one before it is shared.
fn decode_event(raw: &RawValue, before: Option<&Event>) -> Result<Event, Problem> {
    let names = [
        "name",
        "args",
        "seqNum",
        "parentSeqNum",
        "clientId",
        "sessionId",
    ];
    let [name, args, seq, parent, client_id, session_id] =
        fields(raw.get(), names).map_err(|_| "expected an object")?;
    let text = |raw: Option<&RawValue>, before: Option<&Arc<str>>, field: &str| {
        let text = raw.and_then(string);
        let text = text.ok_or_else(|| format!("{field}: expected a string"))?;
        Ok::<_, Problem>(match before.filter(|before| ***before == *text) {
            Some(before) => Arc::clone(before),
            None => Arc::from(&*text),
        })
    };
    let place = |raw: Option<&RawValue>, field: &str| {
        let number = raw
            .and_then(integer)
            .and_then(|seq| u64::try_from(seq).ok());
        let expected = || format!("{field}: expected an integer from 0 to 2^53 - 1");
        number.map(SeqNum::new).ok_or_else(expected)
    };
    Ok(Event {
        seq: place(seq, "seqNum")?,
        parent: place(parent, "parentSeqNum")?,
        name: text(name, before.map(|event| &event.name), "name")?,
        args: Arc::from(args.map_or("null", RawValue::get)),
        client_id: text(client_id, before.map(|event| &event.client_id), "clientId")?,
        session_id: text(
            session_id,
            before.map(|event| &event.session_id),
            "sessionId",
        )?,
        created_at: None,
    })
}

/// A JSON string's text; none if it is something else, or has half of a surrogate pair in it.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// An integer that JavaScript holds exactly, however it is spelled: `1`, `1.0` and `10e-1` are the same.
fn integer(raw: &RawValue) -> Option<i64> {
    let text = raw.get();
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        Err(_) if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            let number = text.parse::<f64>().ok()?;
            let exact = number.fract() == 0.0 && number.abs() <= SEQ_NUM_MAX as f64;
            exact.then_some(number as i64)?
        }
        Err(_) => return None,
    };
    (-SEQ_NUM_MAX..=SEQ_NUM_MAX)
        .contains(&number)
        .then_some(number)
}

/// The values of `names` in a JSON object, as they were written. An error may repeat the whole text.
fn fields<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Fields(names))?;
    deserializer.end()?;
    Ok(found)
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            let key = string(key);
            let place = self.0.iter().position(|name| key.as_deref() == Some(name));
            if let Some(place) = place {
                // JavaScript keeps the last of two.
                found[place] = Some(value);
            }
        }
        Ok(found)
    }
}
