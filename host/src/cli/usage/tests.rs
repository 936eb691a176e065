//! The command with a server that was laid out, and with journals that somebody left.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::cli::control::fake::Fake;
use crate::id::PluginName;
use crate::journal::{Journal, JournalConfig, UsageRow};
use crate::stamp::{RunId, Trigger};
use crate::store::{Commit, Durability, Ending, Limit, Usage, UsageRecord, UsageTotals};

const HOUR: u64 = 3_600_000;
/// 2026-11-28T00:00:00Z.
const MIDNIGHT: u64 = 1_795_824_000_000;

fn row(store: &str, plugin: &str, at: Option<u64>) -> UsageRow {
    UsageRow {
        store: store.parse().unwrap(),
        plugin: plugin.parse().unwrap(),
        at: at.map(Timestamp::from_millis),
        run: None,
        totals: UsageTotals {
            runs: 3,
            failed: 1,
            fuel: 12_345_678,
            wall_us: 1_250_000,
            memory_peak_bytes: 1_310_720,
            host_calls: 9,
            host_bytes: 2_048,
            drafts: 2,
            refusals: [(Limit::Memory, 2), (Limit::KvSize, 1)].into(),
        },
    }
}

fn printed(by: By, csv: bool, rows: Vec<UsageRow>) -> String {
    let arguments = Arguments {
        stores: Vec::new(),
        since: "24h".parse().unwrap(),
        by,
        json: false,
        csv,
        running: Running::default(),
    };
    let report = UsageReport {
        usage: rows,
        problems: Vec::new(),
    };
    let mut out = Vec::new();
    let since = Timestamp::from_millis(MIDNIGHT);
    arguments.print(&report, since, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_ends_with_the_sum() {
    let rows = vec![
        row("lab", "echo", Some(MIDNIGHT)),
        row("shop", "digest", Some(MIDNIGHT)),
    ];
    assert_eq!(
        printed(By::Day, false, rows),
        "STORE  PLUGIN  DAY         RUNS  FAILED  FUEL   WALL  MEMORY  CALLS  BYTES   DRAFTS  REFUSED\n\
         lab    echo    2026-11-28  3     1       12.3M  1.2s  1.2MiB  9      2.0KiB  2       memory=2 kv-size=1\n\
         shop   digest  2026-11-28  3     1       12.3M  1.2s  1.2MiB  9      2.0KiB  2       memory=2 kv-size=1\n\
         total                      6     2       24.6M  2.5s  1.2MiB  18     4.0KiB  4       memory=4 kv-size=2\n"
    );
    assert_eq!(
        printed(By::Total, false, Vec::new()),
        "nothing has run since 2026-11-28T00:00:00.000Z\n"
    );
}

#[test]
fn csv_has_plain_numbers_and_a_line_of_names() {
    let names = "store,plugin,at,run,attempt,ending,runs,failed,fuel,wall_us,memory_peak_bytes,host_calls,host_bytes,drafts,refusals\n";
    let csv = printed(By::Hour, true, vec![row("shop", "echo", Some(MIDNIGHT))]);
    let line = "shop,echo,2026-11-28T00:00:00.000Z,,,,3,1,12345678,1250000,1310720,9,2048,2,memory=2 kv-size=1\n";
    assert_eq!(csv, format!("{names}{line}"));
    assert_eq!(printed(By::Hour, true, Vec::new()), names);
}

#[tokio::test]
async fn the_running_server_is_asked_for_each_store() {
    let report = UsageReport {
        usage: vec![row("shop", "echo", None)],
        problems: vec!["a journal is damaged".to_owned()],
    };
    let report = serde_json::to_value(report).unwrap();
    let unknown = json!({ "error": "no store shp is configured" });
    let health = json!({ "stores": [{ "id": "shop" }] });
    let answers = [
        ("GET /api/v1/usage", StatusCode::OK, report.clone()),
        ("GET /api/v1/stores/shop/usage", StatusCode::OK, report),
        (
            "GET /api/v1/stores/shp/usage",
            StatusCode::NOT_FOUND,
            unknown,
        ),
        ("GET /api/v1/health", StatusCode::OK, health),
    ];
    let server = Fake::new(&answers).await;
    let client = server.client();
    let since = Timestamp::from_millis(MIDNIGHT);
    let all = collect(&client, &[], since, By::Total).await.unwrap();
    assert_eq!(all.usage, [row("shop", "echo", None)]);
    let shop: StoreId = "shop".parse().unwrap();
    let twice = [shop.clone(), shop.clone()];
    let twice = collect(&client, &twice, since, By::Total).await.unwrap();
    assert_eq!((twice.usage.len(), twice.problems.len()), (2, 2));
    let wrong = [shop, "shp".parse().unwrap()];
    let error = collect(&client, &wrong, since, By::Total)
        .await
        .unwrap_err();
    let meant = "no store shp is configured; did you mean shop?";
    assert_eq!(error.to_string(), meant);
}

/// A data folder with a journal of the store `shop`, in which `echo` ran at midnight and four hours later.
async fn data_folder() -> TempDir {
    let data = TempDir::new().unwrap();
    let config = JournalConfig::new(data.path().join("journals"));
    let journal = Journal::open(&config).unwrap();
    let shop = "shop".parse().unwrap();
    let mut lease = journal.claim(&shop, Durability::Normal).await.unwrap();
    let echo: PluginName = "echo".parse().unwrap();
    let record = |hour: u64| UsageRecord {
        run: RunId {
            plugin: echo.clone(),
            trigger: Trigger::Event(crate::event::SeqNum::new(hour)),
        },
        attempt: 1,
        at: Timestamp::from_millis(MIDNIGHT + hour * HOUR + 5),
        ending: Ending::Finished,
        usage: Usage {
            fuel: 100 + hour,
            ..Usage::default()
        },
        drafts: 0,
    };
    let commit = Commit {
        usage: vec![record(0), record(4)],
        ..Commit::default()
    };
    let written = journal.commit(&mut lease, commit).await.unwrap();
    written.await.unwrap();
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
    data
}

#[tokio::test]
async fn without_a_server_the_journals_are_read_and_left_as_they_are() {
    let data = data_folder().await;
    let client = Client::on(data.path());
    let journals = data.path().join("journals");
    let file = || std::fs::read(journals.join("shop.db")).unwrap();
    let before = file();
    let since = Timestamp::from_millis(MIDNIGHT + 4 * HOUR + 9);
    let fuel = async |stores: &[StoreId], since, by| -> anyhow::Result<Vec<u64>> {
        let report = collect(&client, stores, since, by).await?;
        Ok(report.usage.iter().map(|row| row.totals.fuel).collect())
    };
    let start = Timestamp::default();
    assert_eq!(fuel(&[], start, By::Total).await.unwrap(), [204]);
    assert_eq!(fuel(&[], start, By::Run).await.unwrap(), [100, 104]);
    // Of an hour that has begun, all is told.
    assert_eq!(fuel(&[], since, By::Hour).await.unwrap(), [104]);
    let shop = ["shop".parse().unwrap()];
    assert_eq!(fuel(&shop, start, By::Day).await.unwrap(), [204]);
    assert_eq!(file(), before);
    let names = std::fs::read_dir(&journals).unwrap();
    let names: Vec<_> = names.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");

    let wrong = ["shpo".parse().unwrap()];
    let error = fuel(&wrong, start, By::Total).await.unwrap_err();
    assert!(error.to_string().ends_with("did you mean shop?"), "{error}");
    let nowhere = Client::on(&data.path().join("nowhere"));
    let error = collect(&nowhere, &[], start, By::Total).await.unwrap_err();
    assert!(error.to_string().contains("no server runs"), "{error}");
}

#[test]
fn json_has_times_that_people_read() {
    let json = serde_json::to_value(row("shop", "echo", Some(MIDNIGHT))).unwrap();
    assert_eq!(json["at"], "2026-11-28T00:00:00.000Z");
    assert_eq!(json["refusals"]["kv-size"], 1);
    assert_eq!(json["run"], Value::Null);
}
