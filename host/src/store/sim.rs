//! The proof of the store's rules: seeded worlds of hosts, journals, network and backend, with every fault between them
//! that a store must survive, judged by an oracle that knows the promises and not the machine. That the oracle would
//! notice is tried by breaking each rule once (`sabotages`).
//!
//! `cargo test -p quartermaster --lib sim::` visits a fixed set of worlds. A world that breaks a promise prints its
//! profile and seed; `QM_SIM_PROFILE=kills QM_SIM_SEED=17 cargo test -p quartermaster --lib sim::replay -- --nocapture`
//! lives it again, step by step. `QM_SIM_WORLDS=100000` visits more worlds of each profile.

mod allowance;
mod audit;
mod backend;
mod change;
mod chronicle;
mod clockwork;
mod configured;
mod diary;
mod guest;
mod host;
mod hours;
mod journal;
mod network;
mod omissions;
mod operator;
mod oracle;
mod plan;
mod profile;
mod rare;
mod record;
mod sabotages;
mod steps;
mod tally;
mod timed;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use oracle::{Rule, Violation};
use plan::{Frugal, Plan};
use profile::PROFILES;
use tally::Tally;
use world::World;

/// Worlds of each profile in an ordinary test run.
const WORLDS: u64 = 150;
/// Steps that a broken promise prints.
const TRACE_LEN: usize = 60;

/// Lives one world; a panic of the machine is a broken promise, too.
fn live(plan: Plan) -> Result<Tally, Violation> {
    let mut world = World::new(plan, 0);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live()));
    outcome
        .unwrap_or_else(|panic| Err(panicked(&*panic)))
        .map(|()| world.tally())
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Violation::new(Rule::Panic, text.unwrap_or_default())
}

/// Lives a world that is known to break a promise again, and tells its last steps.
fn tell(plan: Plan, trace_len: usize) -> String {
    let mut world = World::new(plan, trace_len);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live()));
    let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&*panic)));
    let mut text = String::new();
    for line in world.trace() {
        text.push_str(line);
        text.push('\n');
    }
    let verdict = outcome.map_or_else(
        |violation| violation.to_string(),
        |()| "all is well".to_owned(),
    );
    text + &verdict
}

/// Visits the worlds of one profile.
fn visit(name: &str, frugal: Frugal, worlds: u64) -> Tally {
    let worlds = std::env::var("QM_SIM_WORLDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(worlds);
    let plan = profile::named(name).plan;
    let mut tally = Tally::default();
    for seed in 0..worlds {
        match live(plan(seed).frugal(frugal)) {
            Ok(more) => tally.merge(&more),
            Err(violation) => panic!(
                "QM_SIM_PROFILE={name} QM_SIM_SEED={seed} ({frugal:?})\n{}\n{violation}",
                tell(plan(seed).frugal(frugal), TRACE_LEN),
            ),
        }
    }
    println!("{name}: {worlds} worlds, {tally}");
    tally
}

#[test]
fn calm() {
    visit("calm", Frugal::No, WORLDS);
}

#[test]
fn kills() {
    visit("kills", Frugal::No, WORLDS);
}

#[test]
fn power_cuts() {
    visit("power_cuts", Frugal::No, WORLDS);
}

#[test]
fn restores() {
    visit("restores", Frugal::No, WORLDS);
}

#[test]
fn two_hosts() {
    visit("two_hosts", Frugal::No, WORLDS);
}

#[test]
fn copied_journal() {
    visit("copied_journal", Frugal::No, WORLDS);
}

#[test]
fn shared_journal() {
    visit("shared_journal", Frugal::No, WORLDS);
}

#[test]
fn resets() {
    visit("resets", Frugal::No, WORLDS);
}

#[test]
fn refused_drafts() {
    visit("refused_drafts", Frugal::No, WORLDS);
}

#[test]
fn tight() {
    visit("tight", Frugal::No, WORLDS);
}

#[test]
fn history() {
    visit("history", Frugal::No, WORLDS);
}

#[test]
fn membership() {
    visit("membership", Frugal::No, WORLDS);
}

#[test]
fn availability() {
    visit("availability", Frugal::No, WORLDS);
}

#[test]
fn renamed_client() {
    visit("renamed_client", Frugal::No, WORLDS);
}

#[test]
fn torn_appends() {
    visit("torn_appends", Frugal::No, WORLDS);
}

#[test]
fn living() {
    visit("living", Frugal::No, WORLDS);
}

#[test]
fn rations() {
    visit("rations", Frugal::No, WORLDS);
}

#[test]
fn circles() {
    visit("circles", Frugal::No, WORLDS);
}

#[test]
fn tasks() {
    visit("tasks", Frugal::No, WORLDS);
}

#[test]
fn tasks_two_hosts() {
    visit("tasks_two_hosts", Frugal::No, WORLDS);
}

#[test]
fn clock_jumps() {
    visit("clock_jumps", Frugal::No, WORLDS);
}

#[test]
fn storms_are_storms() {
    let mut tally = Tally::default();
    for profile in PROFILES {
        tally.merge(&visit(profile.name, Frugal::No, 20));
    }
    for what in [
        "runs",
        "pushes accepted",
        "pushes refused",
        "pushes failed",
        "pushes for another log",
        "zombies admitted",
        "broadcasts lost",
        "sockets broken",
        "kills",
        "commits lost",
        "backups restored",
        "leases lost",
        "logs wiped",
        "redrives",
        "unparked",
        "changes while living",
        "restarts",
        "dozes",
        "clocks set",
        "task orders",
    ] {
        assert!(tally.of(what) > 0, "no {what}: {tally}");
    }
}

#[test]
fn every_profile_is_visited() {
    let source = include_str!("sim.rs");
    for profile in PROFILES {
        let visit = format!("visit(\"{}\", Frugal::No, WORLDS)", profile.name);
        assert!(source.contains(&visit), "{} is never visited", profile.name);
    }
}

/// Lives one world again and prints all of it: that of `QM_SIM_PROFILE` and `QM_SIM_SEED`, else the first of `kills`.
#[test]
fn replay() {
    let name = std::env::var("QM_SIM_PROFILE").unwrap_or_else(|_| "kills".to_owned());
    let seed = std::env::var("QM_SIM_SEED").unwrap_or_else(|_| "0".to_owned());
    let seed = seed.parse().expect("QM_SIM_SEED is a number");
    let told = tell((profile::named(&name).plan)(seed), usize::MAX);
    println!("{told}");
    assert!(told.ends_with("all is well"), "it broke a promise");
}
