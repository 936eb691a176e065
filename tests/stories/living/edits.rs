//! Edits of the configuration on a running host.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use quartermaster_tests::checker::verify;
use quartermaster_tests::host::Host;
use quartermaster_tests::living::{percentiles, settled_log};
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::versions::{Way, place, versioned};

use super::{health_until, version_that_answers, with_stores};
use crate::{answers_in, ask};

#[tokio::test]
async fn a_store_that_is_added_lives_and_one_that_is_removed_comes_back_where_it_was() -> Result<()>
{
    let mut host = with_stores(["old"]).await?;
    host.start().await?;
    host.live("old").await?;
    host.store("new", "")?;
    host.live("new").await?;
    ensure!(version_that_answers(&host, "new", "q1").await? == "version-00000001");
    let file = host.folder().join("config/stores/new.toml");
    fs::remove_file(&file)?;
    health_until(&host, "the store to be gone", |health| {
        !health["stores"].to_string().contains("\"new\"")
    })
    .await?;
    ensure!(host.journal("new").is_file(), "its journal is gone");
    let refused = RawClient::connect(&host.sync_url(), "new").await;
    ensure!(refused.is_err(), "apps still sync with it");
    host.store("new", "")?;
    host.live("new").await?;
    ensure!(version_that_answers(&host, "new", "q2").await? == "version-00000001");
    let log = settled_log(&host, &host.sync_url(), "new").await?;
    verify(&log, &[versioned()])?;
    ensure!(answers_in(&log) == [2, 4], "{log:?}");
    Ok(())
}

