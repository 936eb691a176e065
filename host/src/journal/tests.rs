//! What is about files: corruption, versions, locks, full disks, and what lies in the folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::contract::tasks::{at, execution, key, task};
use super::contract::{
    self, all_kv, breaker, claim, entry, letter, plugin, put, ration, stamp, store, subscription,
    write,
};
use super::{
    By, Error, ExecutionFilter, Journal, JournalConfig, OpenTasks, backup, executions_of, open_of,
    stores, tasks_of, usage_of,
};
use crate::event::SeqNum;
use crate::id::BackendId;
use crate::store::{Commit, DeadLetter, Durability, ExecutionRecord, ExecutionState, Snapshot};
use crate::time::Timestamp;

fn full_commit() -> Commit {
    Commit {
        scanned: SeqNum::new(9),
        adopt: Some(BackendId::new("b-1")),
        subscriptions: vec![subscription("echo", 9)],
        kv: vec![put("echo", "count", "41"), put("echo", "name", "Ada")],
        outbox: vec![entry("echo", 9, 1)],
        dead_letters: vec![letter("echo", 3)],
        rations: vec![ration(None, 5), ration(Some("echo"), 4)],
        breakers: vec![breaker("echo", 2)],
        usage: vec![contract::usage::record("echo", 9, 1_700_000_000_000)],
        tasks: vec![task("echo", "daily")],
        executions: vec![
            execution("echo", "daily", 1_700_000_000_000, ExecutionState::Done),
            execution("echo", "daily", 1_700_000_060_000, ExecutionState::Waiting),
        ],
        landed_occurrences: vec![key("echo", "daily").run(at(1_700_000_120_000))],
        ..Commit::default()
    }
}

/// A folder with one released store, `shop`, in which every table has a row.
async fn folder_with_shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    let mut lease = claim(&journal, "shop").await;
    write(&journal, &mut lease, full_commit()).await.unwrap();
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
    folder
}

/// A snapshot, a plugin's kv, dead letters, executions.
type Everything = (
    Snapshot,
    Vec<(String, String)>,
    Vec<DeadLetter>,
    Vec<ExecutionRecord>,
);

/// Everything that the store `shop` holds, or why it cannot be told.
async fn read_everything(folder: &Path) -> Result<Everything, Error> {
    let journal = Journal::open(&JournalConfig::new(folder)).unwrap();
    let read = async {
        let lease = journal.claim(&store("shop"), Durability::Normal).await?;
        let snapshot = journal.load(&lease).await?;
        let kv = all_kv(&journal, "shop", "echo").await;
        let letters = journal.dead_letters(&store("shop"), None, 10).await?;
        let latest = ExecutionFilter::latest(10);
        let executions = journal.executions(&store("shop"), latest).await?;
        Ok((snapshot, kv, letters, executions))
    };
    let read = read.await;
    journal.shutdown().await;
    read
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn sqlite_holds_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    contract::check(&journal).await;
    journal.shutdown().await;
}

#[tokio::test]
async fn sqlite_holds_the_contract_when_hardly_any_file_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        threads: 1,
        open_files_max: 1,
        ..JournalConfig::new(folder.path())
    };
    let journal = Journal::open(&config).unwrap();
    contract::check(&journal).await;
    // Each store's commits lie in a WAL of their own, and no two files are open at once.
    let mut leases = Vec::new();
    for n in 0..4 {
        leases.push(claim(&journal, &format!("s{n}")).await);
    }
    for round in 1..=3 {
        for lease in &mut leases {
            let commit = Commit {
                scanned: SeqNum::new(round),
                ..Commit::default()
            };
            write(&journal, lease, commit).await.unwrap();
        }
    }
    for lease in leases {
        let loaded = journal.load(&lease).await.unwrap();
        assert_eq!(loaded.scanned, SeqNum::new(3));
    }
    journal.shutdown().await;
}

