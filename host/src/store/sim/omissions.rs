//! Occurrences that never ran: whether there was a cause.

use crate::store::sim::clockwork::JITTER_MAX;
use crate::store::sim::diary::Diary;
use crate::store::sim::journal::Content;
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::sim::plan::{Hosts, Plan};
use crate::store::{Commit, ExecutionRecord};

impl Diary {
    /// An occurrence is missed only if its host could not work while it might begin, or an earlier one was in its way.
    pub(super) fn judge_missed(
        &self,
        journal: usize,
        record: &ExecutionRecord,
        before: &Content,
        commit: &Commit,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let ExecutionRecord { key, due, .. } = record;
        let of_before = before.tasks.get(key);
        let task = commit.tasks.iter().find(|it| it.key == *key);
        let Some(task) = task.or(of_before.map(|it| &**it)) else {
            return Ok(());
        };
        let closes = *due + JITTER_MAX + task.plan.catch_up;
        let hindered = self.hindered.iter().any(|(at, plugin, from, to)| {
            *at == journal
                && plugin.as_ref().is_none_or(|it| *it == key.plugin)
                && *from <= closes
                && *to >= *due
        });
        let counts = self
            .counts_from(journal, key)
            .is_some_and(|from| from < *due);
        let blocked = others(record, before, commit).any(|it| {
            it.started.is_some_and(|at| at <= closes) && it.ended.is_none_or(|at| at >= *due)
        });
        let single = plan.hosts != Hosts::Shared;
        if single && counts && !hindered && !blocked {
            let text = format!(
                "{key} at {} was missed, and nothing was in its way",
                due.as_millis()
            );
            return Err(Violation::new(Rule::Omitted, text));
        }
        Ok(())
    }

    /// An occurrence is skipped only if an earlier one was not over, or the task rests, or nobody wants it.
    pub(super) fn judge_skipped(
        &self,
        journal: usize,
        record: &ExecutionRecord,
        before: &Content,
        commit: &Commit,
    ) -> Result<(), Violation> {
        let ExecutionRecord { key, due, .. } = record;
        let overlapped = others(record, before, commit).any(|it| {
            let ended = it.ended.is_none_or(|at| at >= *due || self.clocks_jumped);
            ended && it.started.is_some_and(|at| at <= *due + JITTER_MAX)
        });
        let after = commit.tasks.iter().find(|it| it.key == *key);
        let after = after.or(before.tasks.get(key).map(|it| &**it));
        let unwanted = after.is_none_or(|it| it.gone || it.paused.is_some());
        let unwanted = unwanted || commit.tasks_removed.contains(key);
        // It may be wanted again in the same commit.
        let changed = self.counts_from(journal, key) >= record.ended;
        if !overlapped && !unwanted && !changed {
            let text = format!(
                "{key} at {} was skipped, and none was in its way",
                due.as_millis()
            );
            return Err(Violation::new(Rule::Omitted, text));
        }
        Ok(())
    }
}

/// Records of other times of the same task.
fn others<'a>(
    record: &'a ExecutionRecord,
    before: &'a Content,
    commit: &'a Commit,
) -> impl Iterator<Item = &'a ExecutionRecord> {
    let of_before = before.executions.values().map(|it| &**it);
    let all = of_before.chain(&commit.executions);
    all.filter(move |it| it.key == record.key && it.due != record.due)
}
