//! What becomes of a task's times as they pass: each is opened, skipped because an earlier one goes on, or missed.

use std::time::Duration;

use super::{Open, Task, late_max};
use crate::store::{ExecutionRecord, ExecutionState, OccurrenceKind, Origin, Overlap, Stretch};
use crate::time::Timestamp;

/// Occurrences of a task that are open at once; what is due beyond that waits until some are over.
const OPEN_MAX: usize = 1_000;

/// Times that are taken up at once; with more, others get their turn in between.
const TAKEN_MAX: usize = 1_000;

/// Missed times that get a record each; all before them share one.
const MISSED_TOLD_MAX: usize = 100;

/// The shortest distance between two instants.
const TICK: Duration = Duration::from_millis(1);

impl Task {
    /// When this is to be looked at: the next start, or the end of the time in which one that waits may begin.
    pub(in crate::store) fn wakes_at(&self) -> Timestamp {
        let starts = self.next.filter(|_| self.takes_up());
        let waiting = self.open.iter().find(|(_, open)| open.may_be_late());
        let closes = waiting.map(|(due, _)| self.closes_at(*due));
        let starts = starts.map(|due| due + self.delay);
        starts
            .into_iter()
            .chain(closes)
            .fold(Timestamp::NEVER, Ord::min)
    }

    /// Whether its times are looked at.
    pub(in crate::store) fn takes_up(&self) -> bool {
        let rests = self.record.gone || self.record.paused.is_some();
        !rests && self.open.len() < OPEN_MAX
    }

    /// How long after it was due an occurrence begins at which nothing holds it up.
    pub(in crate::store) fn delay(&self) -> Duration {
        self.delay
    }

    fn closes_at(&self, due: Timestamp) -> Timestamp {
        due + self.delay + self.record.plan.catch_up + TICK
    }

    /// Takes up every time that has come. Answers those that are over with that.
    pub(in crate::store) fn take_up(
        &mut self,
        wall: Timestamp,
        why_late: &str,
    ) -> Vec<ExecutionRecord> {
        let mut over = Vec::new();
        self.forget_unseen(wall);
        if self.takes_up() {
            self.pass_missed(wall, &mut over);
            self.open_due(wall, &mut over);
        }
        self.close_windows(wall, why_late, &mut over);
        over
    }

    /// Passes the times at which it is too late to begin. The latest of them may be opened all the same.
    fn pass_missed(&mut self, wall: Timestamp, over: &mut Vec<ExecutionRecord>) {
        let closed = wall - self.delay - self.record.plan.catch_up;
        if self.next.is_none_or(|next| next >= closed) {
            return;
        }
        let after = self.record.passed;
        let late_max = late_max(self.record.plan.missed);
        let mut cursor = closed;
        let mut dues = Vec::new();
        while dues.len() < late_max + MISSED_TOLD_MAX {
            let Some(due) = self.last_unpassed(cursor) else {
                break;
            };
            dues.push(due);
            cursor = due;
        }
        let rest = self.last_unpassed(cursor);
        let late = dues.len().min(late_max);
        for due in dues.drain(..late) {
            self.open_one(due, OccurrenceKind::Late);
        }
        let note = "it was seen only after the time in which it might begin";
        let missed = |due| self.over(due, ExecutionState::Missed, wall, note);
        over.extend(dues.into_iter().map(missed));
        over.extend(rest.map(|due| ExecutionRecord {
            since: Some(after),
            ..missed(due)
        }));
        let ran = self.open.range((after + TICK)..closed).next();
        let to = ran.map_or(closed, |(due, _)| *due) - TICK;
        if to > after {
            self.leave_unseen(Stretch { after, to });
        }
        self.pass(closed - TICK);
        self.find_next();
    }

    /// The last time before `cursor` that has no record.
    fn last_unpassed(&self, mut cursor: Timestamp) -> Option<Timestamp> {
        loop {
            let due = self.record.plan.timetable.last_before(cursor)?;
            let ahead = self.record.ahead.iter().find(|it| it.contains(due));
            match ahead {
                Some(stretch) => cursor = stretch.after + TICK,
                None => return Some(due).filter(|due| *due > self.record.passed),
            }
        }
    }

