//! Runs: which trigger is next, when it may be tried, and what follows from how it ended.

use std::sync::Arc;

use crate::event::Event;
use crate::stamp::{DraftStamp, RunId, Stamp};
use crate::store::machine::StoreState;
use crate::store::sabotage::Sabotage;
use crate::store::subscription::{Phase, Running, Start, Trial};
use crate::store::{
    Cause, DeadLetter, Effect, Failure, Landed, Mode, RunEnd, RunOutcome, RunRequest, RunToken,
    UsageRecord,
};
use crate::time::Timestamp;

impl StoreState {
    /// Starts every run that may start. Runs start only at the head of the log, so that what is already answered is known.
    pub(super) fn start_runs(&mut self, now: Timestamp) {
        let early =
            self.breaks(Sabotage::RunBeforeHead) || self.breaks(Sabotage::ScanFromLowestCursorOnly);
        if !(self.is_live() || early) {
            return;
        }
        self.forget_deferrals(now);
        // Whoever had the last run is last: what is scarce goes round.
        let (first, count) = (self.first, self.subscriptions.len());
        for index in (first..count).chain(0..first) {
            let full = self.outbox.drafts_waiting() >= self.settings.limits.outbox_drafts_max;
            let busy = self.runs() >= self.settings.runs_max as usize;
            // Whoever waits for the store's ration is not passed by those who need less of it.
            if self.halted || self.is_ending() || full || busy || self.deferred.is_some() {
                return;
            }
            if self.may_start(index, now) {
                self.start_run(index, now);
            }
        }
    }

    fn may_start(&self, index: usize, now: Timestamp) -> bool {
        let subscription = &self.subscriptions[index];
        let Start::Fixed { commit, .. } = subscription.start else {
            return false;
        };
        let rested = match subscription.phase {
            Phase::Idle => true,
            Phase::Retrying { until } => until <= now,
            Phase::Running(_) => false,
        };
        let start_known = self.staging.is_done(commit) || self.breaks(Sabotage::StartNotSynced);
        // The next run reads the kv that the last one wrote.
        let last_known = self.staging.is_done(subscription.last_run);
        // What an operator asks for is tried also if the plugin rests because it failed.
        let trusted =
            subscription.breaker.open_until().is_none() || !subscription.redrives.is_empty();
        subscription.settings.available && rested && trusted && start_known && last_known
    }

    fn start_run(&mut self, index: usize, now: Timestamp) {
        if !self.subscriptions[index].redrives.is_empty() {
            if !self.defers(index, now) {
                self.start_redrive(index, now);
            }
            return;
        }
        let Some((event, author)) = self.next_trigger(index, now) else {
            return;
        };
        if self.subscriptions[index]
            .landed
            .is_beyond_horizon(event.seq)
        {
            self.restart();
            return;
        }
        let stamp = self.subscriptions[index].stamp(&event, author.as_ref());
        let mode = self.subscriptions[index].mode(event.seq);
        let landed = self.subscriptions[index].landed.contains(event.seq);
        if landed && self.breaks(Sabotage::RunSkippedWhenSeen) {
            let commit = self.staging.write_by(now);
            self.subscriptions[index].pass(event.seq, commit);
            return;
        }
        let mut trial = Trial {
            stamp,
            cause: Cause::Event(event),
            mode,
            attempt: 0,
            redrive: None,
            landed_at_start: landed,
        };
        if let Some(error) = self.too_deep(&trial.stamp) {
            self.subscriptions[index].failed(error, None, now);
            self.give_up(index, trial, now);
            return;
        }
        if self.out_of_attempts(index) {
            self.note_lost_attempt(index, now);
            self.give_up(index, trial, now);
            return;
        }
        if !self.defers(index, now) && self.count_attempt(index, now) {
            trial.attempt = self.subscriptions[index].attempts.used;
            self.begin(index, trial);
        }
    }