#[tokio::test]
async fn a_released_store_is_one_file() {
    let folder = folder_with_shop().await;
    assert_eq!(files_in(folder.path()), [".lock", "shop.db"]);

    // Also one whose file was closed before, to make room for another.
    let config = JournalConfig {
        threads: 1,
        open_files_max: 1,
        ..JournalConfig::new(folder.path())
    };
    let journal = Journal::open(&config).unwrap();
    let lease = claim(&journal, "shop").await;
    let other = claim(&journal, "other").await;
    assert!(files_in(folder.path()).contains(&"shop.db-wal".to_owned()));
    journal.release(lease).await.unwrap();
    journal.release(other).await.unwrap();
    assert_eq!(files_in(folder.path()), [".lock", "other.db", "shop.db"]);
    journal.shutdown().await;
}

#[tokio::test]
async fn a_changed_row_is_named_and_its_value_is_not_used() {
    let changes = [
        ("UPDATE meta SET scanned = 10", "meta"),
        ("UPDATE meta SET backend_id = 'b-2'", "meta"),
        ("DELETE FROM meta", "meta"),
        (
            "UPDATE subscription SET cursor = 10",
            "the subscription of echo",
        ),
        (
            "UPDATE subscription SET failures = '[]'",
            "the subscription of echo",
        ),
        (
            "UPDATE subscription SET plugin = 'Echo'",
            "the subscription of Echo",
        ),
        (
            "UPDATE kv SET value = CAST('42' AS BLOB) WHERE key = 'count'",
            "the kv entry \"count\" of echo",
        ),
        (
            "UPDATE kv SET key = 'counT' WHERE key = 'count'",
            "the kv entry \"counT\" of echo",
        ),
        (
            "UPDATE kv SET plugin = 'ech' WHERE key = 'count'",
            "the kv entry \"count\" of ech",
        ),
        (
            "UPDATE outbox SET position = 2",
            "the outbox entry of qm1:echo:e9",
        ),
        (
            "UPDATE outbox SET parked = ''",
            "the outbox entry of qm1:echo:e9",
        ),
        (
            "UPDATE outbox SET drafts = replace(drafts, 'first', 'fisrt')",
            "the outbox entry of qm1:echo:e9",
        ),
        (
            "UPDATE outbox SET drafts = replace(drafts, '[', '')",
            "the outbox entry of qm1:echo:e9",
        ),
        (
            "UPDATE outbox SET run = 'qm1:echo:e10'",
            "the outbox entry of qm1:echo:e10",
        ),
        (
            "UPDATE outbox SET run = 'nonsense'",
            "the outbox entry of nonsense",
        ),
        (
            "UPDATE dead_letter SET landed = 1",
            "the dead letter of qm1:echo:e3",
        ),
        (
            "UPDATE dead_letter SET landed = 7",
            "the dead letter of qm1:echo:e3",
        ),
        (
            "UPDATE dead_letter SET mode = '\"projecting\"'",
            "the dead letter of qm1:echo:e3",
        ),
        (
            "UPDATE dead_letter SET depth = 2",
            "the dead letter of qm1:echo:e3",
        ),
        (
            "UPDATE run_usage SET fuel = 8",
            "what the run qm1:echo:e9 used",
        ),
        (
            "UPDATE run_usage SET ending = 'well'",
            "what the run qm1:echo:e9 used",
        ),
        ("UPDATE usage SET runs = 2", "what echo used"),
        ("UPDATE usage SET hours = 24", "what echo used"),
        ("UPDATE kv_total SET bytes = 1", "the kv total of echo"),
        (
            "DELETE FROM kv WHERE key = 'name'",
            "the kv total of echo is not that of its entries",
        ),
        ("UPDATE task SET passed = 1", "the task echo/daily"),
        ("UPDATE task SET gone = 1", "the task echo/daily"),
        ("UPDATE task SET gone = 2", "the task echo/daily"),
        ("UPDATE task SET paused = NULL", "the task echo/daily"),
        ("UPDATE task SET ahead = '[]'", "the task echo/daily"),
        ("UPDATE task SET unseen = '[]'", "the task echo/daily"),
        (
            "UPDATE task SET origin = '\"declared\"'",
            "the task echo/daily",
        ),
        ("UPDATE task SET task = 'weekly'", "the task echo/weekly"),
        ("UPDATE task SET plugin = 'ech'", "the task ech/daily"),
        (
            "UPDATE task SET plan = replace(plan, 'zweitens', 'drittens')",
            "the task echo/daily",
        ),
        (
            "UPDATE task SET plan = replace(plan, '{', '')",
            "the task echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET state = 'missed' WHERE state = 'done'",
            "the execution of echo/daily that was due at 2023-11-14T22:13:20.000Z",
        ),
        (
            "UPDATE processed_task_executions SET state = 'waiting' WHERE state = 'done'",
            "the execution of echo/daily that was due at 2023-11-14T22:13:20.000Z",
        ),
        (
            "UPDATE processed_task_executions SET state = 'good' WHERE state = 'done'",
            "the execution of echo/daily that was due at 2023-11-14T22:13:20.000Z",
        ),
        (
            "UPDATE processed_task_executions SET due = due + 1 WHERE state = 'done'",
            "the execution of echo/daily that was due at 2023-11-14T22:13:20.001Z",
        ),
        (
            "UPDATE processed_task_executions SET task = 'weekly' WHERE state = 'done'",
            "the execution of echo/weekly",
        ),
        (
            "UPDATE processed_task_executions SET plugin = 'ech' WHERE state = 'done'",
            "the execution of ech/daily",
        ),
        (
            "UPDATE processed_task_executions SET kind = 'manual'",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET failures = '[]'",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET ended = NULL WHERE state = 'done'",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET since = 7",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET started = 7",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET depth = 7",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET attempts = 7",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET fuel = 7",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET drafts = 7",
            "the execution of echo/daily",
        ),
        (
            "UPDATE processed_task_executions SET note = ''",
            "the execution of echo/daily",
        ),
        (
            "UPDATE landed_occurrence SET run = 'qm1:echo:t/daily/7'",
            "the landed occurrence qm1:echo:t/daily/7",
        ),
        (
            "UPDATE landed_occurrence SET run = 'nonsense'",
            "the landed occurrence nonsense",
        ),
    ];
    for (change, row) in changes {
        let folder = folder_with_shop().await;
        let path = folder.path().join("shop.db");
        let raw = Connection::open(&path).unwrap();
        assert!(raw.execute(change, []).unwrap() > 0, "{change}");
        drop(raw);
        let read = read_everything(folder.path()).await;
        let Err(Error::Corrupt { path: named, what }) = read else {
            panic!("{change}: {read:?}");
        };
        assert_eq!(named, path.canonicalize().unwrap());
        assert!(what.contains(row), "{change}: {what}");
    }
}

