//! The load: users with nothing but a WebSocket, who say things and count what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::subject::store_name;
use crate::backend::Backend;
use crate::history::{CHAT, LogEvent, question};
use crate::plugins::TASK;
use crate::raw::RawClient;

/// Messages that a user sends in one push of a burst.
const BURST_BATCH: usize = 50;

/// An answer that takes longer counts as lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Messages sent.
    pub sent: usize,
    /// From the moment a message is sent until its answer is seen, for each answered one, in ascending order.
    pub latencies: Vec<Duration>,
    /// From the first message until the last answer.
    pub took: Duration,
    /// Messages answered more than once.
    pub doubled: usize,
}

impl Load {
    /// Messages answered.
    pub fn answered(&self) -> usize {
        self.latencies.len()
    }

    /// Messages without an answer.
    pub fn lost(&self) -> usize {
        self.sent - self.answered()
    }

    /// Answers in a second.
    pub fn per_second(&self) -> f64 {
        self.answered() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that `percent` of the answered messages did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let place = (self.latencies.len() * percent / 100).min(last);
        self.latencies.get(place).copied().unwrap_or_default()
    }

    fn of(users: Vec<User>, begin: Instant) -> Self {
        let mut load = Self::default();
        let mut end = begin;
        for user in users {
            load.sent += user.asked.len();
            load.doubled += user.doubled;
            end = end.max(user.answered.values().copied().max().unwrap_or(begin));
            for (id, at) in &user.answered {
                load.latencies.push(*at - user.asked[id]);
            }
        }
        load.latencies.sort_unstable();
        load.took = end - begin;
        load
    }
}

/// One user in one store.
struct User {
    client: RawClient,
    asked: BTreeMap<String, Instant>,
    answered: BTreeMap<String, Instant>,
    doubled: usize,
}

/// Each user has one message in flight, `messages` times over.
pub(super) async fn latency(backend: &Backend, stores: usize, messages: usize) -> Result<Load> {
    let users = users(backend, stores).await?;
    let begin = Instant::now();
    let users = try_join_all(users.into_iter().map(async |mut user| {
        for number in 0..messages {
            user.ask(&[format!("latency-{number}")]).await?;
            user.listen().await?;
        }
        Ok::<_, anyhow::Error>(user)
    }));
    Ok(Load::of(users.await?, begin))
}

/// Every user says all of `messages` at once.
pub(super) async fn burst(backend: &Backend, stores: usize, messages: usize) -> Result<Load> {
    let users = users(backend, stores).await?;
    let ids: Vec<String> = (0..messages)
        .map(|number| format!("burst-{number}"))
        .collect();
    let begin = Instant::now();
    let users = try_join_all(users.into_iter().map(async |mut user| {
        for batch in ids.chunks(BURST_BATCH) {
            user.ask(batch).await?;
        }
        user.listen().await?;
        Ok::<_, anyhow::Error>(user)
    }));
    let mut users = users.await?;
    for user in &mut users {
        user.recount(backend).await?;
    }
    Ok(Load::of(users, begin))
}

async fn users(backend: &Backend, stores: usize) -> Result<Vec<User>> {
    let url = backend.url();
    try_join_all((0..stores).map(|number| User::connect(&url, number))).await
}

impl User {
    async fn connect(url: &str, number: usize) -> Result<Self> {
        let mut client = RawClient::connect(url, &store_name(number)).await?;
        client.catch_up().await?;
        client.follow().await?;
        Ok(Self {
            client,
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            doubled: 0,
        })
    }

    async fn ask(&mut self, ids: &[String]) -> Result<()> {
        let now = Instant::now();
        self.asked.extend(ids.iter().map(|id| (id.clone(), now)));
        let messages: Vec<(&str, Value)> = ids
            .iter()
            .map(|id| (CHAT, question(id, "please do a thing")))
            .collect();
        self.client.append(&messages).await?;
        Ok(())
    }

    /// Reads until every message is answered, or no answer came for long.
    async fn listen(&mut self) -> Result<()> {
        while self.answered.len() < self.asked.len() {
            let next = tokio::time::timeout(ANSWER_PATIENCE, self.client.next_event()).await;
            let Ok(event) = next else {
                return Ok(());
            };
            self.hear(&event?);
        }
        Ok(())
    }

    fn hear(&mut self, event: &LogEvent) {
        let Some(id) = answered_id(event) else { return };
        if self.asked.contains_key(id) {
            self.answered
                .entry(id.to_owned())
                .or_insert_with(Instant::now);
        }
    }

    /// Counts in the log itself what was answered more than once, in this store's whole life.
    async fn recount(&mut self, backend: &Backend) -> Result<()> {
        let log = RawClient::log_of(&backend.url(), self.client.store()).await?;
        let answers: Vec<&str> = log.iter().filter_map(answered_id).collect();
        let distinct: BTreeSet<&str> = answers.iter().copied().collect();
        self.doubled = answers.len() - distinct.len();
        Ok(())
    }
}

/// The message that this event answers.
fn answered_id(event: &LogEvent) -> Option<&str> {
    if event.name != TASK {
        return None;
    }
    event.args["id"].as_str()?.strip_prefix("r-")
}
