//! Guests that handle tasks, and schedule some.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::calendar::Rhythm;
use crate::store::{
    Ending, Occurrence, OccurrenceKind, RunOutcome, ScheduleWrite, TaskDefaults, TaskPlan, TaskWish,
};

/// The functions of `schedule`.
const SCHEDULE: &str = r#"
  (import "quartermaster:plugin/schedule@0.1.0" "put" (func $put (param $task i32) (param $ret i32)))
  (import "quartermaster:plugin/schedule@0.1.0" "remove" (func $remove (param $id i32) (param $len i32) (param $ret i32)))
  (import "quartermaster:plugin/schedule@0.1.0" "list" (func $list (param $ret i32)))"#;

/// What the world of a guest that schedules has besides that of one that handles events.
const WORLD: &str =
    "import quartermaster:plugin/schedule@0.1.0; export quartermaster:plugin/on-task@0.1.0;";

/// Puts the task at 6144, `tick`, every minute; traps unless that is accepted.
const PUT: &str = "(call $put (i32.const 6144) (i32.const 8192))
    (if (i32.load8_u (i32.const 8192)) (then (unreachable)))";

/// Describes the task at 6144.
const DESCRIBE: &str = "(i32.store (i32.const 2076) (i32.const 6144)) (i32.store (i32.const 2080) (i32.const 1)) (i32.const 2048)";

/// When the occurrence is due.
const DUE: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A task as the canonical ABI has it, twice: its id at 5300, a rhythm of a minute, its payload at 5320, and nothing else.
/// Then a handler of tasks.
fn items(on_task: &str) -> String {
    let mut record = [0_u8; 168];
    let mut set = |at: usize, value: u16| {
        record[at..at + 2].copy_from_slice(&value.to_le_bytes());
    };
    for (at, value) in [
        (0, 5300),
        (4, 4),
        (8, 1),
        (16, 60_000),
        (160, 5320),
        (164, 7),
    ] {
        set(at, value);
    }
    let text: String = record.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(data (i32.const 5300) "tick") (data (i32.const 5320) "{{\22n\22:1}}")
        (data (i32.const 5400) "\00\00\00\00\01\00\00\00\40\15\00\00\09\00\00\00") (data (i32.const 5440) "two\0alines")
        (data (i32.const 6144) "{text}{text}")
        (func (export "quartermaster:plugin/on-task@0.1.0#on-task") (param $in i32) (result i32) {on_task})"#
    )
}

/// A guest that handles both, and schedules.
async fn clock(on_event: &str, on_task: &str) -> Plugin {
    let guest = Guest {
        imports: SCHEDULE,
        items: &items(on_task),
        on_event,
        world: WORLD,
        ..IDLE
    };
    guest.load().await.expect("a plugin")
}

/// A call with a late occurrence of `tick`.
fn occurrence() -> Call {
    let mut call = call();
    call.request.stamp.run.trigger = Trigger::Occurrence {
        task: "tick".into(),
        due: DUE,
    };
    call.request.now = DUE;
    call.request.cause = Cause::Occurrence(Occurrence {
        task: "tick".into(),
        due: DUE,
        wall: "2023-11-14T23:13:20+01:00[Europe/Berlin]".into(),
        kind: OccurrenceKind::Late,
        payload: "{\"n\":1}".into(),
    });
    call
}

/// A plan that has only a rhythm of so many seconds and a payload.
fn every(seconds: u64) -> TaskPlan {
    let wish = TaskWish {
        rhythm: Some(Rhythm::Every {
            period: Duration::from_secs(seconds),
            phase: Duration::ZERO,
        }),
        payload: Some("{\"n\":1}".into()),
        ..TaskWish::default()
    };
    wish.plan(&TaskDefaults::default())
        .expect("it has a rhythm")
}

/// A call of a plugin that has scheduled these tasks before.
fn planned(ids: &[&str]) -> Call {
    let plan = Arc::new(every(7));
    let tasks = ids.iter().map(|id| ((*id).into(), Arc::clone(&plan)));
    Call {
        schedule: Arc::new(Planned(tasks.collect())),
        ..call()
    }
}

