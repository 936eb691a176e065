//! Pushes: batches of every length, heads that do not fit, ids that are another log's, and logs that must not be damaged.

use crate::differential::Case;
use crate::differential::Difference::{DamagingPushes, NegativePlaces};
use crate::differential::frames::{
    NONE, THIS_LOG, event, event_from, events, http_pull, http_push, pull, push, some,
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(lengths());
    cases.extend(heads());
    cases.extend(logs());
    cases.extend(damage());
    cases.extend(numbers());
    cases.extend(after_a_refusal());
    cases
}

fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0_u64, 1, 2, 13, 14, 15, 28, 99, 100, 101, 250] {
        for (id, backend_id) in [("no id", NONE), ("the log's id", THIS_LOG)] {
            cases.push(
                Case::new(format!("push {length} events with {id}"))
                    .call(0, "0", push("0", &events(1, length), backend_id))
                    .post(http_pull(NONE)),
            );
            cases.push(
                Case::new(format!("push {length} events over http with {id}"))
                    .post(http_push(&events(1, length), backend_id))
                    .post(http_pull(NONE)),
            );
        }
    }
    cases
}

/// The first parent beside the head.
fn heads() -> Vec<Case> {
    let mut cases = Vec::new();
    for (head, firsts) in [
        (0_u64, &[1, 2, 50][..]),
        (1, &[1, 2, 3]),
        (5, &[1, 2, 5, 6, 7, 55]),
        (100, &[1, 2, 100, 101, 102, 150]),
    ] {
        for &first in firsts {
            let batch = events(first, 2);
            let case = |how: &str| {
                Case::new(format!("push from {first} to a log of {head}{how}")).seeded(head)
            };
            cases.push(
                case("")
                    .call(0, "0", push("0", &batch, THIS_LOG))
                    .post(http_pull(NONE)),
            );
            cases.push(case(" over http").post(http_push(&batch, NONE)));
        }
    }
    cases
}

/// None of these is let in, so they can all be tried on one store.
fn logs() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, id) in [
        ("another id", "\"nope\""),
        ("an empty id", "\"\""),
        ("an id in quotes", r#""a\"b\u00fc\n""#),
        ("a long id", &format!("\"{}\"", "x".repeat(1000))),
    ] {
        let cursor = some(&format!(r#"{{"backendId":{id},"eventSequenceNumber":0}}"#));
        let id = some(id);
        cases.push(
            Case::new(format!("pushes with {name}"))
                .call(0, "0", push("0", &event(1, "1"), &id))
                .call(0, "1", push("1", &event(9, "1"), &id))
                .call(0, "2", push("2", "", &id))
                .post(http_push(&event(1, "1"), &id)),
        );
        cases.push(
            Case::new(format!("pulls with {name}"))
                .call(0, "0", pull("0", false, &cursor))
                .call(0, "1", pull("1", true, &cursor))
                .post(http_pull(&cursor)),
        );
    }
    cases
}

/// Events with these places and parents.
fn numbered(places: &[(&str, &str)]) -> String {
    let events = places
        .iter()
        .map(|(seq, parent)| event_from("n", seq, parent, "1"));
    events.collect::<Vec<String>>().join(",")
}

fn damage() -> Vec<Case> {
    let mut sixteen = events(1, 15);
    sixteen += &format!(",{}", event(15, "1"));
    let long = "x".repeat(300);
    let batches = [
        ("a gap", numbered(&[("1", "0"), ("2", "1"), ("9", "2")])),
        ("one place twice in a batch of sixteen", sixteen),
        ("place 0", numbered(&[("0", "0")])),
        ("a wrong parent inside", numbered(&[("1", "0"), ("2", "0")])),
        ("a first place beyond its parent", numbered(&[("5", "0")])),
        (
            "places that count down",
            numbered(&[("2", "0"), ("1", "2")]),
        ),
        ("no name", event_from("", "1", "0", "1")),
        (
            "a long client id",
            event(1, "1").replace("\"c\"", &format!("\"{long}\"")),
        ),
        (
            "a long session id",
            event(1, "1").replace("\"s\"", &format!("\"{long}\"")),
        ),
    ];
    let mut cases = Vec::new();
    for (name, batch) in batches {
        cases.push(
            Case::new(format!("push {name}"))
                .call(0, "0", push("0", &batch, NONE))
                .post(http_pull(NONE))
                .differs(DamagingPushes),
        );
        cases.push(
            Case::new(format!("push {name} over http"))
                .post(http_push(&batch, NONE))
                .post(http_pull(NONE))
                .differs(DamagingPushes),
        );
    }
    cases
}

fn numbers() -> Vec<Case> {
    let mut cases = Vec::new();
    let twice = numbered(&[("1", "0"), ("1", "0")]);
    cases.push(
        Case::new("push one place twice")
            .call(0, "0", push("0", &twice, NONE))
            .post(http_pull(NONE)),
    );
    for (name, seq, parent) in [
        ("place", "-1", "0"),
        ("parent", "1", "-1"),
        ("chain", "-4", "-5"),
    ] {
        cases.push(
            Case::new(format!("push a negative {name}"))
                .call(0, "0", push("0", &event_from("n", seq, parent, "1"), NONE))
                .differs(NegativePlaces),
        );
    }
    cases
}

/// The connection and the log are as before.
fn after_a_refusal() -> Vec<Case> {
    let refused = [
        ("a conflict", push("0", &event(7, "1"), NONE)),
        (
            "another log's id",
            push("0", &event(1, "1"), &some("\"x\"")),
        ),
        ("nonsense", push("0", "5", NONE)),
    ];
    let mut cases = Vec::new();
    for (name, frame) in refused {
        cases.push(
            Case::new(format!("a good push after {name}"))
                .send(0, pull("9", true, NONE))
                .chunks(0, "9", 1)
                .call(0, "0", frame)
                .call(0, "1", push("1", &events(1, 3), THIS_LOG))
                .events(0, "9", 3)
                .post(http_pull(NONE)),
        );
    }
    cases
}
