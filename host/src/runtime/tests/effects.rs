//! What a guest that behaves gets and gives.

use super::*;
use crate::event::Draft;
use crate::store::Ending;
use crate::store::{KvTotals, KvWrite, RunOutcome};

/// Commits `v1.Echoed {"a":1}`.
const COMMIT: &str =
    "(call $commit (i32.const 4096) (i32.const 9) (i32.const 4112) (i32.const 7) (i32.const 8192))";

fn drafts(report: &RunReport) -> &[Draft] {
    match &report.outcome {
        RunOutcome::Finished { drafts, .. } => drafts,
        other @ (RunOutcome::Retry { .. } | RunOutcome::Reject { .. }) => panic!("{other:?}"),
    }
}

fn writes(report: &RunReport) -> &[KvWrite] {
    match &report.outcome {
        RunOutcome::Finished { kv, .. } => kv,
        other @ (RunOutcome::Retry { .. } | RunOutcome::Reject { .. }) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_guest_commits_is_handed_back_in_order() {
    let on_event = format!(
        "{COMMIT} (i32.store8 (i32.const 4117) (i32.const 0x32)) {COMMIT} (i32.const 1024)"
    );
    let report = run(&on_event, call()).await;
    let args: Vec<_> = drafts(&report).iter().map(|draft| &*draft.args).collect();
    assert_eq!(args, ["{\"a\":1}", "{\"a\":2}"]);
    assert_eq!(&*drafts(&report)[0].name, "v1.Echoed");
    assert_eq!(
        (report.ending, report.usage.host_calls),
        (Ending::Finished, 2)
    );
    assert_eq!(report.usage.memory_peak_bytes, 2 << 16);
}

#[tokio::test]
async fn a_guest_sees_the_run_and_the_event() {
    // Commits the event's own name and, as a list, what the numbers of run and event are.
    let on_event = "
      (call $commit (i32.load offset=56 (local.get $in)) (i32.load offset=60 (local.get $in))
        (i32.load offset=64 (local.get $in)) (i32.load offset=68 (local.get $in)) (i32.const 8192))
      (if (i64.ne (i64.load offset=48 (local.get $in)) (i64.const 42)) (then (unreachable)))
      (if (i64.ne (call $head) (i64.const 42)) (then (unreachable)))
      (if (i64.ne (i64.load offset=24 (local.get $in)) (i64.const 1700000000123)) (then (unreachable)))
      (if (i32.ne (i32.load offset=20 (local.get $in)) (i32.const 1)) (then (unreachable)))
      (if (i32.ne (i32.load offset=32 (local.get $in)) (i32.const 1)) (then (unreachable)))
      (if (i32.ne (i32.load8_u offset=16 (local.get $in)) (i32.const 1)) (then (unreachable)))
      (call $log (i32.const 2) (i32.load offset=8 (local.get $in)) (i32.load offset=12 (local.get $in)))
      (call $log (i32.const 3) (i32.load (local.get $in)) (i32.load offset=4 (local.get $in)))
      (call $log (i32.const 4) (i32.load offset=36 (local.get $in)) (i32.load offset=40 (local.get $in)))
      (i32.const 1024)";
    let (call, lines) = call_with_log();
    let report = run(on_event, call).await;
    let draft = &drafts(&report)[0];
    assert_eq!(
        (&*draft.name, &*draft.args),
        ("v1.Said", "{\"text\":\"hi\"}")
    );
    let lines: Vec<_> = lines.try_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, ["qm1:guest:e42:1", "workspace-1", "{}"]);
}

#[tokio::test]
async fn a_projecting_run_commits_nothing_and_is_told_so() {
    // Traps unless the answer is `err(projecting)`; writes kv.
    let on_event = format!(
        "{COMMIT}
        (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const 1)) (then (unreachable)))
        (if (i32.ne (i32.load8_u (i32.const 8196)) (i32.const 0)) (then (unreachable)))
        (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 4096) (i32.const 2) (i32.const 8192))
        (i32.const 1024)"
    );
    let mut call = call();
    call.request.mode = Mode::Projecting;
    let report = run(&on_event, call).await;
    assert!(drafts(&report).is_empty());
    let [KvWrite { key, value }] = writes(&report) else {
        panic!("{report:?}")
    };
    assert_eq!((&**key, value.as_deref()), ("key", Some(&b"v1"[..])));
}

