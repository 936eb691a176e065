//! How a life ends in order: drained for good, or begun again from the journal. Either way no run begins any more, those
//! in flight finish and are committed, and attempts that were counted and not begun are given back: however often a
//! store is stopped or configured anew, that alone brings no trigger nearer to its last attempt.

use crate::store::Effect;
use crate::store::machine::StoreState;
use crate::store::sabotage::Sabotage;
use crate::time::Timestamp;

impl StoreState {
    /// Whether this life will end with `Effect::Restart`, as soon as what runs is finished and written.
    pub fn is_restarting(&self) -> bool {
        self.restart_wanted && !self.draining
    }

    /// Whether no run begins and no socket is opened any more.
    pub(super) fn is_ending(&self) -> bool {
        self.draining || self.restart_wanted
    }

    /// Ends this life with `Effect::Restart`: the log must be scanned again, or the settings are others. An end that was
    /// asked for goes before: there is no next life then.
    pub(super) fn restart(&mut self) {
        self.restart_wanted = true;
    }

    /// Ends this life with `Effect::Drained`.
    pub(super) fn on_drain(&mut self) {
        self.draining = true;
    }

    /// Takes back the attempts that were counted ahead, also by a run that ended just now, and will not begin in this
    /// life.
    pub(super) fn give_back_attempts(&mut self, now: Timestamp) {
        let kept = self.is_restarting() && self.breaks(Sabotage::RestartKeepsReserved);
        if !self.is_ending() || kept {
            return;
        }
        let mut given_back = false;
        self.tasks.each_open(|open| {
            let attempts = &mut open.attempts;
            if attempts.reserved > attempts.used {
                attempts.reserved = attempts.used;
                open.dirty = true;
                given_back = true;
            }
        });
        if given_back {
            self.staging.write_by(now);
        }
        for subscription in &mut self.subscriptions {
            let attempts = &mut subscription.attempts;
            if attempts.reserved > attempts.used {
                attempts.reserved = attempts.used;
                subscription.dirty = true;
                self.staging.write_by(now);
            }
        }
    }

    /// Ends this life when that was asked for and nothing is left undone.
    pub(super) fn finish(&mut self, now: Timestamp) {
        let dropped = self.is_restarting() && self.breaks(Sabotage::RestartDropsRuns);
        if !self.is_ending() || (self.runs() > 0 && !dropped) {
            return;
        }
        // Only whoever drains waits for drafts to land. The next life finds them in the journal.
        if self.draining && self.is_live() && self.outbox.waiting() > 0 {
            return;
        }
        if !self.staging.is_clean() {
            self.staging.hasten(now);
            self.flush(now);
            return;
        }
        self.halted = true;
        self.effects.push_back(if self.draining {
            Effect::Drained
        } else {
            Effect::Restart
        });
    }
}
