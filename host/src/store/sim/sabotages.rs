//! The test of the test: every rule is broken once, and some world must notice, for a reason that the rule was made for.
//! What must do no harm is tried in the same worlds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::store::sabotage::Sabotage;
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::sim::plan::Frugal;
use crate::store::sim::profile;
use crate::store::sim::rare::RARE;
use crate::store::sim::{live, visit};

/// Worlds that are tried for one fault. The hardest needs a few hundred.
const WORLDS_MAX: u64 = 3_000;

/// Where a fault shows, and which promises it may be seen to break there.
struct Expected {
    profile: &'static str,
    rules: &'static [Rule],
}

/// How a fault was noticed.
struct Caught {
    seed: u64,
    violation: Violation,
}

/// Where each fault shows.
fn expected(sabotage: Sabotage) -> Expected {
    let (profile, rules): (_, &[Rule]) = match sabotage {
        Sabotage::ParentFromServerAhead => ("overtaken_refusal", &[Rule::Double]),
        Sabotage::ParentHopedFor => ("calm", &[Rule::Order, Rule::Stopped]),
        Sabotage::StampsNotScanned => ("kills", &[Rule::Double]),
        Sabotage::StampNotRemembered => ("power_cuts", &[Rule::Double]),
        Sabotage::StampForgottenAtStart => ("restores", &[Rule::Double]),
        Sabotage::StampLookedUpAtStartOnly => ("two_hosts", &[Rule::Double]),
        Sabotage::SettledAfterCursor => ("kills", &[Rule::Double]),
        Sabotage::ScanFromHighest => ("membership", &[Rule::Double]),
        Sabotage::ScanFromLowestCursorOnly => ("lagging_removed", &[Rule::Double]),
        Sabotage::RunBeforeHead => ("none", &[]),
        Sabotage::RunSplit => ("calm", &[Rule::Torn]),
        Sabotage::RunSkippedWhenSeen => ("power_cuts", &[Rule::Kv]),
        Sabotage::DeadLetterDeaf => ("copied_journal", &[Rule::Double, Rule::Deaf]),
        Sabotage::DeadLetterBornDeaf => ("copied_journal", &[Rule::Double, Rule::Deaf]),
        Sabotage::RedriveWithNewStamp => ("history", &[Rule::Alien, Rule::Attempts]),
        Sabotage::RedriveReacts => ("history", &[Rule::Past]),
        Sabotage::AnswerOfOldConnection => ("late_answers", &[Rule::Lost]),
        Sabotage::SettledOnSend => ("calm", &[Rule::Lost]),
        Sabotage::AckMovesHead => ("membership", &[Rule::Double]),
        Sabotage::TakenAcrossGap => ("two_hosts", &[Rule::Double]),
        Sabotage::NoCheck => ("last_broadcast_lost", &[Rule::Wedge]),
        Sabotage::FullWindowStopsScan => ("tight", &[Rule::Wedge, Rule::Stopped]),
        Sabotage::ParkedHoldsWindow => ("availability", &[Rule::Wedge, Rule::Held]),
        Sabotage::ChunkIsCaughtUp => ("calm", &[Rule::Past]),
        Sabotage::StartNotSynced => ("power_cuts", &[Rule::Start]),
        Sabotage::StartReevaluated => ("kills", &[Rule::Start]),
        Sabotage::IdentityIncludesClientId => ("renamed_client", &[Rule::Double]),
        Sabotage::AddedWithoutRescan => ("membership", &[Rule::Double]),
        Sabotage::RemovedDraftsDropped => ("membership", &[Rule::Lost]),
        Sabotage::KvKeptOnRemoval => ("membership", &[Rule::Kv]),
        Sabotage::OutboxNotUnique => ("back_with_drafts_waiting", &[Rule::Double]),
        Sabotage::RejectedNeverParked => ("refused_drafts", &[Rule::Wedge]),
        Sabotage::RejectedNeverSingled => ("refused_drafts", &[Rule::Wedge]),
        Sabotage::ParkedDeaf => ("parked_here_pushed_there", &[Rule::Double, Rule::Deaf]),
        Sabotage::CursorAndOutboxApart => ("kills", &[Rule::Lost]),
        Sabotage::PushBeforeCommit => ("kills", &[Rule::Uncommitted]),
        Sabotage::OutboxLastInFirstOut => ("calm", &[Rule::Order]),
        Sabotage::PushWithoutBackendId => ("zombies_in_a_new_log", &[Rule::Alien]),
        Sabotage::OutboxKeptOverReset => ("resets", &[Rule::Alien]),
        Sabotage::ChunkOfAnotherLog => ("resets", &[Rule::Stopped, Rule::Wedge]),
        Sabotage::AttemptsCountedAtFailure => ("kills", &[Rule::Attempts, Rule::Wedge]),
        Sabotage::NoDepthLimit => ("circles", &[Rule::Depth, Rule::Wedge]),
        Sabotage::NoPushTimeout => ("answers_lost", &[Rule::Wedge]),
        Sabotage::StampNeverForgotten => ("membership", &[Rule::Held]),
        Sabotage::UnparkWithoutRestart => ("living", &[Rule::Double, Rule::Kv, Rule::Lost]),
        Sabotage::RestartDropsRuns => ("living", &[Rule::Attempts]),
        Sabotage::RestartKeepsReserved => ("living", &[Rule::Attempts]),
        Sabotage::TankFullAtStart => ("rations", &[Rule::Ration]),
        Sabotage::LostRunsUncharged => ("rations", &[Rule::Ration]),
        Sabotage::OccurrenceMarkedDone => ("tasks_two_hosts", &[Rule::Kv]),
        Sabotage::LandedOccurrenceInMemory => ("tasks_two_hosts", &[Rule::Double]),
        Sabotage::TaskStartsInPast => ("tasks", &[Rule::Past]),
        Sabotage::DoneAndOutboxApart => ("tasks", &[Rule::Lost]),
        Sabotage::OpenForgottenAtStart => ("tasks", &[Rule::Wedge]),
        Sabotage::ClockBackRepeats => ("clock_jumps", &[Rule::Claim, Rule::Double]),
    };
    Expected { profile, rules }
}

