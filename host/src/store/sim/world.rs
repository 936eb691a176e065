//! A world: hosts, journals, network and backend under one scheduler. First a storm, in which anything that can happen
//! may happen next; then a calm, in which no fault happens any more and everything must settle; then every host is
//! stopped in order and the oracle judges; then what was broken is mended, what was given up is tried again, and the
//! oracle judges again.

use std::collections::{BTreeMap, VecDeque};

use crate::id::PluginName;
use crate::store::machine::Held;
use crate::store::sim::backend::Backend;
use crate::store::sim::chronicle::Chronicle;
use crate::store::sim::host::{Host, Standing};
use crate::store::sim::journal::Journal;
use crate::store::sim::network::Network;
use crate::store::sim::oracle::{Evidence, Rule, Violation};
use crate::store::sim::plan::{Hosts, NetworkFaults, Plan, Weights};
use crate::store::sim::steps::Step;
use crate::store::sim::tally::Tally;
use crate::store::{Input, OnReset, SessionStatus, StopReason, SubscriptionState};
use crate::time::Timestamp;

/// Steps of a calm before it counts as endless. Far above what the slowest healthy world takes.
const CALM_STEPS_MAX: u64 = 40_000;
/// Waits of a calm: each jumps to the next deadline. A trigger that is tried again and a pull that is repeated take a few.
const CALM_WAITS_MAX: u64 = 600;

/// The true time at which every world begins: some day, so that clocks may be far behind it.
const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// What a calm leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Settled,
    Stopped,
}

/// One world.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Timestamp,
    pub(super) backend: Backend,
    pub(super) network: Network,
    pub(super) journals: Vec<Journal>,
    pub(super) hosts: Vec<Host>,
    pub(super) chronicle: Chronicle,
    /// Guests no longer fail, and the app refuses nothing.
    pub(super) healed: bool,
    /// The second host may begin: its journal was copied, if it is to be a copy.
    pub(super) twin_awake: bool,
    /// Events that other clients are yet to write.
    pub(super) events_left: u64,
    pub(super) steps: u64,
    pub(super) tally: Tally,
    pub(super) trace: Option<VecDeque<String>>,
    pub(super) trace_len: usize,
}

impl World {
    /// A world that has not begun. It keeps its last `trace_len` steps.
    pub(super) fn new(plan: Plan, trace_len: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(plan.seed ^ 0x5157_4f52_4c44);
        let journals = match plan.hosts {
            Hosts::One | Hosts::Shared => 1,
            Hosts::Two | Hosts::Copied => 2,
        };
        let hosts = if plan.hosts == Hosts::One { 1 } else { 2 };
        let host = |index: usize| Host::new(index, index.min(journals - 1), &plan);
        let mut world = Self {
            now: BEGIN,
            backend: Backend::new(plan.statement_rows, plan.refuses),
            network: Network::new(plan.page_events, rng.u64(..)),
            journals: vec![Journal::default(); journals],
            hosts: (0..hosts).map(host).collect(),
            chronicle: Chronicle::default(),
            healed: false,
            twin_awake: plan.hosts != Hosts::Copied,
            events_left: plan.storm_events,
            steps: 0,
            tally: Tally::default(),
            trace: (trace_len > 0).then(VecDeque::new),
            trace_len,
            rng,
            plan,
        };
        for _ in 0..world.plan.history_events {
            world.write();
        }
        world
    }

    /// The last steps, oldest first.
    pub(super) fn trace(&self) -> impl Iterator<Item = &String> {
        self.trace.iter().flatten()
    }

