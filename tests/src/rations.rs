//! Quiet stores beside stores whose plugin computes all that it can get, in one host: how long the quiet ones wait for an
//! answer without those neighbours and with them, and what each of the neighbours gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::grants::granted;
use crate::history::{CHAT, question};
use crate::host::Host;
use crate::living::percentiles;
use crate::raw::RawClient;
use crate::wait;

/// Between two messages to a quiet store.
const MESSAGE_PERIOD: Duration = Duration::from_secs(1);

/// What a burner is told: five million rounds, some 105 million fuel, 40 milliseconds or so of one core. Between two runs a
/// store has nothing that wants to compute, so a share is a little less than its weight says; the longer a run, the less so.
const BURN: &str = "spin 5";

/// Messages that wait in each burner's log for each second, and until all burn: more than one core can answer.
const BURNS_PER_SECOND: u64 = 60;
const BURNS_BEFORE: u64 = 300;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Stores with one message a second.
    pub quiet: usize,
    /// Stores that burn.
    pub burners: usize,
    /// How long the quiet ones are looked at: once alone, and once beside the burners.
    pub phase: Duration,
}

impl Plan {
    fn burns(&self) -> u64 {
        BURNS_BEFORE + BURNS_PER_SECOND * self.phase.as_secs()
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// A quiet store's answers while nobody burns: median, 99th percentile, slowest.
    pub alone: [Duration; 3],
    /// The same beside the burners.
    pub beside: [Duration; 3],
    /// Runs that each burner finished meanwhile, for each unit of its weight. All cost the same fuel.
    pub burned: Vec<u64>,
    /// Processor time that the host used meanwhile, in percent of one core.
    pub cpu_percent: u64,
}

impl Report {
    /// The least and the most that a burner got for each unit of its weight.
    pub fn shares(&self) -> (u64, u64) {
        let least = self.burned.iter().min().copied().unwrap_or_default();
        let most = self.burned.iter().max().copied().unwrap_or_default();
        (least, most)
    }
}

/// Every fifth burner has twice the share of the others.
fn weight(burner: usize) -> u64 {
    match burner % 5 {
        4 => 2,
        _ => 1,
    }
}

/// A burner's log, followed: its answers so far.
type Answers = Arc<AtomicU64>;

/// Carries `plan` out.
pub async fn run(plan: Plan) -> Result<Report> {
    let quiet: Vec<String> = (0..plan.quiet).map(|n| format!("quiet-{n:02}")).collect();
    let burners: Vec<String> = (0..plan.burners)
        .map(|n| format!("burner-{n:02}"))
        .collect();
    let host = start(&quiet, &burners).await?;
    let alone = talk_to_all(&host, &quiet, "alone", plan.phase).await?;

    let (stop, stopped) = watch::channel(false);
    let counts: Vec<Answers> = burners.iter().map(|_| Answers::default()).collect();
    let burning = try_join_all(burners.iter().zip(&counts).map(|(store, answers)| {
        let url = host.sync_url();
        burn(url, store, plan.burns(), answers.clone(), stopped.clone())
    }));
    let measuring = async {
        let measured = beside(&host, &quiet, &counts, plan).await;
        stop.send_replace(true);
        measured
    };
    let (burned, measured) = tokio::join!(burning, measuring);
    burned?;
    let (beside, burned, cpu_percent) = measured?;
    Ok(Report {
        alone: percentiles(alone),
        beside: percentiles(beside),
        burned,
        cpu_percent,
    })
}

async fn start(quiet: &[String], burners: &[String]) -> Result<Host> {
    let mut host = Host::new("sync = \"embedded\"")?;
    host.keep_address();
    for plugin in ["reply", "slow"] {
        host.install(plugin)?;
    }
    for store in quiet {
        host.store(store, &granted(&["reply"]))?;
    }
    for (number, store) in burners.iter().enumerate() {
        let (weight, plugins) = (weight(number), granted(&["slow"]));
        let keys = format!("quota = {{ weight = {weight} }}\n{plugins}");
        host.store(store, &keys)?;
    }
    host.start().await?;
    for store in quiet.iter().chain(burners) {
        host.live(store).await?;
    }
    Ok(host)
}

/// The quiet stores' answers, and what the burners got in the same time.
async fn beside(
    host: &Host,
    quiet: &[String],
    counts: &[Answers],
    plan: Plan,
) -> Result<(Vec<Duration>, Vec<u64>, u64)> {
    let burn = async || {
        let all = counts.iter().all(|it| it.load(Ordering::Relaxed) > 0);
        Ok(all.then_some(()))
    };
    wait::until("every burner to burn", burn).await?;
    let read = || -> Vec<u64> {
        let counts = counts.iter();
        counts.map(|it| it.load(Ordering::Relaxed)).collect()
    };
    let (before, began, cpu) = (read(), Instant::now(), cpu_ticks(host)?);
    let answers = talk_to_all(host, quiet, "beside", plan.phase).await?;
    let (after, cpu) = (read(), cpu_ticks(host)? - cpu);
    // A tick is a hundredth of a second, wherever Linux runs.
    let cpu_percent = cpu * 1_000 / u64::try_from(began.elapsed().as_millis())?.max(1);
    for count in &after {
        let left = *count < plan.burns();
        ensure!(left, "a burner had nothing more to do after {count} runs");
    }
    let burned = after.iter().zip(&before).enumerate();
    let burned = burned.map(|(burner, (after, before))| (after - before) / weight(burner));
    Ok((answers, burned.collect(), cpu_percent))
}

/// Fills a burner's log, and counts its answers until it is told to stop.
async fn burn(
    url: String,
    store: &str,
    burns: u64,
    answers: Answers,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let mut client = RawClient::connect(&url, store).await?;
    let messages: Vec<(&str, Value)> = (0..burns)
        .map(|n| (CHAT, question(&format!("{store}-{n}"), BURN)))
        .collect();
    client.append(&messages).await?;
    client.follow().await?;
    loop {
        tokio::select! {
            // Cancel-safe: an event is taken from the socket whole or not at all.
            event = client.next_event() => {
                answers.fetch_add(u64::from(event?.stamp().is_some()), Ordering::Relaxed);
            }
            _ = stopped.changed() => return Ok(()),
        }
    }
}

/// One message a second to each store, spread over the second.
async fn talk_to_all(
    host: &Host,
    stores: &[String],
    name: &str,
    phase: Duration,
) -> Result<Vec<Duration>> {
    let url = host.sync_url();
    let talks = stores.iter().zip(0_u32..).map(|(store, place)| {
        let all = u32::try_from(stores.len()).unwrap_or(u32::MAX);
        talk(&url, store, name, MESSAGE_PERIOD / all * place, phase)
    });
    Ok(try_join_all(talks).await?.concat())
}

async fn talk(
    url: &str,
    store: &str,
    name: &str,
    after: Duration,
    phase: Duration,
) -> Result<Vec<Duration>> {
    let mut client = RawClient::connect(url, store).await?;
    client.catch_up().await?;
    client.drain();
    client.follow().await?;
    sleep(after).await;
    let mut times = Vec::new();
    let began = Instant::now();
    let mut period = interval_at(began, MESSAGE_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < phase {
        period.tick().await;
        let id = format!("{name}-{}", times.len());
        let asked = Instant::now();
        client
            .append(&[(CHAT, question(&id, "are you there?"))])
            .await?;
        let wanted = format!("r-{id}");
        while client.next_event().await?.args["id"] != wanted.as_str() {}
        times.push(asked.elapsed());
    }
    Ok(times)
}

/// Processor time of the host so far, in ticks of the system's clock.
fn cpu_ticks(host: &Host) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.process_id()?))?;
    // The fields after the program's name, which may hold blanks: the 12th and 13th are user and system time.
    let fields = stat.rsplit(')').next().context("an empty stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |at: usize| {
        fields
            .get(at)
            .context("a short stat")?
            .parse::<u64>()
            .context("no number")
    };
    Ok(field(11)? + field(12)?)
}