#[tokio::test]
async fn a_name_that_is_not_granted_is_refused_and_the_run_decides_itself() {
    // Traps unless the answer is `err(not-granted(_))`; commits what it may, all the same.
    let on_event = format!(
        "{COMMIT}
        (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const 1)) (then (unreachable)))
        (if (i32.ne (i32.load8_u (i32.const 8196)) (i32.const 4)) (then (unreachable)))
        (i32.store8 (i32.const 4104) (i32.const 0x58))
        {COMMIT} (i32.const 1024)"
    );
    let mut call = call();
    let grants = Grants {
        commit: vec!["v1.EchoeX".parse().expect("a pattern")],
        ..Grants::default()
    };
    call.grants = Arc::new(grants);
    let report = run(&on_event, call).await;
    let names: Vec<_> = drafts(&report).iter().map(|draft| &*draft.name).collect();
    assert_eq!(names, ["v1.EchoeX"]);
    let refused = report.not_granted.expect("it is told");
    assert_eq!((refused.commits, &*refused.name), (1, "v1.Echoed"));
}

#[tokio::test]
async fn a_name_that_the_description_does_not_have_is_refused_whatever_is_granted() {
    // `w1.Echoed`, where the description has `v1.*`; then it traps, and what was refused is told even so.
    let on_event = format!(
        "(i32.store8 (i32.const 4096) (i32.const 0x77)) {COMMIT}
        (if (i32.ne (i32.load8_u (i32.const 8196)) (i32.const 4)) (then (return (i32.const 1024))))
        (unreachable)"
    );
    let report = run(&on_event, call()).await;
    assert_eq!(report.ending, Ending::Trapped);
    let refused = report.not_granted.expect("it is told");
    assert!(refused.reason.contains("description"), "{}", refused.reason);
}

#[tokio::test]
async fn a_run_reads_its_own_writes_over_the_map() {
    // Adds one to the byte under `key`, reads that back, and fails unless it is what it wrote.
    let on_event = "
      (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192))
      (if (i32.ne (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)) (then (unreachable)))
      (i32.store8 (i32.const 8300) (i32.add (i32.const 1) (i32.load8_u (i32.load offset=8 (i32.const 8192)))))
      (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 8300) (i32.const 1) (i32.const 8192))
      (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192))
      (if (i32.ne (i32.load8_u (i32.load offset=8 (i32.const 8192))) (i32.load8_u (i32.const 8300))) (then (unreachable)))
      (i32.const 1024)";
    let map = BTreeMap::from([("key".to_owned(), vec![41])]);
    let kv = Arc::new(Map(map));
    let report = run(on_event, Call { kv, ..call() }).await;
    assert_eq!(writes(&report)[0].value.as_deref(), Some(&[42][..]));
}

#[tokio::test]
async fn a_list_passes_over_pages_that_the_run_has_deleted() {
    // Deletes `key`, lists `ke` with a limit of 1, and commits nothing unless the one entry is `kez`.
    let on_event = format!(
        "(call $kv_delete (i32.const 4128) (i32.const 3) (i32.const 8192))
         (call $kv_list (i32.const 4128) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8192))
         (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const 0)) (then (unreachable)))
         (if (i32.ne (i32.load offset=8 (i32.const 8192)) (i32.const 1)) (then (unreachable)))
         (if (i32.ne (i32.load8_u offset=2 (i32.load (i32.load offset=4 (i32.const 8192)))) (i32.const 122)) (then (unreachable)))
         {COMMIT} (i32.const 1024)"
    );
    let pairs = [("key", 1), ("kez", 2), ("kf", 3)];
    let map = pairs.map(|(key, value)| (key.to_owned(), vec![value]));
    let kv = Arc::new(Map(BTreeMap::from(map)));
    let report = run(&on_event, Call { kv, ..call() }).await;
    assert_eq!(drafts(&report).len(), 1);
}

