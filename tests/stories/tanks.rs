//! What a store may use over time: whoever has used up its ration waits and loses nothing, whatever happens meanwhile, and a
//! plugin that fails again and again rests.

use anyhow::{Context, Result, ensure};
use quartermaster_tests::checker::verify;
use quartermaster_tests::grants::granted;
use quartermaster_tests::host::Host;
use quartermaster_tests::living::settled_log;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::QUICK_TIMING;
use quartermaster_tests::versions::{PLUGIN, Way, component, place, versioned};
use serde_json::Value;

use crate::ask;

/// A host with one embedded store whose plugin is in this version.
async fn with_shop(timing: &str, letters: &str) -> Result<Host> {
    let mut host = Host::new(&format!(
        "sync = \"embedded\"\n{}\n{timing}",
        granted(&[PLUGIN])
    ))?;
    host.keep_address();
    host.store("shop", "")?;
    install(&host, letters).await?;
    Ok(host)
}

async fn install(host: &Host, letters: &str) -> Result<()> {
    let path = host.folder().join(format!("plugins/{PLUGIN}.wasm"));
    place(&path, &component(letters)?, Way::Rename).await
}

async fn say(host: &Host, ids: std::ops::Range<u32>) -> Result<()> {
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.follow().await?;
    for id in ids {
        while !client.try_append(&[ask(&format!("q{id}"))]).await? {}
    }
    Ok(())
}

fn subscription(health: &Value) -> &Value {
    &health["subscriptions"][0]
}

fn answered(log: &[quartermaster_tests::history::LogEvent]) -> usize {
    log.iter().filter(|event| event.stamp().is_some()).count()
}

#[tokio::test]
async fn a_store_that_has_used_up_its_ration_waits_also_over_a_kill_and_goes_on_when_it_gets_more()
-> Result<()> {
    let mut host = with_shop(QUICK_TIMING, "1").await?;
    host.store("shop", "quota.runs_per_minute = 5\n")?;
    host.start().await?;
    host.live("shop").await?;
    say(&host, 0..20).await?;
    let waits = |health: &Value| health["deferred"]["provision"] == "runs";
    let health = host.store_until("shop", "waiting", waits).await?;
    ensure!(health["state"] == "live", "{health}");
    ensure!(health["lag_events"].as_u64() > Some(0), "{health}");
    host.kill().await?;
    host.start().await?;
    let health = host.store_until("shop", "waiting again", waits).await?;
    let left = health["ration"]["runs"]["left"].as_i64();
    ensure!(
        left.is_some_and(|left| left <= 0),
        "a kill filled it: {health}"
    );
    let log = RawClient::log_of(&host.sync_url(), "shop").await?;
    ensure!(answered(&log) < 20, "nothing waited");
    host.store("shop", "quota.runs_per_minute = \"unlimited\"\n")?;
    let log = settled_log(&host, &host.sync_url(), "shop").await?;
    ensure!(answered(&log) == 20, "{}", answered(&log));
    verify(&log, &[versioned()])
}

#[tokio::test]
async fn a_tank_of_fuel_is_emptied_by_runs_and_what_they_did_not_use_flows_back() -> Result<()> {
    let mut host = with_shop(QUICK_TIMING, "1").await?;
    // The tank is that of one run, so each waits until the one before has given back what it did not use.
    let quota =
        "quota = { fuel_per_run = \"10M\", fuel_tank = \"10M\", fuel_per_minute = \"600M\" }\n";
    host.store("shop", quota)?;
    host.start().await?;
    host.live("shop").await?;
    say(&host, 0..20).await?;
    let log = settled_log(&host, &host.sync_url(), "shop").await?;
    verify(&log, &[versioned()])?;
    let health = host.store_health("shop").await?;
    let tank = &health["ration"]["fuel"];
    ensure!(tank["capacity"] == 10_000_000, "{health}");
    ensure!(tank["left"].as_i64() > Some(0), "{health}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_fails_at_everything_rests_and_another_version_goes_on_at_once() -> Result<()>
{
    // For ever, as far as a test can wait; and no version is taken back meanwhile.
    let timing = QUICK_TIMING.replace(
        "failures = 1000",
        "failures = 4, first = \"12h\", longest = \"24h\"",
    );
    let mut host = with_shop(&timing, "bad1").await?;
    host.start().await?;
    host.live("shop").await?;
    say(&host, 0..10).await?;
    let trips = |health: &Value| subscription(health)["state"] == "tripped";
    let health = host.store_until("shop", "resting", trips).await?;
    ensure!(subscription(&health)["failures"] == 4, "{health}");
    ensure!(subscription(&health)["open_until"].is_u64(), "{health}");
    host.kill().await?;
    host.start().await?;
    let health = host.store_until("shop", "resting still", trips).await?;
    let dead = health["dead_letters"].as_u64().context("no dead letters")?;
    ensure!(dead <= 2, "it went on failing: {health}");
    install(&host, "2").await?;
    let log = settled_log(&host, &host.sync_url(), "shop").await?;
    let health = host.store_health("shop").await?;
    let given_up = health["dead_letters"].as_u64().context("no dead letters")?;
    ensure!(given_up == dead, "{health}");
    ensure!(answered(&log) as u64 == 10 - dead, "{health}");
    Ok(())
}
