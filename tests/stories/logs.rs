//! Logs that are kept in the host: what was acked is there whatever happens, and damage is told instead of served.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{try_join, try_join_all};
use quartermaster_tests::checker::verify;
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::disk::SmallDisk;
use quartermaster_tests::history::LogEvent;
use quartermaster_tests::host::Host;
use quartermaster_tests::proxy::Proxy;
use quartermaster_tests::raw::{RawClient, Refusal};
use quartermaster_tests::scene::host_with_logs;
use quartermaster_tests::{http, torture, wait};
use serde_json::{Value, json};

use crate::{ask, say};

/// Kills in one test run; `cargo xtask torture --log-kills 100` does more.
const KILLS: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn fifteen_kills_under_many_writers_lose_no_acked_event_and_double_none() -> Result<()> {
    let seed = fastrand::u64(..);
    println!(
        "seed {seed}: `cargo xtask torture --kills 0 --log-kills {KILLS} --seed {seed}` kills at these moments again"
    );
    let report = torture::logs::run(KILLS, seed).await?;
    println!("{report:?}");
    ensure!(report.kills == KILLS && report.audits > 0, "{report:?}");
    ensure!(
        report.lives_with_acks > 0 && report.unanswered > 0 && report.messages > 0,
        "no kill came in the middle of work: {report:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_and_takes_them_again_once_there_is_room() -> Result<()> {
    let mut host = host_with_logs(["shop", "lab"])?;
    let disk = SmallDisk::mount(&host.folder().join("data"), 32)?;
    host.start().await?;
    let mut writers = Vec::new();
    for store in ["shop", "lab"] {
        let mut writer = RawClient::connect(&host.sync_url(), store).await?;
        writer.append(&[ask("before")]).await?;
        writers.push(writer);
    }
    disk.fill()?;
    let mut logs = Vec::new();
    for writer in &mut writers {
        let refusal = push_until_refused(writer).await?;
        let tag = &refusal["error"]["_tag"];
        ensure!(tag == "UnknownError", "a full disk is told as {refusal}");
        logs.push(writer.drain());
    }
    // Nothing of what was refused is in the logs, and everything that was acked.
    for (writer, log) in writers.iter().zip(&logs) {
        let found = RawClient::log_of(&host.sync_url(), writer.store()).await?;
        ensure!(found == *log, "{} differs on the full disk", writer.store());
    }
    ensure!(host.runs(), "the host ended:\n{}", host.log());
    ensure!(http::get(host.address(), "/livez").await?.status == 200);

    disk.free()?;
    for (writer, log) in writers.iter_mut().zip(&mut logs) {
        let store = writer.store().to_owned();
        wait::until(
            &format!("{store} to take events again"),
            async || match writer.try_append(&[ask("after")]).await {
                Ok(appended) => Ok(appended.then_some(())),
                Err(error) if error.is::<Refusal>() => Ok(None),
                Err(error) => Err(error),
            },
        )
        .await?;
        log.extend(writer.drain());
        let found = RawClient::log_of(&host.sync_url(), &store).await?;
        ensure!(found == *log, "{store} differs once there is room");
        verify(log, &[])?;
    }
    Ok(())
}

/// Pushes large events until one is refused; returns why. Some may still find room: SQLite writes again where it has
/// written before.
async fn push_until_refused(writer: &mut RawClient) -> Result<Value> {
    const PUSHES_MAX: u32 = 2_000;
    let text = "x".repeat(20_000);
    for number in 0..PUSHES_MAX {
        let event = (
            "v1.TodoCreated",
            json!({ "id": number.to_string(), "text": text }),
        );
        let pushed = writer.try_append(&[event]).await;
        let Err(error) = pushed else { continue };
        return Ok(error.downcast::<Refusal>()?.cause);
    }
    anyhow::bail!("{PUSHES_MAX} pushes fit on a full disk")
}

#[tokio::test]
async fn a_flipped_byte_is_named_and_its_store_set_aside_alone() -> Result<()> {
    let mut host = host_with_logs(["shop", "lab"])?;
    host.start().await?;
    let mut writer = RawClient::connect(&host.sync_url(), "shop").await?;
    let events: Vec<_> = (1..=100)
        .map(|n| say(&format!("precious-{n:03}")))
        .collect();
    writer.append(&events).await?;
    let status = host.terminate(Duration::from_secs(10)).await?;
    ensure!(status.success(), "the host ended with {status}");
    let damaged = flip_in_log(&host, "shop", "precious-050")?;

    host.start().await?;
    let url = host.sync_url();
    // A client is told which event; the operator, in which file as well.
    let pulled = RawClient::log_of(&url, "shop").await;
    let error = pulled.err().context("a damaged log was served")?;
    ensure!(error.to_string().contains("event 50"), "{error:#}");
    let health = host
        .store_until("shop", "quarantined", |health| {
            health["state"] == "quarantined"
        })
        .await?;
    let reason = health["reason"].as_str().unwrap_or_default();
    for word in ["shop.db", "event 50"] {
        ensure!(reason.contains(word), "nothing about {word:?} in: {reason}");
    }
    ensure!(host.health().await?["status"] == "degraded");

    let mut other = RawClient::connect(&url, "lab").await?;
    other.append(&[ask("m1")]).await?;
    ensure!(RawClient::log_of(&url, "lab").await?.len() == 1);
    for (path, bytes) in damaged {
        ensure!(
            fs::read(&path)? == bytes,
            "{} was written to",
            path.display()
        );
    }
    Ok(())
}

/// Changes a byte in `text` wherever it stands in a store's log. The files that were changed, with what is in them now.
fn flip_in_log(host: &Host, store: &str, text: &str) -> Result<Vec<(std::path::PathBuf, Vec<u8>)>> {
    let mut damaged = Vec::new();
    for path in host.log_files(store)? {
        let mut bytes = fs::read(&path)?;
        let places: Vec<usize> = (0..bytes.len().saturating_sub(text.len()))
            .filter(|&at| bytes[at..].starts_with(text.as_bytes()))
            .collect();
        for &at in &places {
            bytes[at] ^= 0x01;
        }
        if !places.is_empty() {
            fs::write(&path, &bytes)?;
            damaged.push((path, bytes));
        }
    }
    ensure!(!damaged.is_empty(), "{text:?} stands in no file of {store}");
    Ok(damaged)
}

/// LiveStore clients that write at once.
const CLIENTS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// Messages of each of them.
const MESSAGES: usize = 20;

/// Events that one more client misses.
const MISSED: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn livestore_clients_come_to_the_same_state_though_the_host_is_killed_and_one_was_away()
-> Result<()> {
    let mut host = host_with_logs(["shop"])?;
    host.start().await?;
    let url = host.sync_url();
    // Only the one that will be away reaches the host through this.
    let proxy = Proxy::start(&format!("ws://{}", host.address()), 3).await?;
    let zoe = LiveStoreClient::start_as("zoe")?;
    zoe.open("shop", &format!("{}/sync", proxy.url())).await?;
    let clients = CLIENTS.map(LiveStoreClient::start_as);
    let clients: Vec<LiveStoreClient> = clients.into_iter().collect::<Result<_>>()?;
    try_join_all(clients.iter().map(|client| client.open("shop", &url))).await?;

    let writing = CLIENTS.iter().zip(&clients);
    let writing = try_join_all(writing.map(|(name, client)| write(client, name, MESSAGES)));
    let killing = kill_twice(&mut host, CLIENTS.len() * MESSAGES);
    let (_, before_kill) = try_join(writing, killing).await?;
    zoe_misses_events(&mut host, &zoe, &proxy).await?;

    let log = RawClient::log_of(&url, "shop").await?;
    verify(&log, &[])?;
    ensure!(log.starts_with(&before_kill), "what was in the log is not");
    let ids: BTreeSet<&str> = log
        .iter()
        .filter_map(|event| event.args["id"].as_str())
        .collect();
    for (name, number) in CLIENTS
        .iter()
        .flat_map(|name| (0..MESSAGES).map(move |n| (name, n)))
    {
        let id = format!("{name}-{number}");
        ensure!(
            ids.contains(id.as_str()),
            "{id} is confirmed and not in the log"
        );
    }
    let messages = CLIENTS.len() * MESSAGES + MISSED + 2;
    let mut states = Vec::new();
    for client in clients.iter().chain([&zoe]) {
        states.push(state_with(client, messages).await?);
    }
    for (state, name) in states.iter().zip(CLIENTS.iter().chain(&["zoe"])) {
        ensure!(
            *state == states[0],
            "{name} has another state than {}",
            CLIENTS[0]
        );
    }
    for client in clients.into_iter().chain([zoe]) {
        client.stop().await;
    }
    Ok(())
}

/// Messages that each client commits in one go, twice.
const BURST: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn livestore_clients_that_commit_much_at_once_come_to_the_same_state() -> Result<()> {
    let mut host = host_with_logs(["shop"])?;
    host.start().await?;
    let url = host.sync_url();
    let clients = CLIENTS.map(LiveStoreClient::start_as);
    let clients: Vec<LiveStoreClient> = clients.into_iter().collect::<Result<_>>()?;
    try_join_all(clients.iter().map(|client| client.open("shop", &url))).await?;
    for round in 1..=2 {
        let bursts = CLIENTS.iter().zip(&clients).map(async |(name, client)| {
            let ids: Vec<String> = (0..BURST)
                .map(|number| format!("{name}-{round}-{number}"))
                .collect();
            client.say_all("shop", &ids).await?;
            client.settled("shop").await
        });
        try_join_all(bursts).await?;
        let messages = round * CLIENTS.len() * BURST;
        let states = clients.iter().map(|client| state_with(client, messages));
        let states = try_join_all(states).await?;
        ensure!(states.windows(2).all(|pair| pair[0] == pair[1]));
        let log = RawClient::log_of(&url, "shop").await?;
        verify(&log, &[])?;
        ensure!(log.len() == messages, "{} events", log.len());
        // Clients connect again by themselves before the next round.
        host.kill().await?;
        host.start().await?;
    }
    for client in clients {
        client.stop().await;
    }
    Ok(())
}

/// Messages of its own, and now and then a todo that all of them write: whose is the last depends on the order. One
/// event at a time: LiveStore 0.4.0 clients that go on committing while they are refused lose their place sooner or
/// later (they push past their own events, and stop to pull), at the original backend as well as here.
async fn write(client: &LiveStoreClient, name: &str, messages: usize) -> Result<()> {
    for number in 0..messages {
        let id = format!("{name}-{number}");
        client.say("shop", &id, &format!("this is {id}")).await?;
        client.settled("shop").await?;
        if number.is_multiple_of(4) {
            let shared = json!({ "id": "shared", "text": format!("{id} was here") });
            client.commit("shop", "v1.TodoCreated", shared).await?;
            client.settled("shop").await?;
        }
    }
    Ok(())
}

/// A thousand events are written while one client is away and has something to say itself; the host is killed in the
/// middle of them. In the end the client has caught up.
async fn zoe_misses_events(host: &mut Host, zoe: &LiveStoreClient, proxy: &Proxy) -> Result<()> {
    write(zoe, "zoe-before", 1).await?;
    proxy.set(|faults| faults.refuse = true);
    proxy.cut();
    zoe.say("shop", "zoe-away", "I am not there").await?;
    let mut writer = RawClient::connect(&host.sync_url(), "shop").await?;
    let events: Vec<_> = (0..MISSED)
        .map(|number| say(&format!("missed-{number}")))
        .collect();
    let (first, second) = events.split_at(MISSED / 2);
    writer.append(first).await?;
    host.kill().await?;
    host.start().await?;
    writer.reconnect(&host.sync_url()).await?;
    writer.append(second).await?;
    let status = zoe.status("shop").await?;
    ensure!(status.pending == 1, "zoe was not away: {status:?}");
    proxy.heal();
    zoe.settled("shop").await
}

/// Kills the host when a third, and again when two thirds of so many events are in the log, and starts it again. The log
/// as it was read before the last kill.
async fn kill_twice(host: &mut Host, events: usize) -> Result<Vec<LogEvent>> {
    let mut log = Vec::new();
    for third in 1..=2 {
        let url = host.sync_url();
        wait::until(&format!("{third}/3 of the events"), async || {
            log = RawClient::log_of(&url, "shop").await?;
            Ok((log.len() > events * third / 3).then_some(()))
        })
        .await?;
        host.kill().await?;
        host.start().await?;
    }
    Ok(log)
}

/// All rows of the app once it shows so many messages.
async fn state_with(client: &LiveStoreClient, messages: usize) -> Result<Vec<Vec<String>>> {
    let mut state = Vec::new();
    wait::until(
        &format!("a client to show {messages} messages"),
        async || {
            state.clear();
            for table in ["messages", "todos"] {
                let rows = client.rows("shop", table).await?;
                let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
                // The order in which a table gives its rows is no part of its state.
                rows.sort();
                state.push(rows);
            }
            Ok((state[0].len() == messages).then_some(()))
        },
    )
    .await?;
    Ok(state)
}