#[tokio::test]
async fn a_mistake_changes_nothing_and_is_told_everywhere_until_it_is_mended() -> Result<()> {
    let mut host = with_stores(["shop", "desk"]).await?;
    host.start().await?;
    host.live("shop").await?;
    host.store("shop", "\n[quota]\nfuel_per_run = -5\n")?;
    host.store("late", "")?;
    let health = health_until(&host, "the mistake to be told", |health| {
        health["config"]["kept"].to_string().contains("shop")
    })
    .await?;
    ensure!(health["status"] == "degraded", "{health}");
    let problem = &health["config"]["problems"][0];
    ensure!(
        problem["line"] == 3 && problem["key"] == "quota.fuel_per_run",
        "{problem}"
    );
    // It goes on as before, and what is right in the same edit counts.
    ensure!(version_that_answers(&host, "shop", "q1").await? == "version-00000001");
    host.live("late").await?;
    let said = host.command(&["reload"]).await?;
    ensure!(
        said.code == Some(78) && said.out.contains("shop"),
        "{said:?}"
    );
    let page = quartermaster_tests::http::get(host.address(), "/metrics")
        .await?
        .body;
    ensure!(page.contains("qm_config_problems 1"), "{page}");
    let told = host
        .log()
        .matches("shop.toml:3: quota.fuel_per_run")
        .count();
    ensure!(told == 1, "told {told} times:\n{}", host.log());
    host.store("shop", "")?;
    health_until(&host, "it to be mended", |health| {
        health["status"] == "healthy"
    })
    .await?;
    let said = host.command(&["reload"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_what_concerns_all_changes_nothing_at_all() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let main = host.folder().join("config/quartermaster.toml");
    let good = fs::read(&main)?;
    let broken = [good.as_slice(), b"\n[server]\nlisten = 1\n"].concat();
    host.store("late", "")?;
    place(&main, &broken, Way::Rename).await?;
    let health = health_until(&host, "the refusal", |health| {
        health["config"]["refused"] == true
    })
    .await?;
    ensure!(health["status"] == "degraded", "{health}");
    ensure!(version_that_answers(&host, "shop", "q1").await? == "version-00000001");
    // Nor does it vanish with its file.
    fs::remove_file(&main)?;
    let said = host.command(&["reload", "--data", "data"]).await?;
    ensure!(
        said.code == Some(78) && said.out.contains("quartermaster.toml"),
        "{said:?}"
    );
    ensure!(version_that_answers(&host, "shop", "q2").await? == "version-00000001");
    place(&main, &good, Way::Copy).await?;
    health_until(&host, "it to be mended", |health| {
        health["status"] == "healthy"
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_folder_that_vanishes_stops_nobody() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let (config, away) = (host.folder().join("config"), host.folder().join("away"));
    fs::rename(&config, &away)?;
    let said = host.command(&["reload", "--data", "data"]).await?;
    ensure!(
        said.code == Some(78) && said.out.contains("put it back"),
        "{said:?}"
    );
    ensure!(version_that_answers(&host, "shop", "q1").await? == "version-00000001");
    fs::rename(&away, &config)?;
    health_until(&host, "it to be mended", |health| {
        health["status"] == "healthy"
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_swap_of_symlinks_as_kubernetes_does_it_is_noticed() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    let config = host.folder().join("config");
    let main = fs::read_to_string(config.join("quartermaster.toml"))?;
    let listen = "listen = \"127.0.0.1:1\"\n";
    for (version, stores) in [("..1", ""), ("..2", "[stores.added]\n")] {
        fs::create_dir(config.join(version))?;
        let text =
            format!("{main}{stores}").replacen("[server]\n", &format!("[server]\n{listen}"), 1);
        fs::write(config.join(version).join("quartermaster.toml"), text)?;
    }
    symlink("..1", config.join("..data"))?;
    fs::remove_file(config.join("quartermaster.toml"))?;
    symlink(
        "..data/quartermaster.toml",
        config.join("quartermaster.toml"),
    )?;
    host.start().await?;
    host.live("shop").await?;
    symlink("..2", config.join("..new"))?;
    fs::rename(config.join("..new"), config.join("..data"))?;
    host.live("added").await?;
    Ok(())
}

#[tokio::test]
async fn what_a_reload_would_do_is_told_before_it_does_it() -> Result<()> {
    let mut host = with_stores(["shop", "desk"]).await?;
    host.start().await?;
    host.live("desk").await?;
    host.write_address()?;
    let same = host.command(&["check", "--diff"]).await?;
    ensure!(same.code == Some(0), "{same:?}");
    // Another installation, in which nobody watches.
    let other = host.folder().join("other");
    fs::create_dir_all(other.join("stores"))?;
    fs::copy(
        host.folder().join("config/quartermaster.toml"),
        other.join("quartermaster.toml"),
    )?;
    fs::write(
        other.join("stores/shop.toml"),
        "quota = { memory = \"32MiB\" }\n",
    )?;
    fs::write(other.join("stores/late.toml"), "")?;
    let said = host.command(&["check", "--diff=other"]).await?;
    ensure!(said.code == Some(3), "{said:?}");
    for line in ["+ desk", "- late", "~ shop: quota.memory"] {
        ensure!(said.out.contains(line), "{line}: {said:?}");
    }
    ensure!(version_that_answers(&host, "desk", "q1").await? == "version-00000001");
    Ok(())
}

#[tokio::test]
async fn sighup_reloads_and_keys_that_need_a_restart_are_named() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let main = host.folder().join("config/quartermaster.toml");
    let text =
        fs::read_to_string(&main)?.replacen("data = ", "client_id = \"renamed\"\ndata = ", 1);
    let text = text.replacen("/data\"", "/elsewhere\"", 1);
    place(&main, text.as_bytes(), Way::Rename).await?;
    host.signal("HUP").await?;
    let health = health_until(&host, "the key to be named", |health| {
        health["config"]["restart_needed"]
            .to_string()
            .contains("server.data")
    })
    .await?;
    ensure!(health["stores"][0]["state"] == "live", "{health}");
    version_that_answers(&host, "shop", "q1").await?;
    let log = settled_log(&host, &host.sync_url(), "shop").await?;
    ensure!(log[1].client_id == "renamed", "{log:?}");
    Ok(())
}

/// Stores that are added in one edit.
const ADDED: usize = 150;

#[tokio::test]
async fn many_stores_added_in_one_edit_live_and_do_not_disturb_those_before() -> Result<()> {
    let mut host = with_stores(["old"]).await?;
    host.start().await?;
    host.live("old").await?;
    let calm = ask_for_a_while(&host, "calm", async || Ok(false)).await?;
    let main = host.folder().join("config/quartermaster.toml");
    let mut text = fs::read_to_string(&main)?;
    for number in 0..ADDED {
        text.push_str(&format!("[stores.added-{number:03}]\n"));
    }
    place(&main, text.as_bytes(), Way::Rename).await?;
    let all_live = async || {
        let health = host.health().await?;
        let stores = health["stores"].as_array().cloned().unwrap_or_default();
        let live = stores
            .iter()
            .filter(|store| store["state"] == "live")
            .count();
        Ok(live < ADDED + 1)
    };
    let busy = ask_for_a_while(&host, "busy", all_live).await?;
    println!(
        "median, p99, slowest answer: {calm:?} before, {busy:?} while {ADDED} stores were added"
    );
    version_that_answers(&host, "added-149", "q1").await?;
    Ok(())
}

/// Asks questions in `old`, fifty and then as long as `goes_on`; median, p99, slowest.
async fn ask_for_a_while(
    host: &Host,
    name: &str,
    mut goes_on: impl AsyncFnMut() -> Result<bool>,
) -> Result<[std::time::Duration; 3]> {
    let mut client = RawClient::connect(&host.sync_url(), "old").await?;
    client.follow().await?;
    let mut times = Vec::new();
    while times.len() < 50 || goes_on().await? {
        let id = format!("{name}-{}", times.len());
        let began = std::time::Instant::now();
        while !client.try_append(&[ask(&id)]).await? {}
        while client.next_event().await?.args["id"] != format!("v-{id}").as_str() {}
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}