#[tokio::test]
async fn a_value_that_changes_after_the_start_is_not_used_either() {
    let folder = folder_with_shop().await;
    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    let mut lease = claim(&journal, "shop").await;
    journal.load(&lease).await.unwrap();
    let raw = Connection::open(folder.path().join("shop.db")).unwrap();
    raw.execute("UPDATE kv SET value = x'00' WHERE key = 'count'", [])
        .unwrap();
    raw.execute("UPDATE dead_letter SET at = 1", []).unwrap();
    let (id, echo) = (store("shop"), plugin("echo"));
    let run = stamp("echo", 3).run;
    let reads = [
        journal.kv_get(&id, &echo, "count").await.map(drop),
        journal.kv_list(&id, &echo, "", None, 9, 99).await.map(drop),
        journal.dead_letter(&id, &run).await.map(drop),
        journal.dead_letters(&id, None, 9).await.map(drop),
        journal.load(&lease).await.map(drop),
    ];
    for read in reads {
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    }
    let name = journal.kv_get(&id, &echo, "name").await.unwrap();
    assert_eq!(name.as_deref(), Some(&b"Ada"[..]));
    // Marking a letter reads it: a broken one does not become a good one.
    let commit = Commit {
        dead_letters_landed: vec![run],
        ..Commit::default()
    };
    let marked = write(&journal, &mut lease, commit).await;
    assert!(matches!(marked, Err(Error::Corrupt { .. })), "{marked:?}");
    journal.shutdown().await;
}

