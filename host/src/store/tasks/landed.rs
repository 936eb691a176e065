//! What is known to have been done: by others, as the log says, and by runs whose commit may not be written yet.

use super::{LANDED_LOOK, LOOKBACK, Tasks, key_of};
use crate::stamp::RunId;
use crate::store::TaskKey;
use crate::store::staging::CommitNumber;
use crate::time::Timestamp;

impl Tasks {
    /// Remembers a run that is in the log, if it may be yet to come here. Answers whether that is news.
    pub(in crate::store) fn remember(&mut self, run: &RunId, now: Timestamp) -> bool {
        let Some((key, due)) = key_of(run) else {
            return false;
        };
        let to_come = match self.tasks.get(&key) {
            Some(task) if !task.rests_at(due) => task.may_yet_run(due),
            // One that is not known yet may come about, and one that rests may go on.
            Some(_) | None => due + LOOKBACK >= self.wall(now),
        };
        to_come && self.landed.insert(run.clone())
    }

    /// Whether so many runs are remembered that it is time to look for those that can matter no more.
    pub(in crate::store) fn remembers_many(&self) -> bool {
        self.landed.len().is_multiple_of(LANDED_LOOK)
    }

    /// An occurrence is over by this commit.
    pub(in crate::store) fn note_ended(
        &mut self,
        commit: CommitNumber,
        key: TaskKey,
        due: Timestamp,
    ) {
        self.ended.push((commit, key, due));
    }

    /// Whether an occurrence is over, and the journal may not say so yet.
    pub(in crate::store) fn has_just_ended(&self, key: &TaskKey, due: Timestamp) -> bool {
        let mut ended = self.ended.iter();
        ended.any(|(_, of, at)| of == key && *at == due)
    }

    /// The journal says what is done by these commits.
    pub(in crate::store) fn forget_ended(&mut self, is_written: impl Fn(CommitNumber) -> bool) {
        self.ended.retain(|(commit, _, _)| !is_written(*commit));
    }

    /// Whether the run was seen in the log.
    pub(in crate::store) fn has_landed(&self, run: &RunId) -> bool {
        self.landed.contains(run)
    }

    /// Forgets what was seen in the log of occurrences of a task that are over. Answers what the journal is to forget.
    pub(in crate::store) fn forget_landed(&mut self, key: &TaskKey) -> Vec<RunId> {
        let Some(task) = self.tasks.get(key) else {
            return Vec::new();
        };
        let over = |run: &&RunId| key_of(run).is_none_or(|(_, due)| !task.may_yet_run(due));
        let runs = key.runs().into_iter();
        let landed = runs.flat_map(|runs| self.landed.range(runs));
        let runs: Vec<RunId> = landed.filter(over).cloned().collect();
        for run in &runs {
            self.landed.remove(run);
        }
        runs
    }
}
