//! What a run wants to commit, checked draft by draft.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::event::Draft;
use crate::runtime::Limits;
use crate::runtime::bindings::CommitError;
use crate::runtime::permit::Permit;
use crate::store::{Limit, Refusals};

/// Bytes of an event's name, by the contract.
const NAME_BYTES_MAX: usize = 256;

/// The drafts of one run, in the order of their commits.
#[derive(Default)]
pub(super) struct Drafts {
    drafts: Vec<Draft>,
    bytes: usize,
}

impl Drafts {
    /// Takes a draft, or refuses it, notes that if it was too much, and stays as it was.
    pub(super) fn commit(
        &mut self,
        limits: &Limits,
        (permit, refusals): (&mut Permit, &mut Refusals),
        name: &str,
        args: &str,
    ) -> Result<(), CommitError> {
        check_name(name)?;
        permit.check(name)?;
        let args = args.trim_matches([' ', '\t', '\r', '\n']);
        let bytes = self.bytes + name.len() + args.len();
        if self.drafts.len() >= limits.drafts_max {
            let (asked, max) = (self.drafts.len() + 1, limits.drafts_max);
            refusals.note(Limit::Drafts, asked as u64, max as u64);
            let text = format!("a run may commit {max} events");
            return Err(CommitError::TooMuch(text));
        }
        if bytes > limits.draft_bytes_max {
            let max = limits.draft_bytes_max;
            refusals.note(Limit::DraftBytes, bytes as u64, max as u64);
            let text = format!("this would make {bytes} bytes; a run may commit {max}");
            return Err(CommitError::TooMuch(text));
        }
        check_json(args).map_err(CommitError::BadArgs)?;
        self.bytes = bytes;
        self.drafts.push(Draft {
            name: name.into(),
            args: args.into(),
        });
        Ok(())
    }

    pub(super) fn into_vec(self) -> Vec<Draft> {
        self.drafts
    }
}

fn check_name(name: &str) -> Result<(), CommitError> {
    let problem = if name.is_empty() {
        "the name is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        let length = name.len();
        format!("the name has {length} bytes; at most {NAME_BYTES_MAX} are allowed")
    } else if name.chars().any(char::is_control) {
        format!("the name {name:?} has control characters")
    } else {
        return Ok(());
    };
    Err(CommitError::BadName(problem))
}

/// One JSON value that every reader of the log can decode: nested at most 127 deep, numbers within a double. The text
/// itself is kept, so numbers keep their digits and objects their order.
pub(super) fn check_json(text: &str) -> Result<(), String> {
    serde_json::from_str::<Json>(text)
        .map(|Json| ())
        .map_err(|error| error.to_string())
}

/// Any JSON value, read and forgotten. serde's `IgnoredAny` and serde_json's `RawValue` skip over text without the limit
/// of depth and without looking into strings and numbers.
struct Json;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Json)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Json, E> {
        if number.is_finite() {
            Ok(Json)
        } else {
            Err(E::custom("number out of range"))
        }
    }

    fn visit_str<E>(self, _: &str) -> Result<Json, E> {
        Ok(Json)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        while let Some(Json) = list.next_element()? {}
        Ok(Json)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        while let Some((Json, Json)) = map.next_entry()? {}
        Ok(Json)
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Json, E> {
        Err(E::custom("not text"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Grants;

    /// May commit anything.
    fn permit() -> Permit {
        let all = Arc::new(Grants {
            commit: vec!["*".parse().expect("a pattern")],
            ..Grants::default()
        });
        Permit::new(Arc::clone(&all), all)
    }

    fn refusal(name: &str, args: &str) -> Option<CommitError> {
        Drafts::default()
            .commit(
                &Limits::default(),
                (&mut permit(), &mut Refusals::default()),
                name,
                args,
            )
            .err()
    }

    #[test]
    fn arguments_are_one_json_value_that_any_reader_can_decode() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let good = [
            "null",
            " {\"a\":[1,-2,3.5e10,true,\"\\u00fc\"]}\n",
            "{\"a\":1,\"a\":2}",
            "123456789012345678901234567890",
            &deep(100),
        ];
        for args in good {
            assert!(refusal("v1.X", args).is_none(), "{args} was refused");
        }
        let bad = [
            "",
            " ",
            "{",
            "1 2",
            "NaN",
            "1e999",
            "\"\\ud800\"",
            "'a'",
            "{a:1}",
            "\"a\u{1}\"",
            &deep(100_000),
            &"[".repeat(100_000),
        ];
        for args in bad {
            let refused = matches!(refusal("v1.X", args), Some(CommitError::BadArgs(_)));
            assert!(refused, "{args:.20} was accepted");
        }
    }

    #[test]
    fn a_name_is_short_and_plain() {
        assert!(refusal(&"x".repeat(256), "1").is_none());
        for name in ["", "a\nb", "a\0", &"x".repeat(257)] {
            let refused = matches!(refusal(name, "1"), Some(CommitError::BadName(_)));
            assert!(refused, "{name:?} was accepted");
        }
    }

    #[test]
    fn a_refused_draft_leaves_those_before_it() {
        let limits = Limits {
            drafts_max: 2,
            draft_bytes_max: 20,
            ..Limits::default()
        };
        let (mut drafts, mut refusals) = (Drafts::default(), Refusals::default());
        let mut permit = permit();
        let mut commit = |name: &str, args: &str| {
            drafts.commit(&limits, (&mut permit, &mut refusals), name, args)
        };
        assert!(commit("a", " 1 ").is_ok());
        let large = commit("b", &"2".repeat(18));
        assert!(matches!(large, Err(CommitError::TooMuch(_))));
        assert!(commit("c", &"3".repeat(17)).is_ok());
        let third = commit("d", "4");
        assert!(matches!(third, Err(CommitError::TooMuch(_))));
        let noted: Vec<_> = refusals.iter().map(|it| (it.limit, it.asked)).collect();
        assert_eq!(noted, [(Limit::DraftBytes, 21), (Limit::Drafts, 3)]);
        let kept: Vec<_> = drafts.into_vec();
        assert_eq!(kept.len(), 2);
        assert_eq!((&*kept[0].name, &*kept[0].args), ("a", "1"));
    }
}
