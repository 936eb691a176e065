//! What an event must be like to be appended to a log, and when two events are the same.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::event::{Event, SeqNum};

/// The protocol's limit on a page of events. Larger ones are taken in by the original backend and then fail every pull.
pub(in crate::cli) const PAGE_BYTES_MAX: usize = 900_000;

/// What an event costs in a page besides its texts: the names of its fields, its numbers, when it was taken in; and its
/// share of the page's own envelope.
const FIXED_BYTES: usize = 320;

/// Of a name and of an id: what the embedded backend takes. LiveStore's own ids have 21 characters.
const TEXT_BYTES_MAX: usize = 256;

/// The largest integer that JavaScript holds exactly: no backend counts past it.
const SEQ_NUM_MAX: u64 = (1 << 53) - 1;

/// Where the next event of a file belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Follows(Option<SeqNum>);

impl Follows {
    /// Whether `event` follows the one before it; the first may be anywhere.
    ///
    /// # Errors
    /// What is wrong with its numbers.
    pub(in crate::cli) fn take(&mut self, event: &Event) -> Result<(), String> {
        let (seq, parent) = (event.seq.get(), event.parent.get());
        if seq == 0 || seq > SEQ_NUM_MAX {
            return Err(format!(
                "seqNum {seq}: expected an integer from 1 to 2^53 - 1"
            ));
        }
        if parent != seq - 1 {
            return Err(format!(
                "seqNum {seq} with parentSeqNum {parent}: expected {}; a log with a gap in it cannot be moved",
                seq - 1
            ));
        }
        match self.0 {
            Some(last) if last != event.parent => {
                return Err(format!(
                    "seqNum {seq} follows seqNum {last}; expected {}",
                    last.next()
                ));
            }
            Some(_) | None => self.0 = Some(event.seq),
        }
        Ok(())
    }
}

/// Whether the event can lie in a log: its name, its author and its size.
///
/// # Errors
/// What is wrong with it.
pub(in crate::cli) fn check_event(event: &Event) -> Result<(), String> {
    if event.name.is_empty() {
        return Err("its name is empty".to_owned());
    }
    for (what, text) in [
        ("name", &event.name),
        ("clientId", &event.client_id),
        ("sessionId", &event.session_id),
    ] {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!(
                "its {what} has {} bytes; at most {TEXT_BYTES_MAX} are allowed",
                text.len()
            ));
        }
    }
    let bytes = encoded_bytes(event);
    if bytes > PAGE_BYTES_MAX {
        return Err(format!(
            "{} takes {bytes} bytes in a page of the protocol, which holds at most {PAGE_BYTES_MAX}",
            event.name
        ));
    }
    Ok(())
}

/// Bytes that the event takes in a page, never fewer than it really does.
pub(in crate::cli) fn encoded_bytes(event: &Event) -> usize {
    let text = |text: &str| {
        // As JSON: a control character becomes six, a quote or a backslash two.
        text.bytes()
            .map(|byte| {
                if byte < 0x20 {
                    6
                } else {
                    1 + usize::from(byte == b'"' || byte == b'\\')
                }
            })
            .sum::<usize>()
    };
    FIXED_BYTES
        + text(&event.name)
        + text(&event.client_id)
        + text(&event.session_id)
        + event.args.len()
}

/// Whether two events are one: what LiveStore compares too. Arguments are compared as JavaScript reads them, because a
/// backend may write them anew.
pub(in crate::cli) fn same_event(one: &Event, other: &Event) -> bool {
    one.seq == other.seq
        && one.parent == other.parent
        && one.name == other.name
        && one.client_id == other.client_id
        && one.session_id == other.session_id
        && (one.args == other.args || same_json(&one.args, &other.args))
}

fn same_json(one: &str, other: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text);
    match (parsed(one), parsed(other)) {
        (Ok(one), Ok(other)) => same_value(&one, &other),
        (Ok(_) | Err(_), _) => false,
    }
}

fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        // JavaScript has one kind of number.
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter()
                .all(|key| match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => same_value(one, other),
                    (Some(_) | None, _) => false,
                })
        }
        (Value::Null | Value::Bool(_) | Value::String(_), _) => one == other,
        (Value::Number(_) | Value::Array(_) | Value::Object(_), _) => false,
    }
}

/// JSON without what stands between its tokens. LiveStore's own export is indented, and a log should not keep that.
pub(in crate::cli) fn compact_json(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = c == '"';
        }
        compact.push(c);
    }
    compact
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(seq: u64, args: &str) -> Event {
        Event {
            seq: SeqNum::new(seq),
            parent: SeqNum::new(seq - 1),
            name: "v1.Said".into(),
            args: args.into(),
            client_id: "c".into(),
            session_id: "s".into(),
            created_at: None,
        }
    }

    #[test]
    fn a_log_is_one_chain_from_its_first_event() {
        let mut follows = Follows::default();
        assert_eq!(follows.take(&event(7, "1")), Ok(()));
        assert_eq!(follows.take(&event(8, "1")), Ok(()));
        assert_eq!(
            follows.take(&event(10, "1")),
            Err("seqNum 10 follows seqNum 8; expected 9".to_owned())
        );
        let mut fork = event(9, "1");
        fork.parent = SeqNum::new(7);
        assert!(
            follows
                .take(&fork)
                .is_err_and(|text| text.contains("parentSeqNum 7: expected 8"))
        );
        let mut huge = event(1 << 53, "1");
        assert!(follows.take(&huge).is_err());
        huge.seq = SeqNum::ROOT;
        assert!(follows.take(&huge).is_err());
    }

    #[test]
    fn what_no_page_holds_is_refused() {
        let mut large = event(1, &format!("\"{}\"", "x".repeat(899_000)));
        assert_eq!(check_event(&large), Ok(()));
        large.args = format!("\"{}\"", "x".repeat(900_000)).into();
        assert!(check_event(&large).is_err_and(|text| text.contains("v1.Said takes 900")));
        let mut nameless = event(1, "1");
        nameless.name = "".into();
        assert!(check_event(&nameless).is_err());
        let mut long = event(1, "1");
        long.session_id = "s".repeat(257).into();
        assert!(check_event(&long).is_err_and(|text| text.contains("sessionId has 257 bytes")));
    }

    #[test]
    fn an_event_is_the_same_if_javascript_cannot_tell_the_difference() {
        let same = |one: &str, other: &str| same_event(&event(1, one), &event(1, other));
        assert!(same(r#"{"a":1,"b":[2]}"#, r#"{ "b" : [2.0], "a": 1e0 }"#));
        assert!(same(r#""\u0041""#, r#""A""#));
        assert!(same("12345678901234567890", "12345678901234567000"));
        for (one, other) in [
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("[1]", "[1,1]"),
            ("1", "\"1\""),
            ("null", "false"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
        let mut renamed = event(1, "1");
        renamed.client_id = "d".into();
        assert!(!same_event(&event(1, "1"), &renamed));
    }

    proptest! {
        #[test]
        fn json_without_its_blanks_says_the_same(text in "[ \\n\"\\\\a\u{e9}\u{1f600}]{0,20}", depth in 0..4_usize) {
            let mut value = serde_json::json!({ " a b ": [1, text, null] });
            for _ in 0..depth {
                value = serde_json::json!([value, { "k": 1.5 }]);
            }
            let indented = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact_json(&indented), value.to_string());
        }

        #[test]
        fn an_event_never_takes_more_than_is_reckoned(name in "\\PC{0,20}[\u{0}-\u{7f}]{0,20}", client in "[\u{0}-\u{7f}]{0,20}") {
            let mut event = event(1_000_000, "{\"a\":1}");
            event.name = name.into();
            event.client_id = client.into();
            let encoded = super::super::EventEncoded::of(&event).unwrap();
            let encoded = serde_json::to_string(&encoded).unwrap();
            prop_assert!(encoded.len() < encoded_bytes(&event));
        }
    }
}
