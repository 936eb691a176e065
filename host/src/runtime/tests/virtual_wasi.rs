//! What a guest built for WASI 0.2 finds.

use std::time::{Duration, Instant};

use super::*;
use crate::store::Ending;
use crate::store::RunOutcome;

/// The part of WASI that these guests use.
const WIT: &str = "
package wasi:clocks@0.2.0 {
  interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
  interface monotonic-clock {
    use wasi:io/poll@0.2.0.{pollable};
    now: func() -> u64;
    subscribe-duration: func(when: u64) -> pollable;
  }
}
package wasi:random@0.2.0 {
  interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }
  interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }
}
package wasi:io@0.2.0 {
  interface error { resource error; }
  interface poll { resource pollable { block: func(); } }
  interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
  }
}
package wasi:cli@0.2.0 {
  interface environment { get-environment: func() -> list<tuple<string, string>>; get-arguments: func() -> list<string>; }
  interface exit { exit: func(status: result); }
  interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
}
package wasi:filesystem@0.2.0 {
  interface types { resource descriptor; }
  interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
}
";

const WORLD: &str = "
  import wasi:clocks/wall-clock@0.2.0; import wasi:clocks/monotonic-clock@0.2.0;
  import wasi:random/random@0.2.0; import wasi:random/insecure-seed@0.2.0;
  import wasi:cli/environment@0.2.0; import wasi:cli/exit@0.2.0; import wasi:cli/stdout@0.2.0;
  import wasi:filesystem/preopens@0.2.0;";

