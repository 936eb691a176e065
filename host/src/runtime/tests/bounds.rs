//! Each limit, and how a run ends that meets it.

use std::time::Duration;

use super::*;
use crate::store::Ending;
use crate::store::RunOutcome;

/// The ending, and the error of a run that has to be tried again.
fn failed(report: &RunReport) -> (Ending, &str) {
    match &report.outcome {
        RunOutcome::Retry { error } => (report.ending, error),
        other @ (RunOutcome::Finished { .. } | RunOutcome::Reject { .. }) => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_trapped(report: &RunReport, words: &str) {
    let (ending, error) = failed(report);
    assert_eq!(ending, Ending::Trapped, "{error}");
    assert!(error.contains(words), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_fuel() {
    let report = run(LOOP, call()).await;
    assert_eq!(
        failed(&report),
        (Ending::OutOfFuel, "ran out of fuel (200M)")
    );
    assert_eq!(report.usage.fuel, 200_000_000);
}

#[tokio::test]
async fn no_way_into_a_guest_escapes_its_fuel() {
    let start = Guest {
        items: "(func $spin (loop $l (br $l))) (start $spin)",
        ..IDLE
    };
    let error = start.load().await.expect_err("a refusal").to_string();
    assert!(error.contains("ran out of fuel (50M)"), "{error}");
    let after = Guest {
        items: "(func (export \"cabi_post_quartermaster:plugin/on-event@0.1.0#on-event\") (param i32) (loop $l (br $l)))",
        ..IDLE
    };
    let report = after.load().await.expect("a plugin").run(call()).await;
    assert_eq!(report.ending, Ending::OutOfFuel, "{report:?}");
}

#[tokio::test]
async fn a_loop_of_cheap_host_calls_runs_out_of_fuel() {
    let report = run(
        "(loop $l (drop (call $head)) (br $l)) (unreachable)",
        call(),
    )
    .await;
    assert_eq!(
        failed(&report),
        (Ending::OutOfFuel, "ran out of fuel (200M)")
    );
    assert!(report.usage.host_calls < 200_000, "{:?}", report.usage);
}

#[tokio::test]
async fn a_run_that_computes_for_too_long_is_stopped() {
    let call = limits(|limits| {
        limits.fuel_per_run = u64::MAX;
        limits.run_timeout = Duration::from_millis(50);
    });
    let report = run(LOOP, call).await;
    assert_eq!(failed(&report), (Ending::TimedOut, "took longer than 50ms"));
    assert!(
        report.usage.wall < Duration::from_secs(5),
        "{:?}",
        report.usage
    );
}

#[tokio::test]
async fn a_run_that_waits_for_too_long_is_stopped() {
    let mut call = limits(|limits| limits.run_timeout = Duration::from_millis(20));
    call.kv = Arc::new(Silent);
    let report = run(GET, call).await;
    assert_eq!(failed(&report), (Ending::TimedOut, "took longer than 20ms"));
}

#[tokio::test]
async fn memory_grows_to_the_limit_and_no_further() {
    let on_event = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (i32.const 1024)";
    let report = run(on_event, call()).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
    let peak = report.usage.memory_peak_bytes;
    assert!((62 << 20..=64 << 20).contains(&peak), "{peak}");
}

#[tokio::test]
async fn a_guest_that_fails_for_want_of_memory_is_named_so() {
    let on_event =
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let report = run(on_event, call()).await;
    let (ending, error) = failed(&report);
    assert_eq!(ending, Ending::OutOfMemory, "{error}");
    assert!(
        error.starts_with("was denied memory beyond 64 MiB, then trapped: "),
        "{error}"
    );
}

#[tokio::test]
async fn the_memories_of_a_guest_count_together() {
    // Traps unless 40 MiB fit into one memory and then not into the other.
    let guest = Guest {
        items: "(memory $other 1)",
        on_event:
            "(if (i32.eq (memory.grow $other (i32.const 640)) (i32.const -1)) (then (unreachable)))
            (if (i32.ne (memory.grow (i32.const 640)) (i32.const -1)) (then (unreachable)))
            (i32.const 1024)",
        ..IDLE
    };
    let plugin = guest.load().await.expect("a plugin");
    let report = plugin.run(call()).await;
    assert_eq!(report.ending, Ending::Finished, "{report:?}");
}

#[tokio::test]
async fn a_guest_that_begins_with_too_much_is_not_loaded() {
    let memories = "(memory 1)".repeat(8);
    let tables = "(table 1 funcref)".repeat(65);
    let bad = [
        ("(memory 1024)", "denied memory"),
        ("(memory 65536)", "denied memory"),
        ("(table 100001 funcref)", "table"),
        (&memories, "memories count of 9 exceeds"),
        (&tables, "tables count of 65 exceeds"),
    ];
    for (items, words) in bad {
        let error = Guest { items, ..IDLE }.load().await.expect_err("a refusal");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_table_grows_to_the_limit_and_no_further() {
    let guest = Guest {
        items: "(table $t 1 funcref)",
        on_event: "(if (i32.eq (table.grow $t (ref.null func) (i32.const 90000)) (i32.const -1)) (then (unreachable)))
            (if (i32.ne (table.grow $t (ref.null func) (i32.const 90000)) (i32.const -1)) (then (unreachable)))
            (i32.const 1024)",
        ..IDLE
    };
    let plugin = guest.load().await.expect("a plugin");
    assert_eq!(plugin.run(call()).await.ending, Ending::Finished);
}

#[tokio::test]
async fn deep_recursion_exhausts_the_stack() {
    let guest = Guest {
        items: "(func $deep (param i64) (call $deep (i64.add (local.get 0) (i64.const 1))) (drop (call $head)))",
        on_event: "(call $deep (i64.const 0)) (i32.const 1024)",
        ..IDLE
    };
    let plugin = guest.load().await.expect("a plugin");
    assert_trapped(&plugin.run(call()).await, "call stack exhausted: deep");
    assert_trapped(&plugin.run(call()).await, "call stack exhausted: deep");
}

#[tokio::test]
async fn a_trap_names_its_place() {
    let guest = Guest {
        items: "(func $give_up (unreachable))",
        on_event: "(call $give_up) (i32.const 1024)",
        ..IDLE
    };
    let report = guest.load().await.expect("a plugin").run(call()).await;
    assert_trapped(&report, "`unreachable` instruction executed: give_up");
}

#[tokio::test]
async fn what_does_not_follow_the_canonical_abi_traps() {
    let bad = [
        // A name that is not UTF-8.
        "(i32.store8 (i32.const 4096) (i32.const 255))
         (call $commit (i32.const 4096) (i32.const 9) (i32.const 4112) (i32.const 7) (i32.const 8192)) (i32.const 1024)",
        // Arguments outside of the memory.
        "(call $commit (i32.const 4096) (i32.const 9) (i32.const -16) (i32.const 7) (i32.const 8192)) (i32.const 1024)",
        // An answer outside of it, one that is no variant's, and a level that is none.
        "(i32.const -16)",
        "(i32.store8 (i32.const 1024) (i32.const 7)) (i32.const 1024)",
        "(call $log (i32.const 9) (i32.const 4128) (i32.const 3)) (i32.const 1024)",
    ];
    for on_event in bad {
        assert_trapped(&run(on_event, call()).await, "trapped: ");
    }
}

#[tokio::test]
async fn one_host_call_carries_only_so_much() {
    let on_event = "(drop (memory.grow (i32.const 64)))
        (call $log (i32.const 0) (i32.const 8192) (i32.const 3000000)) (i32.const 1024)";
    assert_trapped(&run(on_event, call()).await, "hostcalls");
    let on_event = "(drop (memory.grow (i32.const 64)))
        (i32.store (i32.const 1052) (i32.const 3000000)) (i32.const 1040)";
    assert_trapped(&run(on_event, call()).await, "hostcalls");
}

#[tokio::test]
async fn a_guest_has_only_so_many_handles() {
    let guest = Guest {
        imports: "(import \"[export]test:guest/things\" \"[resource-new]thing\" (func $new (param i32) (result i32)))",
        on_event: "(local $i i32)
            (loop $l
              (drop (call $new (i32.const 1)))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $l (i32.lt_u (local.get $i) (i32.const 257))))
            (i32.const 1024)",
        wit: "interface things { resource thing; }",
        world: "export things;",
        ..IDLE
    };
    let plugin = guest.load().await.expect("a plugin");
    assert_trapped(&plugin.run(call()).await, "handle limit exceeded");
}

#[tokio::test]
async fn drafts_past_the_limit_are_refused_and_those_before_stay() {
    // Traps unless the 101st commit answers `too-much`.
    let on_event = "(local $i i32)
      (loop $l
        (call $commit (i32.const 4096) (i32.const 9) (i32.const 4112) (i32.const 7) (i32.const 8192))
        (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.ge_u (local.get $i) (i32.const 100))) (then (unreachable)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 101))))
      (if (i32.ne (i32.load8_u offset=4 (i32.const 8192)) (i32.const 3)) (then (unreachable)))
      (i32.const 1024)";
    let report = run(on_event, call()).await;
    let RunOutcome::Finished { drafts, .. } = report.outcome else {
        panic!("{report:?}")
    };
    assert_eq!(drafts.len(), 100);
}

#[tokio::test]
async fn a_draft_that_no_page_can_carry_is_refused_at_its_commit() {
    // Arguments are a string of 700,000 bytes.
    let on_event = "(drop (memory.grow (i32.const 16)))
      (memory.fill (i32.const 65536) (i32.const 97) (i32.const 700000))
      (i32.store8 (i32.const 65536) (i32.const 34)) (i32.store8 (i32.const 765535) (i32.const 34))
      (call $commit (i32.const 4096) (i32.const 9) (i32.const 65536) (i32.const 700000) (i32.const 8192))
      (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const 1)) (then (unreachable)))
      (if (i32.ne (i32.load8_u offset=4 (i32.const 8192)) (i32.const 3)) (then (unreachable)))
      (i32.const 1024)";
    let guest = Guest { on_event, ..IDLE };
    let plugin = guest.load().await.expect("a plugin");
    assert_eq!(plugin.run(call()).await.ending, Ending::Finished);
    let call = limits(|limits| limits.draft_bytes_max = 700_009);
    let report = plugin.run(call).await;
    assert_trapped(&report, "unreachable");
}

