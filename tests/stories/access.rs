//! Apps sync with a log that the host keeps itself, if they show a token.

use anyhow::{Result, ensure};
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::grants::granted;
use quartermaster_tests::host::Host;
use quartermaster_tests::http;
use quartermaster_tests::scene::QUICK_TIMING;

/// A host that keeps the log of `shop`, for whoever has the token.
fn host() -> Result<Host> {
    let mut host = Host::new(&format!("{}\n{QUICK_TIMING}", granted(&["echo"])))?;
    host.install("echo")?;
    host.store(
        "shop",
        "sync = \"embedded\"\naccess.tokens = { app = \"env:SHOP_TOKEN\" }",
    )?;
    host.environment("SHOP_TOKEN", "s3cret");
    Ok(host)
}

fn url(host: &Host) -> String {
    format!("ws://{}/sync", host.address())
}

#[tokio::test]
async fn an_app_with_a_token_syncs_with_the_host_itself_and_a_plugin_answers() -> Result<()> {
    let mut host = host()?;
    host.start().await?;
    host.live("shop").await?;
    let (alice, bob) = (LiveStoreClient::start()?, LiveStoreClient::start()?);
    for client in [&alice, &bob] {
        client
            .open_with_token("shop", &url(&host), Some("s3cret"))
            .await?;
    }
    alice.say("shop", "m1", "hello there").await?;
    for client in [&alice, &bob] {
        let answer = client.answer("shop", "hello there").await?;
        ensure!(answer.client_id == "quartermaster", "{answer:?}");
    }
    alice.settled("shop").await?;
    alice.stop().await;
    bob.stop().await;
    Ok(())
}

#[tokio::test]
async fn nobody_without_the_token_gets_in_and_it_stands_in_no_log() -> Result<()> {
    let mut host = host()?;
    // Everything that a request goes through; of wasmtime there would be a lot.
    host.environment(
        "QM_LOG",
        "info,quartermaster=trace,axum=trace,hyper=trace,hyper_util=trace,tokio_tungstenite=trace",
    );
    host.start().await?;
    for (query, status) in [
        ("storeId=shop&transport=ws", 401),
        (
            "storeId=shop&transport=ws&payload=%7B%22authToken%22%3A%22guess%22%7D",
            401,
        ),
        ("storeId=lab&transport=ws", 404),
        ("storeId=shop", 400),
        // Let in, and asked to speak WebSocket.
        (
            "storeId=shop&transport=ws&payload=%7B%22authToken%22%3A%22s3cret%22%7D",
            426,
        ),
    ] {
        let answer = http::get(host.address(), &format!("/sync?{query}")).await?;
        ensure!(answer.status == status, "{query}: {answer:?}");
        ensure!(!answer.body.contains("guess"), "{answer:?}");
    }
    let log = host.log();
    ensure!(log.contains("a client of /sync was refused"), "{log}");
    ensure!(!log.contains("s3cret") && !log.contains("guess"), "{log}");
    Ok(())
}