    /// How much has happened.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.merge(&self.network.tally);
        tally.add("steps", self.steps);
        tally
    }

    /// Lives the world through; the promise it broke, if it broke one.
    pub(super) fn live(&mut self) -> Result<(), Violation> {
        self.storm()?;
        self.calm()?;
        self.judge()?;
        self.heal()?;
        self.judge()
    }

    fn storm(&mut self) -> Result<(), Violation> {
        self.network.faults = self.plan.network;
        for step in 0..self.plan.storm_steps {
            if self.plan.hosts == Hosts::Copied && step == self.plan.storm_steps / 3 {
                self.note(|| "the journal is copied to a second host".to_owned());
                self.journals[1] = self.journals[0].clone();
                self.chronicle.on_copy();
                self.twin_awake = true;
            }
            if self.backend.is_sound()
                && self.rng.u64(step..self.plan.storm_steps) < step + self.events_left
            {
                // Others write all through the storm, and not only at its beginning.
                self.take(Step::Write)?;
            }
            let options = self.options();
            let total: u64 = options.iter().map(|(weight, _)| weight).sum();
            if total == 0 {
                return Ok(());
            }
            let mut roll = self.rng.u64(..total);
            let step = options.into_iter().find_map(|(weight, step)| {
                if roll < weight {
                    return Some(step);
                }
                roll -= weight;
                None
            });
            if let Some(step) = step {
                self.take(step)?;
            }
        }
        Ok(())
    }

    /// Faults stop, and everything must settle.
    fn calm(&mut self) -> Result<(), Violation> {
        self.network.faults = NetworkFaults::default();
        self.network.forget_late();
        if self.plan.hosts == Hosts::Shared {
            self.retire_fenced();
        }
        self.note(|| "— calm —".to_owned());
        if self.rng.bool() {
            self.set_clocks_right();
        }
        self.events_left = self.plan.calm_events;
        self.settle(Rest::Settled)?;
        for _ in 0..self.plan.calm_waits {
            self.take(Step::Wait)?;
            self.settle(Rest::Settled)?;
        }
        self.check_held()
    }

    /// Lets all work be done, and time pass only when there is none, until the hosts have come to `rest`.
    fn settle(&mut self, rest: Rest) -> Result<(), Violation> {
        let mut waits = 0;
        for _ in 0..CALM_STEPS_MAX {
            let mut work = self.work();
            if rest == Rest::Settled && self.events_left > 0 && self.backend.is_sound() {
                work.push((Weights::WORK, Step::Write));
            }
            if rest == Rest::Stopped {
                work.retain(|(_, step)| !matches!(step, Step::Boot(_)));
            }
            if !work.is_empty() {
                let (_, step) = work.swap_remove(self.rng.usize(..work.len()));
                self.take(step)?;
                continue;
            }
            let rested = match rest {
                Rest::Settled => self.is_settled()?,
                Rest::Stopped => !self.hosts.iter().any(Host::is_up),
            };
            if rested {
                return Ok(());
            }
            waits += 1;
            if waits > CALM_WAITS_MAX || self.next_deadline() == Timestamp::NEVER {
                break;
            }
            self.take(Step::Wait)?;
        }
        let hosts: Vec<_> = self
            .hosts
            .iter()
            .map(|it| format!("{} waiting {} ", it.describe(), self.waiting(it)))
            .collect();
        let head = self.backend.log().head;
        let text = format!(
            "never {rest:?}; the log ends at {head}; {}",
            hosts.join("; ")
        );
        Err(Violation::new(Rule::Wedge, text))
    }

    /// Stops every host in order, and has the oracle look at what they leave.
    fn judge(&mut self) -> Result<(), Violation> {
        let ended = self
            .hosts
            .iter()
            .any(|host| self.stop_reason(host).is_some());
        // Whoever has nothing to push does not learn that nobody can.
        let ended = ended || !self.backend.is_sound();
        for host in 0..self.hosts.len() {
            self.hosts[host].handle(Input::Drain, self.now);
        }
        self.settle(Rest::Stopped)?;
        let journals = self.journals.iter().enumerate().filter(|_| !ended);
        let journals_count = self.journals.len();
        let walls = (0..journals_count).map(|index| self.server(index).wall(self.now));
        let wanted = (0..journals_count).map(|index| self.server(index).wanted(&self.plan));
        let evidence = Evidence {
            plan: &self.plan,
            chronicle: &self.chronicle,
            logs: &self.backend.logs,
            journals: journals
                .map(|(index, journal)| (&journal.content, self.configured(index)))
                .collect(),
            walls: walls.collect(),
            wanted: wanted.collect(),
        };
        evidence.judge()
    }

    /// The host that served a journal last.
    fn server(&self, journal: usize) -> &Host {
        let served = self.hosts.iter().filter(|host| host.journal == journal);
        let last = served.max_by_key(|host| self.journals[journal].is_held(host.lease));
        last.expect("every journal has a host")
    }

    fn configured(&self, journal: usize) -> &BTreeMap<PluginName, Standing> {
        &self.server(journal).configured
    }

    /// Everything that was broken is mended, every plugin is back, and what was given up is tried again.
    fn heal(&mut self) -> Result<(), Violation> {
        self.note(|| "— healing —".to_owned());
        self.healed = true;
        self.backend.refuses.permille = 0;
        self.plan.refuses.permille = 0;
        for host in &mut self.hosts {
            for standing in host.configured.values_mut() {
                self.chronicle.membership_changed |= *standing == Standing::Removed;
                *standing = Standing::Serving;
            }
        }
        self.settle(Rest::Settled)?;
        for host in 0..self.hosts.len() {
            if !self.hosts[host].is_up() || self.stop_reason(&self.hosts[host]).is_some() {
                continue;
            }
            let content = self.journals[self.hosts[host].journal].content.clone();
            for letter in content.dead_letters.into_values() {
                self.chronicle.operated = true;
                let letter = Box::new(letter);
                self.hosts[host].handle(Input::Redrive { letter }, self.now);
            }
            for entry in content
                .outbox
                .into_values()
                .filter(|entry| entry.parked.is_some())
            {
                self.chronicle.operated = true;
                self.hosts[host].handle(
                    Input::Unpark {
                        run: entry.stamp.run,
                    },
                    self.now,
                );
            }
        }
        self.resume_tasks();
        self.settle(Rest::Settled)?;
        self.check_held()
    }

    fn stop_reason(&self, host: &Host) -> Option<StopReason> {
        match host.status()?.session {
            SessionStatus::Stopped(reason) => Some(reason),
            SessionStatus::Connecting
            | SessionStatus::CatchingUp
            | SessionStatus::Live
            | SessionStatus::BackingOff { .. } => None,
        }
    }

    /// Whether nothing is left to be done, as far as anybody can see from outside.
    fn is_settled(&self) -> Result<bool, Violation> {
        for host in self.hosts.iter().filter(|host| host.is_up()) {
            if let Some(reason) = self.stop_reason(host) {
                self.check_stop(&reason)?;
            } else if !self.is_host_settled(host) {
                return Ok(false);
            }
        }
        Ok(self.network.is_silent())
    }

    fn is_host_settled(&self, host: &Host) -> bool {
        let Some(status) = host.status() else {
            return false;
        };
        let subscriptions = status.subscriptions.iter().all(|it| match it.state {
            SubscriptionState::Idle => it.lag_events == 0,
            SubscriptionState::Parked => true,
            SubscriptionState::Starting
            | SubscriptionState::Running
            | SubscriptionState::Retrying
            | SubscriptionState::Tripped
            | SubscriptionState::Rationed => false,
        });
        host.is_idle()
            && host.poll_timeout() > self.now
            && status.tasks.open == self.waiting(host)
            && status.session == SessionStatus::Live
            && status.head.get() == self.backend.log().rows.len() as u64
            && status.outbox == 0
            && subscriptions
    }

    /// Open occurrences of plugins that cannot run here.
    fn waiting(&self, host: &Host) -> usize {
        let content = &self.journals[host.journal].content;
        let open = content.executions.values().filter(|it| it.state.is_open());
        let serves = |plugin: &PluginName| host.configured[plugin] == Standing::Serving;
        open.filter(|it| !serves(&it.key.plugin)).count()
    }

    /// A store may stop for good only for a reason that is true.
    fn check_stop(&self, reason: &StopReason) -> Result<(), Violation> {
        let true_reason = match reason {
            StopReason::PastHead { .. } => !self.backend.is_sound(),
            StopReason::BackendReset { .. } => {
                self.backend.logs.len() > 1 && self.plan.on_reset == OnReset::Stop
            }
            StopReason::Truncated { .. }
            | StopReason::Fork { .. }
            | StopReason::Gap { .. }
            | StopReason::GaveUp { .. } => false,
        };
        if true_reason {
            return Ok(());
        }
        Err(Violation::new(Rule::Stopped, format!("{reason:?}")))
    }

    /// What a settled machine still holds.
    fn check_held(&self) -> Result<(), Violation> {
        for host in &self.hosts {
            let Some(held) = host.held().filter(|_| self.stop_reason(host).is_none()) else {
                continue;
            };
            let Held {
                window,
                stash,
                landed,
                ..
            } = held;
            if (window, stash, landed) != (0, 0, 0) {
                let text = format!("host {} holds {held:?} at rest", host.index);
                return Err(Violation::new(Rule::Held, text));
            }
        }
        Ok(())
    }
}