/// The first world that breaks one of the promises that the fault is about. One that breaks another is passed over: it
/// would say that something is wrong, and not what.
fn find(sabotage: Sabotage) -> Option<Caught> {
    let Expected { profile, rules } = expected(sabotage);
    let plan = profile::named(profile).plan;
    (0..WORLDS_MAX).find_map(|seed| {
        let violation = live(plan(seed).sabotaged(sabotage)).err()?;
        rules
            .contains(&violation.rule)
            .then_some(Caught { seed, violation })
    })
}

#[test]
fn every_planted_fault_is_caught() {
    let faults: Vec<_> = Sabotage::ALL
        .iter()
        .filter(|it| !expected(**it).rules.is_empty())
        .collect();
    let next = AtomicUsize::new(0);
    let search = || {
        let mut found = Vec::new();
        while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push((**fault, find(**fault)));
        }
        found
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut found = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(search)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("a search ends"));
        joined.flatten().collect::<Vec<_>>()
    });
    found.sort_by_key(|(fault, _)| *fault);
    let mut escaped = Vec::new();
    for (fault, caught) in found {
        let profile = expected(fault).profile;
        match caught {
            Some(Caught { seed, violation }) => {
                println!(
                    "{:<26} {profile:<24} {seed:>5}  {violation}",
                    format!("{fault:?}")
                );
            }
            None => escaped.push(fault),
        }
    }
    assert!(
        escaped.is_empty(),
        "not caught in {WORLDS_MAX} worlds: {escaped:?}"
    );
}

#[test]
fn every_made_up_world_is_sound_without_its_fault() {
    for profile in RARE {
        visit(profile.name, Frugal::No, 25);
    }
}

#[test]
fn what_is_only_thrift_does_no_harm() {
    for frugal in [
        Frugal::AcksIgnored,
        Frugal::PushedTwice,
        Frugal::NoStash,
        Frugal::NoWait,
        Frugal::LateFrames,
    ] {
        for profile in ["kills", "power_cuts", "two_hosts", "resets", "tight"] {
            visit(profile, frugal, 15);
        }
    }
}

#[test]
fn runs_before_the_head_of_the_log_do_no_harm_by_themselves() {
    for profile in [
        "kills",
        "power_cuts",
        "two_hosts",
        "membership",
        "lagging_removed",
    ] {
        let plan = profile::named(profile).plan;
        for seed in 0..25 {
            let outcome = live(plan(seed).sabotaged(Sabotage::RunBeforeHead));
            assert!(outcome.is_ok(), "{profile} {seed}: {outcome:?}");
        }
    }
}