const IMPORTS: &str = "
  (import \"wasi:clocks/wall-clock@0.2.0\" \"now\" (func $wall_now (param i32)))
  (import \"wasi:clocks/monotonic-clock@0.2.0\" \"now\" (func $now (result i64)))
  (import \"wasi:clocks/monotonic-clock@0.2.0\" \"subscribe-duration\" (func $timer (param i64) (result i32)))
  (import \"wasi:io/poll@0.2.0\" \"[method]pollable.block\" (func $block (param i32)))
  (import \"wasi:random/random@0.2.0\" \"get-random-u64\" (func $random (result i64)))
  (import \"wasi:random/random@0.2.0\" \"get-random-bytes\" (func $random_bytes (param i64 i32)))
  (import \"wasi:random/insecure-seed@0.2.0\" \"insecure-seed\" (func $seed (param i32)))
  (import \"wasi:cli/environment@0.2.0\" \"get-environment\" (func $environment (param i32)))
  (import \"wasi:cli/environment@0.2.0\" \"get-arguments\" (func $arguments (param i32)))
  (import \"wasi:cli/exit@0.2.0\" \"exit\" (func $exit (param i32)))
  (import \"wasi:cli/stdout@0.2.0\" \"get-stdout\" (func $stdout (result i32)))
  (import \"wasi:io/streams@0.2.0\" \"[method]output-stream.blocking-write-and-flush\"
    (func $write (param i32 i32 i32 i32)))
  (import \"wasi:filesystem/preopens@0.2.0\" \"get-directories\" (func $directories (param i32)))";

/// Writes the eight bytes at 12000 to kv, and returns ok.
const KEEP: &str = "(call $kv_put (i32.const 4128) (i32.const 3) (i32.const 12000) (i32.const 8) (i32.const 8192)) (i32.const 1024)";

async fn plugin(on_event: &str) -> Plugin {
    let guest = Guest {
        imports: IMPORTS,
        on_event,
        wit: WIT,
        world: WORLD,
        ..IDLE
    };
    guest.load().await.expect("a plugin")
}

/// The number that a guest left in kv.
fn kept(report: &RunReport) -> u64 {
    let RunOutcome::Finished { kv, .. } = &report.outcome else {
        panic!("{report:?}")
    };
    let value = kv[0].value.as_deref().expect("a value");
    u64::from_le_bytes(value.try_into().expect("eight bytes"))
}

#[tokio::test]
async fn time_begins_with_the_event_and_passes_by_sleeping() {
    let on_event = format!(
        "(call $wall_now (i32.const 8200))
         (if (i64.ne (i64.load (i32.const 8200)) (i64.const 1700000000)) (then (unreachable)))
         (if (i32.ne (i32.load offset=8 (i32.const 8200)) (i32.const 123000000)) (then (unreachable)))
         (call $block (call $timer (i64.const 3600000000000)))
         (i64.store (i32.const 12000) (call $now))
         (call $wall_now (i32.const 8200))
         (if (i64.ne (i64.load (i32.const 8200)) (i64.const 1700003600)) (then (unreachable)))
         {KEEP}"
    );
    let plugin = plugin(&on_event).await;
    let started = Instant::now();
    let report = plugin.run(call()).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it really slept"
    );
    // The hour, from the microsecond that the first reading took on.
    assert_eq!(kept(&report), 3_600_000_001_000);
}

#[tokio::test]
async fn random_numbers_follow_from_the_run() {
    let on_event = format!(
        "(call $seed (i32.const 8200))
         (i64.store (i32.const 12000) (i64.xor (call $random) (i64.load (i32.const 8200)))) {KEEP}"
    );
    let plugin = plugin(&on_event).await;
    let first = plugin.run(call()).await;
    let mut again = call();
    again.request.attempt = 3;
    let again = plugin.run(again).await;
    assert_eq!(
        (kept(&again), again.usage.fuel),
        (kept(&first), first.usage.fuel)
    );
    let mut other = call();
    other.request.stamp.run.trigger = Trigger::Event(SeqNum::new(43));
    assert_ne!(kept(&plugin.run(other).await), kept(&first));
    let other = Call {
        store: "workspace-2".parse().expect("a store id"),
        ..call()
    };
    assert_ne!(kept(&plugin.run(other).await), kept(&first));
}

#[tokio::test]
async fn there_is_nothing_of_the_host_to_be_found() {
    let on_event = "
      (call $environment (i32.const 8200)) (if (i32.load offset=4 (i32.const 8200)) (then (unreachable)))
      (call $arguments (i32.const 8200)) (if (i32.load offset=4 (i32.const 8200)) (then (unreachable)))
      (call $directories (i32.const 8200)) (if (i32.load offset=4 (i32.const 8200)) (then (unreachable)))
      (i32.const 1024)";
    let report = plugin(on_event).await.run(call()).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
}

#[tokio::test]
async fn what_is_printed_goes_to_the_log_by_lines() {
    // "line\n", ESC and the rest, and then "key" without an end.
    let on_event = "(local $out i32)
      (local.set $out (call $stdout))
      (call $write (local.get $out) (i32.const 4160) (i32.const 10) (i32.const 8200))
      (call $write (local.get $out) (i32.const 4128) (i32.const 3) (i32.const 8200))
      (i32.const 1024)";
    let plugin = plugin(on_event).await;
    let (call, lines) = call_with_log();
    let report = plugin.run(call).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
    let expected = ["line", "\\u{1b}[31mkey"].map(|line| (Level::Info, line.to_owned()));
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_exit_is_a_failed_run() {
    let report = plugin("(call $exit (i32.const 0)) (i32.const 1024)")
        .await
        .run(call())
        .await;
    let error = "trapped: it exited with code 0".into();
    assert_eq!(report.outcome, RunOutcome::Retry { error });
}

#[tokio::test]
async fn handles_that_are_never_dropped_end_a_run() {
    let report = plugin("(loop $l (drop (call $timer (i64.const 1))) (br $l)) (unreachable)");
    let report = report.await.run(call()).await;
    let RunOutcome::Retry { error } = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(error.contains("resource table has no free keys"), "{error}");
}

#[tokio::test]
async fn the_work_of_wasi_is_charged() {
    for body in [
        "(drop (call $random))",
        "(drop (call $now))",
        "(call $write (local.get $out) (i32.const 8200) (i32.const 4000) (i32.const 8200))",
    ] {
        let on_event = format!(
            "(local $out i32) (local.set $out (call $stdout)) (loop $l {body} (br $l)) (unreachable)"
        );
        let mut patient = call();
        // A busy machine must not end it first.
        patient.limits.run_timeout = Duration::from_secs(60);
        let report = plugin(&on_event).await.run(patient).await;
        assert_eq!(report.ending, Ending::OutOfFuel, "{body}: {report:?}");
        assert_eq!(report.usage.fuel, 200_000_000);
    }
    let report =
        plugin("(call $random_bytes (i64.const 1000000000) (i32.const 8200)) (i32.const 1024)");
    let report = report.await.run(call()).await;
    assert_eq!(report.ending, Ending::Trapped, "{report:?}");
    // What WASI did for a guest that then returns counts too.
    let on_event = "(local $i i32)
      (loop $l (drop (call $random)) (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 10)))) (i32.const 1024)";
    let plugin = plugin(on_event).await;
    let report = plugin.run(call()).await;
    assert!((10_000..12_000).contains(&report.usage.fuel), "{report:?}");
    let mut exact = call();
    exact.limits.fuel_per_run = report.usage.fuel;
    assert_eq!(plugin.run(exact).await.ending, Ending::Finished);
    let mut poor = call();
    poor.limits.fuel_per_run = report.usage.fuel - 1;
    assert_eq!(plugin.run(poor).await.ending, Ending::OutOfFuel);
}
