//! Dead letters that are run again or given up for good, as an operator says.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Draft;
use crate::stamp::{RunId, Trigger};
use crate::store::machine::StoreState;
use crate::store::runs::Terms;
use crate::store::sabotage::Sabotage;
use crate::store::subscription::Trial;
use crate::store::{
    Cause, DeadLetter, ExecutionRecord, ExecutionState, Failure, Landed, Mode, Occurrence, RunEnd,
    RunOutcome, TaskKey,
};
use crate::time::Timestamp;

impl StoreState {
    /// Runs a dead letter again, under the same stamp and in the same mode.
    pub(super) fn on_redrive(&mut self, letter: DeadLetter) {
        let plugin = &letter.stamp.run.plugin;
        let found = self
            .subscriptions
            .iter_mut()
            .find(|it| it.settings.plugin == *plugin);
        let Some(subscription) = found else {
            return;
        };
        let queued = subscription.redrives_soon(&letter.stamp.run);
        if self.dead_letters.contains_key(&letter.stamp.run) && !queued {
            subscription.redrives.push_back(letter);
        }
    }

    /// Forgets a dead letter for good.
    pub(super) fn on_discard(&mut self, run: RunId, now: Timestamp) {
        if self.dead_letters.remove(&run).is_some() {
            for subscription in &mut self.subscriptions {
                subscription
                    .redrives
                    .retain(|letter| letter.stamp.run != run);
            }
            self.staging.next.dead_letters_removed.push(run);
            self.staging.write_by(now);
        }
    }

    /// The first dead letter that waits for it is run, before the next event.
    pub(super) fn start_redrive(&mut self, index: usize, now: Timestamp) {
        let Some(letter) = self.subscriptions[index].redrives.pop_front() else {
            return;
        };
        let mut stamp = letter.stamp.clone();
        if self.breaks(Sabotage::RedriveWithNewStamp) {
            stamp.run.trigger = Trigger::Occurrence {
                task: "redrive".into(),
                due: now,
            };
        }
        let reacts = self.breaks(Sabotage::RedriveReacts);
        let trial = Trial {
            stamp,
            cause: letter.cause.clone(),
            mode: if reacts { Mode::Reacting } else { letter.mode },
            attempt: next_attempt(&letter),
            landed_at_start: false,
            redrive: Some(letter),
        };
        if let Some(error) = self.too_deep(&trial.stamp) {
            self.on_redrive_finished(index, trial, RunEnd::refused(error), now);
            return;
        }
        let timeout = self.timeout_of(&trial.cause, index);
        self.begin(
            index,
            trial,
            Terms {
                timeout,
                late: None,
            },
        );
    }

    pub(super) fn on_redrive_finished(
        &mut self,
        index: usize,
        trial: Trial,
        end: RunEnd,
        now: Timestamp,
    ) {
        let Some(mut letter) = trial.redrive.clone() else {
            unreachable!("the caller looked");
        };
        let run = letter.stamp.run.clone();
        let Some(landed) = self.dead_letters.get(&run).copied() else {
            // Discarded while it ran.
            return;
        };
        self.subscriptions[index].last_run = self.staging.write_by(now);
        let error = match end.outcome {
            RunOutcome::Finished {
                mut drafts,
                kv,
                schedule,
                output,
            } => {
                self.write_kv(index, kv);
                self.schedule(index, &trial, schedule, now);
                if let Cause::Occurrence(occurrence) = &trial.cause {
                    let drafts = &mut drafts;
                    self.complete_late(
                        index,
                        &letter,
                        occurrence,
                        (drafts, end.usage.fuel, output),
                        now,
                    );
                }
                if trial.mode == Mode::Reacting && landed == Landed::No {
                    self.enqueue(trial.stamp, drafts, now);
                }
                self.dead_letters.remove(&run);
                self.staging.next.dead_letters_removed.push(run);
                return;
            }
            RunOutcome::Retry { error } | RunOutcome::Reject { error } => error,
        };
        letter.failures.push(Failure {
            attempt: next_attempt(&letter),
            at: now,
            error,
            build: end.build,
        });
        letter.landed = landed;
        self.staging.next.dead_letters.push(letter);
    }

    /// A dead letter of a task succeeded after all.
    fn complete_late(
        &mut self,
        index: usize,
        letter: &DeadLetter,
        occurrence: &Occurrence,
        (drafts, fuel, output): (&mut Vec<Draft>, u64, Option<Arc<str>>),
        now: Timestamp,
    ) {
        let key = TaskKey {
            plugin: letter.stamp.run.plugin.clone(),
            task: occurrence.task.clone(),
        };
        self.tell_completed(index, &key, occurrence.due, output.as_deref(), drafts, now);
        self.staging.next.executions.push(ExecutionRecord {
            key,
            due: occurrence.due,
            since: None,
            state: ExecutionState::Done,
            kind: occurrence.kind,
            depth: letter.stamp.depth,
            attempts: next_attempt(letter),
            failures: letter.failures.clone(),
            started: None,
            ended: Some(self.tasks.wall(now)),
            fuel,
            drafts: u32::try_from(drafts.len()).unwrap_or(u32::MAX),
            note: output,
        });
    }

    /// How long a run may take, if its task says so.
    fn timeout_of(&self, cause: &Cause, index: usize) -> Option<Duration> {
        let Cause::Occurrence(occurrence) = cause else {
            return None;
        };
        let key = TaskKey {
            plugin: self.subscriptions[index].settings.plugin.clone(),
            task: occurrence.task.clone(),
        };
        self.tasks.get(&key)?.record.plan.timeout
    }
}

/// The number of the attempt after those that failed.
fn next_attempt(letter: &DeadLetter) -> u32 {
    let failed = u32::try_from(letter.failures.len());
    failed.unwrap_or(u32::MAX).saturating_add(1)
}
