//! A user says something in an app, and a plugin answers.

use anyhow::{Result, ensure};
use quartermaster_tests::backend::{Backend, Version};
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::grants::granted_with;
use quartermaster_tests::plugins::{counter, echo, triple};
use quartermaster_tests::proxy::Proxy;
use quartermaster_tests::scene::{Scene, host_on};
use tokio::process::Command;

use crate::{ask, remark};

#[tokio::test]
async fn a_user_of_a_livestore_app_gets_one_answer() -> Result<()> {
    let mut scene = Scene::new(&["echo"]).await?;
    scene.stores(["shop", "lab"])?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    let client = LiveStoreClient::start()?;
    client.open("shop", &scene.backend.url()).await?;
    client.say("shop", "m1", "hello there").await?;
    let answer = client.answer("shop", "hello there").await?;
    ensure!(answer.client_id == "quartermaster", "{answer:?}");
    let log = scene.verify("shop", &[echo()]).await?;
    ensure!(log.len() == 2, "{log:?}");
    ensure!(
        scene.log("lab").await?.is_empty(),
        "another store was written to"
    );
    client.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stores_own_config_reaches_its_plugin() -> Result<()> {
    let mut scene = Scene::new(&["echo"]).await?;
    scene.host.store(
        "shop",
        &granted_with("echo", "config = { greeting = \"Dear customer,\" }"),
    )?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    scene.append("shop", &[ask("m1")]).await?;
    let log = scene.verify("shop", &[echo()]).await?;
    let said = log[1].args["text"].as_str().unwrap_or_default();
    ensure!(said.starts_with("Dear customer,"), "the answer is {said:?}");
    Ok(())
}

#[tokio::test]
async fn three_events_of_a_run_lie_side_by_side_and_kv_agrees_with_the_log() -> Result<()> {
    let mut scene = Scene::new(&["counter", "echo", "triple"]).await?;
    scene.stores(["shop"])?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    for number in 0..30 {
        // In between, other writers race for the head.
        scene
            .append(
                "shop",
                &[ask(&format!("m{number}")), remark("x"), remark("y")],
            )
            .await?;
    }
    let log = scene.verify("shop", &[counter(), echo(), triple()]).await?;
    ensure!(log.len() == 30 * 8, "the log has {} events", log.len());
    Ok(())
}

#[tokio::test]
async fn the_older_backend_is_served_the_same_through_conflicts() -> Result<()> {
    let backend = Backend::start_with(Version::Dev22, None).await?;
    let proxy = Proxy::start(&backend.url(), 1).await?;
    let mut host = host_on(&proxy.url(), &["echo"])?;
    host.store("shop", "")?;
    host.start().await?;
    host.live("shop").await?;
    let scene = Scene { backend, host };
    // The push is refused, in the words of that version.
    proxy.set(|faults| faults.hold_pushes = true);
    scene.append("shop", &[ask("m1")]).await?;
    proxy
        .wait_for("the answer", |counts| counts.pushes > 0)
        .await?;
    scene.append("shop", &[remark("x")]).await?;
    proxy.heal();
    scene.append("shop", &[ask("m2")]).await?;
    scene.verify("shop", &[echo()]).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_kept_in_the_environment_opens_a_store() -> Result<()> {
    let backend = Backend::start_with(Version::V0_4_0, Some("s3cret/+%")).await?;
    let mut host = host_on(&backend.url(), &["echo"])?;
    host.environment("SHOP_TOKEN", "s3cret/+%");
    host.store("shop", "payload = { authToken = \"env:SHOP_TOKEN\" }")?;
    host.start().await?;
    host.live("shop").await?;
    let client = LiveStoreClient::start()?;
    client
        .open_with_token("shop", &backend.url(), Some("s3cret/+%"))
        .await?;
    client.say("shop", "m1", "hello").await?;
    client.answer("shop", "hello").await?;
    let written = [host.log(), host.health().await?.to_string()].concat();
    ensure!(!written.contains("s3cret"), "the token shows:\n{written}");
    client.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_demo_shows_an_answer_and_stops_cleanly() -> Result<()> {
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--once")
        .output()
        .await?;
    let shown = String::from_utf8_lossy(&demo.stdout);
    ensure!(
        demo.status.success(),
        "{}: {shown}{}",
        demo.status,
        String::from_utf8_lossy(&demo.stderr)
    );
    ensure!(
        shown.contains("You said: Hello, is anybody there?"),
        "it showed: {shown}"
    );
    Ok(())
}
