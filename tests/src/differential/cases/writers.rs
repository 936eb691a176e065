//! Some writers on one store, at random moves: who is at the head appends, who is behind is told so, everybody with a
//! live pull hears everything.

use crate::differential::Case;
use crate::differential::frames::{
    NONE, THIS_LOG, cursor, event, events, http_pull, pull, push, some,
};

/// Different stories. More of them show little that these do not.
const STORIES: u64 = 16;

const WRITERS: usize = 3;
const MOVES: usize = 12;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = (0..STORIES).map(story).collect();
    cases.push(
        Case::new("two writers take turns and one falls behind")
            .send(0, pull("100", true, NONE))
            .chunks(0, "100", 1)
            .send(1, pull("100", true, NONE))
            .chunks(1, "100", 1)
            .call(0, "0", push("0", &event(1, "\"left\""), THIS_LOG))
            .call(1, "0", push("0", &event(1, "\"right\""), THIS_LOG))
            .call(1, "1", push("1", &event(2, "\"right\""), THIS_LOG))
            .call(0, "1", push("1", &event(2, "\"left\""), THIS_LOG))
            .call(0, "2", push("2", &event(3, "\"left\""), THIS_LOG))
            .events(0, "100", 3)
            .events(1, "100", 3)
            .post(http_pull(NONE)),
    );
    cases
}

/// Moves from one seed, each read to its end before the next: without that, the original is free in its order too.
fn story(seed: u64) -> Case {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut case = Case::new(format!("writers, story {seed}"));
    let mut head = 0;
    let mut heard = [0; WRITERS];
    let mut calls = [0; WRITERS];
    for writer in 0..WRITERS {
        case = case
            .send(writer, pull("100", true, NONE))
            .chunks(writer, "100", 1);
    }
    for _ in 0..MOVES {
        let writer = chance.usize(..WRITERS);
        let id = calls[writer].to_string();
        calls[writer] += 1;
        let length = [1, 1, 2, 5, 20, 101][chance.usize(..6)];
        let frame = match chance.u32(..10) {
            0..6 => {
                let frame = push(&id, &events(head + 1, length), THIS_LOG);
                head += length;
                heard =
                    heard.map(|events: usize| events + usize::try_from(length).unwrap_or_default());
                frame
            }
            6 => push(&id, &events(head + 2 + length, 2), THIS_LOG),
            7 => push(&id, &events(if head == 0 { 2 } else { head }, 2), NONE),
            8 => push(&id, &events(head + 1, 1), &some("\"another\"")),
            _ => push(&id, "", &some("\"another\"")),
        };
        case = case.call(writer, &id, frame);
        for (listener, events) in heard.iter().enumerate() {
            case = case.events(listener, "100", *events);
        }
    }
    case.post(http_pull(NONE))
        .post(http_pull(&cursor(&(head / 2).to_string())))
}
