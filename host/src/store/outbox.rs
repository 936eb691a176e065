//! Drafts on their way into the log: whole runs, first in, first out, each run once. An entry stays until its stamp is
//! known to be in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Draft;
use crate::stamp::{RunId, Stamp};
use crate::store::staging::CommitNumber;
use crate::store::{Limits, OutboxEntry};

/// The queue, parked entries included.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: VecDeque<Queued>,
    next_order: u64,
}

/// An entry, and the commit that holds it.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) entry: OutboxEntry,
    pub(super) commit: CommitNumber,
}

impl Outbox {
    /// The outbox as the journal has it, in order.
    pub(super) fn new(mut entries: Vec<OutboxEntry>) -> Self {
        entries.sort_by_key(|entry| entry.order);
        let next_order = entries.last().map_or(0, |entry| entry.order + 1);
        let queued = |entry| Queued {
            entry,
            commit: CommitNumber::default(),
        };
        Self {
            entries: entries.into_iter().map(queued).collect(),
            next_order,
        }
    }

    /// Runs that wait to be pushed or confirmed.
    pub(super) fn waiting(&self) -> usize {
        self.entries
            .iter()
            .filter(|queued| queued.entry.parked.is_none())
            .count()
    }

    /// Drafts that wait to be pushed or confirmed.
    pub(super) fn drafts_waiting(&self) -> usize {
        let waiting = self
            .entries
            .iter()
            .filter(|queued| queued.entry.parked.is_none());
        waiting.map(|queued| queued.entry.drafts.len()).sum()
    }

    /// Runs that the backend refused for good.
    pub(super) fn parked(&self) -> usize {
        self.entries.len() - self.waiting()
    }

    /// Whether the run is here, parked or not.
    pub(super) fn contains(&self, run: &RunId) -> bool {
        self.entries
            .iter()
            .any(|queued| queued.entry.stamp.run == *run)
    }

    /// Appends a run. Adding one that is here already would put it in the log twice.
    pub(super) fn add(
        &mut self,
        stamp: Stamp,
        drafts: Vec<Draft>,
        commit: CommitNumber,
    ) -> OutboxEntry {
        let entry = OutboxEntry {
            order: self.next_order,
            stamp,
            drafts,
            parked: None,
        };
        self.next_order += 1;
        self.entries.push_back(Queued {
            entry: entry.clone(),
            commit,
        });
        entry
    }

    /// Takes a run out; whether it was here. `parked_too` is always true but in a test that plants a fault.
    pub(super) fn settle(&mut self, run: &RunId, parked_too: bool) -> bool {
        let found = self.entries.iter().position(|queued| {
            queued.entry.stamp.run == *run && (parked_too || queued.entry.parked.is_none())
        });
        found.and_then(|index| self.entries.remove(index)).is_some()
    }

    /// Sets a run aside.
    pub(super) fn park(
        &mut self,
        run: &RunId,
        reason: Arc<str>,
        commit: CommitNumber,
    ) -> Option<OutboxEntry> {
        let queued = self
            .entries
            .iter_mut()
            .find(|queued| queued.entry.stamp.run == *run)?;
        queued.entry.parked = Some(reason);
        queued.commit = commit;
        Some(queued.entry.clone())
    }

    /// Puts a parked run at the end of the queue.
    pub(super) fn unpark(&mut self, run: &RunId, commit: CommitNumber) -> Option<OutboxEntry> {
        let index = self
            .entries
            .iter()
            .position(|queued| queued.entry.stamp.run == *run && queued.entry.parked.is_some())?;
        let parked = self.entries.remove(index)?.entry;
        Some(self.add(parked.stamp, parked.drafts, commit))
    }

    /// Drops the runs of one plugin: a fault that only a test plants.
    pub(super) fn drop_plugin(&mut self, plugin: &crate::id::PluginName) -> Vec<RunId> {
        let runs = self.entries.iter().map(|queued| &queued.entry.stamp.run);
        let gone: Vec<RunId> = runs.filter(|run| run.plugin == *plugin).cloned().collect();
        self.entries
            .retain(|queued| queued.entry.stamp.run.plugin != *plugin);
        gone
    }

    /// What waits, oldest first.
    pub(super) fn queue(&self) -> impl DoubleEndedIterator<Item = &Queued> {
        self.entries
            .iter()
            .filter(|queued| queued.entry.parked.is_none())
    }
}

/// How many of `runs`, from the first, go into one push: as many as fit whole, and at least one.
pub(super) fn batch_len<'a>(
    runs: impl Iterator<Item = &'a OutboxEntry>,
    runs_max: usize,
    limits: &Limits,
) -> usize {
    let (mut count, mut events, mut bytes) = (0, 0, 0);
    for run in runs.take(runs_max) {
        events += run.drafts.len();
        bytes += run.drafts.iter().map(Draft::size_bytes).sum::<usize>();
        if count > 0 && (events > limits.push_events_max || bytes > limits.push_bytes_max) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SeqNum;
    use crate::stamp::Trigger;

    fn stamp(seq: u64) -> Stamp {
        let plugin = "echo".parse().expect("a plugin name");
        Stamp {
            run: RunId {
                plugin,
                trigger: Trigger::Event(SeqNum::new(seq)),
            },
            depth: 1,
        }
    }

    fn drafts(count: usize) -> Vec<Draft> {
        vec![
            Draft {
                name: "n".into(),
                args: "{}".into()
            };
            count
        ]
    }

    fn batch(sizes: &[usize], runs_max: usize) -> usize {
        let mut outbox = Outbox::new(Vec::new());
        for (seq, size) in (1..).zip(sizes) {
            outbox.add(stamp(seq), drafts(*size), CommitNumber::default());
        }
        batch_len(
            outbox.queue().map(|queued| &queued.entry),
            runs_max,
            &Limits::default(),
        )
    }

    #[test]
    fn a_push_takes_whole_runs_up_to_what_is_appended_atomically() {
        assert_eq!(batch(&[5, 5, 4, 1], 100), 3);
        assert_eq!(batch(&[5, 5, 5], 100), 2, "the third would be split");
        assert_eq!(batch(&[20, 1], 100), 1, "a larger run goes alone");
        assert_eq!(batch(&[1, 1, 1], 1), 1);
        assert_eq!(batch(&[], 100), 0);
    }

    #[test]
    fn an_unparked_run_goes_to_the_end() {
        let mut outbox = Outbox::new(Vec::new());
        for seq in 1..=2 {
            outbox.add(stamp(seq), drafts(1), CommitNumber::default());
        }
        assert!(
            outbox
                .park(&stamp(1).run, "refused".into(), CommitNumber::default())
                .is_some()
        );
        assert_eq!((outbox.waiting(), outbox.parked()), (1, 1));
        assert!(outbox.contains(&stamp(1).run), "a parked run is still here");
        assert!(
            outbox
                .unpark(&stamp(1).run, CommitNumber::default())
                .is_some()
        );
        let order: Vec<_> = outbox
            .queue()
            .map(|queued| queued.entry.stamp.clone())
            .collect();
        assert_eq!(order, [stamp(2), stamp(1)]);
        assert!(outbox.settle(&stamp(2).run, true) && !outbox.settle(&stamp(2).run, true));
    }
}