    /// Opens what is due, or skips it.
    fn open_due(&mut self, wall: Timestamp, over: &mut Vec<ExecutionRecord>) {
        for _ in 0..TAKEN_MAX {
            let full = self.open.len() >= OPEN_MAX;
            let due = self.next.filter(|due| *due + self.delay <= wall && !full);
            let Some(due) = due else {
                return;
            };
            self.pass(due);
            self.find_next();
            match self.refusal(due) {
                Some(note) => over.push(self.over(due, ExecutionState::Skipped, wall, note)),
                None => self.open_one(due, OccurrenceKind::Timely),
            }
        }
    }

    /// Why an occurrence is skipped, if it is.
    fn refusal(&self, due: Timestamp) -> Option<&'static str> {
        let starts = due + self.delay;
        let goes_on = |open: &Open| open.started.is_some_and(|started| started <= starts);
        let overlaps = self.open.values().any(|it| it.is_regular() && goes_on(it));
        let queued = || self.open.values().any(|it| it.is_regular() && it.waits());
        match self.record.plan.overlap {
            Overlap::Skip if overlaps => Some("an earlier one had not ended"),
            Overlap::Queue if overlaps && queued() => {
                Some("an earlier one had not ended, and another waits for its end")
            }
            Overlap::Skip | Overlap::Queue | Overlap::Allow => None,
        }
    }

    /// Opens an occurrence, unless it is open.
    pub(in crate::store) fn open_one(&mut self, due: Timestamp, kind: OccurrenceKind) {
        let depth = match self.record.origin {
            Origin::Declared => 0,
            Origin::Scheduled { depth } => depth,
        };
        self.open
            .entry(due)
            .or_insert_with(|| Open::new(kind, depth));
    }

    /// Those that could not begin in time are late; of these, only as many wait as the plan wants.
    fn close_windows(&mut self, wall: Timestamp, why: &str, over: &mut Vec<ExecutionRecord>) {
        let closed = wall - self.delay - self.record.plan.catch_up;
        for (_, open) in self.open.range_mut(..closed) {
            if open.may_be_late() {
                open.kind = OccurrenceKind::Late;
                open.dirty = true;
            }
        }
        let waits = |open: &Open| open.waits() && open.kind == OccurrenceKind::Late;
        let late: Vec<Timestamp> = self
            .open
            .iter()
            .filter(|(_, open)| waits(open))
            .map(|(due, _)| *due)
            .collect();
        let surplus = late.len().saturating_sub(late_max(self.record.plan.missed));
        for due in late.into_iter().take(surplus) {
            self.open.remove(&due);
            over.push(self.over(due, ExecutionState::Missed, wall, why));
        }
    }

    /// Drops what waits: nobody wants it any more.
    pub(in crate::store) fn drop_waiting(
        &mut self,
        wall: Timestamp,
        note: &str,
    ) -> Vec<ExecutionRecord> {
        let waits = |(due, open): (&Timestamp, &Open)| open.waits().then_some(*due);
        let dues: Vec<Timestamp> = self.open.iter().filter_map(waits).collect();
        let skipped = dues.into_iter().map(|due| {
            self.open.remove(&due);
            self.over(due, ExecutionState::Skipped, wall, note)
        });
        skipped.collect()
    }

    /// The record of an occurrence that never ran.
    fn over(
        &self,
        due: Timestamp,
        state: ExecutionState,
        wall: Timestamp,
        note: &str,
    ) -> ExecutionRecord {
        let mut record = Open::new(OccurrenceKind::Timely, 0).record(&self.record.key, due);
        record.state = state;
        record.ended = Some(wall);
        record.note = Some(note.into());
        record
    }
}

impl Open {
    /// Whether it was never claimed.
    pub(in crate::store) fn waits_yet(&self) -> bool {
        self.waits()
    }

    fn may_be_late(&self) -> bool {
        self.waits() && self.kind == OccurrenceKind::Timely
    }
}
