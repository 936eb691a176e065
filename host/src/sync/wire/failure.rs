//! Why a call failed: the typed error inside the cause of an `Exit`. Three spellings are read: a tree of causes
//! (0.4.0), the same with errors wrapped once more (0.4.0-dev.22), and a flat list of reasons (the line after 0.4.0).

use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::SeqNum;
use crate::id::BackendId;
use crate::sync::wire::{BACKEND_ID_BYTES_MAX, SEQ_NUM_MAX};

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Failure {
    /// The first parent of a push is not the backend's head, which is `head`.
    ServerAhead { head: SeqNum },
    /// The backend holds another log; its id if it said so.
    BackendIdMismatch { actual: Option<BackendId> },
    /// Anything else, in the backend's words.
    Unknown { error: String },
}

impl Failure {
    pub(super) fn from_cause(cause: Option<&RawValue>) -> Self {
        let raw = cause.map_or("null", RawValue::get);
        match serde_json::from_str::<Value>(raw) {
            Ok(cause) => match first_fail(&cause) {
                Some(error) => Self::from_error(error),
                None => Self::Unknown {
                    error: describe_untyped(&cause),
                },
            },
            // Nested too deep, or with a number that no float holds: not worth losing the connection.
            Err(error) => Self::Unknown {
                error: format!("the backend's reason cannot be read: {error}"),
            },
        }
    }

    fn from_error(mut error: &Value) -> Self {
        while let ("InvalidPushError" | "InvalidPullError", Some(cause)) =
            (tag(error), error.get("cause"))
        {
            error = cause;
        }
        let typed = match tag(error) {
            "ServerAheadError" => server_ahead(error),
            "BackendIdMismatchError" => Some(Self::BackendIdMismatch {
                actual: field(error, "expected")
                    .and_then(|expected| Some(BackendId::new(expected.as_str()?)))
                    .filter(|id| (1..=BACKEND_ID_BYTES_MAX).contains(&id.as_str().len())),
            }),
            _ => None,
        };
        typed.unwrap_or_else(|| Self::Unknown {
            error: describe_error(error),
        })
    }
}

fn server_ahead(error: &Value) -> Option<Failure> {
    let head = field(error, "minimumExpectedNum")?.as_u64()?;
    (head <= SEQ_NUM_MAX).then(|| Failure::ServerAhead {
        head: SeqNum::new(head),
    })
}

/// An error's type: `_tag`, or `name` where a typed error went through a plain JavaScript one.
fn tag(error: &Value) -> &str {
    let tag = error.get("_tag").or_else(|| error.get("name"));
    tag.and_then(Value::as_str).unwrap_or_default()
}

/// A typed error's field: beside its tag, or as JSON in its `message` where it went through a plain JavaScript one.
fn field(error: &Value, key: &str) -> Option<Value> {
    error.get(key).cloned().or_else(|| {
        let message = error.get("message")?.as_str()?;
        serde_json::from_str::<Value>(message)
            .ok()?
            .get(key)
            .cloned()
    })
}

/// The error of the first `Fail`, depth first and left to right.
fn first_fail(cause: &Value) -> Option<&Value> {
    let mut pending = vec![cause];
    while let Some(cause) = pending.pop() {
        if let Some(reasons) = cause.as_array() {
            pending.extend(reasons.iter().rev());
        } else if tag(cause) == "Fail" {
            return cause.get("error");
        } else {
            pending.extend(["right", "left"].iter().filter_map(|side| cause.get(side)));
        }
    }
    None
}

/// One line on an error that has no type we know: its innermost message.
fn describe_error(error: &Value) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.get("cause").filter(|cause| cause.is_object()) {
        innermost = cause;
    }
    let name = tag(innermost);
    let message = ["message", "cause", "note"]
        .iter()
        .find_map(|key| innermost.get(key)?.as_str());
    match (name, message) {
        (_, None) => innermost.to_string(),
        ("", Some(message)) => message.to_owned(),
        (name, Some(message)) => format!("{name}: {message}"),
    }
}

/// One line on a cause without a `Fail`: a defect, an interruption, or whatever it is.
fn describe_untyped(cause: &Value) -> String {
    let mut pending = vec![cause];
    while let Some(cause) = pending.pop() {
        if let Some(defect) = cause.get("defect") {
            return describe_text(defect);
        }
        if tag(cause) == "Interrupt" {
            return "interrupted by the backend".to_owned();
        }
        match cause.as_array() {
            Some(reasons) => pending.extend(reasons.iter().rev()),
            None => pending.extend(["right", "left"].iter().filter_map(|side| cause.get(side))),
        }
    }
    cause.to_string()
}

fn describe_text(defect: &Value) -> String {
    defect
        .as_str()
        .map_or_else(|| describe_error(defect), str::to_owned)
}

/// One line on what the backend could not read.
pub(super) fn describe_defect(defect: Option<&RawValue>) -> String {
    let raw = defect.map_or("null", RawValue::get);
    serde_json::from_str::<Value>(raw)
        .map_or_else(|_| raw.to_owned(), |defect| describe_text(&defect))
}