/// Every byte would take minutes; the step is a prime, so that all parts of a page are met.
const FLIP_EVERY: usize = 61;

#[tokio::test]
async fn a_flipped_byte_is_refused_or_harmless() {
    let folder = folder_with_shop().await;
    let path = folder.path().join("shop.db");
    let sound = fs::read(&path).unwrap();
    let expected = read_everything(folder.path()).await.unwrap();
    let mut refused = 0;
    for place in (0..sound.len()).step_by(FLIP_EVERY) {
        fs::remove_file(folder.path().join("shop.db-wal")).ok();
        let mut flipped = sound.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&path, flipped).unwrap();
        match read_everything(folder.path()).await {
            Ok(read) => assert_eq!(read, expected, "byte {place}"),
            Err(Error::Corrupt { .. } | Error::Newer { .. } | Error::Foreign { .. }) => {
                refused += 1;
            }
            // The header's "write version": SQLite takes the file for one that it may only read.
            Err(Error::Disk { .. }) if place == 18 => refused += 1,
            Err(other) => panic!("byte {place}: {other:?}"),
        }
    }
    assert!(refused > 10, "only {refused} flips were noticed");
}

#[tokio::test]
async fn a_file_cut_short_is_refused() {
    let folder = folder_with_shop().await;
    let path = folder.path().join("shop.db");
    let sound = fs::read(&path).unwrap();
    for length in [50, 4096, sound.len() - 4096, sound.len() - 1] {
        fs::write(&path, &sound[..length]).unwrap();
        let read = read_everything(folder.path()).await;
        assert!(
            matches!(read, Err(Error::Corrupt { .. })),
            "{length} bytes: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_newer_version_is_refused_and_left_as_it_is() {
    let folder = folder_with_shop().await;
    let path = folder.path().join("shop.db");
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let error = read_everything(folder.path()).await.unwrap_err();
    let Error::Newer { found, known, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!((found, known), (99, 4));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let raw = Connection::open(&path).unwrap();
    raw.execute("CREATE TABLE recipes (name TEXT)", []).unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let error = read_everything(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::write(&path, "this is not SQLite at all\n".repeat(99)).unwrap();
    let error = read_everything(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn an_empty_file_left_by_a_crash_is_a_fresh_journal() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.db"), "").unwrap();
    let read = read_everything(folder.path()).await.unwrap();
    assert_eq!(read, Everything::default());
}

#[tokio::test]
async fn two_journals_cannot_have_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig::new(folder.path());
    let first = Journal::open(&config).unwrap();
    let refused = Journal::open(&config).unwrap_err();
    let Error::Locked { folder: named } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(*named, folder.path().canonicalize().unwrap());
    first.shutdown().await;
    let second = Journal::open(&config).unwrap();
    assert_eq!(
        first.claim(&store("a"), Durability::Normal).await.err(),
        Some(Error::Closed)
    );
    second.shutdown().await;
}

#[tokio::test]
async fn what_is_queued_at_a_shutdown_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig::new(folder.path());
    let journal = Journal::open(&config).unwrap();
    let mut lease = claim(&journal, "shop").await;
    let mut confirmations = Vec::new();
    for n in 1..=50 {
        let commit = Commit {
            scanned: SeqNum::new(n),
            ..Commit::default()
        };
        confirmations.push(journal.commit(&mut lease, commit).await.unwrap());
    }
    journal.shutdown().await;
    let confirmed = futures_util::future::join_all(confirmations).await;
    assert!(confirmed.iter().all(Result::is_ok), "{confirmed:?}");
    let journal = Journal::open(&config).unwrap();
    let lease = claim(&journal, "shop").await;
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.scanned, SeqNum::new(50));
    journal.shutdown().await;
}

#[tokio::test]
async fn a_dropped_journal_frees_its_folder_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig::new(folder.path());
    let journal = Journal::open(&config).unwrap();
    let lease = claim(&journal, "shop").await;
    drop((lease, journal));
    let reopened = tokio::time::timeout(Duration::from_secs(10), async {
        while Journal::open(&config).is_err() {
            tokio::task::yield_now().await;
        }
    });
    assert!(reopened.await.is_ok());
}

#[tokio::test]
async fn a_full_disk_writes_nothing_and_is_over_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        file_bytes_max: 116 * 1024,
        ..JournalConfig::new(folder.path())
    };
    let journal = Journal::open(&config).unwrap();
    let mut lease = claim(&journal, "shop").await;
    let some = |key: &str, bytes: usize| Commit {
        kv: vec![put("echo", key, &"x".repeat(bytes))],
        ..Commit::default()
    };
    write(&journal, &mut lease, some("fits", 20_000))
        .await
        .unwrap();
    let too_much = Commit {
        scanned: SeqNum::new(9),
        ..some("does-not", 60_000)
    };
    let refused = write(&journal, &mut lease, too_much).await;
    assert!(matches!(refused, Err(Error::Disk { .. })), "{refused:?}");

    let mut lease = claim(&journal, "shop").await;
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.scanned, SeqNum::ROOT, "a part was written");
    assert_eq!(all_kv(&journal, "shop", "echo").await.len(), 1);
    let room = Commit {
        subscriptions_removed: vec![plugin("echo")],
        ..Commit::default()
    };
    write(&journal, &mut lease, room).await.unwrap();
    write(&journal, &mut lease, some("fits-now", 40_000))
        .await
        .unwrap();
    assert_eq!(all_kv(&journal, "shop", "echo").await[0].0, "fits-now");
    journal.shutdown().await;
}

