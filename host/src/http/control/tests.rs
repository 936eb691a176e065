//! The control API over a real socket, with nobody at the desks behind it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::calendar::{Rhythm, Timetable};
use crate::event::SeqNum;
use crate::journal::JournalConfig;
use crate::stamp::{RunId, Trigger};
use crate::store::{
    Commit, Durability, Ending, ExecutionRecord, ExecutionState, Missed, OccurrenceKind, Origin,
    Overlap, TaskKey, TaskPlan, TaskRecord, Usage, UsageRecord,
};
use crate::time::Timestamp;

/// A hang is a failure.
const SOON: Duration = Duration::from_secs(30);

struct Server {
    path: PathBuf,
    journal: Journal,
    _folder: TempDir,
    _tasks: JoinSet<()>,
}

impl Server {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join(SOCKET);
        // What a killed server leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        let config = JournalConfig::new(folder.path().join("journals"));
        let journal = Journal::open(&config).expect("a folder");
        let orders = Orders {
            roster: watch::channel(Arc::default()).1,
            desk: Desk::deserted(),
            catalog: CatalogDesk::deserted(),
            control: Control::open(&folder.path().join("control.db")).expect("a file"),
            journal: journal.clone(),
            clock: Clock::start(),
        };
        let listener = bind(&path).expect("it listens");
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, orders, CancellationToken::new()));
        Self {
            path,
            journal,
            _folder: folder,
            _tasks: tasks,
        }
    }

    /// Sends one request as it stands, and reads status and body.
    async fn say(&self, request: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.path).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let read = timeout(SOON, stream.read_to_string(&mut answer));
        read.await.expect("in time").expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (
            status.expect("a status"),
            serde_json::from_str(body).unwrap_or_default(),
        )
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json";
        let length = body.len();
        self.say(&format!(
            "POST {path} {head}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.say(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await
    }
}

