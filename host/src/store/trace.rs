//! What an app is told of its tasks' executions, as events in its own log: that one began, is done, or was given up. The first and the
//! last are told apart from the run, under stamps of their own; that it is done lies beside what it committed.

use std::sync::Arc;

use serde::Serialize;

use crate::event::Draft;
use crate::stamp::{Stamp, TraceStep};
use crate::store::machine::StoreState;
use crate::store::{TaskKey, TraceNames};
use crate::time::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    id: String,
    recurring_task_id: &'a str,
    started_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completed<'a> {
    id: String,
    completed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    id: String,
    failed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What the app calls the task: a plugin that makes several of one of the app's puts what tells them apart behind a `/`.
fn app_id(key: &TaskKey) -> &str {
    let (id, _) = key.task.split_once('/').unwrap_or((&key.task, ""));
    id
}

/// The id of an execution: the same on every instance and in every attempt.
fn execution_id(key: &TaskKey, due: Timestamp) -> String {
    format!("{key}/{}", due.as_millis())
}

fn draft(name: &Arc<str>, args: &impl Serialize) -> Draft {
    let args = serde_json::to_string(args).expect("it has texts only");
    Draft {
        name: name.clone(),
        args: args.into(),
    }
}

impl StoreState {
    fn trace(&self, index: usize) -> Option<TraceNames> {
        self.subscriptions[index].settings.trace.clone()
    }

    /// Tells that an execution begins, in the commit that claims it.
    pub(super) fn tell_started(
        &mut self,
        index: usize,
        key: &TaskKey,
        due: Timestamp,
        now: Timestamp,
    ) {
        let Some(names) = self.trace(index) else {
            return;
        };
        let started = Started {
            id: execution_id(key, due),
            recurring_task_id: app_id(key),
            started_at: self.tasks.wall(now).to_string(),
        };
        let draft = draft(&names.started, &started);
        self.tell(key, due, TraceStep::Started, draft, now);
    }

    /// Adds to a run's drafts that its execution is done.
    pub(super) fn tell_completed(
        &mut self,
        index: usize,
        key: &TaskKey,
        due: Timestamp,
        output: Option<&str>,
        drafts: &mut Vec<Draft>,
        now: Timestamp,
    ) {
        let Some(names) = self.trace(index) else {
            return;
        };
        let completed = Completed {
            id: execution_id(key, due),
            completed_at: self.tasks.wall(now).to_string(),
            output,
        };
        drafts.push(draft(&names.completed, &completed));
    }

    /// Tells that an execution was given up.
    pub(super) fn tell_failed(
        &mut self,
        index: usize,
        key: &TaskKey,
        due: Timestamp,
        error: Option<&str>,
        now: Timestamp,
    ) {
        let Some(names) = self.trace(index) else {
            return;
        };
        let failed = Failed {
            id: execution_id(key, due),
            failed_at: self.tasks.wall(now).to_string(),
            error,
        };
        let draft = draft(&names.failed, &failed);
        self.tell(key, due, TraceStep::Failed, draft, now);
    }

    fn tell(
        &mut self,
        key: &TaskKey,
        due: Timestamp,
        step: TraceStep,
        draft: Draft,
        now: Timestamp,
    ) {
        let run = key.trace(due, step);
        if self.tasks.has_landed(&run) {
            return;
        }
        let task = self.tasks.get(key);
        let depth = task.and_then(|task| Some(task.open.get(&due)?.depth));
        let depth = depth.unwrap_or_default();
        self.enqueue(Stamp { run, depth }, vec![draft], now);
    }
}
