//! The commands with a server that was laid out, and with a journal that somebody left.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::calendar::{Gap, Rhythm, Timetable};
use crate::cli::Refusal;
use crate::cli::control::fake::Fake;
use crate::cli::control::{Client, Running};
use crate::id::StoreId;
use crate::journal::{ExecutionFilter, Journal, JournalConfig, TaskShown, TasksReport};
use crate::store::{
    Commit, Durability, ExecutionRecord, ExecutionState, Failure, Missed, OccurrenceKind, Origin,
    Overlap, Pause, TaskKey, TaskPlan, TaskRecord,
};
use crate::time::Timestamp;

const TASKS: &str = "GET /api/v1/stores/shop/tasks";

fn time(text: &str) -> Timestamp {
    Timestamp::parse_iso(text).unwrap()
}

fn now() -> Timestamp {
    time("2026-11-28T12:00:00Z")
}

fn shop() -> StoreId {
    "shop".parse().unwrap()
}

fn key(plugin: &str, task: &str) -> TaskKey {
    TaskKey {
        plugin: plugin.parse().unwrap(),
        task: task.into(),
    }
}

/// A task that is due every day at half past two in Berlin, dealt with up to now.
fn nightly(plugin: &str, task: &str) -> TaskRecord {
    let rhythm = Rhythm::Cron("30 2 * * *".parse().unwrap());
    TaskRecord {
        key: key(plugin, task),
        plan: Arc::new(TaskPlan {
            timetable: Timetable {
                zone: "Europe/Berlin".parse().unwrap(),
                ..Timetable::new(rhythm)
            },
            payload: "null".into(),
            overlap: Overlap::Skip,
            catch_up: Duration::from_secs(600),
            missed: Missed::Skip,
            attempts_max: None,
            timeout: None,
        }),
        origin: Origin::Declared,
        passed: now(),
        ahead: Vec::new(),
        unseen: Vec::new(),
        paused: None,
        gone: false,
    }
}

fn paused(record: TaskRecord) -> TaskRecord {
    TaskRecord {
        paused: Some(Pause {
            since: time("2026-11-27T08:00:00Z"),
            by: "alice (uid 7)".into(),
            note: "the mail server is down".into(),
        }),
        ..record
    }
}

fn execution(key: TaskKey, due: &str, state: ExecutionState) -> ExecutionRecord {
    ExecutionRecord {
        key,
        due: time(due),
        since: None,
        state,
        kind: OccurrenceKind::Timely,
        depth: 0,
        attempts: 0,
        failures: Vec::new(),
        started: None,
        ended: None,
        fuel: 0,
        drafts: 0,
        note: None,
    }
}

fn shown(record: TaskRecord) -> TaskShown {
    TaskShown::of(record, None, 0)
}

fn report(records: Vec<TaskRecord>) -> Value {
    serde_json::to_value(TasksReport::of(records, &[], 0)).unwrap()
}

/// A data folder whose journal of the store `shop` has a task that ran and failed, and one that is paused.
async fn data_folder() -> TempDir {
    let data = TempDir::new().unwrap();
    let config = JournalConfig::new(data.path().join("journals"));
    let journal = Journal::open(&config).unwrap();
    let mut lease = journal.claim(&shop(), Durability::Normal).await.unwrap();
    let nightly = nightly("digest", "nightly");
    let done = ExecutionRecord {
        attempts: 1,
        started: Some(time("2026-11-28T01:30:00.250Z")),
        ended: Some(time("2026-11-28T01:30:01.500Z")),
        fuel: 1_234_567,
        drafts: 2,
        ..execution(
            nightly.key.clone(),
            "2026-11-28T01:30:00Z",
            ExecutionState::Done,
        )
    };
    let failed = ExecutionRecord {
        attempts: 5,
        failures: vec![Failure {
            attempt: 5,
            at: time("2026-11-27T01:31:00Z"),
            error: "the mail server said no".into(),
            build: None,
        }],
        ..execution(
            nightly.key.clone(),
            "2026-11-27T01:30:00Z",
            ExecutionState::Failed,
        )
    };
    let missed = ExecutionRecord {
        since: Some(time("2026-11-20T00:00:00Z")),
        note: Some("it was seen only after the time in which it might begin".into()),
        ..execution(
            nightly.key.clone(),
            "2026-11-26T01:30:00Z",
            ExecutionState::Missed,
        )
    };
    let forgotten = execution(
        key("digest", "old"),
        "2026-11-25T01:30:00Z",
        ExecutionState::Skipped,
    );
    let commit = Commit {
        tasks: vec![nightly, paused(self::nightly("digest", "weekly"))],
        executions: vec![done, failed, missed, forgotten],
        ..Commit::default()
    };
    let written = journal.commit(&mut lease, commit).await.unwrap();
    written.await.unwrap();
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
    data
}