#[tokio::test]
async fn a_reason_is_cut_at_4_kib() {
    let on_event = "(memory.fill (i32.const 20000) (i32.const 97) (i32.const 40000))
      (i32.store (i32.const 1048) (i32.const 20000)) (i32.store (i32.const 1052) (i32.const 40000)) (i32.const 1040)";
    let report = run(on_event, call()).await;
    let (ending, error) = failed(&report);
    assert_eq!(
        (ending, error.len()),
        (Ending::Retry, 4096 + '…'.len_utf8())
    );
}

#[tokio::test]
async fn a_log_is_kept_in_part() {
    // 100 lines of 1,000 bytes, and one that plays with the terminal.
    let on_event = "(local $i i32)
      (call $log (i32.const 3) (i32.const 4160) (i32.const 10))
      (loop $l
        (call $log (i32.const 2) (i32.const 20000) (i32.const 1000))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))
      (unreachable)";
    let (call, lines) = call_with_log();
    let report = run(on_event, call).await;
    let lines: Vec<_> = lines.try_iter().collect();
    assert_eq!(lines[0], (Level::Warn, "line\\n\\u{1b}[31m".to_owned()));
    assert_eq!(lines.len() as u64 + report.usage.log_lines_dropped, 101);
    assert_eq!(lines.len(), 1 + (65_536 - 10) / 1000);
}
