//! A world before it begins: who takes part, how large everything is, and how often what goes wrong. A plan makes the same
//! world every time.

use std::time::Duration;

use crate::id::PluginName;
use crate::store::sabotage::Sabotage;
use crate::store::sim::backend::Refusal;
use crate::store::sim::guest::{Guest, Moods};
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::{Limits, OnReset, RationSettings, Timing};

/// What can go wrong between hosts and backend, in permille of the occasions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NetworkFaults {
    pub(super) connect_fails: u64,
    /// The backend forgets a request it has read, or a pull it has begun to answer.
    pub(super) request_lost: u64,
    /// The answer to a push vanishes on a socket that lives.
    pub(super) answer_lost: u64,
    /// Stored, yet answered with an error.
    pub(super) push_denied: u64,
    /// Not stored, and answered with an error.
    pub(super) push_fails: u64,
    /// A push of several statements is stored in part.
    pub(super) push_torn: u64,
    pub(super) broadcast_delayed: u64,
    /// Of those that are delayed.
    pub(super) broadcast_lost: u64,
    /// Of those that are delayed.
    pub(super) broadcast_repeated: u64,
}

/// How often each thing happens in a storm, against [`Weights::WORK`] for each step of ordinary work at hand. A plan's
/// intensity multiplies all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weights {
    /// Time passes although there is work at hand.
    pub(super) wait: u64,
    /// A socket breaks.
    pub(super) sever: u64,
    /// A process is killed.
    pub(super) kill: u64,
    /// A process is killed and the last unsynced commits with it.
    pub(super) power_cut: u64,
    /// A process is killed and its journal replaced by a backup.
    pub(super) restore: u64,
    /// A commit fails.
    pub(super) commit_fails: u64,
    /// Another process takes a shared journal over.
    pub(super) take_over: u64,
    /// A process is stopped in order and begins again.
    pub(super) drain: u64,
    /// Other plugins, or another client id: told to a process that lives, or to one that begins after a kill.
    pub(super) reconfigure: u64,
    /// Whatever else can change while a process lives.
    pub(super) change: u64,
    /// The log is wiped.
    pub(super) reset: u64,
    /// An operator redrives or discards a dead letter, unparks drafts, or wants something of a task.
    pub(super) operate: u64,
    /// Nothing happens for a while, whatever is due: up to half an hour.
    pub(super) doze: u64,
    /// A wall clock is set.
    pub(super) clock: u64,
}

impl Weights {
    /// The weight of one step of ordinary work.
    pub(super) const WORK: u64 = 400;
}

/// Who shares what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// One host, one journal.
    One,
    /// Two hosts, each with a journal of its own.
    Two,
    /// Two hosts; the second begins with a copy of the first's journal.
    Copied,
    /// Two hosts that take one journal from each other.
    Shared,
}

/// Ways to be simpler than promised that must do no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Frugal {
    #[default]
    No,
    /// Acks of pushes never reach the machine.
    AcksIgnored,
    /// Every push is sent twice.
    PushedTwice,
    /// Nothing is kept that arrives before its parent.
    NoStash,
    /// No wait before a refused or failed push is tried again.
    NoWait,
    /// Every frame of a dead socket is read after all.
    LateFrames,
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: Hosts,
    pub(super) guests: Vec<Guest>,
    pub(super) moods: Moods,
    pub(super) network: NetworkFaults,
    pub(super) weights: Weights,
    pub(super) intensity: u64,
    pub(super) limits: Limits,
    pub(super) timing: Timing,
    /// What the store may use over time.
    pub(super) ration: RationSettings,
    /// Runs at once.
    pub(super) runs_max: u32,
    pub(super) on_reset: OnReset,
    pub(super) refuses: Refusal,
    /// What changes when a host is configured anew.
    pub(super) reconfigure: Reconfigure,
    /// What else may change while a host lives; what stands here twice changes twice as often.
    pub(super) changes: &'static [Change],
    /// So many of the guests, from the first, may be taken away by that.
    pub(super) reconfigurable: usize,
    pub(super) page_events: usize,
    /// Rows that the backend appends atomically.
    pub(super) statement_rows: usize,
    /// Names that other clients write.
    pub(super) names: &'static [&'static str],
    /// Events in the log before the first host begins.
    pub(super) history_events: u64,
    /// Events that other clients write during the storm, at most.
    pub(super) storm_events: u64,
    /// Events that they write when the faults have stopped.
    pub(super) calm_events: u64,
    pub(super) storm_steps: u64,
    /// So often time passes when the faults have stopped and all is quiet.
    pub(super) calm_waits: u64,
    /// Milliseconds by which the hosts' wall clocks are ahead at first.
    pub(super) clocks: [i64; 2],
    pub(super) frugal: Frugal,
    pub(super) sabotage: Option<Sabotage>,
}

/// What changes when a host is configured anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reconfigure {
    /// Plugins are removed and come back.
    #[default]
    Membership,
    /// Plugins leave the catalog and come back; their cursors wait.
    Availability,
    /// The installation changes the client id that it writes.
    ClientId,
}

/// What a host must take while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that the machine knows of.
    Surroundings,
    /// How long everything waits.
    Timing,
    /// How much a window holds.
    Limits,
    /// How large the tanks are.
    Rations,
    /// What some guests want.
    Patterns,
    /// Which plugins are there.
    Catalog,
    /// Which plugins are granted what they need.
    Grants,
    /// When tasks are due.
    Timetables,
}

impl Plan {
    /// The guest of that name.
    pub(super) fn guest(&self, plugin: &PluginName) -> Result<&Guest, Violation> {
        let found = self.guests.iter().find(|guest| guest.plugin == *plugin);
        found.ok_or_else(|| Violation::new(Rule::Alien, format!("{plugin} is no plugin")))
    }

    /// Whether anything is due by the clock in this world.
    pub(super) fn has_tasks(&self) -> bool {
        let mut guests = self.guests.iter();
        guests.any(|guest| guest.plans || !guest.tasks.is_empty())
    }

    /// The plan with one simplification that must do no harm.
    pub(super) fn frugal(mut self, frugal: Frugal) -> Self {
        self.frugal = frugal;
        match frugal {
            Frugal::No | Frugal::AcksIgnored | Frugal::PushedTwice | Frugal::LateFrames => {}
            Frugal::NoStash => self.limits.stash_events_max = 0,
            Frugal::NoWait => {
                self.timing.push.first = Duration::ZERO;
                self.timing.push.longest = Duration::ZERO;
                self.timing.gap_timeout = Duration::ZERO;
            }
        }
        self
    }

    /// The plan with one rule broken.
    pub(super) fn sabotaged(self, sabotage: Sabotage) -> Self {
        Self {
            sabotage: Some(sabotage),
            ..self
        }
    }
}
