//! What happened in a world that its end alone does not tell: what obliges, and what excuses. Some promises are judged
//! here as things happen, since their breach leaves no trace: a push that was not committed, one attempt too many, a
//! start that moved.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{NumberedDraft, SeqNum};
use crate::id::{BackendId, PluginName};
use crate::stamp::{DraftStamp, RunId};
use crate::store::sim::allowance::Allowance;
use crate::store::sim::diary::{self, Diary};
use crate::store::sim::host::Standing;
use crate::store::sim::journal::Content;
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::sim::plan::{Hosts, Plan};
use crate::store::{Commit, History, Limits, RunRequest, SubscriptionRecord, TankSettings};
use crate::time::Timestamp;

/// A journal, or a plugin in one of the journals.
type Place = (usize, PluginName);

/// What happened in a world that the end alone does not tell: what obliges, and what excuses.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    /// Commits were taken back.
    pub(super) commits_lost: bool,
    /// A backup took a journal's place.
    pub(super) restored: bool,
    /// A process was killed, or the network misbehaved. An end in order is no excuse.
    pub(super) disturbed: bool,
    /// An operator redrove, discarded or unparked.
    pub(super) operated: bool,
    /// Plugins were removed or came back.
    pub(super) membership_changed: bool,
    /// How often what guests want changed.
    pub(super) repatterned: u32,
    /// Drafts were parked.
    pub(super) parked: bool,
    /// Runs whose drafts were in an outbox, by log.
    pub(super) promised: BTreeSet<(BackendId, RunId)>,
    /// Attempts begun at each trigger.
    begun: BTreeMap<(usize, RunId), u32>,
    /// The head when a plugin without a record was configured.
    configured_at: BTreeMap<Place, SeqNum>,
    /// Where each subscription started.
    starts: BTreeMap<Place, SeqNum>,
    /// What is left of each journal's fuel.
    allowances: BTreeMap<usize, Allowance>,
    /// Dead letters that an operator gave up.
    pub(super) discarded: BTreeSet<(usize, RunId)>,
    /// What happened to tasks.
    pub(super) diary: Diary,
}

impl Chronicle {
    /// A host begins on `content`.
    pub(super) fn on_boot(
        &mut self,
        journal: usize,
        configured: &BTreeMap<PluginName, Standing>,
        content: &Content,
        head: SeqNum,
    ) {
        for (plugin, standing) in configured {
            let place = (journal, plugin.clone());
            match standing {
                Standing::Serving | Standing::Missing | Standing::Barred => {
                    if content.subscriptions.contains_key(plugin) {
                        self.configured_at.remove(&place);
                    } else {
                        self.configured_at.entry(place).or_insert(head);
                    }
                }
                Standing::Removed => {
                    self.configured_at.remove(&place);
                }
            }
        }
    }

    /// The first journal was copied over the second.
    pub(super) fn on_copy(&mut self) {
        fn copy<K: Ord + Clone, V: Clone>(facts: &mut BTreeMap<(usize, K), V>) {
            let of_first = facts.iter().filter(|((journal, _), _)| *journal == 0);
            let copies: Vec<_> = of_first
                .map(|((_, of), fact)| ((1, of.clone()), fact.clone()))
                .collect();
            facts.extend(copies);
        }
        copy(&mut self.begun);
        copy(&mut self.configured_at);
        copy(&mut self.starts);
        let of_first = self.discarded.iter().filter(|(journal, _)| *journal == 0);
        let discarded: Vec<_> = of_first.map(|(_, run)| (1, run.clone())).collect();
        self.discarded.extend(discarded);
        self.diary.on_copy();
    }

    /// A journal was archived.
    pub(super) fn on_start_over(&mut self, journal: usize) {
        self.begun.retain(|(at, _), _| *at != journal);
        self.configured_at.retain(|(at, _), _| *at != journal);
        self.starts.retain(|(at, _), _| *at != journal);
        self.discarded.retain(|(at, _)| *at != journal);
        self.diary.on_start_over(journal);
    }

    /// The log was wiped: heads of the old one say nothing about the new one.
    pub(super) fn on_reset(&mut self) {
        self.configured_at.clear();
    }

    /// An operator gave a dead letter up.
    pub(super) fn on_discard(&mut self, journal: usize, run: RunId) {
        self.operated = true;
        self.discarded.insert((journal, run));
    }

    /// A run begins. A redrive may be tried at will.
    pub(super) fn on_run(
        &mut self,
        journal: usize,
        request: &RunRequest,
        content: &Content,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let run = &request.stamp.run;
        let usual = plan.timing.run.attempts_max;
        let attempts_max = match diary::occurrence_of(run) {
            None => usual,
            Some((key, _)) => {
                let guest = plan.guest(&run.plugin)?;
                self.diary.attempts_max(guest, &key, usual)
            }
        };
        if content.dead_letters.contains_key(run) || self.commits_lost || self.restored {
            return Ok(());
        }
        let begun = self.begun.entry((journal, run.clone())).or_default();
        *begun += 1;
        // An attempt counted for the first trigger after the cursor is held against whichever event that is after a kill.
        // If the patterns changed in between it may be another one, so each change may hide one attempt at each event.
        let excused = if self.disturbed { self.repatterned } else { 0 };
        if *begun > attempts_max + excused || request.attempt > attempts_max {
            let text = format!(
                "{run} begins for the {begun}th time, as attempt {}",
                request.attempt
            );
            return Err(Violation::new(Rule::Attempts, text));
        }
        Ok(())
    }

