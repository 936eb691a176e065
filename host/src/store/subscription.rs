//! One plugin at work in the store: how far it has come, what it does now, and which of its coming triggers already have
//! their effects in the log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::event::{Event, SeqNum};
use crate::stamp::{DraftStamp, RunId, Stamp, Trigger};
use crate::store::breaker::Breaker;
use crate::store::ration::{Deferral, FuelGrant, Ration};
use crate::store::staging::CommitNumber;
use crate::store::{
    Cause, DeadLetter, Failure, History, Mode, Retry, RunToken, SubscriptionRecord,
    SubscriptionSettings, SubscriptionState, SubscriptionStatus,
};
use crate::time::Timestamp;

/// A subscription in this life.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) settings: SubscriptionSettings,
    pub(super) start: Start,
    /// Events up to here are dealt with. The root until the start is fixed.
    pub(super) cursor: SeqNum,
    pub(super) phase: Phase,
    /// The run that goes on: of an event, of a task, or of a dead letter.
    pub(super) running: Option<Box<Running>>,
    /// Whether its last run was one of a task: then it is an event's turn, if there is one.
    pub(super) task_was_last: bool,
    pub(super) attempts: Attempts,
    /// The commit that holds what its last run did.
    pub(super) last_run: CommitNumber,
    pub(super) landed: LandedTriggers,
    /// Dead letters to be run again, before the next event.
    pub(super) redrives: VecDeque<DeadLetter>,
    pub(super) ration: Ration,
    pub(super) breaker: Breaker,
    /// What its next run waits for, if its own ration is used up.
    pub(super) deferred: Option<Deferral>,
    /// Whether the next commit must hold its record.
    pub(super) dirty: bool,
}

/// Where a subscription began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Not caught up for the first time.
    Open,
    /// Fixed by a commit; nothing is delivered before it is in the journal.
    Fixed {
        start: SeqNum,
        react_from: SeqNum,
        commit: CommitNumber,
    },
}

/// How it stands with its next event.
#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Retrying { until: Timestamp },
}

/// A run in flight.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) token: RunToken,
    pub(super) grant: FuelGrant,
    pub(super) trial: Trial,
}

/// A trigger that is tried.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) stamp: Stamp,
    pub(super) cause: Cause,
    pub(super) mode: Mode,
    /// The number of this attempt, from 1; 0 if none has begun.
    pub(super) attempt: u32,
    /// The dead letter that is tried again, if it is not the next event's turn.
    pub(super) redrive: Option<DeadLetter>,
    /// What only one planted fault believes: whether the stamp was known when the run began.
    pub(super) landed_at_start: bool,
}

/// Attempts at the first trigger after the cursor.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Begun, in this life or perhaps in an earlier one.
    pub(super) used: u32,
    /// Counted in the commit `commit`; an attempt begins only when that is in the journal.
    pub(super) reserved: u32,
    pub(super) commit: CommitNumber,
    pub(super) failures: Vec<Failure>,
}

impl Attempts {
    /// What the journal counted: every one of them may have begun.
    pub(super) fn counted(attempts: u32, failures: Vec<Failure>) -> Self {
        Self {
            used: attempts,
            reserved: attempts,
            commit: CommitNumber::default(),
            failures,
        }
    }

    /// Counts the next attempt ahead, unless it is counted; whether it was not. `commit` is the one that will hold it.
    pub(super) fn reserve(&mut self, commit: CommitNumber) -> bool {
        let uncounted = self.reserved <= self.used;
        if uncounted {
            self.reserved = self.used + 1;
            self.commit = commit;
        }
        uncounted
    }

    /// Notes that nobody lived to tell of the last attempt, if that is so: it took the process down, or was taken down with it.
    pub(super) fn note_lost(&mut self, now: Timestamp) {
        if self.may_have_been_lost() {
            self.failures.push(Failure {
                attempt: self.used,
                at: now,
                error: "the host stopped during this attempt".into(),
                build: None,
            });
        }
    }

    /// Notes how the attempt that just ended failed.
    pub(super) fn failed(&mut self, error: Arc<str>, build: Option<Arc<str>>, now: Timestamp) {
        self.failures.push(Failure {
            attempt: self.used,
            at: now,
            error,
            build,
        });
    }

    /// Whether an attempt was counted of which nobody has said how it ended.
    pub(super) fn may_have_been_lost(&self) -> bool {
        let told = self.failures.last().map_or(0, |failure| failure.attempt);
        self.used > told
    }
}