async fn listed(client: &Client) -> anyhow::Result<String> {
    let arguments = list::Arguments {
        store: shop(),
        json: false,
        running: Running::default(),
    };
    let mut out = Vec::new();
    list::list(&arguments, client, now(), &mut out).await?;
    Ok(String::from_utf8(out)?)
}

async fn history_of(
    client: &Client,
    task: Option<&str>,
    states: &[ExecutionState],
) -> anyhow::Result<String> {
    let arguments = history::Arguments {
        store: shop(),
        task: task.map(str::to_owned),
        limit: 20,
        states: states.to_vec(),
        json: false,
        running: Running::default(),
    };
    let mut out = Vec::new();
    history::history(&arguments, client, &mut out).await?;
    Ok(String::from_utf8(out)?)
}

async fn next_of(client: &Client, from: &str, task: &str) -> String {
    let arguments = next::Arguments {
        store: shop(),
        task: Some(task.to_owned()),
        times: 2,
        from: Some(from.parse().unwrap()),
        json: false,
        running: Running::default(),
    };
    let mut out = Vec::new();
    next::next(&arguments, client, now(), &mut out)
        .await
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn without_a_server_tasks_are_listed_as_the_journal_has_them() {
    let data = data_folder().await;
    let text = listed(&Client::on(data.path())).await.unwrap();
    assert_eq!(
        text,
        "PLUGIN  TASK     WHEN        ZONE           ORIGIN    NEXT                                LAST                         PAUSED\n\
         digest  nightly  30 2 * * *  Europe/Berlin  declared  2026-11-29 02:30+01:00, in 13h30m  done 2026-11-28 02:30+01:00\n\
         digest  weekly   30 2 * * *  Europe/Berlin  declared  -                                  -                            since 2026-11-27 08:00Z by alice (uid 7): the mail server is down\n"
            .replace("NEXT                                LAST", "NEXT                               LAST")
    );
}

#[tokio::test]
async fn a_history_tells_what_became_of_each_time_and_of_a_whole_stretch() {
    let data = data_folder().await;
    let client = Client::on(data.path());
    let text = history_of(&client, Some("nightly"), &[]).await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        lines.iter().map(|line| squeezed(line)).collect::<Vec<_>>(),
        [
            "DUE TASK STATE KIND STARTED LATE TOOK ATTEMPTS FUEL DRAFTS NOTE",
            "2026-11-28 02:30+01:00 digest/nightly done timely 2026-11-28 01:30:00.250Z 250ms 1.2s 1 1.2M 2",
            "2026-11-27 02:30+01:00 digest/nightly failed timely - - - 5 0 0 the mail server said no",
            "2026-11-26 02:30+01:00 digest/nightly missed timely - - - 0 0 0 this and all before, after 2026-11-20 00:00Z: \
             it was seen only after the time in which it might begin",
        ]
    );
    let failed = history_of(&client, None, &[ExecutionState::Failed]).await;
    let failed = failed.unwrap();
    assert_eq!(failed.lines().count(), 2, "{failed}");
}

