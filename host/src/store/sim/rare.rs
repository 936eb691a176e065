//! Plans for worlds in which something rare happens often.

use crate::store::sim::guest::{Guest, Moods};
use crate::store::sim::plan::{Change, Hosts, NetworkFaults, Plan, Weights};
use crate::store::sim::profile::{Profile, named};
use crate::store::{History, Limits, OnReset};

/// Worlds made for one fault each; without the fault they are as sound as any.
pub(super) const RARE: &[Profile] = &[
    Profile {
        name: "overtaken_refusal",
        plan: overtaken_refusal,
    },
    Profile {
        name: "lagging_removed",
        plan: lagging_removed,
    },
    Profile {
        name: "late_answers",
        plan: late_answers,
    },
    Profile {
        name: "last_broadcast_lost",
        plan: last_broadcast_lost,
    },
    Profile {
        name: "back_with_drafts_waiting",
        plan: back_with_drafts_waiting,
    },
    Profile {
        name: "parked_here_pushed_there",
        plan: parked_here_pushed_there,
    },
    Profile {
        name: "zombies_in_a_new_log",
        plan: zombies_in_a_new_log,
    },
    Profile {
        name: "answers_lost",
        plan: answers_lost,
    },
    Profile {
        name: "parked_while_it_runs",
        plan: parked_while_it_runs,
    },
    Profile {
        name: "narrowed_while_it_fails",
        plan: narrowed_while_it_fails,
    },
];

fn plan_of(name: &str, seed: u64) -> Plan {
    (named(name).plan)(seed)
}

/// Two hosts answer the same events, and the broadcasts that would tell each of the other's answers come last.
fn overtaken_refusal(seed: u64) -> Plan {
    let base = plan_of("two_hosts", seed);
    let network = NetworkFaults {
        broadcast_delayed: 900,
        broadcast_lost: 700,
        ..NetworkFaults::default()
    };
    let weights = Weights {
        wait: 5,
        ..Weights::default()
    };
    Plan {
        network,
        weights,
        moods: Moods::default(),
        intensity: 4,
        ..base
    }
}

/// One plugin is back and lags behind what it once answered; its host reads the log again, and it is removed meanwhile.
fn lagging_removed(seed: u64) -> Plan {
    let base = plan_of("membership", seed);
    let mut timing = base.timing.clone();
    timing.run.attempts_max = 1_000;
    Plan {
        guests: vec![
            Guest::echo().with_history(History::React),
            Guest::quiet().with_history(History::React),
        ],
        reconfigurable: 1,
        weights: Weights {
            wait: 10,
            kill: 2,
            reconfigure: 1,
            ..Weights::default()
        },
        storm_steps: 3 * base.storm_steps,
        moods: Moods {
            flaky: 800,
            ..Moods::default()
        },
        network: NetworkFaults::default(),
        timing,
        page_events: 1,
        names: &["said"],
        storm_events: 20,
        intensity: 4,
        ..base
    }
}

/// Sockets break while a push is answered, and the answer is read on the next one, when another push with the same
/// number is on its way and is refused.
fn late_answers(seed: u64) -> Plan {
    let base = plan_of("kills", seed);
    let network = NetworkFaults::default();
    let weights = Weights {
        wait: 20,
        sever: 6,
        ..Weights::default()
    };
    let guests = vec![Guest::echo().with_history(History::React)];
    let limits = Limits {
        push_events_max: 1,
        ..base.limits.clone()
    };
    Plan {
        network,
        weights,
        guests,
        limits,
        names: &["said"],
        moods: Moods::default(),
        storm_events: 100,
        intensity: 4,
        ..base
    }
}

/// The last broadcast is lost on a socket that lives, and nobody writes any more.
fn last_broadcast_lost(seed: u64) -> Plan {
    let base = plan_of("calm", seed);
    let network = NetworkFaults {
        broadcast_delayed: 900,
        broadcast_lost: 800,
        ..NetworkFaults::default()
    };
    Plan {
        network,
        calm_events: 0,
        intensity: 4,
        ..base
    }
}

/// A plugin is removed with drafts waiting, because pushes fail, and comes back wanting the past.
fn back_with_drafts_waiting(seed: u64) -> Plan {
    let base = plan_of("membership", seed);
    let network = NetworkFaults {
        push_fails: 700,
        ..NetworkFaults::default()
    };
    let weights = Weights {
        wait: 5,
        reconfigure: 15,
        ..Weights::default()
    };
    Plan {
        network,
        weights,
        moods: Moods::default(),
        intensity: 4,
        ..base
    }
}

/// One host gives a push up, and the other one's is taken.
fn parked_here_pushed_there(seed: u64) -> Plan {
    let base = plan_of("two_hosts", seed);
    let network = NetworkFaults {
        push_fails: 800,
        ..NetworkFaults::default()
    };
    let weights = Weights {
        wait: 10,
        kill: 3,
        ..Weights::default()
    };
    Plan {
        network,
        weights,
        moods: Moods::default(),
        intensity: 4,
        ..base
    }
}

/// Logs are wiped while they are short, and pushes of dead sockets land where the new log has just come to.
fn zombies_in_a_new_log(seed: u64) -> Plan {
    let base = plan_of("resets", seed);
    let weights = Weights {
        wait: 10,
        sever: 4,
        reset: 10,
        ..Weights::default()
    };
    let guests = vec![Guest::echo().with_history(History::React)];
    Plan {
        weights,
        guests,
        on_reset: OnReset::StartOver,
        network: NetworkFaults::default(),
        moods: Moods::default(),
        names: &["said"],
        history_events: 1,
        storm_events: 100,
        hosts: Hosts::One,
        intensity: 4,
        ..base
    }
}

/// Pushes are answered, and the answers are lost on sockets that live.
fn answers_lost(seed: u64) -> Plan {
    let base = plan_of("calm", seed);
    let network = NetworkFaults {
        answer_lost: 300,
        ..NetworkFaults::default()
    };
    Plan {
        network,
        calm_events: 4,
        intensity: 4,
        ..base
    }
}

/// Two hosts answer the same events, and plugins come and go in both while they run.
fn parked_while_it_runs(seed: u64) -> Plan {
    let base = plan_of("two_hosts", seed);
    let weights = Weights {
        change: 60,
        ..Weights::default()
    };
    Plan {
        weights,
        changes: &[Change::Catalog],
        network: NetworkFaults::default(),
        moods: Moods::default(),
        names: &["said"],
        intensity: 4,
        ..base
    }
}

/// Guests fail at events that they want no more the next moment.
fn narrowed_while_it_fails(seed: u64) -> Plan {
    let base = plan_of("calm", seed);
    let weights = Weights {
        wait: 20,
        change: 30,
        ..Weights::default()
    };
    Plan {
        weights,
        changes: &[Change::Patterns],
        moods: Moods {
            hesitant: 500,
            hopeless: 300,
            ..Moods::default()
        },
        names: &["said", "noise"],
        storm_events: 40,
        intensity: 4,
        ..base
    }
}
