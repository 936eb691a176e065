//! Profiles: kinds of worlds, each with the faults that belong to it. A profile and a seed make a plan.

use crate::store::sim::backend::Refusal;
use crate::store::sim::guest::{FUEL_PER_RUN, Guest, Moods};
use crate::store::sim::plan::{Change, Frugal, Hosts, NetworkFaults, Plan, Reconfigure, Weights};
use crate::store::sim::rare::RARE;
use crate::store::sim::timed;
use crate::store::{History, Limits, OnReset, RationSettings, Retry, TankSettings, Timing};

/// A named kind of world.
pub(super) struct Profile {
    pub(super) name: &'static str,
    pub(super) plan: fn(u64) -> Plan,
}

/// Every kind of world that the test run visits.
pub(super) const PROFILES: &[Profile] = &[
    Profile {
        name: "calm",
        plan: calm,
    },
    Profile {
        name: "kills",
        plan: kills,
    },
    Profile {
        name: "power_cuts",
        plan: power_cuts,
    },
    Profile {
        name: "restores",
        plan: restores,
    },
    Profile {
        name: "two_hosts",
        plan: two_hosts,
    },
    Profile {
        name: "copied_journal",
        plan: copied_journal,
    },
    Profile {
        name: "shared_journal",
        plan: shared_journal,
    },
    Profile {
        name: "resets",
        plan: resets,
    },
    Profile {
        name: "refused_drafts",
        plan: refused_drafts,
    },
    Profile {
        name: "tight",
        plan: tight,
    },
    Profile {
        name: "history",
        plan: history,
    },
    Profile {
        name: "membership",
        plan: membership,
    },
    Profile {
        name: "availability",
        plan: availability,
    },
    Profile {
        name: "living",
        plan: living,
    },
    Profile {
        name: "rations",
        plan: rations,
    },
    Profile {
        name: "renamed_client",
        plan: renamed_client,
    },
    Profile {
        name: "torn_appends",
        plan: torn_appends,
    },
    Profile {
        name: "circles",
        plan: circles,
    },
    Profile {
        name: "tasks",
        plan: timed::tasks,
    },
    Profile {
        name: "tasks_two_hosts",
        plan: timed::tasks_two_hosts,
    },
    Profile {
        name: "clock_jumps",
        plan: timed::clock_jumps,
    },
];

/// The profile of that name.
pub(super) fn named(name: &str) -> &'static Profile {
    let found = PROFILES
        .iter()
        .chain(RARE)
        .find(|profile| profile.name == name);
    found.unwrap_or_else(|| panic!("no profile is called {name}"))
}

/// One host, an honest network, guests that may fail: what must hold without excuse.
fn calm(seed: u64) -> Plan {
    let mut rng = fastrand::Rng::with_seed(seed);
    let limits = Limits {
        window_events_max: rng.usize(4..20),
        stash_events_max: rng.usize(0..10),
        outbox_drafts_max: rng.usize(4..20),
        push_events_max: rng.usize(3..7),
        depth_max: 4,
        ..Limits::default()
    };
    let run = Retry {
        attempts_max: 3,
        ..Timing::default().run
    };
    let mut history = || {
        if rng.u8(..3) == 0 {
            History::React
        } else {
            History::Ignore
        }
    };
    let guests = vec![
        Guest::echo().with_history(history()),
        Guest::triple().with_history(history()),
        Guest::quiet().with_history(history()),
    ];
    Plan {
        seed,
        hosts: Hosts::One,
        guests,
        moods: Moods {
            hesitant: 150,
            hopeless: 50,
            rejecting: 50,
            ..Moods::default()
        },
        network: NetworkFaults::default(),
        weights: Weights {
            wait: 10,
            ..Weights::default()
        },
        intensity: rng.u64(1..8),
        timing: Timing {
            run,
            ..Timing::default()
        },
        ration: RationSettings::default(),
        runs_max: rng.u32(1..4),
        on_reset: OnReset::Stop,
        refuses: Refusal { permille: 0, seed },
        reconfigure: Reconfigure::Membership,
        changes: &[
            Change::Surroundings,
            Change::Surroundings,
            Change::Timing,
            Change::Limits,
            Change::Patterns,
            Change::Patterns,
            Change::Catalog,
            Change::Catalog,
        ],
        reconfigurable: usize::MAX,
        page_events: rng.usize(1..6),
        statement_rows: limits.push_events_max,
        limits,
        names: &["said", "said", "noise"],
        history_events: rng.u64(0..8),
        storm_events: rng.u64(6..24),
        calm_events: if rng.bool() { rng.u64(1..5) } else { 0 },
        storm_steps: rng.u64(300..1200),
        calm_waits: 0,
        clocks: [0; 2],
        frugal: Frugal::No,
        sabotage: None,
    }
}

