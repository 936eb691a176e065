//! Embedded stores under traffic of many writers, and a host that is killed again and again at random moments. Whatever
//! anybody was told to be in a log, by an ack or by a pull, is there in the end, in its place, as it was told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::sync::watch;

use super::{CLIENT_PATIENCE, live_a_while};
use crate::checker::verify;
use crate::client::LiveStoreClient;
use crate::history::{CHAT, LogEvent, question};
use crate::host::Host;
use crate::raw::{RawClient, Refusal};
use crate::scene::host_with_logs;

/// Stores in the scene.
const STORES: usize = 3;

/// Writers of no LiveStore kind in each store; they race for its head.
const WRITERS: usize = 2;

/// LiveStore clients, each in the first stores.
const CLIENTS: [&str; 2] = ["alice", "bob"];
const STORES_WITH_CLIENTS: usize = 2;

/// Events in one push, at most.
const BATCH_MAX: usize = 20;

/// The longest pause of a writer between two pushes. Short enough that most kills hit somebody in the middle of a push,
/// long enough that all logs can be read after each start.
const PAUSE_MAX_MS: u64 = 60;

/// The same where LiveStore clients write too: they need longer to follow a head that moves.
const PAUSE_BESIDE_CLIENTS_MAX_MS: u64 = 800;

/// Between two attempts to reach a host that is down.
const RETRY_PERIOD: Duration = Duration::from_millis(20);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kills carried out.
    pub kills: u32,
    /// Lives of the host that ended before it was ready.
    pub lives_not_ready: u32,
    /// Lives in which an event was acked.
    pub lives_with_acks: u32,
    /// Events that were acked.
    pub acked: usize,
    /// Pushes that the host was killed over.
    pub unanswered: usize,
    /// Times that a whole log was read and compared with what had been told before.
    pub audits: u32,
    /// Messages that LiveStore clients have committed.
    pub messages: usize,
    /// Stores of LiveStore clients that never got rid of their own events.
    pub clients_stuck: usize,
}

/// What clients of one store were told.
#[derive(Default)]
struct Told {
    backend_id: Option<String>,
    /// By place: acked, or pulled by anybody.
    events: BTreeMap<u64, LogEvent>,
    acked: usize,
    unanswered: usize,
}

/// Kills the host `kills` times; `seed` decides when. Fails at the first broken promise.
pub async fn run(kills: u32, seed: u64) -> Result<Report> {
    let told: BTreeMap<String, RefCell<Told>> = (0..STORES)
        .map(|number| (format!("log-{number}"), RefCell::default()))
        .collect();
    let mut host = host_with_logs(told.keys().map(String::as_str))?;
    host.start().await?;
    let url = host.sync_url();
    let clients = open_clients(&url, &told).await?;
    let (stop, stopped) = watch::channel(false);
    let killing = async {
        let report = kill_repeatedly(&mut host, &told, kills, seed).await;
        // Everybody ends, and the last pushes are answered: by a host that lives.
        stop.send_replace(true);
        report
    };
    let writing = try_join_all(told.iter().enumerate().flat_map(|(place, (store, told))| {
        let (url, stopped) = (&url, &stopped);
        (0..WRITERS).map(move |number| {
            let writer = Writer {
                name: format!("writer-{place}-{number}"),
                random: fastrand::Rng::with_seed(seed ^ (place * WRITERS + number) as u64),
                pause_max_ms: if place < STORES_WITH_CLIENTS {
                    PAUSE_BESIDE_CLIENTS_MAX_MS
                } else {
                    PAUSE_MAX_MS
                },
                told,
            };
            writer.run(url, store, stopped.clone())
        })
    }));
    let stores: Vec<&str> = their_stores(&told).collect();
    let apps = clients
        .iter()
        .flat_map(|client| stores.iter().map(move |store| (client, *store)));
    let saying =
        try_join_all(apps.map(|((name, client), store)| say(name, client, store, stopped.clone())));
    let (report, written, said) = tokio::join!(killing, writing, saying);
    let mut report = report?;
    written?;
    for said in said? {
        report.messages += said.ids.len();
        report.clients_stuck += usize::from(!said.is_confirmed(&url).await?);
    }
    report.audits += audit(&url, &told).await?;
    for told in told.values() {
        report.acked += told.borrow().acked;
        report.unanswered += told.borrow().unanswered;
    }
    for (_, client) in clients {
        client.stop().await;
    }
    Ok(report)
}

async fn open_clients(
    url: &str,
    told: &BTreeMap<String, RefCell<Told>>,
) -> Result<Vec<(&'static str, LiveStoreClient)>> {
    let mut clients = Vec::new();
    for name in CLIENTS {
        let client = LiveStoreClient::start_as(name)?;
        for store in their_stores(told) {
            client.open(store, url).await?;
        }
        clients.push((name, client));
    }
    Ok(clients)
}

