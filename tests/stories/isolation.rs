//! One of twenty stores is broken: nineteen run, and `/health` says what is wrong with the one.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::backend::{Backend, Version};
use quartermaster_tests::plugins::echo;
use quartermaster_tests::scene::Scene;
use serde_json::Value;

use crate::ask;

/// The one that is broken.
const BROKEN: &str = "broken";

fn healthy() -> Vec<String> {
    (0..19).map(|n| format!("store-{n:02}")).collect()
}

/// Nineteen stores that are well, and one with these keys. The host is not started.
async fn twenty_stores(keys_of_the_broken: &str) -> Result<Scene> {
    let scene = Scene::new(&["echo"]).await?;
    scene.stores(healthy().iter().map(String::as_str))?;
    scene.host.store(BROKEN, keys_of_the_broken)?;
    Ok(scene)
}

/// Asks in all nineteen, and waits for the answers.
async fn nineteen_answer(scene: &Scene) -> Result<()> {
    for store in healthy() {
        scene.host.live(&store).await?;
        scene.append(&store, &[ask("m1")]).await?;
        scene.verify(&store, &[echo()]).await?;
    }
    Ok(())
}

/// Waits until the broken store is in one of these states, and gives the reason that an operator reads.
async fn reason_when(scene: &Scene, states: &[&str]) -> Result<String> {
    let known = |health: &Value| {
        states.iter().any(|state| health["state"] == *state) && health["reason"].is_string()
    };
    let health = scene
        .host
        .store_until(BROKEN, &format!("{states:?} with a reason"), known)
        .await?;
    ensure!(
        scene.host.health().await?["status"] == "degraded",
        "one broken store is no news"
    );
    Ok(health["reason"].as_str().unwrap_or_default().to_owned())
}

/// Each of `words` must be in what the operator reads.
fn says(reason: &str, words: &[&str]) -> Result<()> {
    let lower = reason.to_lowercase();
    for word in words {
        ensure!(lower.contains(word), "nothing about {word:?} in: {reason}");
    }
    Ok(())
}

#[tokio::test]
async fn a_store_with_an_address_that_is_none_is_told_by_file_and_key() -> Result<()> {
    let mut scene = twenty_stores("sync = \"sync.example.com\"").await?;
    scene.host.start().await?;
    nineteen_answer(&scene).await?;
    let reason = reason_when(&scene, &["stopped"]).await?;
    says(&reason, &["broken.toml", "sync"])
}

#[tokio::test]
async fn a_store_whose_backend_is_not_there_backs_off_alone() -> Result<()> {
    // Port 1 of the loopback interface: nobody listens there.
    let mut scene = twenty_stores("sync = \"ws://127.0.0.1:1\"").await?;
    scene.host.start().await?;
    nineteen_answer(&scene).await?;
    let reason = reason_when(&scene, &["connecting", "backing-off"]).await?;
    says(&reason, &["connect"])
}

#[tokio::test]
async fn a_store_whose_token_is_refused_backs_off_alone() -> Result<()> {
    let guarded = Backend::start_with(Version::V0_4_0, Some("s3cret")).await?;
    let keys = format!(
        "sync = {:?}\npayload = {{ authToken = \"env:WRONG\" }}",
        guarded.url()
    );
    let mut scene = twenty_stores(&keys).await?;
    scene.host.environment("WRONG", "gue55ed");
    scene.host.start().await?;
    nineteen_answer(&scene).await?;
    let reason = reason_when(&scene, &["connecting", "backing-off", "stopped"]).await?;
    ensure!(!reason.contains("gue55ed"), "the token shows: {reason}");
    says(&reason, &["unauthorized"])
}

#[tokio::test]
async fn a_store_whose_backend_was_reset_stops_alone() -> Result<()> {
    let mut other = Backend::start().await?;
    let mut scene = twenty_stores(&format!("sync = {:?}", other.url())).await?;
    scene.host.start().await?;
    scene.host.live(BROKEN).await?;
    other.wipe().await?;
    nineteen_answer(&scene).await?;
    let reason = reason_when(&scene, &["stopped"]).await?;
    says(&reason, &["another log", "on_reset"])
}

#[tokio::test]
async fn a_store_whose_journal_is_damaged_is_set_aside_alone() -> Result<()> {
    let mut scene = twenty_stores("").await?;
    scene.host.start().await?;
    scene.host.live(BROKEN).await?;
    scene.append(BROKEN, &[ask("m1")]).await?;
    scene.verify(BROKEN, &[echo()]).await?;
    let status = scene.host.terminate(Duration::from_secs(10)).await?;
    ensure!(status.success(), "the host ended with {status}");

    let journal = scene.host.journal(BROKEN);
    let mut file = fs::OpenOptions::new().write(true).open(&journal)?;
    // The file's header and everything after it.
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&[0x5a; 8192])?;
    drop(file);
    let damaged = fs::read(&journal)?;

    scene.host.start().await?;
    nineteen_answer(&scene).await?;
    let reason = reason_when(&scene, &["quarantined", "stopped"]).await?;
    says(&reason, &["journal"])?;
    ensure!(
        fs::read(&journal)? == damaged,
        "the damaged journal was written to"
    );
    Ok(())
}
