//! Tasks: what is due runs once, whoever runs it, whatever happens to the clock, and whatever happens to the host.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quartermaster_tests::faketime::WallClock;
use quartermaster_tests::grants::{granted, granted_with};
use quartermaster_tests::host::Host;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::QUICK_TIMING;
use quartermaster_tests::ticks::{TICKED, iso, ticks};
use quartermaster_tests::{torture, wait};
use serde_json::{Value, json};

/// Stores in which two servers and two passes do the same; `cargo xtask torture` has 200 for two minutes.
const STORES: usize = 8;
const SECONDS: u64 = 15;

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// A host with one embedded store, in which `clockwork` has these tasks: the inside of a table.
fn with_tasks(tasks: &str) -> Result<Host> {
    let plugin = granted_with("clockwork", &format!("tasks = {{ {tasks} }}"));
    let mut host = Host::new(&format!("sync = \"embedded\"\n{plugin}\n{QUICK_TIMING}"))?;
    host.keep_address();
    host.store("shop", "")?;
    host.install("clockwork")?;
    Ok(host)
}

async fn log(host: &Host) -> Result<Vec<quartermaster_tests::history::LogEvent>> {
    RawClient::log_of(&host.sync_url(), "shop").await
}

/// Waits until a task has ticked so often.
async fn ticked(host: &Host, task: &str, times: usize) -> Result<Vec<u64>> {
    let what = format!("{times} ticks of {task}");
    wait::until(&what, async || {
        let ticks = ticks(&log(host).await?, task)?;
        ensure!(ticks.values().all(|count| *count == 1), "{ticks:?}");
        Ok((ticks.len() >= times).then(|| ticks.into_keys().collect()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_and_two_passes_that_are_killed_again_and_again_run_each_occurrence_once()
-> Result<()> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let report = torture::tasks::run(STORES, SECONDS, seed).await?;
    println!("{report:?}");
    ensure!(report.kills > 2, "{report:?}");
    ensure!(
        report.occurrences >= STORES * SECONDS as usize,
        "{report:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_was_due_while_the_server_was_down_follows_each_tasks_policy() -> Result<()> {
    let every = "every = \"1m\"";
    let mut host = with_tasks(&format!(
        "skip = {{ {every} }}, latest = {{ {every}, missed = \"latest\" }}, \
         all = {{ {every}, missed = {{ all = 5 }} }}"
    ))?;
    let clock = WallClock::of(&mut host)?;
    host.start().await?;
    host.live("shop").await?;
    let written = |health: &Value| health["tasks"]["planned"].as_u64() == Some(4);
    host.store_until("shop", "its tasks", written).await?;
    host.terminate(Duration::from_secs(10)).await?;
    let before = log_of_files(&host).await?;
    clock.set(HOUR)?;
    host.start().await?;
    host.live("shop").await?;
    let mut ran = Vec::new();
    for (task, late) in [("skip", 0), ("latest", 1), ("all", 5)] {
        // Those of the last ten minutes are in time.
        let dues = ticked(&host, task, before + 10 + late).await?;
        ran.push((task, dues));
    }
    for (task, dues) in ran {
        let history = history(&host, task).await?;
        let count = |state: &str| history.iter().filter(|it| it["state"] == state).count();
        let (done, missed) = (count("done"), count("missed"));
        ensure!(done == dues.len(), "{task}: {history:?}");
        ensure!(
            (59..=62).contains(&(done + missed)),
            "{task}: {done} done, {missed} missed"
        );
    }
    Ok(())
}

/// Ticks of one task that are in the log of a host that does not run.
async fn log_of_files(host: &Host) -> Result<usize> {
    let text = host.done(&["store", "export", "shop"]).await?;
    Ok(text.matches(TICKED).count() / 3)
}

async fn history(host: &Host, task: &str) -> Result<Vec<Value>> {
    let words = ["task", "history", "shop", task, "-n", "1000", "--json"];
    let out = host.done(&words).await?;
    let value: Value = serde_json::from_str(&out)?;
    let rows = value["executions"].as_array().cloned();
    rows.context("a history without executions")
}

#[tokio::test]
async fn a_wall_clock_that_jumps_in_traffic_doubles_nothing_and_keeps_nobody_busy() -> Result<()> {
    let mut host = with_tasks("second = { every = \"1s\" }")?;
    let clock = WallClock::of(&mut host)?;
    host.start().await?;
    host.live("shop").await?;
    let mut count = ticked(&host, "second", 3).await?.len();
    let began = processor_seconds(&host)?;
    for seconds in [YEAR, 0, HOUR, 0, -HOUR, 0] {
        clock.set(seconds)?;
        // An hour back, what is due was done; else it goes on with what is new.
        let more = usize::from(seconds >= 0) * 2;
        count = ticked(&host, "second", count + more).await?.len();
        let health = host.store_health("shop").await?;
        ensure!(health["state"] == "live", "{health}");
    }
    ensure!(count < 2_000, "a storm of {count} runs");
    // A loop that never waits would have taken all of it.
    let used = processor_seconds(&host)? - began;
    ensure!(used < 60.0, "{used} s of processor time");
    host.kill().await?;
    host.start().await?;
    ticked(&host, "second", count + 2).await?;
    Ok(())
}

/// Processor time that the host has used.
fn processor_seconds(host: &Host) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.process_id()?))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

#[tokio::test]
async fn tasks_that_fail_outlast_their_time_or_lack_their_plugin_hold_up_no_other() -> Result<()> {
    let mut host = with_tasks("")?;
    let tasks = "tasks = { good = { every = \"1s\" }, \
         failing = { every = \"1s\", payload = \"fail\", attempts = 2 }, \
         refused = { every = \"1s\", payload = \"reject\" }, \
         slow = { every = \"1s\", payload = \"sleepy\", overlap = \"skip\" } }";
    let plugin = granted_with("clockwork", tasks);
    let absent = "plugins.absent = { tasks = { lost = { every = \"1s\", catch_up = \"1s\" } } }";
    host.store("shop", &format!("{plugin}\n{absent}\n"))?;
    host.start().await?;
    host.live("shop").await?;
    ticked(&host, "good", 8).await?;
    let is = |task: &'static str, state: &'static str| {
        let host = &host;
        async move {
            let what = format!("{task} to be {state}");
            wait::until(&what, async || {
                let rows = history(host, task).await?;
                Ok(rows.iter().any(|row| row["state"] == state).then_some(()))
            })
            .await
        }
    };
    is("failing", "failed").await?;
    is("refused", "failed").await?;
    is("slow", "done").await?;
    is("lost", "missed").await?;
    let log = log(&host).await?;
    ensure!(
        ticks(&log, "failing")?.is_empty(),
        "a failed run left something"
    );
    let health = host.store_health("shop").await?;
    ensure!(health["dead_letters"].as_u64() > Some(0), "{health}");
    Ok(())
}

#[tokio::test]
async fn tasks_come_and_go_with_the_configuration_while_the_host_runs() -> Result<()> {
    let mut host = with_tasks("one = { every = \"1s\" }")?;
    host.start().await?;
    host.live("shop").await?;
    ticked(&host, "one", 2).await?;
    let tasks = "tasks = { one = { enabled = false }, two = { every = \"1s\" } }";
    host.store("shop", &granted_with("clockwork", tasks))?;
    ticked(&host, "two", 2).await?;
    let ones = ticks(&log(&host).await?, "one")?.len();
    ticked(&host, "two", 5).await?;
    ensure!(
        ticks(&log(&host).await?, "one")?.len() == ones,
        "it went on"
    );
    Ok(())
}

#[tokio::test]
async fn a_plugin_schedules_tasks_of_its_own_which_survive_a_kill() -> Result<()> {
    let mut host = with_tasks("")?;
    host.start().await?;
    host.live("shop").await?;
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.catch_up().await?;
    let plan = json!({ "id": "mine", "everyMs": 1_000, "payload": "chain" });
    client.append(&[("v1.Plan", plan)]).await?;
    ticked(&host, "mine", 2).await?;
    host.kill().await?;
    host.start().await?;
    let dues = ticked(&host, "mine", 4).await?;
    // Each has put another, one second later.
    let chained = format!("mine/{}", dues[0] + 1_000);
    ticked(&host, &chained, 1).await?;
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.follow().await?;
    while !client
        .try_append(&[("v1.Unplan", json!({ "id": "mine" }))])
        .await?
    {}
    let gone = |health: &Value| health["tasks"]["planned"].as_u64() <= Some(3);
    host.store_until("shop", "the task to be gone", gone)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_pass_runs_what_is_due_and_says_which_stores_it_could_not_serve() -> Result<()> {
    let mut logs = Host::new("sync = \"embedded\"\nplugins = []")?;
    logs.keep_address();
    logs.store("shop", "")?;
    logs.start().await?;
    let plugin = granted_with("clockwork", "tasks = { second = { every = \"1s\" } }");
    let host = Host::new(&format!(
        "sync = {:?}\n{plugin}\n{QUICK_TIMING}",
        logs.sync_url()
    ))?;
    host.store("shop", "")?;
    host.install("clockwork")?;
    host.done(&["process-tasks"]).await?;
    wait::until("a task to be due", async || {
        let out = host.done(&["process-tasks", "--dry-run", "--json"]).await?;
        let due: Value = serde_json::from_str(&out)?;
        Ok(due
            .as_array()
            .is_some_and(|due| due.len() > 1)
            .then_some(()))
    })
    .await?;
    let out = host.done(&["process-tasks", "--json"]).await?;
    let pass: Value = serde_json::from_str(&out)?;
    let done = pass["stores"][0]["executions"]["done"].as_u64();
    ensure!(done > Some(1), "{pass}");
    let ticks = ticks(
        &RawClient::log_of(&logs.sync_url(), "shop").await?,
        "second",
    )?;
    ensure!(
        ticks.values().all(|count| *count == 1) && ticks.len() > 1,
        "{ticks:?}"
    );

    logs.kill().await?;
    let said = host.command(&["process-tasks", "--timeout", "1s"]).await?;
    ensure!(
        said.code == Some(75) && said.out.contains("shop"),
        "{said:?}"
    );
    let said = host.command(&["process-tasks", "--store", "shp"]).await?;
    ensure!(
        said.code == Some(1) && said.err.contains("did you mean shop?"),
        "{said:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_pass_beside_a_server_on_the_same_folder_leaves_the_work_to_it() -> Result<()> {
    let mut host = with_tasks("second = { every = \"1s\" }")?;
    host.start().await?;
    host.live("shop").await?;
    let said = host.command(&["process-tasks"]).await?;
    ensure!(
        said.code == Some(0) && said.err.contains("another process"),
        "{said:?}"
    );
    ticked(&host, "second", 1).await?;
    Ok(())
}

#[tokio::test]
async fn the_tasks_of_an_app_run_as_its_own_events_say() -> Result<()> {
    let plugin = granted(&["recurring-tasks"]);
    let mut host = Host::new(&format!("sync = \"embedded\"\n{plugin}\n{QUICK_TIMING}"))?;
    host.keep_address();
    host.store("shop", "")?;
    host.install("recurring-tasks")?;
    let clock = WallClock::of(&mut host)?;
    host.start().await?;
    host.live("shop").await?;
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.follow().await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let iso = |seconds: u64| iso(now.as_secs() + seconds);
    let created = json!({
        "id": "rt-1", "name": "Digest", "prompt": "Write the digest", "intervalHours": 1,
        "enabled": true, "nextExecutionAt": iso(2), "createdAt": iso(0),
    });
    while !client
        .try_append(&[("v1.RecurringTaskCreated", created.clone())])
        .await?
    {}
    let chats = async |count: usize| {
        wait::until("the task's chat message", async || {
            let log = log(&host).await?;
            let chats = log.iter().filter(|it| it.name == "v1.ChatMessageSent");
            let chats: Vec<_> = chats.cloned().collect();
            Ok((chats.len() >= count).then_some(chats))
        })
        .await
    };
    let first = chats(1).await?;
    ensure!(
        first.len() == 1 && first[0].args["role"] == "user",
        "{first:?}"
    );
    clock.set(HOUR)?;
    chats(2).await?;
    let now_please = json!({ "taskId": "rt-1", "triggeredAt": iso(10) });
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.follow().await?;
    while !client
        .try_append(&[("v1.RecurringTaskExecute", now_please.clone())])
        .await?
    {}
    chats(3).await?;
    quartermaster_tests::ticks::ensure_traced(&log(&host).await?)
}
