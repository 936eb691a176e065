//! Model journal: what a commit does to it, and how it may be lost. A kill loses nothing that was written; a power cut
//! takes back the last commits that were not synced; an operator may restore a backup; a lease decides whose commits
//! are taken when it is shared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::event::SeqNum;
use crate::id::{BackendId, PluginName};
use crate::stamp::RunId;
use crate::store::sim::guest::Kv;
use crate::store::{
    BreakerRecord, Commit, DeadLetter, ExecutionRecord, Landed, OutboxEntry, RationRecord,
    Snapshot, SubscriptionRecord, TaskKey, TaskRecord,
};
use crate::time::Timestamp;

/// States of the past that are kept for a backup to be taken from.
const PAST_MAX: usize = 40;

/// Everything in a journal at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) backend_id: Option<BackendId>,
    pub(super) scanned: SeqNum,
    pub(super) clock: Timestamp,
    pub(super) subscriptions: BTreeMap<PluginName, SubscriptionRecord>,
    pub(super) kv: BTreeMap<PluginName, Kv>,
    pub(super) outbox: BTreeMap<RunId, OutboxEntry>,
    pub(super) dead_letters: BTreeMap<RunId, DeadLetter>,
    rations: BTreeMap<Option<PluginName>, RationRecord>,
    breakers: BTreeMap<PluginName, BreakerRecord>,
    pub(super) tasks: BTreeMap<TaskKey, Arc<TaskRecord>>,
    pub(super) executions: BTreeMap<(TaskKey, Timestamp), Arc<ExecutionRecord>>,
    pub(super) landed_occurrences: BTreeSet<RunId>,
}

/// A journal, and the states it had before.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub(super) content: Content,
    /// Older states, oldest first.
    past: VecDeque<Content>,
    /// How many commits at the end were not synced.
    unsynced: usize,
    /// Whose commits are taken.
    lease: u64,
}

/// The right to commit to a journal until somebody else claims it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease(u64);

/// The commit was refused: the journal has another owner.
#[derive(Debug)]
pub(super) struct Fenced;

