//! One host: the machine under test, and a driver that performs its effects one by one, so that the world can kill it
//! between any two. What the real actor must do around the machine is here in its smallest form.

use std::collections::{BTreeMap, VecDeque};

use crate::event::SeqNum;
use crate::id::PluginName;
use crate::store::machine::{Held, StoreState};
use crate::store::sabotage::Sabotage;
use crate::store::sim::backend::{Backend, Push};
use crate::store::sim::chronicle::Chronicle;
use crate::store::sim::guest::Kv;
use crate::store::sim::journal::{Journal, Lease};
use crate::store::sim::network::{Network, Owner, Request};
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::sim::plan::{Frugal, Plan};
use crate::store::{Commit, Effect, Input, RunRequest, Status};
use crate::time::Timestamp;

/// A process that serves the store, or could.
pub(super) struct Host {
    pub(super) index: usize,
    /// Which of the world's journals it works on.
    pub(super) journal: usize,
    pub(super) lease: Lease,
    /// How each guest of the plan stands in this host's configuration.
    pub(super) configured: BTreeMap<PluginName, Standing>,
    /// How often the installation was renamed.
    pub(super) renames: u64,
    /// How patient it is.
    pub(super) pace: Pace,
    /// Whether guests want all that they ever want.
    pub(super) wide: bool,
    /// Whether windows hold only half of what they may.
    pub(super) cramped: bool,
    /// Whether tanks are half as large as planned.
    pub(super) meagre: bool,
    /// Whether its guests' tasks come at other times than planned.
    pub(super) retimed: bool,
    /// Milliseconds by which its wall clock is ahead of the true time.
    pub(super) ahead: i64,
    boots: u64,
    life: Option<Life>,
}

/// Whether a plugin is configured, in the catalog, and granted what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Serving,
    Missing,
    Barred,
    Removed,
}

/// What a host makes of the plan's timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Planned,
    Hasty,
    Slow,
}

/// What a process has and loses when it ends.
struct Life {
    machine: StoreState,
    effects: VecDeque<Effect>,
    /// Runs that were decided on, which nobody has accounted for yet.
    decided: Vec<(Timestamp, RunRequest)>,
    commit: Option<Commit>,
    runs: Vec<Running>,
}

/// A guest at work, with the kv it found.
pub(super) struct Running {
    pub(super) request: RunRequest,
    pub(super) kv: Kv,
}

/// What a host touches.
pub(super) struct Surroundings<'a> {
    pub(super) plan: &'a Plan,
    pub(super) backend: &'a Backend,
    pub(super) network: &'a mut Network,
    pub(super) journals: &'a mut Vec<Journal>,
    pub(super) chronicle: &'a mut Chronicle,
    pub(super) now: Timestamp,
}

/// What the world must do after an effect.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    /// Begin again from the journal.
    BeginAgain,
    /// The process ended in order.
    Ended,
}

impl Host {
    pub(super) fn new(index: usize, journal: usize, plan: &Plan) -> Self {
        let guests = plan.guests.iter();
        Self {
            index,
            journal,
            lease: Lease::default(),
            configured: guests
                .map(|guest| (guest.plugin.clone(), Standing::Serving))
                .collect(),
            renames: 0,
            pace: Pace::Planned,
            wide: false,
            cramped: false,
            meagre: false,
            retimed: false,
            ahead: plan.clocks[index],
            boots: 0,
            life: None,
        }
    }