/// A kv that cannot be read.
struct Broken;

impl KvSource for Broken {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        async { Err("the journal is gone".to_owned()) }.boxed()
    }

    fn list<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>> {
        panic!("a mistake of the host")
    }

    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>> {
        async { Err("the journal is gone".to_owned()) }.boxed()
    }

    fn sizes<'a>(&'a self, _: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<Option<u64>>, String>> {
        async { Err("the journal is gone".to_owned()) }.boxed()
    }
}

#[tokio::test]
async fn a_map_that_cannot_be_read_is_a_typed_error() {
    // Answers with retry if the error is `unavailable`.
    let on_event = "
      (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192))
      (if (i32.ne (i32.load8_u (i32.const 8192)) (i32.const 1)) (then (unreachable)))
      (if (i32.ne (i32.load8_u offset=4 (i32.const 8192)) (i32.const 2)) (then (unreachable)))
      (i32.const 1040)";
    let kv = Arc::new(Broken);
    let report = run(on_event, Call { kv, ..call() }).await;
    assert_eq!(report.ending, Ending::Retry);
}

#[tokio::test]
async fn a_panic_of_the_host_costs_one_run() {
    let on_event = "
      (call $kv_list (i32.const 4128) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8192))
      (i32.const 1024)";
    let plugin = Guest { on_event, ..IDLE }.load().await.expect("a plugin");
    let kv = Arc::new(Broken);
    let report = plugin.run(Call { kv, ..call() }).await;
    assert_eq!(report.ending, Ending::HostPanicked);
    let RunOutcome::Retry { error } = report.outcome else {
        panic!("{:?}", report.outcome)
    };
    assert_eq!(&*error, "the host panicked: a mistake of the host");
    assert_eq!(plugin.run(call()).await.ending, Ending::Finished);
}

#[tokio::test]
async fn a_failure_drops_what_was_asked_for_and_keeps_its_reason_on_one_line() {
    let report = run(&format!("{COMMIT} (i32.const 1040)"), call()).await;
    let error = "later\\nmaybe".into();
    assert_eq!(report.outcome, RunOutcome::Retry { error });
    let report = run(&format!("{COMMIT} (i32.const 1072)"), call()).await;
    let error = "never".into();
    assert_eq!(report.outcome, RunOutcome::Reject { error });
    assert_eq!(report.ending, Ending::Reject);
}

#[tokio::test]
async fn the_same_call_gives_the_same_drafts_and_costs_the_same_fuel() {
    let on_event = format!(
        "(local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 100000)))) {COMMIT} (i32.const 1024)"
    );
    let plugin = Guest {
        on_event: &on_event,
        ..IDLE
    }
    .load()
    .await
    .expect("a plugin");
    let first = plugin.run(call()).await;
    for _ in 0..20 {
        let again = plugin.run(call()).await;
        assert_eq!(
            (&again.outcome, again.usage.fuel),
            (&first.outcome, first.usage.fuel)
        );
    }
    // Two for the loop's head and tail and a few more in each turn, and the commit's price.
    assert!(
        (400_000..1_200_000).contains(&first.usage.fuel),
        "{}",
        first.usage.fuel
    );
}

#[tokio::test]
async fn nothing_survives_in_an_instance() {
    // Commits as often as it was called in this instance.
    let items = "(global $calls (mut i32) (i32.const 0))";
    let on_event = &format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (i32.store (i32.const 12000) (i32.add (i32.load (i32.const 12000)) (global.get $calls)))
         (if (i32.ne (i32.load (i32.const 12000)) (i32.const 1)) (then (unreachable)))
         {COMMIT} (i32.const 1024)"
    );
    let guest = Guest {
        items,
        on_event,
        ..IDLE
    };
    let plugin = guest.load().await.expect("a plugin");
    for _ in 0..200 {
        assert_eq!(plugin.run(call()).await.ending, Ending::Finished);
    }
}