    /// The next event that the subscription wants; passes over those before it.
    fn next_trigger(
        &mut self,
        index: usize,
        now: Timestamp,
    ) -> Option<(Event, Option<DraftStamp>)> {
        loop {
            let event = self.window.after(self.subscriptions[index].cursor)?;
            let author = DraftStamp::parse(&event.session_id);
            if self.subscriptions[index].wants(event, author.as_ref()) {
                return Some((event.clone(), author));
            }
            let seq = event.seq;
            self.subscriptions[index].pass_over(seq);
            self.forget_landed(index);
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
    }

    /// Whether all attempts at the next trigger may have been used up.
    fn out_of_attempts(&self, index: usize) -> bool {
        let attempts_max = self.settings.timing.run.attempts_max;
        attempts_max > 0 && self.subscriptions[index].attempts.used >= attempts_max
    }

    /// An attempt that nobody lived to tell about took the process down, or was taken down with it.
    fn note_lost_attempt(&mut self, index: usize, now: Timestamp) {
        let attempts = &mut self.subscriptions[index].attempts;
        if attempts.may_have_been_lost() {
            let error = "the host stopped during this attempt".into();
            attempts.failures.push(Failure {
                attempt: attempts.used,
                at: now,
                error,
                build: None,
            });
        }
    }

    /// Counts the next attempt in the journal, and takes it once it is there. An attempt that kills the process must
    /// have been counted before it began.
    fn count_attempt(&mut self, index: usize, now: Timestamp) -> bool {
        if self.breaks(Sabotage::AttemptsCountedAtFailure) {
            self.subscriptions[index].attempts.used += 1;
            return true;
        }
        let subscription = &mut self.subscriptions[index];
        if subscription.attempts.reserved <= subscription.attempts.used {
            subscription.attempts.reserved = subscription.attempts.used + 1;
            subscription.attempts.commit = self.staging.write_by(now);
            subscription.dirty = true;
        }
        let counted = self.staging.is_done(subscription.attempts.commit);
        if counted {
            subscription.attempts.used += 1;
        }
        counted
    }

    /// Why a run is not begun, if too many runs led to it.
    pub(super) fn too_deep(&self, stamp: &Stamp) -> Option<Arc<str>> {
        let depth = stamp.depth;
        if depth <= self.settings.limits.depth_max || self.breaks(Sabotage::NoDepthLimit) {
            return None;
        }
        let error =
            format!("a chain of {depth} runs led here; plugins answer each other in a circle");
        Some(error.into())
    }

    pub(super) fn begin(&mut self, index: usize, trial: Trial) {
        let token = RunToken(self.tokens_used);
        self.tokens_used += 1;
        self.first = (index + 1) % self.subscriptions.len();
        let grant = self.grant(index);
        let request = RunRequest {
            token,
            stamp: trial.stamp.clone(),
            cause: trial.cause.clone(),
            mode: trial.mode,
            attempt: trial.attempt,
            now: trial.cause.time(),
            fuel: grant.fuel(),
            timeout: None,
        };
        if self.breaks(Sabotage::StampForgottenAtStart) {
            self.subscriptions[index]
                .landed
                .forget_to(trial.cause.seq());
        }
        let running = Running {
            token,
            grant,
            trial,
        };
        self.subscriptions[index].phase = Phase::Running(Box::new(running));
        self.effects.push_back(Effect::Run(Box::new(request)));
    }

    /// A run ended. One that this life did not start matches nothing.
    pub(super) fn on_run_finished(&mut self, token: RunToken, end: RunEnd, now: Timestamp) {
        let matches = |phase: &Phase| match phase {
            Phase::Running(running) => running.token == token,
            Phase::Idle | Phase::Retrying { .. } => false,
        };
        let found = self
            .subscriptions
            .iter()
            .position(|subscription| matches(&subscription.phase));
        let Some(index) = found else {
            return;
        };
        let phase = std::mem::replace(&mut self.subscriptions[index].phase, Phase::Idle);
        let Phase::Running(running) = phase else {
            unreachable!("it was found by its token");
        };
        let Running { grant, trial, .. } = *running;
        self.charge(index, grant, &end, now);
        self.note_usage(&trial, &end, now);
        let RunEnd { outcome, build, .. } = end;
        match trial.redrive {
            Some(_) => self.on_redrive_finished(index, trial, outcome, build, now),
            None => self.on_trigger_finished(index, trial, outcome, build, now),
        }
        self.subscriptions[index].rest_if_parked();
    }

    /// What the run used is written with what came of it; nothing waits for that alone.
    fn note_usage(&mut self, trial: &Trial, end: &RunEnd, now: Timestamp) {
        self.staging
            .write_by(now + self.settings.timing.flush_delay);
        let drafts = match &end.outcome {
            RunOutcome::Finished { drafts, .. } => drafts.len(),
            RunOutcome::Retry { .. } | RunOutcome::Reject { .. } => 0,
        };
        self.staging.next.usage.push(UsageRecord {
            run: trial.stamp.run.clone(),
            attempt: trial.attempt,
            at: now,
            ending: end.ending,
            usage: end.usage.clone(),
            drafts: u32::try_from(drafts).unwrap_or(u32::MAX),
        });
    }

    fn on_trigger_finished(
        &mut self,
        index: usize,
        trial: Trial,
        outcome: RunOutcome,
        build: Option<Arc<str>>,
        now: Timestamp,
    ) {
        match outcome {
            RunOutcome::Finished { drafts, kv, .. } => {
                let seq = trial.cause.seq();
                // Looked up now and not when the run began: the stamp may have come in meanwhile.
                let landed = if self.breaks(Sabotage::StampLookedUpAtStartOnly) {
                    trial.landed_at_start
                } else {
                    self.subscriptions[index].landed.contains(seq)
                };
                let commit = self.staging.write_by(now);
                let plugin = &trial.stamp.run.plugin;
                self.staging
                    .next
                    .kv
                    .extend(kv.into_iter().map(|write| (plugin.clone(), write)));
                if trial.mode == Mode::Reacting && !landed {
                    self.enqueue(trial.stamp, drafts, now);
                }
                self.subscriptions[index].pass(seq, commit);
                self.forget_landed(index);
            }
            RunOutcome::Retry { error } => {
                self.subscriptions[index].failed(error, build, now);
                if self.out_of_attempts(index) {
                    self.give_up(index, trial, now);
                    return;
                }
                let used = self.subscriptions[index].attempts.used;
                let until = now + self.settings.timing.run.delay(used, self.rng.u64(..));
                self.staging.write_by(now);
                let subscription = &mut self.subscriptions[index];
                subscription.attempts.reserved = used;
                subscription.phase = Phase::Retrying { until };
                subscription.dirty = true;
            }
            RunOutcome::Reject { error } => {
                self.subscriptions[index].failed(error, build, now);
                self.give_up(index, trial, now);
            }
        }
    }

    /// The trigger becomes a dead letter, and the next one gets its turn.
    fn give_up(&mut self, index: usize, trial: Trial, now: Timestamp) {
        let commit = self.staging.write_by(now);
        let subscription = &mut self.subscriptions[index];
        let seq = trial.cause.seq();
        let born_deaf = self.sabotage == Some(Sabotage::DeadLetterBornDeaf);
        let landed = subscription.landed.contains(seq) && !born_deaf;
        let letter = DeadLetter {
            stamp: trial.stamp,
            mode: trial.mode,
            landed: if landed { Landed::Yes } else { Landed::No },
            cause: trial.cause,
            failures: std::mem::take(&mut subscription.attempts.failures),
            at: now,
        };
        subscription.pass(seq, commit);
        self.dead_letters
            .insert(letter.stamp.run.clone(), letter.landed);
        self.staging.next.dead_letters.push(letter);
        self.drop_oldest_letters(index);
        self.forget_landed(index);
    }

    /// Forgets the oldest dead letters of a plugin that has too many. Those that are about to run again stay.
    fn drop_oldest_letters(&mut self, index: usize) {
        let subscription = &self.subscriptions[index];
        let plugin = &subscription.settings.plugin;
        let of_plugin = |run: &&RunId| run.plugin == *plugin;
        let count = self.dead_letters.keys().filter(of_plugin).count();
        let surplus = count.saturating_sub(self.settings.dead_letters_max);
        let runs = self.dead_letters.keys().filter(of_plugin);
        let dropped: Vec<RunId> = runs
            .filter(|run| !subscription.redrives_soon(run))
            .take(surplus)
            .cloned()
            .collect();
        for run in dropped {
            self.dead_letters.remove(&run);
            self.staging.next.dead_letters_dropped.push(run);
        }
    }

    fn forget_landed(&mut self, index: usize) {
        if !self.breaks(Sabotage::StampNeverForgotten) {
            let subscription = &mut self.subscriptions[index];
            subscription.landed.forget_to(subscription.cursor);
        }
    }
}
