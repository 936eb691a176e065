//! Pushing: one push in flight, of whole committed runs, on the head that this life has scanned. Whoever is admitted has
//! seen the whole log, so a push may be repeated as often as one likes: the backend's compare-and-swap decides.

use std::sync::Arc;

use crate::event::{Draft, NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::stamp::{RunId, Stamp};
use crate::store::machine::StoreState;
use crate::store::outbox::{Queued, batch_len};
use crate::store::sabotage::Sabotage;
use crate::store::{Effect, Generation, OutboxEntry, PushAnswer, RequestId, StopReason};
use crate::time::Timestamp;

/// Refusals that say the log ends before the head we scanned, before that is believed. One can be a race between the
/// backend's broadcast and its own head; the pulls between them rule that out.
const PAST_HEAD_MAX: u32 = 3;

/// How pushing goes in this life.
#[derive(Debug, Default)]
pub(super) struct Pushing {
    /// At most one; more only where a test plants that fault.
    pub(super) in_flight: Vec<InFlight>,
    /// No push before this.
    pub(super) not_before: Option<Timestamp>,
    /// No push before the head is here, or until it is clear that it does not come by itself.
    pub(super) awaited: Option<Awaited>,
    /// Failures in a row that were not about the place.
    failures: u32,
    /// So many runs are pushed one by one, to find the one that the backend refuses.
    singly: usize,
    past_head: u32,
    /// Only where a test plants that fault: a parent that was told and not scanned.
    told: Option<SeqNum>,
}

/// A push that was sent and not answered.
#[derive(Debug)]
pub(super) struct InFlight {
    generation: Generation,
    request: RequestId,
    runs: Vec<RunId>,
    parent: SeqNum,
    last: SeqNum,
    pub(super) deadline: Timestamp,
}

/// A place that the log is known to have reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    head: SeqNum,
    /// When to pull for it; never while a pull goes on.
    pub(super) until: Timestamp,
}

impl StoreState {
    /// Puts a run's drafts into the outbox, once.
    pub(super) fn enqueue(&mut self, stamp: Stamp, drafts: Vec<Draft>, now: Timestamp) {
        let twice = self.breaks(Sabotage::OutboxNotUnique);
        if drafts.is_empty() || (self.outbox.contains(&stamp.run) && !twice) {
            return;
        }
        let commit = self.staging.write_by(now);
        let entry = self.outbox.add(stamp, drafts, commit);
        self.staging.next.outbox.push(entry);
    }

