//! Pulls: logs of every length, from every place, over each transport; big events; pages that nobody acks.

use crate::differential::Case;
use crate::differential::Difference::{CursorsBeyond, EndedPulls, OversizeEvents};
use crate::differential::frames::{
    NONE, big_event, cursor, event, events, http_pull, pull, push, steer,
};

/// Around the events in a page, and around the rows that the original reads at once.
const LENGTHS: [u64; 11] = [0, 1, 2, 99, 100, 101, 200, 255, 256, 257, 300];

/// The longest arguments of an event that fit into a page alone, whichever ids the logs have, and some bytes more than
/// any that fit.
const FITS: usize = 899_600;
const FITS_NOT: usize = 900_100;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in LENGTHS {
        cases.extend(of_length(length));
    }
    cases.extend(big());
    cases.extend(unread());
    cases.extend(live());
    cases.extend(listeners());
    cases
}

/// From every place, one call after the other.
fn of_length(length: u64) -> [Case; 3] {
    let half = length / 2;
    let cursors = [
        (NONE.to_owned(), length),
        (cursor("0"), length),
        (cursor("-3"), length),
        (cursor(&half.to_string()), length - half),
        (cursor(&length.to_string()), 0),
        (cursor(&(length + 5).to_string()), 0),
    ];
    let case = |how: &str| Case::new(format!("{how} of {length} events")).seeded(length);
    let [mut finite, mut live, mut http] =
        ["finite pulls", "live pulls", "pulls over http"].map(case);
    for (index, (cursor, expected)) in cursors.iter().enumerate() {
        let id = index.to_string();
        finite = finite.call(0, &id, pull(&id, false, cursor));
        live = live.send(0, pull(&id, true, cursor)).chunks(0, &id, 1);
        live = live.events(0, &id, usize::try_from(*expected).unwrap_or_default());
        http = http.post(http_pull(cursor));
    }
    [finite, live, http]
}

fn big() -> Vec<Case> {
    let fits = big_event(1, FITS);
    let two = [big_event(1, 449_000), big_event(2, 449_000)].join(",");
    let three: Vec<String> = (1..=3).map(|seq| big_event(seq, 400_000)).collect();
    let many: Vec<String> = (1..=30).map(|seq| big_event(seq, 60_000)).collect();
    let logs = [
        ("one event that just fits", vec![fits]),
        ("two events in a page that just fits", vec![two]),
        ("two pages of three", vec![three.join(",")]),
        (
            "big pages",
            many.chunks(10).map(|part| part.join(",")).collect(),
        ),
    ];
    let mut cases = Vec::new();
    for (name, batches) in logs {
        let seeded = |how: &str| {
            let case = Case::new(format!("pull {how} {name}"));
            batches
                .iter()
                .fold(case, |case, batch| case.seeded_with(batch))
        };
        cases.push(seeded("finite").call(0, "0", pull("0", false, NONE)));
        cases.push(seeded("over http").post(http_pull(NONE)));
        let live = Case::new(format!("broadcast {name}"))
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1);
        let pushed = batches
            .iter()
            .enumerate()
            .fold(live, |case, (index, batch)| {
                let id = (index + 1).to_string();
                case.call(0, &id, push(&id, batch, NONE))
            });
        cases.push(pushed);
    }
    cases.push(
        Case::new("push an event that no page holds")
            .call(0, "1", push("1", &big_event(1, FITS_NOT), NONE))
            .post(http_pull(NONE))
            .differs(OversizeEvents),
    );
    cases.push(
        Case::new("push an event that no page holds after good ones")
            .seeded(3)
            .call(
                0,
                "1",
                push(
                    "1",
                    &[event(4, "1"), big_event(5, 2_000_000)].join(","),
                    NONE,
                ),
            )
            .differs(OversizeEvents),
    );
    cases
}

/// Without an ack there is no next page.
fn unread() -> Vec<Case> {
    let mut cases = Vec::new();
    for acks in 0..4 {
        let mut case = Case::new(format!("three pages and {acks} acks"))
            .seeded(250)
            .stop_acks(0)
            .send(0, pull("0", false, NONE));
        for ack in 0..acks {
            case = case
                .chunks(0, "0", (ack + 1).min(3))
                .send(0, steer("Ack", "0"));
        }
        let last = if acks == 3 {
            case.exits(0, "0", 1)
        } else {
            case.chunks(0, "0", acks + 1)
        };
        cases.push(last);
    }
    cases.push(
        Case::new("an empty page and no ack")
            .stop_acks(0)
            .send(0, pull("0", false, NONE))
            .chunks(0, "0", 1),
    );
    cases.push(
        Case::new("two pulls, one acked")
            .seeded(250)
            .stop_acks(0)
            .send(0, pull("0", false, NONE))
            .chunks(0, "0", 1)
            .send(0, pull("1", false, NONE))
            .chunks(0, "1", 1)
            .send(0, steer("Ack", "1"))
            .chunks(0, "1", 2)
            .send(0, steer("Ack", "1"))
            .chunks(0, "1", 3)
            .send(0, steer("Ack", "1"))
            .exits(0, "1", 1),
    );
    cases.push(
        Case::new("acks in advance do not count")
            .seeded(250)
            .stop_acks(0)
            .send(0, steer("Ack", "0"))
            .send(0, steer("Ack", "0"))
            .send(0, pull("0", false, NONE))
            .chunks(0, "0", 1),
    );
    cases
}

fn live() -> Vec<Case> {
    let mut cases = Vec::new();
    for batch in [1_u64, 2, 14, 15, 99, 100, 101, 200, 201, 250] {
        let count = usize::try_from(batch).unwrap_or_default();
        cases.push(
            Case::new(format!(
                "a live pull hears of {batch} events on its own connection"
            ))
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, push("1", &events(1, batch), NONE))
            .events(0, "0", count)
            .exits(0, "1", 1),
        );
        cases.push(
            Case::new(format!(
                "a live pull hears of {batch} events of another connection"
            ))
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .call(1, "0", push("0", &events(1, batch), NONE))
            .events(0, "0", count),
        );
    }
    cases
}

fn listeners() -> Vec<Case> {
    let mut cases = vec![
        Case::new("a live pull hears of a push over http")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .seeded(2)
            .events(0, "0", 2),
        Case::new("two live pulls of one connection hear of a push")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, pull("1", true, NONE))
            .chunks(0, "1", 1)
            .call(0, "2", push("2", &event(1, "1"), NONE))
            .events(0, "0", 1)
            .events(0, "1", 1),
        Case::new("a live pull from beyond the head, and a push")
            .send(0, pull("0", true, &cursor("7")))
            .chunks(0, "0", 1)
            .call(0, "1", push("1", &event(1, "1"), NONE))
            .differs(CursorsBeyond),
        Case::new("broadcasts need no acks")
            .stop_acks(0)
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, steer("Ack", "0"))
            .call(1, "0", push("0", &event(1, "1"), NONE))
            .call(1, "1", push("1", &event(2, "1"), NONE))
            .call(1, "2", push("2", &event(3, "1"), NONE))
            .events(0, "0", 3),
    ];
    for (how, cursor) in [
        ("in order", NONE.to_owned()),
        (
            "with a wrong id",
            r#"{"_tag":"Some","value":{"backendId":"x","eventSequenceNumber":0}}"#.to_owned(),
        ),
    ] {
        cases.push(
            Case::new(format!("a pull that ended {how}, and then a push"))
                .call(0, "0", pull("0", false, &cursor))
                .call(0, "1", push("1", &event(1, "1"), NONE))
                .differs(EndedPulls),
        );
    }
    cases
}