#[tokio::test]
async fn what_a_forgotten_task_did_is_found_by_its_whole_name() {
    let data = data_folder().await;
    let client = Client::on(data.path());
    let text = history_of(&client, Some("digest/old"), &[]).await.unwrap();
    // Of its zone nothing is known any more.
    assert!(text.contains("2026-11-25 01:30Z"), "{text}");
    for (name, meant) in [
        (
            "digest/nightli",
            "did you mean digest/nightly or digest/weekly?",
        ),
        (
            "old",
            "`quartermaster task list shop` shows those there are",
        ),
    ] {
        let error = history_of(&client, Some(name), &[]).await.unwrap_err();
        assert!(error.to_string().ends_with(meant), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_store_is_answered_with_the_one_that_was_meant() {
    let unknown = json!({ "error": "no store shop is configured" });
    let health = json!({ "stores": [{ "id": "shop1" }] });
    let answers = [
        (TASKS, StatusCode::NOT_FOUND, unknown),
        ("GET /api/v1/health", StatusCode::OK, health),
    ];
    let server = Fake::new(&answers).await;
    let error = listed(&server.client()).await.unwrap_err();
    let meant = "no store shop is configured; did you mean shop1?";
    assert_eq!(error.to_string(), meant);

    let data = data_folder().await;
    let client = Client::on(data.path());
    let shpo = "shpo".parse().unwrap();
    let error = source::tasks(&client, &shpo).await.unwrap_err();
    assert!(error.to_string().ends_with("did you mean shop?"), "{error}");
}

#[test]
fn a_task_is_found_by_its_id_alone_unless_two_plugins_have_it() {
    let tasks = [
        shown(nightly("digest", "nightly")),
        shown(nightly("digest", "a/b")),
        shown(nightly("mail", "weekly")),
        shown(nightly("digest", "weekly")),
    ];
    let find = |name: &str| {
        let found = source::find(&tasks, name, &shop());
        found
            .map(|task| task.key.to_string())
            .map_err(|error| error.to_string())
    };
    assert_eq!(find("nightly").unwrap(), "digest/nightly");
    assert_eq!(find("mail/weekly").unwrap(), "mail/weekly");
    assert_eq!(find("a/b").unwrap(), "digest/a/b");
    let two = find("weekly").unwrap_err();
    assert!(two.ends_with("say mail/weekly or digest/weekly"), "{two}");
    let near = find("nigthly").unwrap_err();
    assert!(near.ends_with("did you mean nightly?"), "{near}");
    let none = source::find(&[], "x", &shop()).unwrap_err();
    assert_eq!(none.to_string(), "store shop has no task x; it has none");
}

#[tokio::test]
async fn the_next_times_say_what_the_clocks_do_to_them() {
    let mut skipping = nightly("digest", "skipping");
    Arc::make_mut(&mut skipping.plan).timetable.gap = Gap::Skip;
    Arc::make_mut(&mut skipping.plan).timetable.jitter = Duration::from_secs(300);
    let records = vec![nightly("digest", "nightly"), paused(skipping.clone())];
    let server = Fake::new(&[(TASKS, StatusCode::OK, report(records))]).await;
    let client = server.client();
    assert_eq!(
        next_of(&client, "2026-03-28T12:00", "nightly").await,
        "digest/nightly: 30 2 * * *, Europe/Berlin\n  \
           2026-03-29 03:30+02:00  2026-03-29 01:30Z  244d10h ago  02:30 does not exist that day: shifted to 03:30\n  \
           2026-03-30 02:30+02:00  2026-03-30 00:30Z  243d11h ago\n"
    );
    let delay = skipping.plan.delay(&skipping.key, 0);
    let delay = print::millis(Some(u64::try_from(delay.as_millis()).unwrap()));
    let text = next_of(&client, "2026-03-28T12:00", "skipping").await;
    assert_eq!(
        text,
        format!(
            "digest/skipping: 30 2 * * *, Europe/Berlin\n  \
               left out                                                2026-03-29 02:30 does not exist: skipped\n  \
               2026-03-30 02:30+02:00  2026-03-30 00:30Z  243d11h ago\n  \
               2026-03-31 02:30+02:00  2026-03-31 00:30Z  242d11h ago\n  \
               starts are spread over 5m00s by store: here each begins {delay} after its time\n  \
               it is paused since 2026-11-27 08:00Z by alice (uid 7): the mail server is down; until it is resumed none of \
               these runs\n"
        )
    );
}

fn ordered(task: &str) -> order::Arguments {
    order::Arguments {
        store: shop(),
        task: task.to_owned(),
        json: false,
        running: Running::default(),
    }
}

#[tokio::test]
async fn an_order_is_sent_to_the_task_that_is_meant_and_its_answer_is_printed() {
    const PAUSE: &str = "POST /api/v1/stores/shop/tasks/digest/a%2Fb%20c/pause";
    let answer = json!({
        "store": "shop", "plugin": "digest", "task": "a/b c", "order": "pause",
        "note": "it was paused already, by bob",
    });
    let answers = [
        (
            TASKS,
            StatusCode::OK,
            report(vec![nightly("digest", "a/b c")]),
        ),
        (PAUSE, StatusCode::OK, answer),
    ];
    let mut server = Fake::new(&answers).await;
    let mut out = Vec::new();
    let wanted = order::Order::Pause { note: "moving" };
    order::order(&ordered("a/b c"), wanted, &server.client(), &mut out)
        .await
        .unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "shop: digest/a/b c: paused; it was paused already, by bob\n"
    );
    let asked = server.asked();
    let (path, body) = &asked[1];
    assert_eq!((path.as_str(), &body["note"]), (PAUSE, &json!("moving")));
}

#[tokio::test]
async fn an_order_without_a_server_says_how_to_start_one_although_the_journal_could_be_read() {
    let data = data_folder().await;
    let client = Client::on(data.path());
    let wanted = order::Order::Run;
    let error = order::order(&ordered("nightly"), wanted, &client, &mut Vec::new()).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("start it with `quartermaster serve`"),
        "{error}"
    );
}

fn backfilled(from: &str, to: &str, dry_run: bool) -> backfill::Arguments {
    backfill::Arguments {
        store: shop(),
        task: "nightly".to_owned(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        dry_run,
        json: false,
        running: Running::default(),
    }
}

#[tokio::test]
async fn a_backfill_means_the_clock_of_the_task_and_tells_which_times_run() {
    const PATH: &str = "POST /api/v1/stores/shop/tasks/digest/nightly/backfill";
    let due = json!({ "due": "2026-11-02T01:30:00.000Z", "wall": "2026-11-02T02:30:00+01:00[Europe/Berlin]" });
    let answer = json!({
        "plugin": "digest", "task": "nightly", "dues": [due], "done": 2, "failed": 0, "open": 1, "ahead": 0,
    });
    let answers = [
        (
            TASKS,
            StatusCode::OK,
            report(vec![nightly("digest", "nightly")]),
        ),
        (PATH, StatusCode::OK, answer),
    ];
    let mut server = Fake::new(&answers).await;
    let client = server.client();
    let mut out = Vec::new();
    let arguments = backfilled("2026-11-01", "1h", true);
    backfill::backfill(&arguments, &client, now(), &mut out)
        .await
        .unwrap();
    let body = server.asked().remove(1).1;
    assert_eq!(body["from"], time("2026-10-31T23:00:00Z").as_millis());
    assert_eq!(body["to"], time("2026-11-28T11:00:00Z").as_millis());
    assert_eq!(body["dry_run"], true);
    let would = "shop: digest/nightly: 1 time would run\n  2026-11-02 02:30+01:00  2026-11-02 01:30Z\n\
                 left out: 2 done already, 1 waiting or running\n";
    assert_eq!(String::from_utf8(out).unwrap(), would);

    let mut out = Vec::new();
    let arguments = backfilled("2026-11-01", "1h", false);
    backfill::backfill(&arguments, &client, now(), &mut out)
        .await
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("1 time ordered to run"), "{text}");
    assert!(text.contains("log is read from its beginning"), "{text}");

    let arguments = backfilled("1h", "2026-11-01", false);
    let error = backfill::backfill(&arguments, &client, now(), &mut Vec::new()).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(Refusal::Usage(_))),
        "{error}"
    );
}

#[test]
fn what_is_asked_for_of_a_history_stands_in_the_address() {
    let filter = ExecutionFilter {
        states: vec![ExecutionState::Failed, ExecutionState::Missed],
        before: Some(Timestamp::from_millis(7)),
        ..ExecutionFilter::of(&key("digest", "a/b&c"), 20)
    };
    assert_eq!(
        source::query(&filter),
        "limit=20&plugin=digest&task=a%2Fb%26c&before=7&state=failed,missed"
    );
}