/// Everything that a network does, and processes that are killed: nothing that was committed is lost.
fn kills(seed: u64) -> Plan {
    let calm = calm(seed);
    let network = NetworkFaults {
        connect_fails: 100,
        request_lost: 10,
        answer_lost: 40,
        push_denied: 60,
        push_fails: 60,
        push_torn: 0,
        broadcast_delayed: 300,
        broadcast_lost: 300,
        broadcast_repeated: 200,
    };
    let weights = Weights {
        sever: 6,
        kill: 4,
        drain: 1,
        change: 2,
        commit_fails: 4,
        ..calm.weights
    };
    let moods = Moods {
        hesitant: 100,
        hopeless: 30,
        rejecting: 30,
        poisonous: 30,
        flaky: 100,
    };
    Plan {
        network,
        weights,
        moods,
        ..calm
    }
}

/// Commits are taken back.
fn power_cuts(seed: u64) -> Plan {
    let kills = kills(seed);
    let weights = Weights {
        power_cut: 6,
        kill: 2,
        operate: 4,
        ..kills.weights
    };
    Plan { weights, ..kills }
}

/// A backup of the journal is put in place.
fn restores(seed: u64) -> Plan {
    let kills = kills(seed);
    let weights = Weights {
        restore: 3,
        power_cut: 2,
        kill: 2,
        operate: 4,
        ..kills.weights
    };
    Plan { weights, ..kills }
}

/// Two hosts believe that they own the store, and know nothing of each other.
fn two_hosts(seed: u64) -> Plan {
    let power_cuts = power_cuts(seed);
    let operate = Weights {
        operate: 6,
        ..power_cuts.weights
    };
    Plan {
        hosts: Hosts::Two,
        weights: operate,
        ..power_cuts
    }
}

/// As two hosts, but the second is a clone of the first.
fn copied_journal(seed: u64) -> Plan {
    Plan {
        hosts: Hosts::Copied,
        ..two_hosts(seed)
    }
}

/// Two hosts with one journal; the lease goes back and forth.
fn shared_journal(seed: u64) -> Plan {
    let kills = kills(seed);
    let weights = Weights {
        take_over: 8,
        operate: 4,
        ..kills.weights
    };
    Plan {
        hosts: Hosts::Shared,
        weights,
        ..kills
    }
}

/// The log is wiped, with sockets open and pushes on their way.
fn resets(seed: u64) -> Plan {
    let kills = kills(seed);
    let on_reset = if seed.is_multiple_of(4) {
        OnReset::Stop
    } else {
        OnReset::StartOver
    };
    let weights = Weights {
        reset: 5,
        sever: 15,
        ..kills.weights
    };
    let history = if seed.is_multiple_of(2) {
        History::React
    } else {
        History::Ignore
    };
    let clerk = Guest::clerk().with_tasks(seed, 1);
    let guests = vec![Guest::echo().with_history(history), Guest::quiet(), clerk];
    Plan {
        weights,
        on_reset,
        guests,
        history_events: 2,
        storm_events: 24,
        ..kills
    }
}

/// The app refuses some of the drafts for ever.
fn refused_drafts(seed: u64) -> Plan {
    let kills = kills(seed);
    let network = NetworkFaults {
        push_denied: 0,
        push_fails: 0,
        ..kills.network
    };
    let refuses = Refusal {
        permille: 120,
        seed,
    };
    let weights = Weights {
        operate: 4,
        ..kills.weights
    };
    Plan {
        network,
        refuses,
        weights,
        ..kills
    }
}

