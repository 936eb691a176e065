//! Runs: which trigger is next, when it may be tried, and what follows from how it ended.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::stamp::{DraftStamp, RunId, Stamp};
use crate::store::machine::StoreState;
use crate::store::sabotage::Sabotage;
use crate::store::subscription::{Phase, Running, Start, Subscription, Trial};
use crate::store::{
    Cause, DeadLetter, Effect, Failure, KvWrite, Landed, Mode, RunEnd, RunOutcome, RunRequest,
    RunToken, UsageRecord,
};
use crate::time::Timestamp;

/// What a task says of its run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// How long it may take, if that is not as usual.
    pub(super) timeout: Option<Duration>,
    /// How much later it begins than it should, if that is to be told.
    pub(super) late: Option<Duration>,
}

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
            if self.may_start(index) {
                self.start_run(index, now);
            }
        }
    }

    fn may_start(&self, index: usize) -> bool {
        let subscription = &self.subscriptions[index];
        let Start::Fixed { commit, .. } = subscription.start else {
            return false;
        };
        let start_known = self.staging.is_done(commit) || self.breaks(Sabotage::StartNotSynced);
        // The next run reads the kv that the last one wrote.
        let last_known = self.staging.is_done(subscription.last_run);
        // What an operator asks for is tried also if the plugin rests because it failed.
        let trusted =
            subscription.breaker.open_until().is_none() || !subscription.redrives.is_empty();
        subscription.settings.available
            && subscription.running.is_none()
            && trusted
            && start_known
            && last_known
    }

    fn start_run(&mut self, index: usize, now: Timestamp) {
        if !self.subscriptions[index].redrives.is_empty() {
            if !self.defers(index, now) {
                self.start_redrive(index, now);
            }
            return;
        }
        // Events and tasks take turns, so that neither waits for more than one run of the other.
        if self.subscriptions[index].task_was_last {
            if !self.start_event(index, now) {
                self.start_occurrence(index, now);
            }
        } else if !self.start_occurrence(index, now) {
            self.start_event(index, now);
        }
    }

    /// Starts the run of the next event, if it may be tried now; whether there was one.
    fn start_event(&mut self, index: usize, now: Timestamp) -> bool {
        let rested = match self.subscriptions[index].phase {
            Phase::Idle => true,
            Phase::Retrying { until } => until <= now,
        };
        let Some((event, author)) = rested.then(|| self.next_trigger(index, now)).flatten() else {
            return false;
        };
        let subscription = &self.subscriptions[index];
        if subscription.landed.is_beyond_horizon(event.seq) {
            self.restart();
            return true;
        }
        let landed = subscription.landed.contains(event.seq);
        if landed && self.breaks(Sabotage::RunSkippedWhenSeen) {
            let commit = self.staging.write_by(now);
            self.subscriptions[index].pass(event.seq, commit);
            return true;
        }
        let mut trial = Trial {
            stamp: subscription.stamp(&event, author.as_ref()),
            mode: subscription.mode(event.seq),
            cause: Cause::Event(event),
            attempt: 0,
            redrive: None,
            landed_at_start: landed,
        };
        if let Some(error) = self.too_deep(&trial.stamp) {
            self.subscriptions[index].attempts.failed(error, None, now);
            self.give_up(index, trial, now);
            return true;
        }
        if self.out_of_attempts(index) {
            self.subscriptions[index].attempts.note_lost(now);
            self.give_up(index, trial, now);
            return true;
        }
        if !self.defers(index, now) && self.count_attempt(index, now) {
            trial.attempt = self.subscriptions[index].attempts.used;
            self.begin(index, trial, Terms::default());
        }
        true
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

    /// Counts the next attempt in the journal, and takes it once it is there. An attempt that kills the process must
    /// have been counted before it began.
    fn count_attempt(&mut self, index: usize, now: Timestamp) -> bool {
        if self.breaks(Sabotage::AttemptsCountedAtFailure) {
            self.subscriptions[index].attempts.used += 1;
            return true;
        }
        let subscription = &mut self.subscriptions[index];
        if subscription.attempts.reserve(self.staging.next_number()) {
            self.staging.write_by(now);
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

    pub(super) fn begin(&mut self, index: usize, trial: Trial, terms: Terms) {
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
            timeout: terms.timeout,
            late: terms.late,
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
        self.subscriptions[index].running = Some(Box::new(running));
        self.effects.push_back(Effect::Run(Box::new(request)));
    }

    /// A run ended. One that this life did not start matches nothing.
    pub(super) fn on_run_finished(&mut self, token: RunToken, end: RunEnd, now: Timestamp) {
        let matches = |it: &Subscription| {
            let running = it.running.as_ref();
            running.is_some_and(|running| running.token == token)
        };
        let Some(index) = self.subscriptions.iter().position(matches) else {
            return;
        };
        let running = self.subscriptions[index].running.take();
        let running = running.expect("it was found by its token");
        let Running { grant, trial, .. } = *running;
        self.charge(index, grant, &end, now);
        self.note_usage(&trial, &end, now);
        let task_was_last = matches!(trial.cause, Cause::Occurrence(_));
        self.subscriptions[index].task_was_last = task_was_last;
        match (&trial.redrive, &trial.cause) {
            (Some(_), _) => self.on_redrive_finished(index, trial, end, now),
            (None, Cause::Event(_)) => self.on_trigger_finished(index, trial, end, now),
            (None, Cause::Occurrence(_)) => self.on_occurrence_finished(index, trial, end, now),
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

    fn on_trigger_finished(&mut self, index: usize, trial: Trial, end: RunEnd, now: Timestamp) {
        match end.outcome {
            RunOutcome::Finished {
                drafts,
                kv,
                schedule,
                ..
            } => {
                let seq = trial.cause.seq();
                // Looked up now and not when the run began: the stamp may have come in meanwhile.
                let landed = if self.breaks(Sabotage::StampLookedUpAtStartOnly) {
                    trial.landed_at_start
                } else {
                    self.subscriptions[index].landed.contains(seq)
                };
                let commit = self.staging.write_by(now);
                self.write_kv(index, kv);
                self.schedule(index, &trial, schedule, now);
                if trial.mode == Mode::Reacting && !landed {
                    self.enqueue(trial.stamp, drafts, now);
                }
                self.subscriptions[index].pass(seq, commit);
                self.forget_landed(index);
            }
            RunOutcome::Retry { error } => {
                self.subscriptions[index]
                    .attempts
                    .failed(error, end.build, now);
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
                self.subscriptions[index]
                    .attempts
                    .failed(error, end.build, now);
                self.give_up(index, trial, now);
            }
        }
    }

    /// What a run wrote to its plugin's kv.
    pub(super) fn write_kv(&mut self, index: usize, kv: Vec<KvWrite>) {
        let plugin = &self.subscriptions[index].settings.plugin;
        let writes = kv.into_iter().map(|write| (plugin.clone(), write));
        self.staging.next.kv.extend(writes);
    }

    /// The trigger becomes a dead letter, and the next one gets its turn.
    fn give_up(&mut self, index: usize, trial: Trial, now: Timestamp) {
        let commit = self.staging.write_by(now);
        let subscription = &mut self.subscriptions[index];
        let seq = trial.cause.seq();
        let landed = subscription.landed.contains(seq);
        let failures = std::mem::take(&mut subscription.attempts.failures);
        subscription.pass(seq, commit);
        self.bury(index, trial, failures, landed, now);
        self.forget_landed(index);
    }

    /// What was tried becomes a dead letter.
    pub(super) fn bury(
        &mut self,
        index: usize,
        trial: Trial,
        failures: Vec<Failure>,
        landed: bool,
        now: Timestamp,
    ) {
        let landed = landed && !self.breaks(Sabotage::DeadLetterBornDeaf);
        let letter = DeadLetter {
            stamp: trial.stamp,
            mode: trial.mode,
            landed: if landed { Landed::Yes } else { Landed::No },
            cause: trial.cause,
            failures,
            at: now,
        };
        self.dead_letters
            .insert(letter.stamp.run.clone(), letter.landed);
        self.staging.next.dead_letters.push(letter);
        self.drop_oldest_letters(index);
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
