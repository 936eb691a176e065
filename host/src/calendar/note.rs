//! What people are told about times that a change of the clocks moved, doubled or took away.

use std::fmt;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::cron::{Cron, civil};
use super::strip::{Kind, Policy, Wanted};
use super::walk::Hit;
use crate::time::Timestamp;

/// What a change of the clocks did to a due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Note {
    /// The clock jumps over the time that the pattern names. Both as the wall clock has them: `2026-03-29T02:30:00`.
    Shifted { from: String, to: String },
    /// The clock shows this time again later.
    FirstOfTwo,
    /// The clock has shown this time before.
    SecondOfTwo,
}

/// A time that the pattern names and a policy leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// What the wall clock would show, or shows a second time: `2026-03-29T02:30:00`.
    pub wall: String,
    /// The instant at which it would have been due under another policy.
    pub at: Timestamp,
    pub why: Why,
}

/// Why a time is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// The clock jumps over it, and `gap` is `skip`.
    Gap,
    /// The clock shows it again later, and `fold` is `last`.
    FirstOfTwo,
    /// The clock has shown it before, and `fold` is `first`.
    SecondOfTwo,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Shifted { from, to } => {
                let (day, time) = split(from);
                let (other_day, other_time) = split(to);
                if day == other_day {
                    write!(f, "{time} does not exist that day: shifted to {other_time}")
                } else {
                    write!(
                        f,
                        "{day} {time} does not exist: shifted to {other_day} {other_time}"
                    )
                }
            }
            Note::FirstOfTwo => f.write_str("first of two: the clock shows this time twice"),
            Note::SecondOfTwo => f.write_str("second of two: the clock shows this time twice"),
        }
    }
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, time) = split(&self.wall);
        match self.why {
            Why::Gap => write!(f, "{day} {time} does not exist: skipped"),
            Why::FirstOfTwo => write!(f, "{day} {time} comes twice: the first is left out"),
            Why::SecondOfTwo => write!(f, "{day} {time} comes twice: the second is left out"),
        }
    }
}

/// The note for an instant at which the pattern is due.
pub(super) fn note(policy: Policy<'_>, cron: &Cron, at: i64) -> Option<Note> {
    let segment = policy.zone.segment(at);
    let wall = at + segment.offset;
    let around = policy.zone.around(segment);
    if cron.next_wall(wall) == Some(wall) {
        let same = |other: &&_| **other != segment;
        let other = around
            .iter()
            .filter(same)
            .find(|other| other.walls().contains(&wall))?;
        return Some(if other.start < segment.start {
            Note::SecondOfTwo
        } else {
            Note::FirstOfTwo
        });
    }
    let strips = policy.strips(segment, Wanted::Due);
    let lost = strips.iter().filter(|strip| strip.kind == Kind::Lost);
    let from = lost
        .map(|strip| (at + strip.offset, strip))
        .find(|(from, strip)| strip.walls.contains(from) && cron.next_wall(*from) == Some(*from))
        .map(|(from, _)| from)?;
    Some(Note::Shifted {
        from: text(civil(from)?),
        to: text(civil(wall)?),
    })
}

/// What was found among the omitted, for people.
pub(super) fn omitted(policy: Policy<'_>, hit: Hit) -> Option<Omitted> {
    let why = match hit.kind {
        Kind::Lost => Why::Gap,
        Kind::Shown => match policy.fold {
            super::Fold::Last => Why::FirstOfTwo,
            super::Fold::First | super::Fold::Both => Why::SecondOfTwo,
        },
    };
    Some(Omitted {
        wall: text(civil(hit.wall)?),
        at: Timestamp::from_millis(super::millis_of(hit.at)?),
        why,
    })
}

fn text(wall: DateTime) -> String {
    wall.to_string()
}

/// Day and time of a wall time's text, without seconds that are none.
fn split(wall: &str) -> (&str, &str) {
    let (day, time) = wall.split_once('T').unwrap_or(("", wall));
    (
        day,
        time.strip_suffix(":00")
            .filter(|time| time.contains(':'))
            .unwrap_or(time),
    )
}
