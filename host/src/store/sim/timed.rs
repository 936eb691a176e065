//! Profiles in which things are due by the clock.

use crate::store::History;
use crate::store::sim::guest::{Guest, Moods};
use crate::store::sim::plan::{Change, Hosts, Plan, Reconfigure, Weights};
use crate::store::sim::profile::named;

fn plan_of(name: &str, seed: u64) -> Plan {
    (named(name).plan)(seed)
}

/// One host with tasks of every kind, which is killed, sleeps, and is told otherwise.
pub(super) fn tasks(seed: u64) -> Plan {
    let base = plan_of("kills", seed);
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x7461_736b);
    let history = if rng.bool() {
        History::React
    } else {
        History::Ignore
    };
    let echo = Guest::echo().with_history(history).planning();
    let echo = if rng.bool() { echo.traced() } else { echo };
    let clerk = Guest::clerk().with_tasks(seed, rng.usize(1..4));
    let clerk = if rng.bool() { clerk.traced() } else { clerk };
    let weights = Weights {
        wait: 60,
        operate: 8,
        doze: 4,
        reconfigure: 2,
        change: 4,
        power_cut: rng.u64(..2) * 4,
        ..base.weights
    };
    Plan {
        guests: vec![echo.with_tasks(seed, rng.usize(..2)), clerk],
        weights,
        reconfigure: if rng.bool() {
            Reconfigure::Membership
        } else {
            Reconfigure::Availability
        },
        changes: &[Change::Timetables, Change::Catalog, Change::Surroundings],
        storm_steps: base.storm_steps / 2 + 200,
        calm_waits: 10,
        intensity: rng.u64(1..4),
        ..base
    }
}

/// Two hosts that know nothing of each other, or of which one is the other's copy, or that share a journal.
pub(super) fn tasks_two_hosts(seed: u64) -> Plan {
    let base = tasks(seed);
    let hosts = [Hosts::Two, Hosts::Copied, Hosts::Shared];
    let hosts = hosts[usize::try_from(seed % 3).expect("it is small")];
    let weights = match hosts {
        // A shared journal loses nothing under a host that lives.
        Hosts::Shared => Weights {
            take_over: 8,
            power_cut: 0,
            ..base.weights
        },
        Hosts::One | Hosts::Two | Hosts::Copied => Weights {
            restore: 2,
            ..base.weights
        },
    };
    Plan {
        hosts,
        weights,
        clocks: [
            0,
            [0, 3_000, -3_000, -600_000][usize::try_from(seed % 4).expect("it is small")],
        ],
        ..base
    }
}

/// Wall clocks that are set forth and back, also while nobody looks at them.
pub(super) fn clock_jumps(seed: u64) -> Plan {
    let base = tasks(seed);
    let weights = Weights {
        clock: 12,
        ..base.weights
    };
    let hosts = if seed.is_multiple_of(3) {
        Hosts::Two
    } else {
        Hosts::One
    };
    Plan {
        hosts,
        weights,
        moods: Moods {
            poisonous: 0,
            ..base.moods
        },
        ..base
    }
}
