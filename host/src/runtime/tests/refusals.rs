//! What is told of limits that a run met: each by its name, with what was asked and what there may be.

use std::time::Duration;

use super::*;
use crate::store::{Ending, Limit};

/// Puts two bytes under `key`, and traps unless the answer is as said: 0 is ok, 1 an error.
fn put(answer: u32) -> String {
    format!(
        "(call $kv_put (i32.const 4128) (i32.const 3) (i32.const 4096) (i32.const 2) (i32.const 8192))
         (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const {answer})) (then (unreachable)))"
    )
}

/// Traps unless the last refusal of kv was `too-much`.
const TOO_MUCH: &str =
    "(if (i32.ne (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)) (then (unreachable)))";

/// Deletes `key`.
const DELETE: &str = "(call $kv_delete (i32.const 4128) (i32.const 3) (i32.const 8192))";

/// A call whose kv holds these, with room for so many entries and bytes.
fn keeping(pairs: &[(&str, usize)], entries_max: u64, bytes_max: u64) -> Call {
    let pairs = pairs.iter();
    let map = pairs.map(|(key, size)| ((*key).to_owned(), vec![0; *size]));
    Call {
        kv: Arc::new(Map(map.collect())),
        ..limits(|limits| {
            limits.kv_entries_max = entries_max;
            limits.kv_total_bytes_max = bytes_max;
        })
    }
}

/// Limit, asked, may be, times.
fn refusals(report: &RunReport) -> Vec<(Limit, u64, u64, u32)> {
    let refusals = report.usage.refusals.iter();
    refusals
        .map(|it| (it.limit, it.asked, it.max, it.times))
        .collect()
}

#[tokio::test]
async fn a_plugin_keeps_no_more_entries_than_it_may() {
    let on_event = format!("{} {TOO_MUCH} {} (i32.const 1024)", put(1), put(1));
    let report = run(&on_event, keeping(&[("a", 1), ("b", 1)], 2, 1_000)).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
    assert_eq!(refusals(&report), [(Limit::KvEntries, 3, 2, 2)]);
}

#[tokio::test]
async fn a_plugin_keeps_no_more_bytes_than_it_may() {
    let on_event = format!("{} {TOO_MUCH} (i32.const 1024)", put(1));
    let report = run(&on_event, keeping(&[("a", 5)], 9, 10)).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
    assert_eq!(refusals(&report), [(Limit::KvSize, 11, 10, 1)]);
    let fits = format!("{} (i32.const 1024)", put(0));
    let report = run(&fits, keeping(&[("a", 5)], 9, 11)).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
    assert!(report.usage.refusals.is_empty());
}

#[tokio::test]
async fn past_a_lowered_limit_what_makes_less_is_let_through() {
    // The value under `key` becomes shorter; then it is deleted, and there is no room to put it again.
    let on_event = format!("{} {DELETE} {} {TOO_MUCH} (i32.const 1024)", put(0), put(1));
    let report = run(&on_event, keeping(&[("a", 9), ("key", 3)], 1, 4)).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
    assert_eq!(refusals(&report), [(Limit::KvEntries, 2, 1, 1)]);
    // As long as it was is no more.
    let report = run(
        &format!("{} (i32.const 1024)", put(0)),
        keeping(&[("key", 2)], 0, 0),
    )
    .await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
}

#[tokio::test]
async fn only_a_run_that_puts_asks_how_much_there_is_and_only_once() {
    let fuel = async |body: &str| {
        let report = run(&format!("{body} (i32.const 1024)"), call()).await;
        assert_eq!(report.ending, Ending::Finished, "{report:?}");
        report.usage.fuel
    };
    let (none, one) = (fuel("").await, fuel(&put(0)).await);
    let two = fuel(&format!("{} {}", put(0), put(0))).await;
    assert!(one - none > 20_000, "{}", one - none);
    assert!(two - one < 2_000, "{}", two - one);
    let deletes = fuel(&format!("{DELETE} {DELETE}")).await;
    assert!(deletes - none < 4_000, "{}", deletes - none);
}

#[tokio::test]
async fn what_ends_a_run_or_is_denied_to_it_is_told_by_its_limit() {
    let memory = "(drop (memory.grow (i32.const 2000))) (drop (memory.grow (i32.const 1500))) (i32.const 1024)";
    let report = run(memory, call()).await;
    let (limit, asked, max, times) = refusals(&report)[0];
    assert_eq!((limit, max, times), (Limit::Memory, 64 << 20, 2));
    assert_eq!(asked, 2002 << 16);

    let report = run(LOOP, limits(|limits| limits.fuel_per_run = 1_000_000)).await;
    assert_eq!(report.ending, Ending::OutOfFuel);
    assert_eq!(refusals(&report)[0].0, Limit::Fuel);
    assert_eq!(refusals(&report)[0].2, 1_000_000);

    let mut call = limits(|limits| limits.run_timeout = Duration::from_millis(20));
    call.kv = Arc::new(Silent);
    let report = run(GET, call).await;
    assert_eq!(
        (refusals(&report)[0].0, refusals(&report)[0].2),
        (Limit::WallTime, 20)
    );

    let line = "(call $log (i32.const 2) (i32.const 4096) (i32.const 9))";
    let report = run(
        &format!("{line} {line} {line} (i32.const 1024)"),
        limits(|limits| limits.log_bytes_max = 10),
    )
    .await;
    assert_eq!(refusals(&report), [(Limit::LogBytes, 27, 10, 2)]);
}

#[tokio::test]
async fn bytes_are_counted_that_calls_carry() {
    let on_event = format!("{} {GET} {}", put(0), "");
    let report = run(&on_event, call()).await;
    assert_eq!(report.usage.host_calls, 2);
    // A key and a value to the host; a key there, and the run's own value back.
    assert_eq!(report.usage.host_bytes, 3 + 2 + 3 + 2);
}