/// Windows and outboxes that hold next to nothing, and clients that write faster than guests answer.
fn tight(seed: u64) -> Plan {
    let kills = kills(seed);
    let limits = Limits {
        window_events_max: 1 + usize::from(seed.is_multiple_of(3)),
        outbox_drafts_max: 1 + usize::from(seed.is_multiple_of(2)),
        stash_events_max: 2,
        landed_max: 3,
        ..kills.limits
    };
    let weights = Weights {
        power_cut: 3,
        ..kills.weights
    };
    Plan {
        limits,
        weights,
        storm_events: 30,
        ..kills
    }
}

/// Subscriptions that read the past, in both modes.
fn history(seed: u64) -> Plan {
    let power_cuts = power_cuts(seed);
    let guests = vec![
        Guest::echo().with_history(History::Project),
        Guest::triple().with_history(History::React),
        Guest::quiet().with_history(History::Project),
    ];
    let weights = Weights {
        operate: 8,
        ..power_cuts.weights
    };
    Plan {
        guests,
        weights,
        history_events: 10,
        ..power_cuts
    }
}

/// Plugins are removed, with drafts in the outbox, and come back, with and without the past.
fn membership(seed: u64) -> Plan {
    let kills = kills(seed);
    let guests = vec![
        Guest::echo().with_history(History::React),
        Guest::triple().with_history(History::React),
        Guest::quiet(),
    ];
    let weights = Weights {
        reconfigure: 6,
        operate: 2,
        kill: 2,
        ..kills.weights
    };
    Plan {
        guests,
        weights,
        reconfigure: Reconfigure::Membership,
        ..kills
    }
}

/// Plugins leave the catalog for a while.
fn availability(seed: u64) -> Plan {
    let kills = kills(seed);
    let weights = Weights {
        reconfigure: 6,
        power_cut: 2,
        ..kills.weights
    };
    let limits = Limits {
        window_events_max: 2,
        ..kills.limits
    };
    Plan {
        weights,
        limits,
        reconfigure: Reconfigure::Availability,
        ..kills
    }
}

/// Settings change while the hosts live, and nothing else goes wrong but guests: no change is an excuse for anything.
fn living(seed: u64) -> Plan {
    let calm = calm(seed);
    let weights = Weights {
        change: 30,
        drain: 2,
        ..calm.weights
    };
    Plan {
        weights,
        changes: &[
            Change::Surroundings,
            Change::Timing,
            Change::Limits,
            Change::Patterns,
            Change::Catalog,
            Change::Catalog,
            Change::Grants,
            Change::Grants,
        ],
        ..calm
    }
}

/// Tanks that are nearly empty, and become larger and smaller.
fn rations(seed: u64) -> Plan {
    let kills = kills(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let tank = |capacity, per_minute| {
        Some(TankSettings {
            capacity,
            per_minute,
        })
    };
    let ration = RationSettings {
        fuel: tank(FUEL_PER_RUN * rng.u64(1..4), FUEL_PER_RUN * rng.u64(1..30)),
        runs: tank(rng.u64(1..6), rng.u64(5..60)),
        commits: tank(rng.u64(1..6), rng.u64(5..60)),
    };
    let weights = Weights {
        change: 10,
        ..kills.weights
    };
    Plan {
        ration,
        weights,
        changes: &[Change::Rations, Change::Timing, Change::Surroundings],
        ..kills
    }
}

/// The installation is renamed.
fn renamed_client(seed: u64) -> Plan {
    let power_cuts = power_cuts(seed);
    let weights = Weights {
        reconfigure: 4,
        power_cut: 8,
        ..power_cuts.weights
    };
    Plan {
        weights,
        reconfigure: Reconfigure::ClientId,
        ..power_cuts
    }
}

/// Runs that are larger than what the backend appends atomically, and a backend that fails half way.
fn torn_appends(seed: u64) -> Plan {
    let kills = kills(seed);
    let guests = vec![Guest::echo(), Guest::big(kills.statement_rows + 2)];
    let network = NetworkFaults {
        push_torn: 300,
        ..kills.network
    };
    Plan {
        guests,
        network,
        names: &["said", "said", "asked"],
        ..kills
    }
}

/// Plugins that answer each other, or themselves, for ever.
fn circles(seed: u64) -> Plan {
    let kills = kills(seed);
    let guests = vec![
        Guest::ping(),
        Guest::pong(),
        Guest::parrot().planning(),
        Guest::quiet(),
    ];
    Plan {
        guests,
        names: &["served", "sung", "noise"],
        storm_events: 6,
        ..kills
    }
}