impl Content {
    /// What a machine begins with.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut outbox: Vec<_> = self.outbox.values().cloned().collect();
        outbox.sort_by_key(|entry| entry.order);
        let letters = self.dead_letters.iter();
        let open = self.executions.values().filter(|it| it.state.is_open());
        Snapshot {
            backend_id: self.backend_id.clone(),
            scanned: self.scanned,
            clock: self.clock,
            subscriptions: self.subscriptions.values().cloned().collect(),
            outbox,
            dead_letters: letters
                .map(|(run, letter)| (run.clone(), letter.landed))
                .collect(),
            rations: self.rations.values().cloned().collect(),
            breakers: self.breakers.values().cloned().collect(),
            tasks: self.tasks.values().map(|it| (**it).clone()).collect(),
            executions: open.map(|it| (**it).clone()).collect(),
            landed_occurrences: self.landed_occurrences.iter().cloned().collect(),
        }
    }

    /// Applies `commit` list by list, as `Commit` promises. `keep_kv` leaves a removed subscription's kv: a planted
    /// fault.
    fn apply(&mut self, commit: &Commit, keep_kv: bool) {
        self.scanned = commit.scanned;
        self.clock = commit.clock;
        if let Some(backend_id) = &commit.adopt {
            self.backend_id = Some(backend_id.clone());
        }
        for plugin in &commit.subscriptions_removed {
            self.subscriptions.remove(plugin);
            if !keep_kv {
                self.kv.remove(plugin);
            }
            self.dead_letters.retain(|run, _| run.plugin != *plugin);
            self.rations.remove(&Some(plugin.clone()));
            self.breakers.remove(plugin);
            self.tasks.retain(|key, _| key.plugin != *plugin);
            self.executions.retain(|(key, _), _| key.plugin != *plugin);
        }
        for record in &commit.subscriptions {
            self.subscriptions
                .insert(record.plugin.clone(), record.clone());
        }
        for (plugin, write) in &commit.kv {
            let kv = self.kv.entry(plugin.clone()).or_default();
            match &write.value {
                Some(value) => kv.insert(write.key.clone(), value.clone()),
                None => kv.remove(&write.key),
            };
        }
        for entry in &commit.outbox {
            self.outbox.insert(entry.stamp.run.clone(), entry.clone());
        }
        for run in &commit.outbox_removed {
            self.outbox.remove(run);
        }
        for letter in &commit.dead_letters {
            self.dead_letters
                .insert(letter.stamp.run.clone(), letter.clone());
        }
        for run in &commit.dead_letters_landed {
            if let Some(letter) = self.dead_letters.get_mut(run) {
                letter.landed = Landed::Yes;
            }
        }
        let gone = commit.dead_letters_removed.iter();
        for run in gone.chain(&commit.dead_letters_dropped) {
            self.dead_letters.remove(run);
        }
        for record in &commit.rations {
            self.rations.insert(record.owner.clone(), record.clone());
        }
        for record in &commit.breakers {
            self.breakers.insert(record.plugin.clone(), record.clone());
        }
        self.apply_tasks(commit);
    }

    fn apply_tasks(&mut self, commit: &Commit) {
        for record in &commit.tasks {
            let record = Arc::new(record.clone());
            self.tasks.insert(record.key.clone(), record);
        }
        for key in &commit.tasks_removed {
            self.tasks.remove(key);
        }
        for record in &commit.executions {
            let record = Arc::new(record.clone());
            self.executions
                .insert((record.key.clone(), record.due), record);
        }
        let landed = commit.landed_occurrences.iter().cloned();
        self.landed_occurrences.extend(landed);
        for run in &commit.landed_forgotten {
            self.landed_occurrences.remove(run);
        }
    }
}

impl Journal {
    /// A journal as it begins when the log was reset; `outbox` survives only as a planted fault.
    pub(super) fn fresh(lease: Lease, outbox: BTreeMap<RunId, OutboxEntry>) -> Self {
        let content = Content {
            outbox,
            ..Content::default()
        };
        Self {
            content,
            lease: lease.0,
            ..Self::default()
        }
    }

    /// Takes the journal over; whoever had it before commits nothing more.
    pub(super) fn claim(&mut self, token: u64) -> Lease {
        self.lease = token;
        Lease(token)
    }

    /// Whether `lease` is still the one whose commits are taken.
    pub(super) fn is_held(&self, lease: Lease) -> bool {
        lease.0 == self.lease
    }

    /// Writes one commit, whole.
    pub(super) fn commit(
        &mut self,
        lease: Lease,
        commit: &Commit,
        synced: bool,
        keep_kv: bool,
    ) -> Result<(), Fenced> {
        if !self.is_held(lease) {
            return Err(Fenced);
        }
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(self.content.clone());
        self.content.apply(commit, keep_kv);
        self.unsynced = if synced { 0 } else { self.unsynced + 1 };
        Ok(())
    }

    /// How many commits a power cut could take back.
    pub(super) fn losable(&self) -> usize {
        self.unsynced.min(self.past.len())
    }

    /// Takes back the last `count` commits.
    pub(super) fn lose(&mut self, count: usize) {
        assert!(
            count <= self.losable(),
            "a synced commit survives a power cut"
        );
        self.unsynced -= count;
        self.go_back(count);
    }

    /// How many backups there are.
    pub(super) fn backups(&self) -> usize {
        self.past.len()
    }

    /// Puts the state of `count` commits ago in place.
    pub(super) fn restore(&mut self, count: usize) {
        self.unsynced = 0;
        self.go_back(count);
    }

    fn go_back(&mut self, count: usize) {
        for _ in 0..count {
            self.content = self
                .past
                .pop_back()
                .expect("the caller asked how far back it goes");
        }
    }
}