/// The stores that LiveStore clients are in.
fn their_stores(told: &BTreeMap<String, RefCell<Told>>) -> impl Iterator<Item = &str> {
    told.keys().take(STORES_WITH_CLIENTS).map(String::as_str)
}

/// At its end the host is up.
async fn kill_repeatedly(
    host: &mut Host,
    told: &BTreeMap<String, RefCell<Told>>,
    kills: u32,
    seed: u64,
) -> Result<Report> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut report = Report::default();
    let acked = || told.values().map(|told| told.borrow().acked).sum::<usize>();
    for _ in 0..kills {
        let before = acked();
        live_a_while(host, &mut random).await?;
        ensure!(host.runs(), "the host ended by itself:\n{}", host.log());
        let ready = crate::http::get(host.address(), "/readyz").await;
        if !ready.is_ok_and(|answer| answer.status == 200) {
            report.lives_not_ready += 1;
        }
        host.kill().await?;
        report.kills += 1;
        report.lives_with_acks += u32::from(acked() > before);
        host.launch()?;
        // Half of them, so that some are killed again while they start.
        if random.bool() {
            host.ready().await?;
            let audits = audit(&host.sync_url(), told).await;
            report.audits +=
                audits.with_context(|| format!("after kill {} of seed {seed}", report.kills))?;
        }
    }
    host.ready().await?;
    Ok(report)
}

/// Reads every log whole, and compares it with what had been told by then; returns how many those are.
async fn audit(url: &str, told: &BTreeMap<String, RefCell<Told>>) -> Result<u32> {
    let mut audits = 0;
    for (store, told) in told {
        // What is told while the log is read may be missing in it.
        let promised = told.borrow().events.clone();
        let mut reader = RawClient::connect(url, store).await?;
        reader.catch_up().await?;
        let log = reader.drain();
        told.borrow_mut().note_backend(reader.backend_id())?;
        check(&log, &promised).with_context(|| store.clone())?;
        audits += 1;
    }
    Ok(audits)
}

/// A whole log: unbroken, nothing twice, and everything promised in its place.
fn check(log: &[LogEvent], promised: &BTreeMap<u64, LogEvent>) -> Result<()> {
    verify(log, &[])?;
    let mut ids = BTreeSet::new();
    for event in log {
        // The writers of this file never say anything twice; a LiveStore client now and then does.
        let ours = event.client_id.starts_with("writer-");
        ensure!(
            !ours || ids.insert(event.args["id"].as_str()),
            "event {} is there twice: {event:?}",
            event.seq
        );
    }
    for (seq, event) in promised {
        let place = usize::try_from(*seq)?.checked_sub(1);
        match place.and_then(|place| log.get(place)) {
            Some(found) if found == event => {}
            Some(found) => bail!("event {seq} was {event:?}, and is now {found:?}"),
            None => bail!(
                "event {seq} was acked or pulled, and the log ends at {}: {event:?}",
                log.len()
            ),
        }
    }
    Ok(())
}

impl Told {
    fn note_backend(&mut self, id: Option<&str>) -> Result<()> {
        let id = id.context("a log without an id")?;
        let known = self.backend_id.get_or_insert_with(|| id.to_owned());
        ensure!(known == id, "the log was {known}, and is now {id}");
        Ok(())
    }

    /// Notes what a client has been told; nobody may have been told otherwise.
    fn note(&mut self, events: Vec<LogEvent>) -> Result<()> {
        for event in events {
            let known = self
                .events
                .entry(event.seq)
                .or_insert_with(|| event.clone());
            ensure!(*known == event, "told {known:?}, and then {event:?}");
        }
        Ok(())
    }
}

/// One client of no LiveStore kind.
struct Writer<'a> {
    name: String,
    random: fastrand::Rng,
    pause_max_ms: u64,
    told: &'a RefCell<Told>,
}

