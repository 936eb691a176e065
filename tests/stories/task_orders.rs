//! What people see of tasks, and order about them, with the command line and a server that runs, or none.

use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::grants::granted_with;
use quartermaster_tests::host::Host;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::QUICK_TIMING;
use quartermaster_tests::ticks::ticks;
use quartermaster_tests::wait;
use serde_json::Value;

/// A host with one embedded store, in which `clockwork` has a task that is due when a year begins.
async fn with_yearly_task() -> Result<Host> {
    let plugin = granted_with(
        "clockwork",
        "tasks = { yearly = { cron = \"0 0 1 1 *\", time_zone = \"Asia/Tokyo\" } }",
    );
    let mut host = Host::new(&format!("sync = \"embedded\"\n{plugin}\n{QUICK_TIMING}"))?;
    host.keep_address();
    host.store("shop", "")?;
    host.install("clockwork")?;
    host.start().await?;
    host.live("shop").await?;
    yearly(&host, "to be listed", |_| true).await?;
    Ok(host)
}

/// Waits until the list shows the task like this.
async fn yearly(host: &Host, how: &str, shown: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until(&format!("the task {how}"), async || {
        let list = json(host, &["task", "list", "shop", "--json"]).await?;
        let tasks = list["tasks"].as_array().cloned().unwrap_or_default();
        let mut tasks = tasks.into_iter();
        Ok(tasks.find(|task| task["task"] == "yearly" && shown(task)))
    })
    .await
}

async fn json(host: &Host, words: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&host.done(words).await?)?)
}

/// Waits until the task has had so many effects, each of them once.
async fn ticked(host: &Host, times: usize) -> Result<Vec<u64>> {
    wait::until(&format!("{times} ticks"), async || {
        let log = RawClient::log_of(&host.sync_url(), "shop").await?;
        let ticks = ticks(&log, "yearly")?;
        ensure!(ticks.values().all(|count| *count == 1), "{ticks:?}");
        Ok((ticks.len() >= times).then(|| ticks.into_keys().collect()))
    })
    .await
}

#[tokio::test]
async fn a_task_runs_rests_and_goes_on_as_ordered() -> Result<()> {
    let mut host = with_yearly_task().await?;
    host.done(&["task", "run", "shop", "yearly"]).await?;
    ticked(&host, 1).await?;
    let last = |task: &Value| task["last"]["state"] == "done" && task["last"]["kind"] == "manual";
    yearly(&host, "to have run", last).await?;

    let pause = [
        "task",
        "pause",
        "shop",
        "clockwork/yearly",
        "--note",
        "moving",
    ];
    let out = host.done(&pause).await?;
    ensure!(out == "shop: clockwork/yearly: paused\n", "{out}");
    let paused = yearly(&host, "to rest", |task| task["paused"]["note"] == "moving").await?;
    ensure!(paused["next_due"].is_null(), "{paused}");
    let health = host.store_health("shop").await?;
    ensure!(health["tasks"]["paused"] == 1, "{health}");
    // Whoever wants it now gets it all the same.
    host.done(&["task", "run", "shop", "yearly"]).await?;
    ticked(&host, 2).await?;

    host.kill().await?;
    let read = yearly(&host, "in the journal", |_| true).await?;
    ensure!(read["paused"]["note"] == "moving", "{read}");
    let said = host.command(&["task", "resume", "shop", "yearly"]).await?;
    said.ensure_refused(1, &["no server runs", "quartermaster serve"])?;

    host.start().await?;
    host.live("shop").await?;
    host.done(&["task", "resume", "shop", "yearly"]).await?;
    yearly(&host, "to go on", |task| task["paused"].is_null()).await?;
    let said = host.command(&["task", "run", "shop", "yaerly"]).await?;
    said.ensure_refused(1, &["no task yaerly", "did you mean yearly?"])?;
    Ok(())
}

#[tokio::test]
async fn what_was_due_in_the_past_is_made_up_for_once() -> Result<()> {
    let mut host = with_yearly_task().await?;
    let wanted = "task backfill shop yearly --from 2020-12-01 --to 2022-01-01T00:01 --json";
    let wanted: Vec<&str> = wanted.split(' ').collect();
    let dry = json(&host, &[&wanted[..], &["--dry-run"]].concat()).await?;
    let dues = dry["dues"].as_array().cloned().unwrap_or_default();
    ensure!(dues.len() == 2, "{dry}");
    ensure!(
        dues[0]["wall"] == "2021-01-01T00:00:00+09:00[Asia/Tokyo]",
        "{dry}"
    );

    json(&host, &wanted).await?;
    let ran = ticked(&host, 2).await?;
    // 2021-01-01 and 2022-01-01, when they began in Tokyo.
    ensure!(ran == [1_609_426_800_000, 1_640_962_800_000], "{ran:?}");
    let history = [
        "task", "history", "shop", "yearly", "--state", "done", "--json",
    ];
    wait::until("both to be done", async || {
        let done = json(&host, &history).await?;
        let done = done["executions"].as_array().cloned().unwrap_or_default();
        let is = |it: &Value| it["kind"] == "backfill";
        Ok((done.len() == 2 && done.iter().all(is)).then_some(()))
    })
    .await?;
    let again = json(&host, &wanted).await?;
    let none = again["dues"].as_array().is_some_and(Vec::is_empty);
    ensure!(none && again["done"] == 2, "{again}");
    host.terminate(Duration::from_secs(10)).await?;
    Ok(())
}