#[tokio::test]
async fn a_file_that_another_program_holds_is_a_fault_of_the_disk_until_it_lets_go() {
    let folder = folder_with_shop().await;
    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    let raw = Connection::open(folder.path().join("shop.db")).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = journal.claim(&store("shop"), Durability::Normal).await;
    assert!(matches!(held, Err(Error::Disk { .. })), "{held:?}");
    raw.execute_batch("ROLLBACK").unwrap();
    let lease = claim(&journal, "shop").await;
    assert!(journal.load(&lease).await.is_ok());
    // A reader holds up nothing but the archive, which needs the file for itself.
    raw.execute_batch("BEGIN; SELECT count(*) FROM kv").unwrap();
    let archived = journal.archive(lease).await;
    assert!(matches!(archived, Err(Error::Disk { .. })), "{archived:?}");
    raw.execute_batch("ROLLBACK").unwrap();
    drop(raw);
    let lease = claim(&journal, "shop").await;
    assert_eq!(journal.load(&lease).await.unwrap().scanned, SeqNum::new(9));
    journal.archive(lease).await.unwrap();
    journal.shutdown().await;
}

#[tokio::test]
async fn a_restored_backup_fences_the_lease_that_wrote_past_it() {
    let folder = folder_with_shop().await;
    let path = folder.path().join("shop.db");
    let config = JournalConfig {
        threads: 1,
        open_files_max: 1,
        ..JournalConfig::new(folder.path())
    };
    let journal = Journal::open(&config).unwrap();
    let mut lease = claim(&journal, "shop").await;
    let other = claim(&journal, "other").await;
    let wal = folder.path().join("shop.db-wal");
    let backup = (fs::read(&path).unwrap(), fs::read(&wal).unwrap());
    write(&journal, &mut lease, Commit::default())
        .await
        .unwrap();
    journal.load(&other).await.unwrap();
    fs::write(&path, backup.0).unwrap();
    fs::write(&wal, backup.1).unwrap();
    // The token is the same as in the backup: the chain tells.
    let late = write(&journal, &mut lease, Commit::default()).await;
    assert_eq!(
        late,
        Err(Error::Fenced {
            store: store("shop")
        })
    );
    journal.shutdown().await;
}

