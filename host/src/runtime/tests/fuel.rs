//! What a run costs: the same wherever and beside whomever it runs, and never less than it used.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::*;
use crate::runtime::meter::SLICE_FUEL;
use crate::store::Ending;

/// Computes some ten slices, with calls of the host and reads of kv between them.
const BUSY: &str = "(local $i i32)
    (loop $l
      (call $compute (i32.const 20000))
      (drop (call $head))
      (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 16)))
        (then (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192))))
      (memory.fill (i32.const 16384) (i32.const 0) (i32.const 32768))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 200))))
    (i32.const 1024)";

/// Counts down, and calls nothing meanwhile.
const COMPUTE: &str = "(func $compute (param $rounds i32)
    (loop $l
      (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
      (br_if $l (local.get $rounds))))";

/// More rounds of `COMPUTE` than a slice has room for, whatever a round costs.
const ROUNDS: u64 = 2 * SLICE_FUEL;

async fn computing(on_event: &str) -> Plugin {
    let guest = Guest {
        items: COMPUTE,
        on_event,
        ..IDLE
    };
    guest.load().await.expect("a plugin")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_costs_the_same_alone_and_among_many_others() {
    let plugin = computing(BUSY).await;
    let alone = plugin.run(call()).await;
    assert_eq!(alone.ending, Ending::Finished, "{alone:?}");
    assert!(alone.usage.fuel > 5 * SLICE_FUEL, "{alone:?}");
    let burner = computing(LOOP).await;
    let mut runs = JoinSet::new();
    for number in 0..24 {
        let plugin = if number % 3 == 0 { &burner } else { &plugin };
        let mut call = call();
        call.store = format!("store-{number}").parse().expect("a store id");
        call.limits.run_timeout = Duration::from_secs(60);
        let run = plugin.run(call);
        runs.spawn(async move { (number % 3 == 0, run.await) });
    }
    while let Some(ended) = runs.join_next().await {
        let (burns, report) = ended.expect("no panic");
        if burns {
            assert_eq!(report.ending, Ending::OutOfFuel, "{report:?}");
            assert_eq!(report.usage.fuel, 200_000_000);
        } else {
            assert_eq!(report.outcome, alone.outcome);
            assert_eq!(report.usage.fuel, alone.usage.fuel);
        }
    }
}

#[tokio::test]
async fn a_trap_costs_what_was_used_and_at_most_one_slice_more() {
    let compute = format!("(call $compute (i32.const {ROUNDS}))");
    let returns = format!("{compute} (i32.const 1024)");
    let returns = computing(&returns).await.run(call()).await.usage.fuel;
    assert!(returns > SLICE_FUEL);
    // Where a guest gives up by itself, all is known.
    let gives_up = format!("{compute} (unreachable)");
    let gives_up = computing(&gives_up).await.run(call()).await;
    assert_eq!(gives_up.ending, Ending::Trapped);
    assert!(gives_up.usage.fuel.abs_diff(returns) < 10, "{gives_up:?}");
    // In the middle of a function it is not.
    let guest = Guest {
        items: "(func $broken (param $rounds i32)
            (loop $l
              (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
              (br_if $l (local.get $rounds)))
            (drop (i32.load (i32.const -4))))",
        on_event: &format!("(call $broken (i32.const {ROUNDS})) (i32.const 1024)"),
        ..IDLE
    };
    let broken = guest.load().await.expect("a plugin");
    let report = broken.run(call()).await;
    assert_eq!(report.ending, Ending::Trapped);
    let fuel = report.usage.fuel;
    assert!((returns..=returns + SLICE_FUEL).contains(&fuel), "{fuel}");
    assert_eq!(broken.run(call()).await.usage.fuel, fuel);
    // Never more than it may use.
    let call = limits(|limits| limits.fuel_per_run = returns + 100);
    assert_eq!(broken.run(call).await.usage.fuel, returns + 100);
}

#[tokio::test]
async fn a_run_that_waits_until_its_time_is_up_costs_what_it_used() {
    let plugin = computing(GET).await;
    let stuck = |millis| {
        let mut call = limits(|limits| limits.run_timeout = Duration::from_millis(millis));
        call.kv = Arc::new(Silent);
        plugin.run(call)
    };
    let reports = join_all([stuck(20), stuck(50)]).await;
    assert!(
        reports
            .iter()
            .all(|report| report.ending == Ending::TimedOut)
    );
    assert_eq!(reports[0].usage.fuel, reports[1].usage.fuel);
    // A read that is answered costs the answer too, and what the guest does with it.
    let answered = plugin.run(call()).await.usage.fuel;
    assert!((1..answered).contains(&reports[0].usage.fuel));
}

#[tokio::test]
async fn a_run_that_computes_until_its_time_is_up_costs_no_more_than_it_did() {
    let call = limits(|limits| {
        limits.fuel_per_run = u64::MAX;
        limits.run_timeout = Duration::from_millis(200);
    });
    let report = computing(LOOP).await.run(call).await;
    assert_eq!(report.ending, Ending::TimedOut);
    // Nothing computes a thousand times as fast as the machines of today.
    assert!(
        (1..1_000_000 * SLICE_FUEL).contains(&report.usage.fuel),
        "{report:?}"
    );
}
