//! The peers and the proxy by themselves: what the other stories take for granted.

use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::backend::{Backend, Version};
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::history::{CHAT, question};
use quartermaster_tests::proxy::Proxy;
use quartermaster_tests::raw::{PushAnswer, RawClient};
use serde_json::json;

#[tokio::test]
async fn what_a_livestore_client_says_is_in_the_log_and_reaches_another_client() -> Result<()> {
    let backend = Backend::start().await?;
    let (alice, bob) = (LiveStoreClient::start()?, LiveStoreClient::start()?);
    alice.open("shop", &backend.url()).await?;
    bob.open("shop", &backend.url()).await?;
    alice.say("shop", "m1", "hello").await?;
    let heard = bob
        .event("shop", "the message", |event| event.args["id"] == "m1")
        .await?;
    ensure!(heard.seq == 1 && heard.name == CHAT, "{heard:?}");
    alice.settled("shop").await?;
    let log = RawClient::log_of(&backend.url(), "shop").await?;
    ensure!(
        log.len() == 1 && log[0].is_question() && log[0].client_id == "user",
        "{log:?}"
    );
    ensure!(bob.rows("shop", "messages").await?[0]["text"] == "hello");
    alice.stop().await;
    bob.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_killed_backend_keeps_its_logs_and_a_wiped_one_has_others() -> Result<()> {
    let mut backend = Backend::start().await?;
    let mut writer = RawClient::connect(&backend.url(), "shop").await?;
    writer.catch_up().await?;
    writer.append(&[(CHAT, question("m1", "hello"))]).await?;
    let before = writer.backend_id().map(str::to_owned);

    backend.restart().await?;
    let mut reader = RawClient::connect(&backend.url(), "shop").await?;
    reader.catch_up().await?;
    ensure!(reader.head() == 1 && reader.backend_id() == before.as_deref());

    backend.wipe().await?;
    let mut reader = RawClient::connect(&backend.url(), "shop").await?;
    reader.catch_up().await?;
    ensure!(reader.head() == 0 && reader.backend_id() != before.as_deref());
    Ok(())
}

#[tokio::test]
async fn a_backend_with_a_token_refuses_whoever_has_none() -> Result<()> {
    let backend = Backend::start_with(Version::V0_4_0, Some("s3cret")).await?;
    ensure!(RawClient::connect(&backend.url(), "shop").await.is_err());
    let client = LiveStoreClient::start()?;
    client
        .open_with_token("shop", &backend.url(), Some("s3cret"))
        .await?;
    client.stop().await;
    Ok(())
}

#[tokio::test]
async fn both_backends_say_ahead_in_their_own_words() -> Result<()> {
    for version in [Version::V0_4_0, Version::Dev22] {
        let backend = Backend::start_with(version, None).await?;
        let mut fast = RawClient::connect(&backend.url(), "shop").await?;
        let mut late = RawClient::connect(&backend.url(), "shop").await?;
        fast.catch_up().await?;
        late.catch_up().await?;
        fast.append(&[(CHAT, question("m1", "first"))]).await?;
        let batch = late.number(&[(CHAT, question("m2", "second"))]);
        let answer = late.push(&batch).await?;
        ensure!(
            answer == PushAnswer::Ahead(1),
            "{version:?} answered {answer:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_swallowed_answer_is_that_of_a_push_that_is_in_the_log() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 1).await?;
    let mut writer = RawClient::connect(&proxy.url(), "shop").await?;
    writer.catch_up().await?;
    proxy.set(|faults| faults.swallow_push_answers = true);
    let batch = writer.number(&[(CHAT, question("m1", "hello"))]);
    let answer = tokio::time::timeout(Duration::from_millis(500), writer.push(&batch)).await;
    ensure!(answer.is_err(), "an answer came through: {answer:?}");
    ensure!(proxy.counts().answers_swallowed == 1);
    ensure!(RawClient::log_of(&backend.url(), "shop").await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_held_push_reaches_the_backend_when_it_is_let_go() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 1).await?;
    let mut writer = RawClient::connect(&proxy.url(), "shop").await?;
    writer.catch_up().await?;
    proxy.set(|faults| faults.hold_pushes = true);
    let batch = writer.number(&[(CHAT, question("m1", "hello"))]);
    let meanwhile = async {
        proxy
            .wait_for("the push", |counts| counts.pushes == 1)
            .await?;
        let log = RawClient::log_of(&backend.url(), "shop").await?;
        ensure!(log.is_empty(), "the push went through: {log:?}");
        proxy.heal();
        Ok(())
    };
    let (answer, meanwhile) = tokio::join!(writer.push(&batch), meanwhile);
    meanwhile?;
    ensure!(answer? == PushAnswer::Admitted);
    Ok(())
}

#[tokio::test]
async fn spoiled_broadcasts_get_lost_come_twice_and_overtake_each_other() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 7).await?;
    let mut reader = RawClient::connect(&proxy.url(), "shop").await?;
    reader.catch_up().await?;
    reader.follow().await?;
    let mut writer = RawClient::connect(&backend.url(), "shop").await?;
    writer.catch_up().await?;
    // The first arrives, so the pull is past its pages.
    writer
        .append(&[("v1.TodoCompleted", json!({ "id": "0" }))])
        .await?;
    reader.next_event().await?;

    proxy.set(|faults| (faults.repeat_percent, faults.reorder_percent) = (40, 40));
    for number in 1..20 {
        writer
            .append(&[("v1.TodoCompleted", json!({ "id": number.to_string() }))])
            .await?;
    }
    proxy.heal();
    writer
        .append(&[("v1.TodoCompleted", json!({ "id": "20" }))])
        .await?;
    for seq in 2..=21 {
        ensure!(reader.next_event().await?.seq == seq);
    }
    ensure!(
        proxy.counts().broadcasts_spoiled > 5,
        "{:?}",
        proxy.counts()
    );

    proxy.set(|faults| faults.swallow_broadcasts = true);
    writer
        .append(&[("v1.TodoCompleted", json!({ "id": "21" }))])
        .await?;
    let next = tokio::time::timeout(Duration::from_millis(300), reader.next_event()).await;
    ensure!(next.is_err(), "a broadcast came through: {next:?}");
    reader.catch_up().await?;
    ensure!(reader.next_event().await?.seq == 22);
    Ok(())
}

#[tokio::test]
async fn a_silent_proxy_passes_nothing_and_closes_nothing_until_it_is_cut() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 1).await?;
    let mut client = RawClient::connect(&proxy.url(), "shop").await?;
    client.catch_up().await?;
    proxy.set(|faults| faults.silent = true);
    let answer = tokio::time::timeout(Duration::from_millis(300), client.catch_up()).await;
    ensure!(answer.is_err(), "something came through: {answer:?}");
    proxy.cut();
    ensure!(
        client.catch_up().await.is_err(),
        "the connection survived being cut"
    );
    Ok(())
}