    fn owner(&self) -> Owner {
        Owner {
            host: self.index,
            boot: self.boots,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    /// Begins from the journal.
    pub(super) fn boot(&mut self, with: &mut Surroundings<'_>) {
        self.boots += 1;
        let seed = with.plan.seed ^ (self.boots << 8) ^ self.index as u64;
        self.lease = with.journals[self.journal].claim(seed);
        let content = &with.journals[self.journal].content;
        let head = with.backend.log().head;
        with.chronicle
            .on_boot(self.journal, &self.configured, content, head);
        self.note_tasks(with.plan, with.journals, with.chronicle, with.now);
        let content = &with.journals[self.journal].content;
        let settings = self.settings(with.plan);
        let sabotage = with.plan.sabotage;
        let machine = StoreState::sabotaged(
            settings,
            content.snapshot(),
            seed,
            (with.now, self.ahead),
            sabotage,
        );
        let life = Life {
            machine,
            effects: VecDeque::new(),
            decided: Vec::new(),
            commit: None,
            runs: Vec::new(),
        };
        self.life.insert(life).collect(with.now);
    }

    /// The runs that were decided on since the last time, and when.
    pub(super) fn take_decided(&mut self) -> Vec<(Timestamp, RunRequest)> {
        let life = self.life.as_mut();
        life.map_or_else(Vec::new, |life| std::mem::take(&mut life.decided))
    }

    /// The process is gone. A commit that was being written may be in the journal or not.
    pub(super) fn end(&mut self, network: &mut Network) -> Option<Commit> {
        network.abandon(self.index);
        self.life.take().and_then(|life| life.commit)
    }

    /// Hands the machine something that is meant for this process; what was meant for an earlier one is lost.
    pub(super) fn receive(&mut self, owner: Owner, input: Input, now: Timestamp) {
        if owner == self.owner() {
            self.handle(input, now);
        }
    }

    pub(super) fn handle(&mut self, input: Input, now: Timestamp) {
        if let Some(life) = &mut self.life {
            life.machine.handle(input, now);
            life.collect(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout() <= now
            && let Some(life) = &mut self.life
        {
            life.machine.handle_timeout(now);
            life.collect(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.life
            .as_ref()
            .map_or(Timestamp::NEVER, |life| life.machine.poll_timeout())
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.life.as_ref().map(|life| life.machine.status())
    }

    /// Bodies, stashed events, landed triggers and landed runs of tasks that the machine holds.
    pub(super) fn held(&self) -> Option<Held> {
        self.life.as_ref().map(|life| life.machine.held())
    }

    /// What its wall clock shows.
    pub(super) fn wall(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis().saturating_add_signed(self.ahead))
    }

    pub(super) fn next_effect(&self) -> Option<&Effect> {
        self.life.as_ref().and_then(|life| life.effects.front())
    }

    pub(super) fn commit_in_flight(&self) -> Option<&Commit> {
        self.life.as_ref().and_then(|life| life.commit.as_ref())
    }

    pub(super) fn take_commit(&mut self) -> Option<Commit> {
        self.life.as_mut().and_then(|life| life.commit.take())
    }

    pub(super) fn runs(&self) -> usize {
        self.life.as_ref().map_or(0, |life| life.runs.len())
    }

    pub(super) fn take_run(&mut self, index: usize) -> Option<Running> {
        let life = self.life.as_mut()?;
        (index < life.runs.len()).then(|| life.runs.remove(index))
    }

    /// Whether nothing of this process is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.life.as_ref().is_some_and(|life| {
            life.effects.is_empty() && life.commit.is_none() && life.runs.is_empty()
        })
    }

    /// Performs the next effect.
    pub(super) fn perform(&mut self, with: &mut Surroundings<'_>) -> Result<Then, Violation> {
        let owner = self.owner();
        let Some(life) = &mut self.life else {
            return Ok(Then::GoOn);
        };
        let Some(effect) = life.effects.pop_front() else {
            return Ok(Then::GoOn);
        };
        match effect {
            Effect::Connect { generation } => with.network.connect(owner, generation),
            Effect::Disconnect { generation } => with.network.disconnect(owner, generation),
            Effect::Pull {
                generation,
                request,
                after,
                backend_id,
                kind,
            } => {
                let request = Request::Pull {
                    request,
                    after,
                    backend_id,
                    kind,
                };
                with.network.send(owner, generation, request);
            }
            Effect::Ack {
                generation,
                request,
            } => {
                with.network
                    .send(owner, generation, Request::Ack { request });
            }
            Effect::Push {
                generation,
                request,
                backend_id,
                drafts,
            } => {
                let content = &with.journals[self.journal].content;
                with.chronicle
                    .on_push(&backend_id, &drafts, content, &with.plan.limits)?;
                let told = with.plan.sabotage != Some(Sabotage::PushWithoutBackendId);
                let push = Push {
                    backend_id: told.then_some(backend_id),
                    drafts,
                };
                if with.plan.frugal == Frugal::PushedTwice {
                    with.network.send_again(push.clone());
                }
                with.network
                    .send(owner, generation, Request::Push { request, push });
            }
            Effect::Commit(commit) => {
                assert!(
                    life.commit.is_none(),
                    "a second commit while one is in flight"
                );
                life.commit = Some(*commit);
            }
            Effect::Run(request) => {
                let journal = &with.journals[self.journal];
                let content = &journal.content;
                // Whoever has lost the lease may try in vain what it likes.
                if journal.is_held(self.lease) {
                    with.chronicle
                        .on_run(self.journal, &request, content, with.plan)?;
                    with.chronicle
                        .diary
                        .on_run(self.journal, &request, content, with.plan)?;
                }
                let kv = content
                    .kv
                    .get(&request.stamp.run.plugin)
                    .cloned()
                    .unwrap_or_default();
                life.runs.push(Running {
                    request: *request,
                    kv,
                });
            }
            Effect::Restart => {
                let dropped = with.plan.sabotage == Some(Sabotage::RestartDropsRuns);
                assert!(
                    life.commit.is_none() && (life.runs.is_empty() || dropped),
                    "restarted with work in flight"
                );
                self.check_remembered(with)?;
                return Ok(Then::BeginAgain);
            }
            Effect::StartOver { .. } => {
                self.start_over(with);
                return Ok(Then::BeginAgain);
            }
            Effect::Drained => {
                assert!(
                    life.commit.is_none() && life.runs.is_empty(),
                    "drained with work in flight"
                );
                self.check_remembered(with)?;
                return Ok(Then::Ended);
            }
        }
        Ok(Then::GoOn)
    }

    /// What a life remembers of tasks that landed is what it leaves in the journal.
    fn check_remembered(&self, with: &Surroundings<'_>) -> Result<(), Violation> {
        let journal = &with.journals[self.journal];
        let known = journal.content.landed_occurrences.len();
        let held = self.held().map_or(known, |held| held.landed_occurrences);
        // A planted fault is to be noticed by what comes of it.
        if held == known || !journal.is_held(self.lease) || with.plan.sabotage.is_some() {
            return Ok(());
        }
        let text = format!(
            "host {} remembers {held} occurrences that landed, and its journal {known}",
            self.index
        );
        Err(Violation::new(Rule::Held, text))
    }

    /// Archives the journal, if it is still this host's.
    fn start_over(&mut self, with: &mut Surroundings<'_>) {
        let old = &with.journals[self.journal];
        if !old.is_held(self.lease) {
            return;
        }
        let kept = with.plan.sabotage == Some(Sabotage::OutboxKeptOverReset);
        let outbox = if kept {
            old.content.outbox.clone()
        } else {
            BTreeMap::new()
        };
        with.journals[self.journal] = Journal::fresh(self.lease, outbox);
        with.chronicle.on_start_over(self.journal);
    }

    /// One line about where the machine stands.
    pub(super) fn describe(&self) -> String {
        let Some(status) = self.status() else {
            return format!("host {} is down", self.index);
        };
        let subscriptions = status.subscriptions.iter().map(|it| {
            let cursor = it
                .cursor
                .map_or(-1, |cursor: SeqNum| cursor.get().cast_signed());
            format!(
                "{} at {cursor} {:?} lag {}",
                it.plugin, it.state, it.lag_events
            )
        });
        let subscriptions: Vec<_> = subscriptions.collect();
        format!(
            "host {} {:?} head {} outbox {} parked {} dead {} open {} runs {}: {}",
            self.index,
            status.session,
            status.head,
            status.outbox,
            status.parked_pushes,
            status.dead_letters,
            status.tasks.open,
            status.runs,
            subscriptions.join(", "),
        )
    }
}

impl Life {
    fn collect(&mut self, now: Timestamp) {
        while let Some(effect) = self.machine.poll_effect() {
            if let Effect::Run(request) = &effect {
                self.decided.push((now, (**request).clone()));
            }
            self.effects.push_back(effect);
        }
    }
}