/// Triggers ahead of the cursor whose stamps were seen in the log. Bounded: past the limit the furthest are forgotten,
/// and from the first forgotten one on the log must be scanned again before anything runs.
#[derive(Debug, Default)]
pub(super) struct LandedTriggers {
    seqs: BTreeSet<SeqNum>,
    horizon: Option<SeqNum>,
}

impl Subscription {
    /// The subscription as the journal has it, or a new one.
    pub(super) fn new(
        settings: SubscriptionSettings,
        record: Option<SubscriptionRecord>,
        ration: Ration,
        breaker: Breaker,
    ) -> Self {
        let (start, cursor, attempts, failures) = match record {
            None => (Start::Open, SeqNum::ROOT, 0, Vec::new()),
            Some(record) => {
                let SubscriptionRecord {
                    start,
                    react_from,
                    cursor,
                    attempts,
                    failures,
                    ..
                } = record;
                let commit = CommitNumber::default();
                (
                    Start::Fixed {
                        start,
                        react_from,
                        commit,
                    },
                    cursor,
                    attempts,
                    failures,
                )
            }
        };
        let commit = CommitNumber::default();
        Self {
            settings,
            start,
            cursor,
            phase: Phase::Idle,
            running: None,
            task_was_last: false,
            attempts: Attempts::counted(attempts, failures),
            last_run: commit,
            landed: LandedTriggers::default(),
            redrives: VecDeque::new(),
            ration,
            breaker,
            deferred: None,
            dirty: false,
        }
    }

    /// The lowest place that this subscription may have to see, if it can run. A parked one holds nothing.
    pub(super) fn needs_after(&self) -> Option<SeqNum> {
        self.settings
            .available
            .then_some(self.cursor)
            .filter(|_| !self.starts_at_head())
    }

    /// Whether nothing before the head that is yet to be found concerns it: it ignores the past, or its plugin is not
    /// here to say what it wants of it.
    pub(super) fn starts_at_head(&self) -> bool {
        let ignores = self.settings.history == History::Ignore || !self.settings.described;
        self.start == Start::Open && ignores
    }

    /// Whether a stamp of this plugin that is found now may matter in this life: a trigger of it may still run, or does.
    pub(super) fn hears(&self) -> bool {
        self.needs_after().is_some() || self.running.is_some()
    }

    /// Forgets what was found for a plugin that is gone and runs no more. When it is back, the log is scanned again.
    pub(super) fn rest_if_parked(&mut self) {
        if !self.settings.available && self.running.is_none() {
            self.landed = LandedTriggers::default();
        }
    }

    /// Waits no longer for the next attempt than `retry` says.
    pub(super) fn retry_by(&mut self, now: Timestamp, retry: Retry) {
        if let Phase::Retrying { until } = &mut self.phase {
            *until = (*until).min(now + retry.delay(self.attempts.used, 0));
        }
    }

    /// Whether the plugin wants the event.
    pub(super) fn wants(&self, event: &Event, author: Option<&DraftStamp>) -> bool {
        let own = author.is_some_and(|author| author.stamp.run.plugin == self.settings.plugin);
        (self.settings.own_events || !own)
            && self
                .settings
                .patterns
                .iter()
                .any(|pattern| pattern.matches(&event.name))
    }

    /// The run that answers `event`.
    pub(super) fn stamp(&self, event: &Event, author: Option<&DraftStamp>) -> Stamp {
        let plugin = self.settings.plugin.clone();
        let depth = author
            .map_or(0, |author| author.stamp.depth)
            .saturating_add(1);
        Stamp {
            run: RunId {
                plugin,
                trigger: Trigger::Event(event.seq),
            },
            depth,
        }
    }

    /// Whether a run on the event at `seq` may commit.
    pub(super) fn mode(&self, seq: SeqNum) -> Mode {
        match self.start {
            Start::Fixed { react_from, .. } if seq > react_from => Mode::Reacting,
            Start::Fixed { .. } | Start::Open => Mode::Projecting,
        }
    }

    /// The trigger at `seq` is dealt with: the cursor passes it, and the commit `commit` counts the first attempt at the
    /// next one ahead, so that it need not be written for itself.
    pub(super) fn pass(&mut self, seq: SeqNum, commit: CommitNumber) {
        self.cursor = seq;
        self.attempts = Attempts {
            used: 0,
            reserved: 1,
            commit,
            failures: Vec::new(),
        };
        self.last_run = commit;
        self.phase = Phase::Idle;
        self.dirty = true;
    }

