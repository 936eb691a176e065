//! Pulls: what they bring is scanned in an unbroken chain, each event's stamp before the head moves past it, and kept in
//! the window for whom it concerns.

use crate::event::{Event, SeqNum};
use crate::id::BackendId;
use crate::stamp::{DraftStamp, Trigger};
use crate::store::machine::StoreState;
use crate::store::sabotage::Sabotage;
use crate::store::scan::Place;
use crate::store::session::{Check, Refill};
use crate::store::subscription::{Start, Subscription};
use crate::store::{Effect, Generation, History, Landed, PullKind, RequestId, StopReason};
use crate::time::Timestamp;

/// Whole pulls that bring nothing after the head although later events are known, before the gap is believed.
const GAP_CHECKS_MAX: u32 = 3;

impl StoreState {
    fn pull(&mut self, after: SeqNum, kind: PullKind) -> Option<RequestId> {
        let (generation, request) = self.next_request()?;
        let backend_id = self.backend_id.clone();
        self.effects.push_back(Effect::Pull {
            generation,
            request,
            after,
            backend_id,
            kind,
        });
        Some(request)
    }

    /// Asks for what comes after the head, unless that is being asked. The pull starts one event earlier, so that the
    /// backend must show that it still has the head.
    pub(super) fn start_check(&mut self, now: Timestamp) {
        if self.session.open().is_none_or(|open| open.check.is_some()) {
            return;
        }
        let head = self.scan.head();
        let after = SeqNum::new(head.get().saturating_sub(1));
        let Some(request) = self.pull(after, PullKind::Finite) else {
            return;
        };
        let deadline = now + self.settings.timing.pull_timeout;
        if let Some(open) = self.session.open_mut() {
            let shown = head == SeqNum::ROOT;
            open.check = Some(Check {
                request,
                head,
                shown,
                deadline,
            });
        }
    }

    /// One chunk of a pull.
    pub(super) fn on_pulled(
        &mut self,
        generation: Generation,
        request: RequestId,
        backend_id: BackendId,
        events: Vec<Event>,
        now: Timestamp,
    ) {
        if self.session.of(generation).is_none() || !self.check_backend_id(backend_id, now) {
            return;
        }
        let head_before = self.scan.head();
        let patience = self.settings.timing.pull_timeout;
        let room = self.window.has_room();
        let Some(open) = self.session.of(generation) else {
            return;
        };
        // While its ack is held back, what comes for a refill is news that nobody asked for.
        let refills = open
            .refill
            .as_ref()
            .is_some_and(|refill| refill.request == request && !refill.held);
        // News on the same pull is no sign of its pages, if it lies beyond what they are to bring.
        let reaches = |event: &Event| event.parent <= head_before;
        let goes_on = events.first().is_none_or(reaches);
        if let Some(check) = open.check.as_mut().filter(|check| check.request == request) {
            if goes_on {
                check.deadline = now + patience;
            }
            check.shown |= events.iter().any(|event| event.seq == check.head);
        }
        for event in events {
            // A refill's chunk is let in whole: what was left out of it would not come again by itself.
            self.offer(event, room || refills, now);
            if self.session.open().is_none() {
                return;
            }
        }
        while let Some(event) = self.scan.unstash() {
            self.take(event, room, now);
        }
        if self.scan.head() > head_before {
            self.last_activity = Some(now);
            self.gap_checks = 0;
        }
        self.watch_gap(now);
        self.acknowledge(generation, request, now);
        let caught_up = self.scan.stashed() == 0 && !self.is_live();
        if caught_up && self.breaks(Sabotage::ChunkIsCaughtUp) {
            self.caught_up(now);
        }
    }

    /// Whether the chunk is of the journal's log. The first one seen is adopted.
    fn check_backend_id(&mut self, backend_id: BackendId, now: Timestamp) -> bool {
        let Some(known) = &self.backend_id else {
            self.backend_id = Some(backend_id.clone());
            self.staging.next.adopt = Some(backend_id);
            self.staging.next.synced = true;
            self.staging.write_by(now);
            return true;
        };
        if *known == backend_id || self.breaks(Sabotage::ChunkOfAnotherLog) {
            return true;
        }
        self.on_reset(Some(backend_id), now);
        false
    }