#[tokio::test]
async fn a_failure_from_before_versions_were_told_reads_as_one_of_no_version() {
    let folder = folder_with_shop().await;
    let raw = Connection::open(folder.path().join("shop.db")).unwrap();
    let told: String = raw
        .query_row("SELECT failures FROM subscription", [], |row| row.get(0))
        .unwrap();
    drop(raw);
    // To the letter what hosts wrote before a failure could have a version, and what its checksum was taken of.
    let before = r#"[{"attempt":1,"at":1700000000000,"error":"it said: \"no\"\n"}]"#;
    assert_eq!(told, before);
    let (snapshot, _, letters, _) = read_everything(folder.path()).await.unwrap();
    assert_eq!(snapshot.subscriptions[0].failures[0].build, None);
    let builds: Vec<_> = letters[0]
        .failures
        .iter()
        .map(|it| it.build.as_deref())
        .collect();
    assert_eq!(builds, [None, Some("1.2.0 (sha256 0123456789ab)")]);
}

#[tokio::test]
async fn a_file_from_before_usage_was_kept_goes_on_with_its_rows_and_counts_its_kv() {
    let folder = folder_with_shop().await;
    let raw = Connection::open(folder.path().join("shop.db")).unwrap();
    raw.execute_batch(
        "DROP TABLE run_usage; DROP TABLE usage; DROP TABLE kv_total; DROP TABLE task;
         DROP TABLE processed_task_executions; DROP TABLE landed_occurrence; PRAGMA user_version = 2;",
    )
    .unwrap();
    drop(raw);
    let (id, echo) = (store("shop"), plugin("echo"));
    // Somebody who only looks does not migrate it.
    let since = Timestamp::default();
    for _ in 0..2 {
        let read = usage_of(folder.path(), &id, since, By::Total);
        assert_eq!(read, Ok(Some(Vec::new())));
    }

    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    let mut lease = claim(&journal, "shop").await;
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.outbox, [entry("echo", 9, 1)]);
    let of = async || {
        let totals = journal.kv_totals(&id, &echo).await.unwrap();
        (totals.entries, totals.bytes)
    };
    assert_eq!(of().await, (2, 14));
    let commit = Commit {
        kv: vec![put("echo", "count", "9999")],
        usage: vec![contract::usage::record("echo", 10, 1_700_000_000_000)],
        ..Commit::default()
    };
    write(&journal, &mut lease, commit).await.unwrap();
    assert_eq!(of().await, (2, 16));
    journal.load(&lease).await.unwrap();
    let rows = journal.usage(&id, since, By::Total).await.unwrap();
    assert_eq!((rows.len(), rows[0].totals.runs), (1, 1));
    let aside = usage_of(folder.path(), &id, since, By::Total).unwrap();
    assert_eq!(
        aside,
        Some(rows),
        "a server works on it, and it is read all the same"
    );
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
}

#[tokio::test]
async fn whoever_only_looks_sees_which_journals_there_are_and_none_that_is_newer() {
    let folder = folder_with_shop().await;
    for name in ["lab.db", "lab.db.archived-1", "notes.txt", ".hidden.db"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    assert_eq!(
        stores(folder.path()).unwrap(),
        [store("lab"), store("shop")]
    );
    assert_eq!(stores(&folder.path().join("nowhere")).unwrap(), []);
    let look = |id: &str| usage_of(folder.path(), &store(id), Timestamp::default(), By::Day);
    assert_eq!(look("never"), Ok(None));
    assert_eq!(look("lab"), Ok(Some(Vec::new())));
    let raw = Connection::open(folder.path().join("shop.db")).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    assert!(matches!(look("shop"), Err(Error::Newer { found: 99, .. })));
}

#[tokio::test]
async fn a_file_from_before_tasks_were_kept_goes_on_with_its_rows_and_keeps_tasks() {
    let folder = folder_with_shop().await;
    let path = folder.path().join("shop.db");
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "DROP TABLE task; DROP TABLE processed_task_executions; DROP TABLE landed_occurrence;
         PRAGMA user_version = 3;",
    )
    .unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let id = store("shop");
    let latest = ExecutionFilter::latest(10);
    // Somebody who only looks does not migrate it.
    for _ in 0..2 {
        assert_eq!(tasks_of(folder.path(), &id), Ok(Some(Vec::new())));
        let executions = executions_of(folder.path(), &id, &latest);
        assert_eq!(executions, Ok(Some(Vec::new())));
        let open = open_of(folder.path(), &id).unwrap().unwrap();
        assert_eq!((open.tasks, open.executions), (Vec::new(), Vec::new()));
    }
    assert_eq!(fs::read(&path).unwrap(), before);

    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    let mut lease = claim(&journal, "shop").await;
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.outbox, [entry("echo", 9, 1)]);
    assert_eq!((loaded.tasks, loaded.executions), (Vec::new(), Vec::new()));
    let commit = Commit {
        tasks: full_commit().tasks,
        executions: full_commit().executions,
        ..Commit::default()
    };
    write(&journal, &mut lease, commit).await.unwrap();
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.tasks, full_commit().tasks);
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
}