fn schedule(report: RunReport) -> Vec<ScheduleWrite> {
    match report.outcome {
        RunOutcome::Finished { schedule, .. } => schedule,
        other @ (RunOutcome::Retry { .. } | RunOutcome::Reject { .. }) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_occurrence_is_handed_over_as_it_is_and_answered_in_a_line() {
    // Commits the payload, logs the texts, and traps unless the numbers are right.
    let on_task = "
      (call $commit (i32.const 4096) (i32.const 9)
        (i32.load offset=76 (local.get $in)) (i32.load offset=80 (local.get $in)) (i32.const 8192))
      (if (i64.ne (i64.load offset=56 (local.get $in)) (i64.const 1700000000000)) (then (unreachable)))
      (if (i64.ne (i64.load offset=24 (local.get $in)) (i64.const 1700000000000)) (then (unreachable)))
      (if (i32.ne (i32.load8_u offset=72 (local.get $in)) (i32.const 1)) (then (unreachable)))
      (if (i64.ne (call $head) (i64.const 0)) (then (unreachable)))
      (call $log (i32.const 2) (i32.load offset=48 (local.get $in)) (i32.load offset=52 (local.get $in)))
      (call $log (i32.const 2) (i32.load offset=64 (local.get $in)) (i32.load offset=68 (local.get $in)))
      (call $log (i32.const 2) (i32.load offset=8 (local.get $in)) (i32.load offset=12 (local.get $in)))
      (i32.const 5400)";
    let plugin = clock("(unreachable)", on_task).await;
    let log = call_with_log();
    let report = plugin
        .run(Call {
            log: log.0.log,
            ..occurrence()
        })
        .await;
    let RunOutcome::Finished { drafts, output, .. } = report.outcome else {
        panic!("{report:?}")
    };
    assert_eq!((drafts.len(), &*drafts[0].args), (1, "{\"n\":1}"));
    assert_eq!(output.as_deref(), Some("two\\nlines"));
    let lines: Vec<_> = log.1.try_iter().map(|(_, line)| line).collect();
    let expected = [
        "tick",
        "2023-11-14T23:13:20+01:00[Europe/Berlin]",
        "qm1:guest:t/tick/1700000000000:1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_task_that_has_nothing_to_say_is_done_all_the_same() {
    let plugin = clock("(unreachable)", "(i32.const 1024)").await;
    let report = plugin.run(occurrence()).await;
    assert_eq!(report.outcome, RunOutcome::finished(vec![], vec![]));
}

#[tokio::test]
async fn a_run_sees_its_own_changes_to_the_tasks_there_were() {
    // There are `a` and `tick`, which is another one; then `a` goes.
    let on_event = format!(
        "{PUT}
        (call $list (i32.const 8192))
        (if (i32.load8_u (i32.const 8192)) (then (unreachable)))
        (if (i32.ne (i32.load offset=8 (i32.const 8192)) (i32.const 2)) (then (unreachable)))
        (call $log (i32.const 2) (i32.load (i32.load offset=4 (i32.const 8192)))
          (i32.load offset=4 (i32.load offset=4 (i32.const 8192))))
        (if (i64.ne (i64.load offset=184 (i32.load offset=4 (i32.const 8192))) (i64.const 60000)) (then (unreachable)))
        (i32.store8 (i32.const 5300) (i32.const 97))
        (call $remove (i32.const 5300) (i32.const 1) (i32.const 8192))
        (if (i32.load8_u (i32.const 8192)) (then (unreachable)))
        (call $list (i32.const 8192))
        (if (i32.ne (i32.load offset=8 (i32.const 8192)) (i32.const 1)) (then (unreachable)))
        (i32.const 1024)"
    );
    let plugin = clock(&on_event, "(unreachable)").await;
    let log = call_with_log();
    let call = Call {
        log: log.0.log,
        ..planned(&["a", "tick"])
    };
    let report = plugin.run(call).await;
    let lines: Vec<_> = log.1.try_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, ["a"]);
    let expected = [
        ScheduleWrite {
            task: "a".into(),
            plan: None,
        },
        ScheduleWrite {
            task: "tick".into(),
            plan: Some(Arc::new(every(60))),
        },
    ];
    assert_eq!(schedule(report), expected);
}

#[tokio::test]
async fn a_task_may_schedule_others_and_a_projecting_run_may_too() {
    let handler = format!("{PUT} (i32.const 1024)");
    let plugin = clock(&handler, &handler).await;
    let mut projecting = call();
    projecting.request.mode = Mode::Projecting;
    for call in [occurrence(), projecting] {
        let writes = schedule(plugin.run(call).await);
        assert_eq!((writes.len(), &*writes[0].task), (1, "tick"));
    }
}

#[tokio::test]
async fn a_run_that_fails_leaves_no_task_behind() {
    for (end, ending) in [
        ("(i32.const 1040)", Ending::Retry),
        ("(i32.const 1072)", Ending::Reject),
        ("(unreachable)", Ending::Trapped),
    ] {
        let plugin = clock("(unreachable)", &format!("{PUT} {end}")).await;
        let report = plugin.run(occurrence()).await;
        assert_eq!(report.ending, ending);
        let failed = matches!(
            report.outcome,
            RunOutcome::Retry { .. } | RunOutcome::Reject { .. }
        );
        assert!(failed, "{report:?}");
    }
}

#[tokio::test]
async fn a_task_of_the_operator_or_the_description_is_not_the_runs_to_change() {
    // Answers with reject if the error is `bad-task`, and with ok if there is none.
    let on_event = |call: &str| {
        format!(
            "{call}
            (if (i32.eqz (i32.load8_u (i32.const 8192))) (then (return (i32.const 1024))))
            (if (i32.load8_u offset=4 (i32.const 8192)) (then (unreachable)))
            (i32.const 1072)"
        )
    };
    let put = "(call $put (i32.const 6144) (i32.const 8192))";
    let remove = "(call $remove (i32.const 5300) (i32.const 4) (i32.const 8192))";
    for change in [put, remove] {
        let on_event = on_event(change);
        let free = clock(&on_event, "(unreachable)").await;
        assert_eq!(free.run(call()).await.ending, Ending::Finished);
        let declared = Arc::new(BTreeSet::from(["tick".into()]));
        let configured = Call { declared, ..call() };
        assert_eq!(free.run(configured).await.ending, Ending::Reject);
        let described = Guest {
            imports: SCHEDULE,
            items: &items("(unreachable)"),
            describe: DESCRIBE,
            on_event: &on_event,
            world: WORLD,
            ..IDLE
        };
        let described = described.load().await.expect("a plugin");
        assert_eq!(described.run(call()).await.ending, Ending::Reject);
    }
}

/// Tasks that cannot be read.
struct Unreadable;

impl ScheduleSource for Unreadable {
    fn tasks(&self) -> BoxFuture<'_, Result<Tasks, String>> {
        async { Err("the journal is gone".to_owned()) }.boxed()
    }
}

#[tokio::test]
async fn tasks_that_cannot_be_read_are_a_typed_error() {
    // Answers with retry if each error is `unavailable`.
    let check = "(if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const 1)) (then (unreachable)))
        (if (i32.ne (i32.load8_u offset=4 (i32.const 8192)) (i32.const 2)) (then (unreachable)))";
    let on_event = format!(
        "(call $list (i32.const 8192)) {check} (call $put (i32.const 6144) (i32.const 8192)) {check}
        (call $remove (i32.const 5300) (i32.const 4) (i32.const 8192)) {check} (i32.const 1040)"
    );
    let plugin = clock(&on_event, "(unreachable)").await;
    let schedule = Arc::new(Unreadable);
    let report = plugin.run(Call { schedule, ..call() }).await;
    assert_eq!(report.ending, Ending::Retry);
}

#[tokio::test]
async fn what_scheduling_costs_grows_with_the_tasks_there_are() {
    let plugin = clock(
        "(call $list (i32.const 8192)) (i32.const 1024)",
        "(unreachable)",
    )
    .await;
    let mut used = Vec::new();
    for count in [0, 500] {
        let ids: Vec<String> = (0..count).map(|id| format!("{id:04}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        used.push(plugin.run(planned(&ids)).await.usage.fuel);
    }
    assert!(used[1] > used[0] + 500 * 4_000, "{used:?}");
}

#[tokio::test]
async fn a_task_may_take_as_long_as_its_request_says() {
    let plugin = clock("(unreachable)", LOOP).await;
    let mut call = occurrence();
    call.limits.fuel_per_run = 40_000_000_000;
    call.request.timeout = Some(Duration::from_millis(50));
    let report = plugin.run(call).await;
    let error = "took longer than 50ms".into();
    assert_eq!(report.outcome, RunOutcome::Retry { error });
}

#[tokio::test]
async fn each_handler_may_be_missing_and_what_it_would_get_is_refused() {
    let rejected = |report: RunReport| match report.outcome {
        RunOutcome::Reject { error } => error.to_string(),
        other @ (RunOutcome::Finished { .. } | RunOutcome::Retry { .. }) => panic!("{other:?}"),
    };
    let of_events = IDLE.load().await.expect("a plugin");
    assert!(of_events.handles_events() && !of_events.handles_tasks());
    let error = rejected(of_events.run(occurrence()).await);
    assert!(error.contains("handles no tasks"), "{error}");

    let of_tasks = Guest {
        contract: "task-plugin",
        imports: SCHEDULE,
        items: &items("(i32.const 1024)"),
        // It wants no events.
        describe: "(i32.store (i32.const 2060) (i32.const 0)) (i32.const 2048)",
        ..IDLE
    };
    let of_tasks = of_tasks.load().await.expect("a plugin");
    assert!(!of_tasks.handles_events() && of_tasks.handles_tasks());
    assert!(of_tasks.needs().schedule, "it imports it");
    let error = rejected(of_tasks.run(call()).await);
    assert!(error.contains("handles no events"), "{error}");
    assert_eq!(of_tasks.run(occurrence()).await.ending, Ending::Finished);
}

#[tokio::test]
async fn a_plugin_that_wants_what_it_cannot_handle_is_refused() {
    let refused = async |guest: Guest<'_>| {
        let error = guest.load().await.expect_err("a refusal");
        assert!(matches!(error, Error::Description(_)), "{error}");
        error.to_string()
    };
    let no_events = Guest {
        contract: "task-plugin",
        imports: SCHEDULE,
        items: &items("(i32.const 1024)"),
        ..IDLE
    };
    let text = refused(no_events).await;
    assert!(
        text.contains("it wants events, and does not export"),
        "{text}"
    );
    let text = items("(i32.const 1024)");
    let data = text.split("(func (export").next().expect("the data");
    let no_tasks = Guest {
        items: data,
        describe: DESCRIBE,
        ..IDLE
    };
    let text = refused(no_tasks).await;
    assert!(text.contains("it has tasks, and does not export"), "{text}");
    let schedules = Guest {
        imports: SCHEDULE,
        world: "import quartermaster:plugin/schedule@0.1.0;",
        ..IDLE
    };
    let text = refused(schedules).await;
    assert!(
        text.contains("it imports `quartermaster:plugin/schedule`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_plugin_says_which_tasks_it_has() {
    let guest = Guest {
        items: &items("(i32.const 1024)"),
        describe: DESCRIBE,
        world: "export quartermaster:plugin/on-task@0.1.0;",
        ..IDLE
    };
    let plugin = guest.load().await.expect("a plugin");
    let description = plugin.description();
    let [(id, wish)] = &description.tasks[..] else {
        panic!("{description:?}")
    };
    let plan = wish.plan(&TaskDefaults::default());
    assert_eq!((&**id, plan), ("tick", Some(every(60))));
    assert!(plugin.needs().schedule, "it has tasks");
    let told: Vec<_> = description.tasks_told().collect();
    assert_eq!(told, [("tick", "every 60s, phase 0ns".to_owned())]);
}

#[tokio::test]
async fn a_description_with_bad_tasks_is_refused() {
    let bad = [
        ("(i32.store (i32.const 2080) (i32.const 65))", "tasks: 65 tasks; at most 64"),
        ("(i32.store (i32.const 2080) (i32.const 2))", "\"tick\": there are two of this id"),
        ("(i32.store8 (i32.const 5320) (i32.const 120))", "not one JSON value"),
        ("(i32.store8 (i32.const 5301) (i32.const 10))", "\"t\\nck\": the id"),
        // A phase of as much as the period.
        ("(i64.store (i32.const 6168) (i64.const 60000))", "phase"),
        // A period of a millisecond.
        ("(i64.store (i32.const 6160) (i64.const 1))", "period"),
        // The pattern `tick`.
        (
            "(i32.store8 (i32.const 6152) (i32.const 0)) (i32.store (i32.const 6160) (i32.const 5300))
             (i32.store (i32.const 6164) (i32.const 4))",
            "cron: ",
        ),
        // The time zone `tick`.
        (
            "(i32.store8 (i32.const 6176) (i32.const 1)) (i32.store (i32.const 6180) (i32.const 5300))
             (i32.store (i32.const 6184) (i32.const 4))",
            "time-zone: ",
        ),
    ];
    for (change, words) in bad {
        let describe = DESCRIBE.replace("(i32.const 2048)", &format!("{change} (i32.const 2048)"));
        let guest = Guest {
            items: &items("(i32.const 1024)"),
            describe: &describe,
            world: "export quartermaster:plugin/on-task@0.1.0;",
            ..IDLE
        };
        let error = guest.load().await.expect_err("a refusal");
        assert!(matches!(error, Error::Description(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}, not: {words}");
    }
}