#[tokio::test]
async fn the_socket_is_its_users_own_and_takes_the_place_of_a_dead_one() {
    let server = Server::new();
    let mode = std::fs::metadata(&server.path)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (status, health) = server.get("/api/v1/health").await;
    assert_eq!((status, &health["status"]), (200, &Value::from("healthy")));
    assert_eq!(
        server.get("/api/v1/alerts").await,
        (200, json!({ "alerts": [] }))
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_told() {
    let server = Server::new();
    for (path, body, status, words) in [
        ("/api/v1/stores/shop", "{", 400, "JSON"),
        ("/api/v1/stores/shop", "{}", 400, "wish"),
        (
            "/api/v1/stores/shop",
            "{\"wish\":{\"wish\":\"pause\"},\"wy\":\"\"}",
            400,
            "wy",
        ),
        (
            "/api/v1/stores/.x",
            "{\"wish\":{\"wish\":\"pause\"}}",
            400,
            "store id",
        ),
        (
            "/api/v1/plugins/X",
            "{\"choice\":{\"choice\":\"promote\"}}",
            400,
            "plugin name",
        ),
        ("/api/v1/reload", "{}", 503, "stopping"),
        ("/api/v1/nothing", "{}", 404, "nothing"),
    ] {
        let (code, answer) = server.post(path, body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            code == status && error.contains(words),
            "{path} {body}: {code} {answer}"
        );
    }
    let (code, answer) = server.get("/api/v1/stores/shop").await;
    assert!(
        code == 404 && answer["error"].to_string().contains("shop"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_was_used_is_told_of_one_store_or_of_all_that_have_a_journal() {
    let server = Server::new();
    let journal = &server.journal;
    let shop = "shop".parse().expect("a store id");
    let mut lease = journal
        .claim(&shop, Durability::Normal)
        .await
        .expect("ours");
    let commit = Commit {
        usage: vec![UsageRecord {
            run: RunId {
                plugin: "echo".parse().expect("a plugin name"),
                trigger: Trigger::Event(SeqNum::new(1)),
            },
            attempt: 1,
            at: Timestamp::from_millis(3_600_000),
            ending: Ending::Finished,
            usage: Usage {
                fuel: 7,
                ..Usage::default()
            },
            drafts: 0,
        }],
        ..Commit::default()
    };
    let written = journal.commit(&mut lease, commit).await.expect("queued");
    written.await.expect("written");
    for path in ["/api/v1/usage", "/api/v1/stores/shop/usage"] {
        let (code, answer) = server.get(&format!("{path}?since=0&by=hour")).await;
        assert_eq!((code, &answer["problems"]), (200, &json!([])), "{answer}");
        let row = &answer["usage"][0];
        assert_eq!(
            (&row["store"], &row["plugin"], &row["fuel"]),
            (&json!("shop"), &json!("echo"), &json!(7))
        );
        assert_eq!(row["at"], "1970-01-01T01:00:00.000Z");
    }
    for (path, code, words) in [
        (
            "/api/v1/stores/shp/usage?since=0&by=hour",
            404,
            "no store shp",
        ),
        ("/api/v1/usage?since=0&by=week", 400, "week"),
        ("/api/v1/usage?by=hour", 400, "since"),
        ("/api/v1/usage?by=hour&since=0&until=1", 400, "until"),
    ] {
        let (status, answer) = server.get(path).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            status == code && error.contains(words),
            "{path}: {status} {answer}"
        );
    }
    journal.release(lease).await.expect("closed");
}

/// A daily task, dealt with up to an hour after the epoch, and what became of two of its times.
fn task() -> (TaskRecord, Vec<ExecutionRecord>) {
    let key = TaskKey {
        plugin: "echo".parse().expect("a plugin name"),
        task: "a/b".into(),
    };
    let rhythm = Rhythm::Cron("0 8 * * *".parse().expect("a pattern"));
    let plan = TaskPlan {
        timetable: Timetable {
            zone: "Asia/Tokyo".parse().expect("a zone"),
            ..Timetable::new(rhythm)
        },
        payload: "null".into(),
        overlap: Overlap::Skip,
        catch_up: Duration::from_secs(600),
        missed: Missed::Skip,
        attempts_max: None,
        timeout: None,
    };
    let execution = |day: u64, state| ExecutionRecord {
        key: key.clone(),
        due: Timestamp::from_millis((day * 24 - 1) * 3_600_000),
        since: None,
        state,
        kind: OccurrenceKind::Timely,
        depth: 0,
        attempts: 1,
        failures: Vec::new(),
        started: None,
        ended: None,
        fuel: 0,
        drafts: 0,
        note: None,
    };
    let executions = vec![
        execution(1, ExecutionState::Failed),
        execution(2, ExecutionState::Done),
    ];
    let record = TaskRecord {
        key,
        plan: Arc::new(plan),
        origin: Origin::Declared,
        passed: Timestamp::from_millis(48 * 3_600_000),
        ahead: Vec::new(),
        unseen: Vec::new(),
        paused: None,
        gone: false,
    };
    (record, executions)
}

#[tokio::test]
async fn tasks_and_what_became_of_their_times_are_told_of_a_store_that_has_a_journal() {
    let server = Server::new();
    let journal = &server.journal;
    let shop = "shop".parse().expect("a store id");
    let mut lease = journal
        .claim(&shop, Durability::Normal)
        .await
        .expect("ours");
    let (task, executions) = task();
    let gone = TaskRecord {
        key: TaskKey {
            task: "gone".into(),
            ..task.key.clone()
        },
        gone: true,
        ..task.clone()
    };
    let commit = Commit {
        tasks: vec![task, gone],
        executions,
        ..Commit::default()
    };
    let written = journal.commit(&mut lease, commit).await.expect("queued");
    written.await.expect("written");

    let (code, answer) = server.get("/api/v1/stores/shop/tasks").await;
    let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
    assert_eq!((code, tasks.len()), (200, 1), "{answer}");
    let told = ["task", "when", "zone", "next_due"].map(|field| tasks[0][field].clone());
    let next = "1970-01-03T23:00:00.000Z";
    assert_eq!(told, ["a/b", "0 8 * * *", "Asia/Tokyo", next]);
    assert_eq!(tasks[0]["last"]["state"], "done");

    let path = "/api/v1/stores/shop/tasks/executions?plugin=echo&task=a%2Fb";
    let (code, answer) = server.get(path).await;
    assert_eq!(code, 200, "{answer}");
    let wall = "1970-01-03T08:00:00+09:00[Asia/Tokyo]";
    assert_eq!(answer["executions"][0]["wall"], wall);
    let path = format!("{path}&state=missed,failed");
    let (_, answer) = server.get(&path).await;
    let found = answer["executions"].as_array().cloned().unwrap_or_default();
    assert_eq!(found.len(), 1, "{answer}");
    assert_eq!(found[0]["due"], "1970-01-01T23:00:00.000Z");
    journal.release(lease).await.expect("closed");
}

#[tokio::test]
async fn what_makes_no_sense_of_tasks_is_told() {
    let server = Server::new();
    for (path, status, words) in [
        ("/api/v1/stores/shp/tasks", 404, "no store shp"),
        ("/api/v1/stores/.x/tasks", 400, "store id"),
        (
            "/api/v1/stores/shop/tasks/executions?state=late",
            400,
            "expected some of waiting",
        ),
        (
            "/api/v1/stores/shop/tasks/executions?limit=0",
            400,
            "expected 1 to 10000",
        ),
        (
            "/api/v1/stores/shop/tasks/executions?plugins=x",
            400,
            "plugins",
        ),
    ] {
        let (code, answer) = server.get(path).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            code == status && error.contains(words),
            "{path}: {code} {answer}"
        );
    }
    let task = "/api/v1/stores/shop/tasks/echo/daily";
    for (order, body, status, words) in [
        ("run", "{}", 404, "no store shop is configured"),
        ("pause", "{\"not\":\"x\"}", 400, "not"),
        ("backfill", "{\"from\":1}", 400, "to"),
        ("walk", "{}", 404, "nothing"),
    ] {
        let (code, answer) = server.post(&format!("{task}/{order}"), body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            code == status && error.contains(words),
            "{order} {body}: {code} {answer}"
        );
    }
}

#[tokio::test]
async fn whoever_sends_slowly_keeps_nobody_else_waiting_for_ever() {
    let server = Server::new();
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = UnixStream::connect(&server.path)
            .await
            .expect("a connection");
        let head = "POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.expect("sent");
        slow.push(stream);
    }
    assert_eq!(server.get("/api/v1/health").await.0, 200);
}

#[test]
fn a_name_or_a_reason_is_one_line() {
    assert_eq!(plain(" a\nb\u{1b}[31m "), "a b [31m");
    assert_eq!(plain(&"x".repeat(10_000)).len(), TEXT_MAX);
}
