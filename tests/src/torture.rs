//! Twenty stores under traffic, and a host that is killed again and again at random moments. Whatever happens, every
//! message has exactly one answer of each plugin in the end, in order, and the counters in kv agree.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;

use crate::client::LiveStoreClient;
use crate::history::{CHAT, LogEvent, question};
use crate::host::Host;
use crate::plugins::{TASK, counter, echo, triple};
use crate::raw::RawClient;
use crate::scene::Scene;
use crate::wait;

pub mod logs;
pub mod tasks;

/// Stores in the scene.
const STORES: usize = 20;

/// Messages a second over all stores. A backend on one core takes 140 pushes a second and more; each message makes up
/// to four.
const MESSAGES_PER_SECOND: f64 = 15.0;

/// The longest life of a host. A start takes a small part of it, so most kills hit a host at work.
const LIFE_MAX_MS: u64 = 1_200;

/// How long a LiveStore client has to push what it was told, while nobody else writes.
const CLIENT_PATIENCE: Duration = Duration::from_secs(20);

/// A kill that comes after the host called itself ready comes this soon after.
const LIFE_AFTER_READY_MAX_MS: u64 = 400;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kills carried out.
    pub kills: u32,
    /// Kills of a host that was not ready yet.
    pub kills_before_ready: u32,
    /// Messages of users in the logs.
    pub messages: usize,
    /// Answers to them in the logs.
    pub answers: usize,
    /// Answers that were in the logs before the last start.
    pub answers_between_kills: usize,
    /// Stores whose LiveStore client never got rid of its own events: what it said is then in no log.
    pub clients_stuck: usize,
}

/// Kills the host `kills` times; `seed` decides when, and what is said meanwhile. Fails at the first broken promise.
pub async fn run(kills: u32, seed: u64) -> Result<Report> {
    let mut scene = Scene::new(&["echo", "counter", "triple"]).await?;
    let stores: Vec<String> = (0..STORES).map(|n| format!("store-{n:02}")).collect();
    scene.stores(stores.iter().map(String::as_str))?;
    scene.host.start().await?;
    for store in &stores {
        scene.host.live(store).await?;
    }
    let url = scene.backend.url();
    let (stop, stopped) = watch::channel(false);
    let traffic = traffic(&url, &stores, seed, stopped);
    let killing = async {
        let report = kill_repeatedly(&mut scene, kills, seed).await;
        stop.send_replace(true);
        report
    };
    let (report, client) = tokio::join!(killing, traffic);
    let (mut report, client) = (report?, client?);
    report.clients_stuck = settle_and_close(&client, &stores).await?;
    report.answers_between_kills = count_answers(&scene, &stores).await?;
    scene.host.start().await?;
    for store in &stores {
        let log = scene.verify(store, &[echo(), counter(), triple()]).await;
        let log = log.with_context(|| format!("{store} after {kills} kills, seed {seed}"))?;
        report.messages += log.iter().filter(|event| event.is_question()).count();
        report.answers += log.iter().filter(|event| event.stamp().is_some()).count();
        read_as_an_app(&client, &url, store, &log).await?;
    }
    ensure!(
        report.answers == 5 * report.messages,
        "the checker let something pass: {report:?}"
    );
    client.stop().await;
    Ok(report)
}

async fn kill_repeatedly(scene: &mut Scene, kills: u32, seed: u64) -> Result<Report> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut report = Report::default();
    let host = &mut scene.host;
    for _ in 0..kills {
        live_a_while(host, &mut random).await?;
        ensure!(host.runs(), "the host ended by itself:\n{}", host.log());
        let ready = crate::http::get(host.address(), "/readyz").await;
        if !ready.is_ok_and(|answer| answer.status == 200) {
            report.kills_before_ready += 1;
        }
        host.kill().await?;
        report.kills += 1;
        if report.kills < kills {
            host.launch()?;
        }
    }
    Ok(report)
}

/// Waits until a random moment of the host's life.
async fn live_a_while(host: &mut Host, random: &mut fastrand::Rng) -> Result<()> {
    if random.bool() {
        // At any moment of a life, its start included. Time is what is random here; no state is waited for.
        tokio::time::sleep(Duration::from_millis(random.u64(0..LIFE_MAX_MS))).await;
    } else {
        host.ready().await?;
        let life = Duration::from_millis(random.u64(0..LIFE_AFTER_READY_MAX_MS));
        tokio::time::sleep(life).await;
    }
    Ok(())
}

/// Users of real clients, and another writer of no LiveStore kind that races with them for the head of each log.
async fn traffic(
    url: &str,
    stores: &[String],
    seed: u64,
    mut stopped: watch::Receiver<bool>,
) -> Result<LiveStoreClient> {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x7aff1c);
    let client = LiveStoreClient::start()?;
    futures_util::future::try_join_all(stores.iter().map(|store| client.open(store, url))).await?;
    let mut writers = Vec::new();
    for store in stores {
        writers.push(RawClient::connect(url, store).await?);
    }
    let begin = Instant::now();
    for number in 0_u32.. {
        let due = begin + Duration::from_secs_f64(f64::from(number) / MESSAGES_PER_SECOND);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        let place = random.usize(0..stores.len());
        let (id, text) = (format!("m{number}"), format!("message {number}"));
        // One in four comes from the other writer.
        if random.u8(0..4) == 0 {
            writers[place]
                .append(&[(CHAT, question(&id, &text))])
                .await?;
        } else {
            client.say(&stores[place], &id, &text).await?;
        }
    }
    Ok(client)
}

/// Closes all stores of the client, and counts those that would not settle.
async fn settle_and_close(client: &LiveStoreClient, stores: &[String]) -> Result<usize> {
    let mut stuck = 0;
    for store in stores {
        let settled = tokio::time::timeout(CLIENT_PATIENCE, client.settled(store)).await;
        stuck += usize::from(settled.is_err());
        client.close(store).await?;
    }
    Ok(stuck)
}

async fn count_answers(scene: &Scene, stores: &[String]) -> Result<usize> {
    let mut answers = 0;
    for store in stores {
        let log = scene.log(store).await?;
        answers += log.iter().filter(|event| event.stamp().is_some()).count();
    }
    Ok(answers)
}

/// A LiveStore client that opens the store anew must come to the same: each event in its table once.
async fn read_as_an_app(
    client: &LiveStoreClient,
    url: &str,
    store: &str,
    log: &[LogEvent],
) -> Result<()> {
    client.open(store, url).await?;
    for (table, name) in [("messages", CHAT), ("tasks", TASK)] {
        // Ids, as a LiveStore client now and then pushes an event of its own twice: two questions for us, one row.
        let events = log.iter().filter(|event| event.name == name);
        let ids: BTreeSet<&str> = events
            .filter_map(|event| event.args["id"].as_str())
            .collect();
        let awaited = format!(
            "a LiveStore client to show {} {table} of {store}",
            ids.len()
        );
        wait::until(&awaited, async || {
            let rows = client.rows(store, table).await?.len();
            Ok((rows == ids.len()).then_some(()))
        })
        .await?;
    }
    client.close(store).await
}
