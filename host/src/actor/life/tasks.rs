//! Tasks as an operator sees them: what he wants of them, how late they begin, and what becomes of them.

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Life;
use crate::store::{
    Cause, Commit, ExecutionRecord, ExecutionState, Input, RunRequest, TaskKey, TaskOrder,
};

/// Orders that were taken and may not be in the journal yet.
#[derive(Default)]
pub(super) struct Ordered(Vec<(u8, oneshot::Sender<Result<(), String>>)>);

impl Ordered {
    /// A commit is written. An order is in the one after that which was on its way.
    pub(super) fn on_committed(&mut self) {
        let mut waiting = Vec::new();
        for (commits, answer) in self.0.drain(..) {
            if commits <= 1 {
                // Whoever asked may have stopped waiting.
                answer.send(Ok(())).ok();
            } else {
                waiting.push((commits - 1, answer));
            }
        }
        self.0 = waiting;
    }
}

impl Life {
    /// Hands an order to the machine; it is answered when it is in the journal.
    pub(super) fn order(
        &mut self,
        key: TaskKey,
        order: TaskOrder,
        answer: oneshot::Sender<Result<(), String>>,
    ) {
        if !self.machine.has_task(&key) {
            let plugin = &key.plugin;
            let hint = format!(
                "there is no task {key}; `quartermaster task list {}` shows those of {plugin}",
                self.spec.id
            );
            answer.send(Err(hint)).ok();
            return;
        }
        info!(store = %self.spec.id, task = %key, ?order, "ordered");
        let commits = 1 + u8::from(self.commit.is_some());
        self.ordered.0.push((commits, answer));
        let now = self.shared.clock.now();
        self.machine.handle(Input::Task { key, order }, now);
    }

    /// Counts how late an occurrence begins, and tells if it is too late.
    pub(super) fn tell_lateness(&self, request: &RunRequest) {
        let (Some(late), Cause::Occurrence(occurrence)) = (request.late, &request.cause) else {
            return;
        };
        let too_late = late > self.spec.task_late_after;
        self.shared.metrics.task_began(late, too_late);
        if too_late {
            let (store, plugin) = (&self.spec.id, &request.stamp.run.plugin);
            let (task, due) = (&occurrence.task, occurrence.due);
            warn!(%store, %plugin, %task, %due, ?late, "task began late");
        }
    }

    /// Counts the occurrences that are over with a commit, and tells of those that did not run.
    pub(super) fn tell_executions(&self, commit: &Commit) {
        let (mut missed, mut skipped) = (Vec::new(), Vec::new());
        for execution in &commit.executions {
            self.shared.metrics.task_over(execution.state);
            match execution.state {
                ExecutionState::Missed => missed.push(execution),
                ExecutionState::Skipped => skipped.push(execution),
                ExecutionState::Waiting
                | ExecutionState::Running
                | ExecutionState::Done
                // It is told as a dead letter.
                | ExecutionState::Failed => {}
            }
        }
        self.tell_unrun("tasks missed their time", &missed);
        self.tell_unrun("tasks were skipped", &skipped);
    }

    /// One line for all of a commit: after a long rest there may be hundreds.
    fn tell_unrun(&self, what: &str, executions: &[&ExecutionRecord]) {
        let Some(last) = executions.last() else {
            return;
        };
        let (store, count) = (&self.spec.id, executions.len());
        let (task, due) = (&last.key, last.due);
        let note = last.note.as_deref().unwrap_or_default();
        warn!(%store, count, last = %task, %due, note, "{what}");
    }
}
