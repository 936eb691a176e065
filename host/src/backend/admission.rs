//! Which pushes are taken: a compare-and-swap on the head, and what the original leaves unchecked. Pure.

use crate::backend::page::PageSize;
use crate::backend::wire::Refusal;
use crate::event::{Event, SeqNum};
use crate::id::BackendId;

/// The largest integer that JavaScript holds exactly: no event gets a higher number.
const SEQ_NUM_MAX: u64 = (1 << 53) - 1;

/// LiveStore's names and ids are a few dozen bytes; a stamp has up to about 200.
const TEXT_BYTES_MAX: usize = 256;

/// Checks what can be checked without knowing the log. An event that fits no page would make the log unreadable for
/// everyone, and one out of sequence would make it two logs.
pub(super) fn check_batch(batch: &[Event], backend_id: &BackendId) -> Result<(), Refusal> {
    let mut expected: Option<SeqNum> = None;
    for (index, event) in batch.iter().enumerate() {
        let refuse = |problem: String| {
            let message = format!("event {index} of the batch: {problem}; nothing was appended");
            Err(Refusal::unknown("InvalidEvent", message))
        };
        let parent = expected.unwrap_or(event.parent);
        if event.parent != parent || event.seq != event.parent.next() {
            let after = event.parent;
            return refuse(format!(
                "numbers must follow each other: it is to follow {after}, and comes after {parent}"
            ));
        }
        if event.seq.get() > SEQ_NUM_MAX {
            return refuse("its number is beyond 2^53 - 1".to_owned());
        }
        if event.name.is_empty() {
            return refuse("its name is empty".to_owned());
        }
        for (what, text) in [
            ("name", &event.name),
            ("clientId", &event.client_id),
            ("sessionId", &event.session_id),
        ] {
            if text.len() > TEXT_BYTES_MAX {
                let bytes = text.len();
                return refuse(format!(
                    "its {what} has {bytes} bytes, at most {TEXT_BYTES_MAX} are allowed"
                ));
            }
        }
        let mut size = PageSize::empty(backend_id);
        if !size.add(event) {
            let max = PageSize::BYTES_MAX;
            return refuse(format!(
                "it is too large: no page of {max} bytes could carry it to other clients"
            ));
        }
        expected = Some(event.seq);
    }
    Ok(())
}

/// Whether a batch may be appended to a log whose last event is `head`. A batch without events always may.
pub(super) fn admit(
    head: SeqNum,
    backend_id: &BackendId,
    claimed: Option<&str>,
    batch: &[Event],
) -> Result<(), Refusal> {
    let Some(first) = batch.first() else {
        return Ok(());
    };
    if let Some(claimed) = claimed.filter(|claimed| *claimed != backend_id.as_str()) {
        return Err(Refusal::BackendIdMismatch {
            expected: backend_id.clone(),
            received: claimed.to_owned(),
        });
    }
    if first.parent != head {
        return Err(Refusal::ServerAhead {
            head,
            provided: first.parent,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::event;

    fn id() -> BackendId {
        BackendId::new("kq9vJ0pW3mXbT7cR2dY5n")
    }

    #[test]
    fn a_push_is_admitted_after_the_head_and_nowhere_else() {
        let batch = [event(4, "a"), event(5, "b")];
        assert_eq!(admit(SeqNum::new(3), &id(), None, &batch), Ok(()));
        assert_eq!(
            admit(SeqNum::new(3), &id(), Some(id().as_str()), &batch),
            Ok(())
        );
        for head in [0, 2, 4, 5] {
            let refused = admit(SeqNum::new(head), &id(), None, &batch);
            let expected = Refusal::ServerAhead {
                head: SeqNum::new(head),
                provided: SeqNum::new(3),
            };
            assert_eq!(refused, Err(expected));
        }
    }

    #[test]
    fn another_backend_id_comes_before_the_head_and_an_empty_batch_before_both() {
        let refused = admit(SeqNum::new(9), &id(), Some("other"), &[event(1, "a")]);
        assert!(matches!(refused, Err(Refusal::BackendIdMismatch { .. })));
        assert_eq!(admit(SeqNum::new(9), &id(), Some("other"), &[]), Ok(()));
    }

    #[test]
    fn what_would_damage_the_log_for_everyone_is_refused() {
        let broken = |change: fn(&mut Event)| {
            let mut batch = vec![event(1, "a"), event(2, "b"), event(3, "c")];
            assert_eq!(check_batch(&batch, &id()), Ok(()));
            change(&mut batch[1]);
            check_batch(&batch, &id()).unwrap_err().to_string()
        };
        let problems = [
            (broken(|it| it.seq = SeqNum::new(9)), "numbers must follow"),
            (broken(|it| it.seq = SeqNum::new(1)), "numbers must follow"),
            (
                broken(|it| (it.seq, it.parent) = (SeqNum::new(9), SeqNum::new(8))),
                "numbers must follow",
            ),
            (broken(|it| it.name = "".into()), "its name is empty"),
            (
                broken(|it| it.name = "n".repeat(257).into()),
                "name has 257",
            ),
            (
                broken(|it| it.client_id = "n".repeat(257).into()),
                "clientId has 257",
            ),
            (
                broken(|it| it.session_id = "n".repeat(300).into()),
                "sessionId has 300",
            ),
            (
                broken(|it| it.args = format!("\"{}\"", "x".repeat(900_000)).into()),
                "it is too large",
            ),
        ];
        for (found, expected) in problems {
            assert!(found.contains(expected), "{found}");
            assert!(found.contains("event 1 of the batch"), "{found}");
        }
        let mut last = event(1, "a");
        last.parent = SeqNum::new(SEQ_NUM_MAX);
        last.seq = last.parent.next();
        assert!(check_batch(&[last], &id()).is_err());
    }
}
