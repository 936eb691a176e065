//! One store's state, and the one way in and out of it: inputs and timeouts in, effects out. What each input means is in
//! the module of its noun: `session`, `pulls`, `runs`, `push`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::SeqNum;
use crate::id::{BackendId, PluginName};
use crate::stamp::RunId;
use crate::store::outbox::Outbox;
use crate::store::push::Pushing;
use crate::store::ration::{Deferral, Ration};
use crate::store::sabotage::Sabotage;
use crate::store::scan::Scan;
use crate::store::session::Session;
use crate::store::staging::Staging;
use crate::store::subscription::{Phase, Subscription};
use crate::store::tasks::Tasks;
use crate::store::window::Window;
use crate::store::{Effect, ExecutionRecord, ExecutionState, Input, Landed, Settings};
use crate::time::Timestamp;

/// A store: all that is known about it in one life, from its journal to the next restart.
#[derive(Debug)]
pub struct StoreState {
    pub(super) settings: Settings,
    pub(super) rng: fastrand::Rng,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) effects: VecDeque<Effect>,

    pub(super) session: Session,
    pub(super) since: Timestamp,
    pub(super) error: Option<Arc<str>>,
    pub(super) connect_failures: u32,
    pub(super) generations_used: u64,
    pub(super) gap_checks: u32,
    pub(super) last_activity: Option<Timestamp>,

    pub(super) backend_id: Option<BackendId>,
    pub(super) scan: Scan,
    pub(super) window: Window,
    pub(super) subscriptions: Vec<Subscription>,
    /// Whose turn it is first, as an index.
    pub(super) first: usize,
    pub(super) ration: Ration,
    /// What every next run waits for, if the store's ration is used up.
    pub(super) deferred: Option<Deferral>,
    pub(super) tokens_used: u64,
    pub(super) tasks: Tasks,
    /// From where the next life is to scan, if this one has learned that it must begin earlier.
    pub(super) scan_from: Option<SeqNum>,
    pub(super) dead_letters: BTreeMap<RunId, Landed>,
    pub(super) outbox: Outbox,
    pub(super) pushing: Pushing,
    pub(super) staging: Staging,

    /// No new runs, no new connection.
    pub(super) draining: bool,
    /// The next life must begin, once all that is decided is written.
    pub(super) restart_wanted: bool,
    /// The last effect was given out: this life is over.
    pub(super) halted: bool,
}

impl StoreState {
    pub(super) fn serves(&self, plugin: &PluginName) -> bool {
        let mut all = self.subscriptions.iter();
        all.any(|subscription| subscription.settings.plugin == *plugin)
    }