    /// The plugin does not want the event at `seq`: the cursor passes it.
    pub(super) fn pass_over(&mut self, seq: SeqNum) {
        self.cursor = seq;
        self.dirty = true;
        // An attempt that failed or was repeated was one at the first event after the cursor, so at this one, and it is no
        // longer wanted. One that was merely counted may be of the next run before which the host stopped.
        if self.attempts.used > 1 || !self.attempts.failures.is_empty() {
            self.attempts = Attempts::default();
        }
    }

    /// The dead letter that is being run again.
    pub(super) fn redriving(&self) -> Option<&RunId> {
        let redrive = self.running.as_ref()?.trial.redrive.as_ref()?;
        Some(&redrive.stamp.run)
    }

    /// Whether the dead letter is being run again, or waits for that.
    pub(super) fn redrives_soon(&self, run: &RunId) -> bool {
        let waits = |letter: &DeadLetter| letter.stamp.run == *run;
        self.redriving() == Some(run) || self.redrives.iter().any(waits)
    }

    /// The record to write; none before the start is fixed.
    pub(super) fn record(&self) -> Option<SubscriptionRecord> {
        let Start::Fixed {
            start, react_from, ..
        } = self.start
        else {
            return None;
        };
        Some(SubscriptionRecord {
            plugin: self.settings.plugin.clone(),
            cursor: self.cursor,
            start,
            react_from,
            attempts: self.attempts.reserved,
            failures: self.attempts.failures.clone(),
        })
    }

    /// What it looks like from outside.
    pub(super) fn status(&self, head: SeqNum) -> SubscriptionStatus {
        let state = match (&self.phase, self.start) {
            _ if !self.settings.available => SubscriptionState::Parked,
            (_, Start::Open) => SubscriptionState::Starting,
            _ if self.running.is_some() => SubscriptionState::Running,
            _ if self.breaker.open_until().is_some() => SubscriptionState::Tripped,
            (Phase::Retrying { .. }, _) => SubscriptionState::Retrying,
            (Phase::Idle, _) if self.deferred.is_some() => SubscriptionState::Rationed,
            (Phase::Idle, _) => SubscriptionState::Idle,
        };
        SubscriptionStatus {
            plugin: self.settings.plugin.clone(),
            cursor: (self.start != Start::Open).then_some(self.cursor),
            lag_events: if self.starts_at_head() {
                0
            } else {
                head.get().saturating_sub(self.cursor.get())
            },
            state,
            error: self
                .attempts
                .failures
                .last()
                .map(|failure| failure.error.clone()),
            ration: self.ration.status(),
            deferred: self.deferred,
            failures: self.breaker.failures(),
            open_until: self.breaker.open_until(),
        }
    }
}

impl LandedTriggers {
    /// Remembers that the effects of the trigger at `seq` are in the log.
    pub(super) fn remember(&mut self, seq: SeqNum, triggers_max: usize) {
        if self.horizon.is_some_and(|horizon| seq >= horizon) {
            return;
        }
        self.seqs.insert(seq);
        if self.seqs.len() > triggers_max {
            self.horizon = self.seqs.pop_last();
        }
    }

    pub(super) fn contains(&self, seq: SeqNum) -> bool {
        self.seqs.contains(&seq)
    }

    /// Whether nothing is known about the trigger at `seq` any more.
    pub(super) fn is_beyond_horizon(&self, seq: SeqNum) -> bool {
        self.horizon.is_some_and(|horizon| seq >= horizon)
    }

    /// Forgets the triggers up to `cursor`.
    pub(super) fn forget_to(&mut self, cursor: SeqNum) {
        self.seqs = self.seqs.split_off(&cursor.next());
    }

    /// Triggers remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seqs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_limit_the_furthest_landed_triggers_are_forgotten_and_known_to_be() {
        let mut landed = LandedTriggers::default();
        for seq in [3, 9, 5, 7] {
            landed.remember(SeqNum::new(seq), 2);
        }
        assert!(landed.contains(SeqNum::new(3)) && landed.contains(SeqNum::new(5)));
        assert!(
            landed.is_beyond_horizon(SeqNum::new(7)) && !landed.is_beyond_horizon(SeqNum::new(6))
        );
        landed.forget_to(SeqNum::new(3));
        assert_eq!(landed.len(), 1);
        landed.remember(SeqNum::new(8), 2);
        assert!(
            !landed.contains(SeqNum::new(8)),
            "what lies beyond the horizon stays unknown"
        );
    }
}