    /// Lets the next page come, unless it is one that there is no room for.
    fn acknowledge(&mut self, generation: Generation, request: RequestId, now: Timestamp) {
        let full = !self.window.has_room();
        let patience = self.settings.timing.pull_timeout;
        let Some(open) = self.session.of(generation) else {
            return;
        };
        if let Some(refill) = open
            .refill
            .as_mut()
            .filter(|refill| refill.request == request)
        {
            refill.held = full;
            refill.deadline = if full {
                Timestamp::NEVER
            } else {
                now + patience
            };
            if full {
                return;
            }
        }
        self.effects.push_back(Effect::Ack {
            generation,
            request,
        });
    }

    /// An event came, in whatever order.
    fn offer(&mut self, event: Event, room: bool, now: Timestamp) {
        let across_gap = self.breaks(Sabotage::TakenAcrossGap);
        match self.scan.place(&event) {
            Place::Next => self.take(event, room, now),
            Place::Old => self.window.offer(&event, room),
            Place::Ahead if across_gap => self.take(event, room, now),
            Place::Ahead => self.scan.stash(event),
            Place::Fork => self.stop(StopReason::Fork { seq: event.seq }, now),
        }
    }

    /// The event is the next one. Its stamp is looked at before the head moves past it.
    fn take(&mut self, event: Event, room: bool, now: Timestamp) {
        if !room && self.breaks(Sabotage::FullWindowStopsScan) {
            return;
        }
        if let Some(author) = DraftStamp::parse(&event.session_id) {
            self.on_stamp(&author, &event, now);
        }
        self.window.offer(&event, room);
        self.scan.advance(&event);
    }