impl Writer<'_> {
    /// Pushes until it is told to stop, through as many connections as it takes.
    async fn run(mut self, url: &str, store: &str, stopped: watch::Receiver<bool>) -> Result<()> {
        let mut client = RawClient::connect(url, store).await?.named(&self.name);
        let mut number = 0;
        while !*stopped.borrow() {
            let count = self.random.usize(1..=BATCH_MAX);
            let ids: Vec<String> = (number..number + count)
                .map(|number| format!("{}-{number}", self.name))
                .collect();
            // An id is said once: whether a push without an answer has landed is for the host to know.
            number += count;
            match self.push(&mut client, &ids).await {
                Ok(()) => {}
                // A client that follows the rules is never told no.
                Err(error) if error.is::<Refusal>() => return Err(error),
                Err(_) => {
                    self.told.borrow_mut().unanswered += 1;
                    while !*stopped.borrow() && client.reconnect(url).await.is_err() {
                        tokio::time::sleep(RETRY_PERIOD).await;
                    }
                }
            }
            let pause = self.random.u64(0..self.pause_max_ms);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    /// Pushes these after whatever is in the log. What it was told is noted, however it ends.
    async fn push(&self, client: &mut RawClient, ids: &[String]) -> Result<()> {
        let events: Vec<(&str, Value)> = ids
            .iter()
            .map(|id| (CHAT, question(id, &format!("this is {id}"))))
            .collect();
        let pushed = async {
            client.catch_up().await?;
            while !client.try_append(&events).await? {}
            Ok(())
        };
        let pushed = pushed.await;
        let mut told = self.told.borrow_mut();
        if pushed.is_ok() {
            told.acked += ids.len();
        }
        if client.backend_id().is_some() {
            told.note_backend(client.backend_id())?;
        }
        told.note(client.drain())?;
        pushed
    }
}

/// What a LiveStore client has committed to a store.
struct Said<'a> {
    client: &'a LiveStoreClient,
    store: &'a str,
    ids: Vec<String>,
}

/// Commits messages in a store until it is told to stop. It waits for each to be confirmed: a LiveStore client that is
/// refused with several events waiting sometimes never pulls again, at the original backend too.
async fn say<'a>(
    name: &str,
    client: &'a LiveStoreClient,
    store: &'a str,
    mut stopped: watch::Receiver<bool>,
) -> Result<Said<'a>> {
    let mut ids = Vec::new();
    while !*stopped.borrow() {
        let id = format!("{name}-{}", ids.len());
        client.say(store, &id, &format!("this is {id}")).await?;
        ids.push(id);
        // Nothing is lost by asking no longer whether it is confirmed.
        let settled = tokio::select! {
            settled = client.settled(store) => settled,
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
        };
        if settled.is_err() {
            // Whether it is stuck for good shows in the end.
            break;
        }
    }
    Ok(Said { client, store, ids })
}

impl Said<'_> {
    /// Whether the client gets rid of all of its events, now that nobody else writes. If it does, they must be in the
    /// log.
    async fn is_confirmed(&self, url: &str) -> Result<bool> {
        let settled = self.client.settled(self.store);
        if tokio::time::timeout(CLIENT_PATIENCE, settled)
            .await
            .is_err()
        {
            return Ok(false);
        }
        let log = RawClient::log_of(url, self.store).await?;
        let found: BTreeSet<&str> = log
            .iter()
            .filter_map(|event| event.args["id"].as_str())
            .collect();
        for id in &self.ids {
            ensure!(
                found.contains(id.as_str()),
                "{}: a LiveStore client thinks that {id} is confirmed, and it is not in the log",
                self.store
            );
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, id: &str) -> LogEvent {
        LogEvent {
            seq,
            parent: seq - 1,
            name: CHAT.to_owned(),
            args: question(id, "hello"),
            client_id: "writer-0-0".to_owned(),
            session_id: "raw".to_owned(),
        }
    }

    fn promised(events: &[LogEvent]) -> BTreeMap<u64, LogEvent> {
        events
            .iter()
            .map(|event| (event.seq, event.clone()))
            .collect()
    }

    #[test]
    fn a_log_that_lost_changed_or_repeated_an_event_is_found() {
        let log = [event(1, "a"), event(2, "b"), event(3, "c")];
        assert!(check(&log, &promised(&log[..2])).is_ok());
        assert!(check(&log[..2], &promised(&log)).is_err(), "cut off");
        assert!(
            check(&[log[0].clone(), log[2].clone()], &BTreeMap::new()).is_err(),
            "a gap"
        );
        let other = [event(1, "a"), event(2, "x"), event(3, "c")];
        assert!(check(&other, &promised(&log)).is_err(), "another event");
        let twice = [event(1, "a"), event(2, "b"), event(3, "b")];
        assert!(check(&twice, &BTreeMap::new()).is_err(), "twice");
    }

    #[test]
    fn nobody_may_be_told_otherwise_than_others_were() {
        let mut told = Told::default();
        assert!(told.note(vec![event(1, "a"), event(2, "b")]).is_ok());
        assert!(told.note(vec![event(2, "b")]).is_ok());
        assert!(told.note(vec![event(2, "x")]).is_err());
        assert!(told.note_backend(Some("one")).is_ok());
        assert!(told.note_backend(Some("other")).is_err());
    }
}
