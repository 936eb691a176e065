//! How far a task has come, also when the wall clock jumps. Times up to `passed`, and those in the stretches `ahead` of it, are
//! dealt with. When the clock goes back, times that were passed only because it was wrong are yet to come.

use std::time::Duration;

use super::{LOOKBACK, Task};
use crate::store::{Origin, Pause, Stretch};
use crate::time::Timestamp;

/// Stretches kept that are dealt with and lie ahead. What lies between the last two is given up beyond that.
const AHEAD_MAX: usize = 32;

/// Stretches kept in which nothing ran. Each comes from a time without connection or a jump of the wall clock; older ones than
/// these can no longer be made up for if the clock goes back.
const UNSEEN_MAX: usize = 8;

impl Task {
    /// Everything up to `to` is dealt with.
    pub(in crate::store) fn pass(&mut self, to: Timestamp) {
        let record = &mut self.record;
        record.passed = record.passed.max(to);
        // They are in order.
        while let Some(stretch) = record.ahead.first().copied() {
            if stretch.after > record.passed {
                break;
            }
            record.passed = record.passed.max(stretch.to);
            record.ahead.remove(0);
        }
        self.dirty = true;
    }

    /// Looks for the next time that is not dealt with.
    pub(in crate::store) fn find_next(&mut self) {
        self.next = self.record.next_due();
    }

    /// Whether it rests, and nobody wants this occurrence all the same.
    pub(in crate::store) fn rests_at(&self, due: Timestamp) -> bool {
        self.record.paused.is_some() && !self.open.contains_key(&due)
    }

    /// Forgets stretches of which it is too late to make anything good: the wall clock was right for a day.
    pub(in crate::store) fn forget_unseen(&mut self, wall: Timestamp) {
        let before = self.record.unseen.len();
        self.record.unseen.retain(|it| it.to + LOOKBACK >= wall);
        self.dirty |= self.record.unseen.len() < before;
    }

    /// Whether an occurrence may run that is due then.
    pub(in crate::store) fn may_yet_run(&self, due: Timestamp) -> bool {
        let record = &self.record;
        let dealt_with = due <= record.passed || record.ahead.iter().any(|it| it.contains(due));
        let unseen = record.unseen.iter().any(|it| it.contains(due));
        !dealt_with || unseen || self.open.contains_key(&due)
    }

    /// The wall clock shows `wall`, which may lie behind what was passed: what was never seen after it is to come.
    pub(in crate::store) fn step_back(&mut self, wall: Timestamp) {
        let record = &mut self.record;
        let comes_again = |stretch: &Stretch| stretch.to > wall;
        if record.passed <= wall || !record.unseen.iter().any(comes_again) {
            return;
        }
        let mut dealt_with = vec![Stretch {
            after: wall,
            to: record.passed,
        }];
        dealt_with.append(&mut record.ahead);
        for unseen in record.unseen.iter().filter(|it| comes_again(it)) {
            let parts = dealt_with.iter().flat_map(|it| without(*it, *unseen));
            dealt_with = parts.collect();
        }
        while dealt_with.len() > AHEAD_MAX {
            let last = dealt_with.pop().expect("there are many");
            dealt_with.last_mut().expect("there are more").to = last.to;
        }
        record.unseen.retain(|it| it.after < wall);
        for stretch in &mut record.unseen {
            stretch.to = stretch.to.min(wall);
        }
        record.passed = wall;
        record.ahead = dealt_with;
        self.pass(wall);
        self.find_next();
    }

    /// Nothing ran in this stretch, but for what is dealt with by now. Should the wall clock go back, the rest is yet to come.
    pub(super) fn leave_unseen(&mut self, stretch: Stretch) {
        let mut parts = vec![stretch];
        for ahead in &self.record.ahead {
            let rest = parts.iter().flat_map(|it| without(*it, *ahead));
            parts = rest.collect();
        }
        self.record.unseen.append(&mut parts);
        self.trim_unseen();
    }

    /// What was due then runs after all, and does not come again.
    pub(in crate::store) fn see(&mut self, due: Timestamp) {
        let seen = Stretch {
            after: due - Duration::from_millis(1),
            to: due,
        };
        if self.record.unseen.iter().any(|it| it.contains(due)) {
            let unseen = self.record.unseen.iter();
            self.record.unseen = unseen.flat_map(|it| without(*it, seen)).collect();
            self.trim_unseen();
            self.dirty = true;
        }
    }

    fn trim_unseen(&mut self) {
        let unseen = &mut self.record.unseen;
        unseen.drain(..unseen.len().saturating_sub(UNSEEN_MAX));
    }

    /// It rests, or goes on: then what was due meanwhile is left out.
    pub(in crate::store) fn pause(&mut self, paused: Option<Pause>, wall: Timestamp) {
        if paused.is_none() && self.record.paused.is_some() {
            self.pass(wall);
            self.find_next();
        }
        self.record.paused = paused;
        self.dirty = true;
    }

    /// The first instant from `at` on at which nothing is due.
    pub(in crate::store) fn unused_after(&self, at: Timestamp) -> Timestamp {
        let mut at = at;
        while self.open.contains_key(&at) || self.is_due(at) {
            at = at + Duration::from_millis(1);
        }
        at
    }

    fn is_due(&self, at: Timestamp) -> bool {
        let timetable = &self.record.plan.timetable;
        timetable.next_after(at - Duration::from_millis(1)) == Some(at)
    }

    /// A task of a run's that is never due again is over.
    pub(in crate::store) fn retire(&mut self) {
        let scheduled = matches!(self.record.origin, Origin::Scheduled { .. });
        let ended = scheduled && self.next.is_none() && self.open.is_empty();
        if ended && !self.record.gone {
            self.record.gone = true;
            self.dirty = true;
        }
    }
}

/// What of `stretch` does not lie in `hole`.
fn without(stretch: Stretch, hole: Stretch) -> impl Iterator<Item = Stretch> {
    let before = Stretch {
        after: stretch.after,
        to: stretch.to.min(hole.after),
    };
    let behind = Stretch {
        after: stretch.after.max(hole.to),
        to: stretch.to,
    };
    let parts = [before, behind].into_iter();
    parts.filter(|part| part.after < part.to)
}