    /// A run's effects are in the log, whoever put them there.
    fn on_stamp(&mut self, author: &DraftStamp, event: &Event, now: Timestamp) {
        let renamed = event.client_id != self.settings.client_id;
        if self.breaks(Sabotage::StampsNotScanned)
            || (renamed && self.breaks(Sabotage::IdentityIncludesClientId))
        {
            return;
        }
        let run = &author.stamp.run;
        self.settle(run, now);
        let deaf = self.breaks(Sabotage::DeadLetterDeaf);
        if let Some(landed) = self
            .dead_letters
            .get_mut(run)
            .filter(|it| **it == Landed::No && !deaf)
        {
            *landed = Landed::Yes;
            self.staging.next.dead_letters_landed.push(run.clone());
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
        let seq = match run.trigger {
            Trigger::Event(seq) => seq,
            Trigger::Occurrence { .. } | Trigger::Trace { .. } => {
                self.on_task_stamp(run, now);
                return;
            }
        };
        let forgetful = self.breaks(Sabotage::StampNotRemembered);
        let triggers_max = self.settings.limits.landed_max;
        let found = self
            .subscriptions
            .iter_mut()
            .find(|it| it.settings.plugin == run.plugin);
        let Some(subscription) = found.filter(|it| it.hears() && !forgetful) else {
            return;
        };
        if seq > subscription.cursor {
            subscription.landed.remember(seq, triggers_max);
        }
    }

    /// Sees to it that a missing parent is asked for.
    fn watch_gap(&mut self, now: Timestamp) {
        let waiting = self.scan.stashed() > 0;
        let patience = self.settings.timing.gap_timeout;
        if let Some(open) = self.session.open_mut() {
            open.gap_at = waiting.then(|| open.gap_at.unwrap_or(now + patience));
        }
    }

    /// A finite pull came to its end.
    pub(super) fn on_pull_ended(
        &mut self,
        generation: Generation,
        request: RequestId,
        now: Timestamp,
    ) {
        let Some(open) = self.session.of(generation) else {
            return;
        };
        if open
            .refill
            .as_ref()
            .is_some_and(|refill| refill.request == request)
        {
            open.refill = None;
            return;
        }
        let Some(check) = open.check.take_if(|check| check.request == request) else {
            return;
        };
        if !check.shown {
            self.stop(StopReason::Truncated { head: check.head }, now);
            return;
        }
        open.gap_at = None;
        if let Some(next) = self.scan.first_stashed() {
            self.gap_checks += 1;
            if self.gap_checks >= GAP_CHECKS_MAX {
                self.stop(
                    StopReason::Gap {
                        head: self.scan.head(),
                        next,
                    },
                    now,
                );
                return;
            }
        }
        self.watch_gap(now);
        self.caught_up(now);
    }

    /// The log was read to its end as of when the pull began.
    fn caught_up(&mut self, now: Timestamp) {
        self.connect_failures = 0;
        self.error = None;
        self.pushing.awaited = None;
        let period = self.settings.timing.check_period;
        let spread = u64::try_from(period.as_millis()).unwrap_or(u64::MAX) / 4;
        let early = std::time::Duration::from_millis(self.rng.u64(..=spread));
        let unchecked = self.breaks(Sabotage::NoCheck);
        let Some(open) = self.session.open_mut() else {
            return;
        };
        open.check_at = if unchecked {
            Timestamp::NEVER
        } else {
            now + period - early
        };
        if open.live {
            return;
        }
        open.live = true;
        self.since = now;
        self.pull(self.scan.head(), PullKind::Live);
        self.fix_starts(now);
    }

    /// Fixes, once and for all, where the subscriptions that are new here begin.
    fn fix_starts(&mut self, now: Timestamp) {
        let head = self.scan.head();
        let synced = !self.breaks(Sabotage::StartNotSynced);
        for subscription in self
            .subscriptions
            .iter_mut()
            .filter(|it| it.start == Start::Open && it.settings.described)
        {
            let commit = self.staging.write_by(now);
            self.staging.next.synced |= synced;
            let (start, react_from) = match subscription.settings.history {
                History::Ignore => (head, head),
                History::Project => (SeqNum::ROOT, head),
                History::React => (SeqNum::ROOT, SeqNum::ROOT),
            };
            subscription.start = Start::Fixed {
                start,
                react_from,
                commit,
            };
            subscription.cursor = start;
            subscription.dirty = true;
        }
    }

    /// A pull was refused.
    pub(super) fn on_pull_refused(
        &mut self,
        generation: Generation,
        error: &str,
        mismatch: Option<BackendId>,
        now: Timestamp,
    ) {
        if self.session.of(generation).is_none() {
            return;
        }
        match mismatch {
            Some(actual) => self.on_reset(Some(actual), now),
            None => self.reconnect(error, now),
        }
    }

    /// Forgets what nobody needs, and fetches what did not fit while there was no room.
    pub(super) fn refill_window(&mut self, now: Timestamp) {
        let held_by = |it: &Subscription| {
            it.needs_after().or_else(|| {
                self.breaks(Sabotage::ParkedHoldsWindow)
                    .then_some(it.cursor)
            })
        };
        match self.subscriptions.iter().filter_map(held_by).min() {
            Some(floor) => self.window.trim(floor),
            None => {
                self.window.trim(self.scan.head());
                self.window.skip_to(self.scan.head());
            }
        }
        let behind = self.window.fill() < self.scan.head();
        let (room, low, fill) = (
            self.window.has_room(),
            self.window.is_low(),
            self.window.fill(),
        );
        let deadline = now + self.settings.timing.pull_timeout;
        let Some(open) = self.session.open_mut().filter(|open| open.live) else {
            return;
        };
        match &mut open.refill {
            Some(refill) if refill.held && room => {
                refill.held = false;
                refill.deadline = deadline;
                let (generation, request) = (open.generation, refill.request);
                self.effects.push_back(Effect::Ack {
                    generation,
                    request,
                });
            }
            None if behind && low => {
                let request = self.pull(fill, PullKind::Finite);
                if let (Some(request), Some(open)) = (request, self.session.open_mut()) {
                    open.refill = Some(Refill {
                        request,
                        held: false,
                        deadline,
                    });
                }
            }
            Some(_) | None => {}
        }
    }
}