    /// A run begins that is paid from `tank`. A redrive is not charged ahead in the journal.
    pub(super) fn on_fuel(
        &mut self,
        journal: usize,
        request: &RunRequest,
        tank: TankSettings,
        now: Timestamp,
    ) -> Result<(), Violation> {
        if self.commits_lost || self.restored || self.operated {
            return Ok(());
        }
        let allowance = self.allowances.entry(journal);
        allowance
            .or_insert_with(|| Allowance::full(tank, now))
            .begin(tank, request, now)
    }

    /// A run has ended and used `fuel`.
    pub(super) fn on_fuel_used(&mut self, journal: usize, request: &RunRequest, fuel: u64) {
        if let Some(allowance) = self.allowances.get_mut(&journal) {
            allowance.end(request, fuel);
        }
    }

    /// A push leaves the host.
    pub(super) fn on_push(
        &self,
        log: &BackendId,
        drafts: &[NumberedDraft],
        content: &Content,
        limits: &Limits,
    ) -> Result<(), Violation> {
        let mut runs = BTreeSet::new();
        for draft in drafts {
            if draft.seq != draft.parent.next() {
                let text = format!(
                    "{} is numbered {} after {}",
                    draft.session_id, draft.seq, draft.parent
                );
                return Err(Violation::new(Rule::Push, text));
            }
            let Some(author) = DraftStamp::parse(&draft.session_id) else {
                return Err(Violation::new(
                    Rule::Push,
                    format!("{} is no stamp", draft.session_id),
                ));
            };
            let run = author.stamp.run;
            let committed = content.outbox.get(&run).map_or_else(
                || self.promised.contains(&(log.clone(), run.clone())),
                |entry| entry.drafts.get(author.index as usize) == Some(&draft.draft),
            );
            if !committed {
                let text = format!("{} is pushed, and not in the journal", draft.session_id);
                return Err(Violation::new(Rule::Uncommitted, text));
            }
            runs.insert(run);
        }
        if drafts.is_empty() || (runs.len() > 1 && drafts.len() > limits.push_events_max) {
            return Err(Violation::new(
                Rule::Push,
                format!("{} events in a push", drafts.len()),
            ));
        }
        Ok(())
    }

    /// A commit is in the journal; `before` is what it found.
    pub(super) fn on_commit(
        &mut self,
        journal: usize,
        before: &Content,
        commit: &Commit,
        plan: &Plan,
    ) -> Result<(), Violation> {
        for plugin in &commit.subscriptions_removed {
            self.begun
                .retain(|(at, run), _| *at != journal || run.plugin != *plugin);
            self.starts.remove(&(journal, plugin.clone()));
        }
        for record in &commit.subscriptions {
            let removed = commit.subscriptions_removed.contains(&record.plugin);
            let known = before
                .subscriptions
                .get(&record.plugin)
                .filter(|_| !removed);
            if let Some(known) = known
                && (record.cursor < known.cursor || record.start < known.start)
            {
                let text = format!(
                    "{} goes from {} back to {}",
                    record.plugin, known.cursor, record.cursor
                );
                return Err(Violation::new(Rule::Cursor, text));
            }
            self.check_start(journal, record, plan)?;
        }
        let log = commit.adopt.as_ref().or(before.backend_id.as_ref());
        for entry in &commit.outbox {
            self.parked |= entry.parked.is_some();
            if let Some(log) = log {
                self.promised.insert((log.clone(), entry.stamp.run.clone()));
            }
        }
        let excused = self.commits_lost || self.restored;
        self.diary.on_commit(journal, before, commit, plan, excused)
    }

    fn check_start(
        &mut self,
        journal: usize,
        record: &SubscriptionRecord,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let place = (journal, record.plugin.clone());
        let start = *self.starts.entry(place.clone()).or_insert(record.start);
        if record.start > start && !self.restored {
            let text = format!(
                "{} started at {start}, and now at {}",
                record.plugin, record.start
            );
            return Err(Violation::new(Rule::Start, text));
        }
        let Some(guest) = plan
            .guests
            .iter()
            .find(|guest| guest.plugin == record.plugin)
        else {
            return Err(Violation::new(
                Rule::Alien,
                format!("{} is no plugin", record.plugin),
            ));
        };
        let past = self.configured_at.get(&place).copied().unwrap_or_default();
        let fits = match guest.history {
            History::Ignore => record.start >= past,
            History::Project => record.start == SeqNum::ROOT && record.react_from >= past,
            History::React => record.start == SeqNum::ROOT && record.react_from == SeqNum::ROOT,
        };
        if !fits {
            let text = format!("{record:?} begins before {past}, where the past ended");
            return Err(Violation::new(Rule::Past, text));
        }
        Ok(())
    }

    /// Whether the drafts of each plugin must lie in the order of their triggers.
    pub(super) fn order_is_promised(&self, plan: &Plan) -> bool {
        let one_journal = matches!(plan.hosts, Hosts::One | Hosts::Shared);
        let excused = self.commits_lost || self.restored || self.operated || self.parked;
        one_journal && !excused && !self.membership_changed
    }
}
