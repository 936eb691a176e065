//! The way along a time zone, segment by segment, to the nearest instant that a pattern names. It asks croner for wall
//! times and nothing else, and leaps over the years between two of them.

use super::cron::Cron;
use super::strip::{Kind, Policy, Strip, Wanted};
use super::zone::{REACH, Segment};

/// A hundred years, in seconds. The rarest patterns (a leap day, across a year such as 2100 that has none) wait eight
/// years, or forty if the leap day must be a Sunday; what is not due within this is not due.
const HORIZON: i64 = 36_525 * 86_400;

/// More than any offset from UTC.
const OFFSET_MAX: i64 = 26 * 3600;

/// One search along a timetable.
pub(super) struct Walk<'a> {
    policy: Policy<'a>,
    cron: &'a Cron,
    wanted: Wanted,
    /// What croner said last. A search for the next time that starts within it has the same answer.
    ahead: Stretch,
    /// The same for searches backwards.
    behind: Stretch,
    /// How often croner was asked.
    searches: u32,
}

/// Wall times without a match: from one (inclusive) to the match in the search's direction (exclusive).
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: i64,
    to: i64,
}

/// An instant that was found, and by which wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) at: i64,
    pub(super) wall: i64,
    pub(super) kind: Kind,
}

impl<'a> Walk<'a> {
    pub(super) fn new(policy: Policy<'a>, cron: &'a Cron, wanted: Wanted) -> Self {
        Self {
            policy,
            cron,
            wanted,
            ahead: Stretch {
                from: i64::MAX,
                to: i64::MAX,
            },
            behind: Stretch {
                from: i64::MIN,
                to: i64::MIN,
            },
            searches: 0,
        }
    }

    /// The first hit at `from` or after it.
    pub(super) fn next(&mut self, from: i64) -> Option<Hit> {
        let end = from.checked_add(HORIZON)?;
        let mut at = from;
        while at < end && !self.cron.is_never() {
            let segment = self.policy.zone.segment(at);
            if segment.end <= at {
                return None;
            }
            if let Some(hit) = self.next_within(segment, at) {
                return Some(hit).filter(|hit| hit.at < end);
            }
            at = segment.end;
            // No match lies between the walls `from` and `to`, whatever the offset. Before `from` there may be some that
            // a clock that is set back shows again, so the leap must start behind them.
            if at >= self.ahead.from.saturating_add(OFFSET_MAX) {
                at = at.max(self.ahead.to.saturating_sub(OFFSET_MAX));
            }
        }
        None
    }

    /// The last hit at `from` or before it, and not before the Unix epoch.
    pub(super) fn previous(&mut self, from: i64) -> Option<Hit> {
        let end = from.saturating_sub(HORIZON).max(0);
        let mut at = from;
        while at >= end && !self.cron.is_never() {
            let segment = self.policy.zone.segment(at);
            // Beyond the last time that a clock can show.
            at = at.min(segment.end - 1);
            if let Some(hit) = self.previous_within(segment, at) {
                return Some(hit).filter(|hit| hit.at >= end);
            }
            at = segment.start - 1;
            if at <= self.behind.from.saturating_sub(OFFSET_MAX) {
                at = at.min(self.behind.to.saturating_add(OFFSET_MAX));
            }
        }
        None
    }

    fn next_within(&mut self, segment: Segment, from: i64) -> Option<Hit> {
        if self.wanted == Wanted::Due && is_calm(segment, from) {
            let wall = self.next_wall(from + segment.offset);
            let at = wall.saturating_sub(segment.offset);
            if is_calm(segment, at) {
                return Some(shown(at, wall));
            }
        }
        let strips = self.policy.strips(segment, self.wanted);
        let hits = strips.iter().filter_map(|strip| {
            let start = strip.walls.start.max(from + strip.offset);
            if start >= strip.walls.end {
                return None;
            }
            let wall = self.next_wall(start);
            (wall < strip.walls.end).then(|| hit(strip, wall))
        });
        hits.min_by_key(|hit| hit.at)
    }

    fn previous_within(&mut self, segment: Segment, from: i64) -> Option<Hit> {
        if self.wanted == Wanted::Due && is_calm(segment, from) {
            let wall = self.previous_wall(from + segment.offset);
            let at = wall.saturating_sub(segment.offset);
            if is_calm(segment, at) {
                return Some(shown(at, wall));
            }
        }
        let strips = self.policy.strips(segment, self.wanted);
        let hits = strips.iter().filter_map(|strip| {
            let start = (strip.walls.end - 1).min(from + strip.offset);
            if start < strip.walls.start {
                return None;
            }
            let wall = self.previous_wall(start);
            (wall >= strip.walls.start).then(|| hit(strip, wall))
        });
        hits.max_by_key(|hit| hit.at)
    }

    /// The first wall time from `wall` on that matches; the end of all time if there is none.
    fn next_wall(&mut self, wall: i64) -> i64 {
        if !(self.ahead.from..=self.ahead.to).contains(&wall) {
            self.searches += 1;
            self.ahead = Stretch {
                from: wall,
                to: self.cron.next_wall(wall).unwrap_or(i64::MAX),
            };
        }
        self.ahead.to
    }

    fn previous_wall(&mut self, wall: i64) -> i64 {
        if !(self.behind.to..=self.behind.from).contains(&wall) {
            self.searches += 1;
            self.behind = Stretch {
                from: wall,
                to: self.cron.previous_wall(wall).unwrap_or(i64::MIN),
            };
        }
        self.behind.to
    }

    #[cfg(test)]
    pub(super) fn searches(&self) -> u32 {
        self.searches
    }
}

/// Whether an instant is so far from its segment's ends that no jump of the clock can concern it.
fn is_calm(segment: Segment, at: i64) -> bool {
    segment.start + REACH <= at && at < segment.end - REACH
}

fn shown(at: i64, wall: i64) -> Hit {
    Hit {
        at,
        wall,
        kind: Kind::Shown,
    }
}

fn hit(strip: &Strip, wall: i64) -> Hit {
    Hit {
        at: wall - strip.offset,
        wall,
        kind: strip.kind,
    }
}
