//! What a plugin may do in a store: without the grants that it needs it does not start and everybody is told what to add,
//! with them it does what it missed, and beyond what it declares it gets nothing.

use anyhow::{Result, ensure};
use quartermaster_tests::checker::verify;
use quartermaster_tests::grants::granted;
use quartermaster_tests::history::LogEvent;
use quartermaster_tests::host::Host;
use quartermaster_tests::living::settled_log;
use quartermaster_tests::plugins::{TASK, counter, reply};
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::QUICK_TIMING;
use quartermaster_tests::{http, wait};
use serde_json::Value;

use crate::{answers_in, ask, say};

/// A host that keeps the log of `shop`, whose file is `keys`; it is live.
async fn with(plugin: &str, keys: &str) -> Result<Host> {
    let mut host = Host::new(&format!("sync = \"embedded\"\n{QUICK_TIMING}"))?;
    host.install(plugin)?;
    host.store("shop", keys)?;
    host.keep_address();
    host.start().await?;
    host.live("shop").await?;
    host.write_address()?;
    Ok(host)
}

async fn append(host: &Host, events: &[(&str, Value)]) -> Result<u64> {
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.catch_up().await?;
    client.append(events).await
}

/// Waits until the plugin of `shop` is parked with a reason, and gives the reason.
async fn parked(host: &Host) -> Result<String> {
    let health = host.store_until("shop", "without its plugin", |health| {
        health["plugins"][0]["reason"].is_string()
            && health["subscriptions"][0]["state"] == "parked"
    });
    let health = health.await?;
    ensure!(health["plugins"][0]["version"].is_null(), "{health}");
    let reason = health["plugins"][0]["reason"].as_str();
    Ok(reason.unwrap_or_default().to_owned())
}

/// Waits until the plugin of `shop` works.
async fn works(host: &Host) -> Result<()> {
    let working = host.store_until("shop", "with its plugin", |health| {
        health["plugins"][0]["version"].is_string() && health["subscriptions"][0]["state"] == "idle"
    });
    working.await.map(drop)
}

async fn log(host: &Host) -> Result<Vec<LogEvent>> {
    settled_log(host, &host.sync_url(), "shop").await
}

/// Waits for a line of `/metrics`.
async fn counted(host: &Host, line: &str) -> Result<()> {
    wait::until(line, async || {
        let page = http::get(host.address(), "/metrics").await?.body;
        Ok(page.lines().any(|other| other == line).then_some(()))
    })
    .await
}

/// `reply` may read, and not answer.
const MUTE: &str = "plugins.reply = { grants = { read = [\"v1.ChatMessageSent\"] } }";

const TO_ADD: &str = "reply needs to commit \"v1.TaskExecuted\" in shop: add commit = [\"v1.TaskExecuted\"] to \
                      plugins.reply.grants in config/stores/shop.toml:1";