    /// The wall clock shows another time.
    pub(super) fn on_clock_set(&mut self, ahead: i64, now: Timestamp) {
        if self.breaks(Sabotage::ClockBackRepeats) {
            self.tasks.repeat(ahead, now);
        }
        if self.tasks.set_ahead(ahead, now) {
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
    }

    /// When a task is next to be looked at, or to be tried again.
    fn poll_tasks(&self) -> Timestamp {
        if self.is_ending() || !self.is_live() {
            return Timestamp::NEVER;
        }
        self.tasks.wakes_at().min(self.tasks.retries_at())
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        if self.halted {
            return;
        }
        match input {
            Input::Connected { generation } => self.on_connected(generation, now),
            Input::Disconnected { generation, error } => {
                self.on_disconnected(generation, error, now);
            }
            Input::Pulled {
                generation,
                request,
                backend_id,
                events,
            } => {
                self.on_pulled(generation, request, backend_id, events, now);
            }
            Input::PullEnded {
                generation,
                request,
            } => {
                self.on_pull_ended(generation, request, now);
            }
            Input::PullRefused {
                generation,
                request: _,
                error,
                mismatch,
            } => {
                self.on_pull_refused(generation, &error, mismatch, now);
            }
            Input::PushAnswered {
                generation,
                request,
                answer,
            } => {
                self.on_push_answered(generation, request, answer, now);
            }
            Input::RunFinished { token, end } => self.on_run_finished(token, end, now),
            Input::Committed => {
                self.staging.confirm();
                self.tasks
                    .forget_ended(|commit| self.staging.is_done(commit));
            }
            Input::Redrive { letter } => self.on_redrive(*letter),
            Input::Discard { run } => self.on_discard(run, now),
            Input::Unpark { run } => self.on_unpark(&run, now),
            Input::Reconfigure { settings } => self.on_reconfigure(*settings, now),
            Input::Task { key, order } => self.on_task_order(&key, order, now),
            Input::ClockSet { ahead } => self.on_clock_set(ahead, now),
            Input::Renew => self.on_renew(),
            Input::Drain => self.on_drain(),
        }
        self.advance(now);
    }

    /// Does what the time has come for.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.halted {
            return;
        }
        match &self.session {
            Session::Connecting { deadline, .. } if *deadline <= now => {
                self.reconnect("the socket did not open in time", now);
            }
            Session::Open(_) => self.on_open_timeout(now),
            Session::Offline { .. } | Session::Connecting { .. } | Session::Stopped(_) => {}
        }
        for subscription in &mut self.subscriptions {
            if matches!(subscription.phase, Phase::Retrying { until } if until <= now) {
                subscription.phase = Phase::Idle;
            }
        }
        self.tasks.end_rests(now);
        self.advance(now);
    }

    /// When `handle_timeout` is wanted; [`Timestamp::NEVER`] if nothing waits.
    pub fn poll_timeout(&self) -> Timestamp {
        if self.halted {
            return Timestamp::NEVER;
        }
        let session = match &self.session {
            Session::Offline { .. } if self.is_ending() => Timestamp::NEVER,
            Session::Offline { retry_at } => *retry_at,
            Session::Connecting { deadline, .. } => *deadline,
            Session::Open(_) => self.poll_open_timeout(),
            Session::Stopped(_) => Timestamp::NEVER,
        };
        let retry = self
            .subscriptions
            .iter()
            .filter_map(|subscription| match subscription.phase {
                Phase::Retrying { until } => Some(until),
                Phase::Idle => None,
            });
        let own = session.min(self.staging.poll_timeout());
        let own = own.min(self.poll_tasks());
        retry.fold(own.min(self.poll_runs()), Ord::min)
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Draws every conclusion from what was taken in.
    pub(super) fn advance(&mut self, now: Timestamp) {
        if self.halted {
            return;
        }
        self.connect_if_due(now);
        self.take_up_tasks(now);
        self.start_runs(now);
        self.give_back_attempts(now);
        self.refill_window(now);
        self.push_next(now);
        self.flush(now);
        self.finish(now);
    }

    /// Writes what is due, with the state as it is now.
    pub(super) fn flush(&mut self, now: Timestamp) {
        let Some(mut commit) = self.staging.take(now) else {
            return;
        };
        let head = self.scan.head();
        commit.scanned = self.scan_from.map_or(head, |from| from.min(head));
        commit.clock = now;
        let (tasks, executions) = self.tasks.take_dirty();
        commit.tasks = tasks;
        commit.executions.extend(executions);
        for subscription in self.subscriptions.iter_mut().filter(|it| it.dirty) {
            subscription.dirty = false;
            commit.subscriptions.extend(subscription.record());
        }
        if self.breaks(Sabotage::SettledAfterCursor) && !commit.subscriptions.is_empty() {
            self.staging
                .next
                .outbox_removed
                .append(&mut commit.outbox_removed);
            self.staging
                .next
                .dead_letters_landed
                .append(&mut commit.dead_letters_landed);
            self.staging
                .write_by(now + self.settings.timing.flush_delay);
        }
        let has_cursor = !commit.subscriptions.is_empty();
        let has_both = has_cursor && !commit.outbox.is_empty();
        if self.breaks(Sabotage::CursorAndOutboxApart) && has_both {
            self.staging.next.outbox.append(&mut commit.outbox);
            self.staging.write_by(now);
        }
        let ends = |it: &ExecutionRecord| it.state == ExecutionState::Done;
        let has_end = commit.executions.iter().any(ends);
        if self.breaks(Sabotage::DoneAndOutboxApart) && has_end {
            self.staging.next.outbox.append(&mut commit.outbox);
            self.staging.write_by(now);
        }
        self.write_rations(&mut commit, now);
        self.effects.push_back(Effect::Commit(Box::new(commit)));
    }

    pub(super) fn runs(&self) -> usize {
        let running = |it: &&Subscription| it.running.is_some();
        self.subscriptions.iter().filter(running).count()
    }

    /// What is held that others may make more of.
    #[cfg(test)]
    pub(crate) fn held(&self) -> Held {
        Held {
            window: self.window.len(),
            stash: self.scan.stashed(),
            landed: self.subscriptions.iter().map(|it| it.landed.len()).sum(),
            landed_occurrences: self.tasks.landed(),
        }
    }

    /// Whether this rule is broken. Always false outside tests.
    pub(super) fn breaks(&self, sabotage: Sabotage) -> bool {
        cfg!(test) && self.sabotage == Some(sabotage)
    }
}

/// What a machine holds that others may make more of.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Events whose bodies are kept.
    pub(crate) window: usize,
    /// Events that wait for their parent.
    pub(crate) stash: usize,
    /// Triggers whose effects were seen in the log.
    pub(crate) landed: usize,
    /// Runs of tasks whose effects were seen in the log.
    pub(crate) landed_occurrences: usize,
}