#[tokio::test]
async fn whoever_only_looks_sees_the_same_tasks_as_a_server_that_works_on_them() {
    let folder = folder_with_shop().await;
    let journal = Journal::open(&JournalConfig::new(folder.path())).unwrap();
    let mut lease = claim(&journal, "shop").await;
    let commit = Commit {
        clock: at(7),
        tasks: vec![task("count", "a")],
        executions: vec![execution("count", "a", 3, ExecutionState::Running)],
        ..Commit::default()
    };
    write(&journal, &mut lease, commit).await.unwrap();
    let id = store("shop");
    let latest = ExecutionFilter::latest(10);
    let (tasks, executions) = (
        journal.tasks(&id).await.unwrap(),
        journal.executions(&id, latest.clone()).await.unwrap(),
    );
    assert_eq!((tasks.len(), executions.len()), (2, 3));
    let aside = executions_of(folder.path(), &id, &latest);
    assert_eq!(aside, Ok(Some(executions)));
    assert_eq!(tasks_of(folder.path(), &id), Ok(Some(tasks.clone())));
    let waiting = execution("echo", "daily", 1_700_000_060_000, ExecutionState::Waiting);
    let open = OpenTasks {
        clock: at(7),
        tasks,
        executions: vec![execution("count", "a", 3, ExecutionState::Running), waiting],
    };
    assert_eq!(open_of(folder.path(), &id), Ok(Some(open)));
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
    assert_eq!(open_of(folder.path(), &store("never")), Ok(None));
    fs::write(folder.path().join("lab.db"), "").unwrap();
    let empty = open_of(folder.path(), &store("lab"));
    assert_eq!(empty, Ok(Some(OpenTasks::default())));
}

#[tokio::test]
async fn a_backup_has_the_tasks_too() {
    let folder = folder_with_shop().await;
    let expected = read_everything(folder.path()).await.unwrap();
    assert_eq!((expected.0.tasks.len(), expected.3.len()), (1, 2));
    let copies = tempfile::tempdir().unwrap();
    let target = copies.path().join("shop.db");
    assert_eq!(backup(folder.path(), &store("shop"), &target), Ok(true));
    assert_eq!(read_everything(copies.path()).await.unwrap(), expected);
}

#[tokio::test]
async fn an_index_that_lacks_an_execution_is_told() {
    let folder = folder_with_shop().await;
    let path = folder.path().join("shop.db");
    // Filled while it was said to be about later ones only.
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX execution_due ON processed_task_executions (due, plugin, task) WHERE due > 1700000000000'
             WHERE name = 'execution_due';",
    )
    .unwrap();
    drop(raw);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "REINDEX execution_due; PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX execution_due ON processed_task_executions (due, plugin, task)'
             WHERE name = 'execution_due';",
    )
    .unwrap();
    drop(raw);
    let read = read_everything(folder.path()).await;
    let Err(Error::Corrupt { what, .. }) = read else {
        panic!("{read:?}");
    };
    assert!(what.contains("execution_due"), "{what}");
}