#[tokio::test]
async fn a_plugin_without_its_grants_does_not_start_and_once_it_has_them_answers_what_it_missed()
-> Result<()> {
    let host = with("reply", MUTE).await?;
    let reason = parked(&host).await?;
    ensure!(reason == TO_ADD, "{reason}");
    ensure!(host.health().await?["status"] == "degraded");
    counted(&host, "qm_subscriptions_not_granted 1").await?;
    for command in [&["store", "show", "shop"][..], &["plugin", "list"]] {
        let said = host.done(command).await?;
        ensure!(said.contains(TO_ADD), "{command:?}: {said}");
    }
    let said = host.command(&["check"]).await?;
    let line = "config/stores/shop.toml:1: plugins.reply.grants: reply needs to commit \"v1.TaskExecuted\" in shop; add \
                commit = [\"v1.TaskExecuted\"]";
    ensure!(said.code == Some(78) && said.out.contains(line), "{said:?}");
    append(&host, &[ask("m1"), ask("m2")]).await?;
    let unanswered = host.store_until("shop", "behind by two", |health| health["lag_events"] == 2);
    unanswered.await?;
    // Another line, and the same lack: no news for the log.
    host.store("shop", &format!("# Another line.\n{MUTE}"))?;
    let moved = TO_ADD.replace("toml:1", "toml:2");
    host.store_until("shop", "told with the new line", |health| {
        health["plugins"][0]["reason"] == moved.as_str()
    })
    .await?;
    ensure!(
        host.log().matches("it lacks a grant").count() == 1,
        "{}",
        host.log()
    );

    host.store("shop", &granted(&["reply"]))?;
    works(&host).await?;
    append(&host, &[ask("m3")]).await?;
    let log = log(&host).await?;
    verify(&log, &[reply()])?;
    ensure!(answers_in(&log).len() == 3, "{log:?}");
    counted(&host, "qm_subscriptions_not_granted 0").await?;
    ensure!(host.health().await?["status"] == "healthy");
    let said = host.command(&["check"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_grant_that_is_taken_away_parks_and_given_back_loses_and_doubles_nothing() -> Result<()> {
    let mut host = with("counter", &granted(&["counter"])).await?;
    works(&host).await?;
    append(&host, &[ask("m1")]).await?;
    log(&host).await?;
    let narrow = granted(&["counter"]).replace(", kv = true", "");
    host.store("shop", &narrow)?;
    let reason = parked(&host).await?;
    ensure!(
        reason.contains("counter needs kv in shop: add kv = true"),
        "{reason}"
    );
    append(&host, &[ask("m2"), ask("m3")]).await?;
    // Nor does a crash meanwhile.
    host.kill().await?;
    host.start().await?;
    parked(&host).await?;
    append(&host, &[ask("m4")]).await?;
    host.store(
        "shop",
        &granted(&["counter"]).replace("v1.ChatMessageSent", "v1.Chat*"),
    )?;
    works(&host).await?;
    let log = log(&host).await?;
    // Its count is in kv: 4 only if each message was handled once.
    verify(&log, &[counter()])?;
    ensure!(answers_in(&log).len() == 4, "{log:?}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_is_only_named_may_do_nothing() -> Result<()> {
    let host = with("reply", "plugins = [\"reply\"]").await?;
    let reason = parked(&host).await?;
    let entry =
        "reply = { grants = { read = [\"v1.ChatMessageSent\"], commit = [\"v1.TaskExecuted\"] } }";
    ensure!(reason.contains(entry), "{reason}");
    // What it says to write is what it takes.
    host.store("shop", &format!("plugins.{entry}"))?;
    works(&host).await?;
    Ok(())
}

#[tokio::test]
async fn a_commit_that_a_plugin_did_not_declare_is_refused_and_told() -> Result<()> {
    let wide = granted(&["garbage"]).replace("commit = [", "commit = [\"*\", ");
    let host = with("garbage", &wide).await?;
    works(&host).await?;
    append(&host, &[say("undeclared-name"), say("fine")]).await?;
    let log = log(&host).await?;
    ensure!(
        log.iter().all(|it| it.is_question() || it.name == TASK),
        "{log:?}"
    );
    let answer = log
        .iter()
        .find(|it| it.args["id"] == "garbage-undeclared-name");
    let told = answer.and_then(|it| it.args["result"].as_str());
    ensure!(
        told.is_some_and(|told| told.contains("NotGranted") && told.contains("`commits`")),
        "the guest was told {told:?}"
    );
    let line = "qm_refusals_total{plugin=\"garbage\",limit=\"grant-commit\"} 1";
    counted(&host, line).await?;
    let warned = host.log().matches("commits refused: not granted").count();
    ensure!(warned == 1, "{}", host.log());
    Ok(())
}

#[tokio::test]
async fn an_inspection_prints_the_line_that_grants_what_a_plugin_needs() -> Result<()> {
    let host = with("counter", "").await?;
    let said = host
        .done(&["plugin", "inspect", "plugins/counter.wasm"])
        .await?;
    let line = said.lines().find_map(|line| line.strip_prefix("grants"));
    host.store("shop", line.unwrap_or_default().trim())?;
    works(&host).await?;
    ensure!(
        line.map(str::trim) == Some(&granted(&["counter"])),
        "{said}"
    );
    Ok(())
}