    /// The run's drafts are in the log: it leaves the outbox.
    pub(super) fn settle(&mut self, run: &RunId, now: Timestamp) {
        let parked_too = !self.breaks(Sabotage::ParkedDeaf);
        if self.outbox.settle(run, parked_too) {
            self.staging.next.outbox_removed.push(run.clone());
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
    }

    /// Sends the next push, if there is something to say and nothing to wait for.
    pub(super) fn push_next(&mut self, now: Timestamp) {
        let pipelined = self.breaks(Sabotage::ParentHopedFor);
        let in_flight = &self.pushing.in_flight;
        if !self.is_live() || self.halted || (!in_flight.is_empty() && !pipelined) {
            return;
        }
        if self.is_restarting() && self.runs() == 0 {
            // Each push leads to more to be written, and the next life is only waiting for that to end.
            return;
        }
        let head = self.scan.head();
        let awaited = self
            .pushing
            .awaited
            .is_some_and(|awaited| head < awaited.head);
        if awaited || self.pushing.not_before.is_some() {
            return;
        }
        self.pushing.awaited = None;
        let Some(backend_id) = self.backend_id.clone() else {
            return;
        };
        let entries = self.next_batch();
        if entries.is_empty() {
            return;
        }
        let hoped = in_flight_last(&self.pushing).filter(|_| pipelined);
        let parent = self.pushing.told.take().or(hoped).unwrap_or(head);
        self.send(entries, parent, backend_id, now);
    }

    /// The oldest runs that are in the journal and not in flight, as many as one push takes.
    fn next_batch(&self) -> Vec<OutboxEntry> {
        let uncommitted_too = self.breaks(Sabotage::PushBeforeCommit);
        let ready = |queued: &&Queued| uncommitted_too || self.staging.is_done(queued.commit);
        let in_flight = |run: &RunId| {
            self.pushing
                .in_flight
                .iter()
                .any(|it| it.runs.contains(run))
        };
        let entry = |queued: &Queued| queued.entry.clone();
        let queue = self
            .outbox
            .queue()
            .filter(|queued| !in_flight(&queued.entry.stamp.run));
        // Nothing overtakes a run that is not committed yet.
        let runs_max = self.settings.limits.push_events_max;
        let mut runs: Vec<OutboxEntry> = if self.breaks(Sabotage::OutboxLastInFirstOut) {
            queue
                .rev()
                .filter(ready)
                .take(runs_max)
                .map(entry)
                .collect()
        } else {
            queue.take_while(ready).take(runs_max).map(entry).collect()
        };
        let alone = if self.pushing.singly > 0 {
            1
        } else {
            usize::MAX
        };
        let whole = batch_len(runs.iter(), alone, &self.settings.limits);
        if self.breaks(Sabotage::RunSplit) {
            let mut room = 2;
            for run in &mut runs {
                run.drafts.truncate(room);
                room -= run.drafts.len();
            }
            runs.retain(|run| !run.drafts.is_empty());
        }
        runs.truncate(whole);
        runs
    }

    fn send(
        &mut self,
        entries: Vec<OutboxEntry>,
        parent: SeqNum,
        backend_id: BackendId,
        now: Timestamp,
    ) {
        let Some((generation, request)) = self.next_request() else {
            return;
        };
        let runs: Vec<RunId> = entries
            .iter()
            .map(|entry| entry.stamp.run.clone())
            .collect();
        let drafts = number(entries, parent, &self.settings.client_id);
        let last = drafts.last().map_or(parent, |draft| draft.seq);
        if self.breaks(Sabotage::SettledOnSend) {
            for run in &runs {
                self.settle(run, now);
            }
        }
        let waits = !self.breaks(Sabotage::NoPushTimeout);
        let patience = self.settings.timing.push_timeout;
        let deadline = if waits {
            now + patience
        } else {
            Timestamp::NEVER
        };
        let in_flight = InFlight {
            generation,
            request,
            runs,
            parent,
            last,
            deadline,
        };
        self.pushing.in_flight.push(in_flight);
        self.effects.push_back(Effect::Push {
            generation,
            request,
            backend_id,
            drafts,
        });
    }

    /// The backend answered a push of this connection.
    pub(super) fn on_push_answered(
        &mut self,
        generation: Generation,
        request: RequestId,
        answer: PushAnswer,
        now: Timestamp,
    ) {
        let any_generation = self.breaks(Sabotage::AnswerOfOldConnection);
        let found = self.pushing.in_flight.iter().position(|it| {
            it.request == request && (it.generation == generation || any_generation)
        });
        let Some(index) = found else {
            return;
        };
        let push = self.pushing.in_flight.remove(index);
        match answer {
            PushAnswer::Accepted => self.on_accepted(push, now),
            PushAnswer::ServerAhead { head } => self.on_refused(&push, head, now),
            PushAnswer::BackendIdMismatch { actual } => self.on_reset(actual, now),
            PushAnswer::Unknown { error } => self.on_unknown(&push, error, now),
        }
    }

    fn on_accepted(&mut self, push: InFlight, now: Timestamp) {
        for run in &push.runs {
            self.settle(run, now);
        }
        self.pushing.failures = 0;
        self.pushing.past_head = 0;
        self.pushing.singly = self.pushing.singly.saturating_sub(push.runs.len());
        self.last_activity = Some(now);
        if self.breaks(Sabotage::AckMovesHead) {
            self.scan.jump(push.last);
            return;
        }
        // The head moves only when the events are seen: between ours and the head there may be others' events.
        self.await_head(push.last, now);
    }

    fn on_refused(&mut self, push: &InFlight, head: SeqNum, now: Timestamp) {
        if self.breaks(Sabotage::ParentFromServerAhead) {
            self.pushing.told = Some(head);
            return;
        }
        if head > push.parent {
            self.pushing.past_head = 0;
            self.await_head(head, now);
            return;
        }
        // A log that ends where we said is no reason to refuse; one that ends before it has lost what we saw, or shows
        // more than it stands by.
        self.pushing.past_head += u32::from(head < push.parent);
        if self.pushing.past_head >= PAST_HEAD_MAX {
            self.stop(
                StopReason::PastHead {
                    head: push.parent,
                    backend: head,
                },
                now,
            );
            return;
        }
        self.pushing.not_before = Some(now + self.settings.timing.gap_timeout);
        self.start_check(now);
    }

    /// It may have landed or not. It is pushed again after a while; if it has landed, that is refused.
    fn on_unknown(&mut self, push: &InFlight, error: Arc<str>, now: Timestamp) {
        self.error = Some(format!("a push failed: {error}").into());
        self.pushing.failures += 1;
        let failures = self.pushing.failures;
        let wait = self.settings.timing.push.delay(failures, self.rng.u64(..));
        self.pushing.not_before = Some(now + wait);
        if failures < self.settings.limits.push_failures_max {
            return;
        }
        let [run] = &push.runs[..] else {
            if !self.breaks(Sabotage::RejectedNeverSingled) {
                self.pushing.failures = 0;
                self.pushing.singly = push.runs.len();
            }
            return;
        };
        if self.breaks(Sabotage::RejectedNeverParked) {
            return;
        }
        self.pushing.failures = 0;
        self.pushing.singly = self.pushing.singly.saturating_sub(1);
        let commit = self.staging.write_by(now);
        if let Some(entry) = self.outbox.park(run, error, commit) {
            self.staging.next.outbox.push(entry);
        }
    }

    /// Pushes parked drafts again, after all others.
    pub(super) fn on_unpark(&mut self, run: &RunId, now: Timestamp) {
        let commit = self.staging.write_by(now);
        if let Some(entry) = self.outbox.unpark(run, commit) {
            self.staging.next.outbox.push(entry);
        }
    }

    fn await_head(&mut self, head: SeqNum, now: Timestamp) {
        if head > self.scan.head() {
            let until = now + self.settings.timing.gap_timeout;
            self.pushing.awaited = Some(Awaited { head, until });
        }
    }

    /// The connection is gone: whatever was in flight may have landed or not, and is pushed again on the next one.
    pub(super) fn forget_pushes(&mut self) {
        self.pushing.in_flight.clear();
        self.pushing.awaited = None;
        self.pushing.not_before = None;
        self.pushing.told = None;
    }
}

fn in_flight_last(pushing: &Pushing) -> Option<SeqNum> {
    pushing.in_flight.last().map(|push| push.last)
}

/// Gives the runs' drafts their places after `parent` and their stamps.
fn number(
    entries: Vec<OutboxEntry>,
    mut parent: SeqNum,
    client_id: &Arc<str>,
) -> Vec<NumberedDraft> {
    let mut numbered = Vec::new();
    for entry in entries {
        let count = u32::try_from(entry.drafts.len()).expect("a run has at most 100 drafts");
        for (index, draft) in (0..count).zip(entry.drafts) {
            let seq = parent.next();
            let session_id = entry.stamp.session_id(index, count).into();
            let client_id = client_id.clone();
            numbered.push(NumberedDraft {
                seq,
                parent,
                draft,
                client_id,
                session_id,
            });
            parent = seq;
        }
    }
    numbered
}
