//! Versions of a plugin: who gets which, how one goes back, and what happens without any.

use std::fs;

use anyhow::{Context, Result, ensure};
use quartermaster_tests::grants::granted_with;
use quartermaster_tests::host::Host;
use quartermaster_tests::versions::{PLUGIN, Way, component};
use quartermaster_tests::wait;
use serde_json::Value;

use super::{drop_version, health_until, runs_version, version_that_answers, with_stores};

/// What `plugin list` says about the plugin.
async fn listed(host: &Host) -> Result<Value> {
    let said = host.command(&["plugin", "list", "--json"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    let list: Value = serde_json::from_str(&said.out)?;
    let plugins = list["plugins"].as_array().context("no plugins")?;
    let found = plugins.iter().find(|it| it["name"] == PLUGIN);
    found.cloned().context("it is not listed")
}

fn digest_of(listed: &Value, version: &str) -> Result<String> {
    let versions = listed["versions"].as_array().context("no versions")?;
    let found = versions.iter().find(|it| it["version"] == version);
    let digest = found.and_then(|it| it["sha256"].as_str());
    Ok(digest.context("no such version")?.to_owned())
}

#[tokio::test]
async fn each_way_of_replacing_a_file_swaps_the_plugin_and_bad_files_do_not() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    for (number, way) in Way::ALL.into_iter().enumerate() {
        let letters = (number + 2).to_string();
        drop_version(&host, &letters, way).await?;
        let version = format!("version-0000000{letters}");
        runs_version(&host, "shop", &version).await?;
        let id = format!("q{number}");
        ensure!(
            version_that_answers(&host, "shop", &id).await? == version,
            "{way:?}"
        );
    }
    let file = host.folder().join(format!("plugins/{PLUGIN}.wasm"));
    let whole = component("6")?;
    let cases: [(&str, &[u8]); 4] = [
        ("truncated", &whole[..whole.len() / 2]),
        ("core module", b"\0asm\x01\0\0\0"),
        ("no wasm", b"#!/bin/sh\n"),
        ("empty", b""),
    ];
    for (number, (what, bytes)) in cases.into_iter().enumerate() {
        fs::write(&file, bytes)?;
        let health = health_until(&host, what, |health| {
            !health["plugins_refused"]
                .as_array()
                .is_none_or(Vec::is_empty)
        })
        .await?;
        let refused = health["plugins_refused"].to_string();
        ensure!(
            refused.contains("version-00000005"),
            "{what}: nothing is said of the old one: {refused}"
        );
        let id = format!("bad{number}");
        ensure!(
            version_that_answers(&host, "shop", &id).await? == "version-00000005",
            "{what}"
        );
    }
    fs::write(&file, whole)?;
    runs_version(&host, "shop", "version-00000006").await?;
    health_until(&host, "nothing to be refused", |health| {
        health["status"] == "healthy"
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_plugin_whose_file_is_gone_is_parked_and_answers_everything_when_it_is_back() -> Result<()>
{
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    version_that_answers(&host, "shop", "q1").await?;
    let file = host.folder().join(format!("plugins/{PLUGIN}.wasm"));
    fs::remove_file(&file)?;
    let parked = |health: &Value| health["subscriptions"][0]["state"] == "parked";
    host.store_until("shop", "parked", parked).await?;
    let url = host.sync_url();
    let mut client = quartermaster_tests::raw::RawClient::connect(&url, "shop").await?;
    client.catch_up().await?;
    client.append(&[crate::ask("while it was gone")]).await?;
    // What is no good does not bring it back.
    fs::write(&file, b"no plugin")?;
    health_until(&host, "it to be refused", |health| {
        health["plugins_refused"]
            .to_string()
            .contains("WebAssembly")
    })
    .await?;
    let health = host.store_health("shop").await?;
    ensure!(parked(&health), "{health}");
    fs::remove_file(&file)?;
    host.kill().await?;
    host.start().await?;
    host.store_until("shop", "parked", parked).await?;
    drop_version(&host, "2", Way::Rename).await?;
    ensure!(version_that_answers(&host, "shop", "q2").await? == "version-00000002");
    let log = quartermaster_tests::living::settled_log(&host, &url, "shop").await?;
    quartermaster_tests::checker::verify(&log, &[quartermaster_tests::versions::versioned()])
}

#[tokio::test]
async fn a_new_version_goes_to_the_stores_of_its_rollout_and_then_to_all() -> Result<()> {
    let mut host = with_stores(["first", "second"]).await?;
    let main = host.folder().join("config/quartermaster.toml");
    let text = fs::read_to_string(&main)?;
    fs::write(
        &main,
        format!("{text}\n[plugins.{PLUGIN}]\nrollout = [\"first\"]\n"),
    )?;
    host.start().await?;
    host.live("second").await?;
    runs_version(&host, "second", "version-00000001").await?;
    drop_version(&host, "2", Way::Rename).await?;
    runs_version(&host, "first", "version-00000002").await?;
    ensure!(version_that_answers(&host, "first", "q1").await? == "version-00000002");
    ensure!(version_that_answers(&host, "second", "q1").await? == "version-00000001");
    host.kill().await?;
    host.start().await?;
    host.live("second").await?;
    ensure!(version_that_answers(&host, "second", "q2").await? == "version-00000001");
    let said = host.command(&["plugin", "promote", PLUGIN]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    runs_version(&host, "second", "version-00000002").await?;
    ensure!(version_that_answers(&host, "second", "q3").await? == "version-00000002");
    Ok(())
}

#[tokio::test]
async fn versions_are_pinned_and_rolled_back_and_that_outlives_the_process() -> Result<()> {
    let mut host = with_stores(["shop", "desk"]).await?;
    host.start().await?;
    host.live("shop").await?;
    drop_version(&host, "2", Way::Rename).await?;
    runs_version(&host, "shop", "version-00000002").await?;
    let said = host
        .command(&["plugin", "rollback", PLUGIN, "--why", "it is rude"])
        .await?;
    ensure!(said.code == Some(0), "{said:?}");
    runs_version(&host, "shop", "version-00000001").await?;
    host.kill().await?;
    host.start().await?;
    host.live("shop").await?;
    ensure!(version_that_answers(&host, "shop", "q1").await? == "version-00000001");
    let list = listed(&host).await?;
    ensure!(list.to_string().contains("it is rude"), "{list}");
    let second = digest_of(&list, "version-00000002")?;
    let said = host
        .command(&["plugin", "pin", PLUGIN, &second[..12], "--store", "desk"])
        .await?;
    ensure!(said.code == Some(0), "{said:?}");
    runs_version(&host, "desk", "version-00000002").await?;
    ensure!(version_that_answers(&host, "shop", "q2").await? == "version-00000001");
    let said = host
        .command(&["plugin", "unpin", PLUGIN, "--store", "desk"])
        .await?;
    ensure!(said.code == Some(0), "{said:?}");
    runs_version(&host, "desk", "version-00000001").await?;
    // What the configuration says goes before what was said by hand.
    host.store(
        "desk",
        &granted_with(PLUGIN, &format!("sha256 = \"{second}\"")),
    )?;
    runs_version(&host, "desk", "version-00000002").await?;
    let said = host.command(&["plugin", "rollback", PLUGIN]).await?;
    ensure!(
        said.code == Some(1) && !said.err.is_empty(),
        "there is nothing to go back to: {said:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_version_that_fails_at_everything_is_taken_back_by_itself() -> Result<()> {
    let stores: Vec<String> = (0..10).map(|number| format!("shop-{number}")).collect();
    let mut host = with_stores(stores.iter().map(String::as_str)).await?;
    let main = host.folder().join("config/quartermaster.toml");
    let text =
        fs::read_to_string(&main)?.replacen("[server]\n", "[server]\nrollback_runs = 10\n", 1);
    fs::write(
        &main,
        text.replacen("attempts_max = 3", "attempts_max = 9", 1),
    )?;
    host.start().await?;
    for store in &stores {
        host.live(store).await?;
        version_that_answers(&host, store, "q1").await?;
    }
    drop_version(&host, "bad1", Way::Rename).await?;
    runs_version(&host, "shop-0", "version-bad10000").await?;
    let asked = stores
        .iter()
        .map(|store| version_that_answers(&host, store, "q2"));
    for version in futures_util::future::try_join_all(asked).await? {
        ensure!(version == "version-00000001", "{version}");
    }
    let alerts = wait::until("an alert", async || {
        let said = host.command(&["alert", "list", "--json"]).await?;
        let list: Value = serde_json::from_str(&said.out)?;
        Ok(list
            .to_string()
            .contains("plugin-rolled-back")
            .then_some(list))
    })
    .await?;
    ensure!(alerts.to_string().contains("version-bad10000"), "{alerts}");
    for store in &stores {
        let log = quartermaster_tests::living::settled_log(&host, &host.sync_url(), store).await?;
        quartermaster_tests::checker::verify(&log, &[quartermaster_tests::versions::versioned()])?;
    }
    Ok(())
}

#[tokio::test]
async fn a_file_is_inspected_without_a_server() -> Result<()> {
    let host = with_stores([]).await?;
    let said = host
        .command(&["plugin", "inspect", &format!("plugins/{PLUGIN}.wasm")])
        .await?;
    ensure!(said.code == Some(0), "{said:?}");
    for word in [
        "version-00000001",
        "v1.ChatMessageSent",
        "quartermaster:plugin/store",
    ] {
        ensure!(said.out.contains(word), "{word}: {said:?}");
    }
    fs::write(host.folder().join("bad.wasm"), b"\0asm\x01\0\0\0")?;
    let said = host.command(&["plugin", "inspect", "bad.wasm"]).await?;
    ensure!(
        said.code == Some(1) && said.out.contains("core module"),
        "{said:?}"
    );
    Ok(())
}
