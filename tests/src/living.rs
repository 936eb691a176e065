//! Stores under traffic on a host whose plugin and configuration change all the time, and which is killed now and then.
//! Whatever happens, every message has exactly one answer in the end, in order, by a version that was there as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::sync::watch;

use crate::checker::verify;
use crate::grants::{granted, granted_with};
use crate::history::{CHAT, question};
use crate::host::Host;
use crate::raw::{RawClient, Refusal};
use crate::scene::QUICK_TIMING;
use crate::versions::{self, Way, component, place, version_of, versioned};
use crate::wait;

/// Stores under traffic.
const STORES: usize = 20;

/// Between two messages to a store: some messages fall into every change.
const MESSAGE_PERIOD: Duration = Duration::from_millis(150);

/// Between two attempts to reach a host that is down.
const RETRY_PERIOD: Duration = Duration::from_millis(20);

/// The longest pause between two changes.
const PAUSE_MAX_MS: u64 = 150;

/// What is done to the host.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Times that the plugin is replaced.
    pub swaps: u32,
    /// Edits of the configuration; a tenth of them are broken.
    pub edits: u32,
    /// Kills among them.
    pub kills: u32,
    /// Decides what happens when.
    pub seed: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages in the logs.
    pub messages: usize,
    /// Different versions that answered.
    pub versions: usize,
    /// Broken edits that `/health` told.
    pub mistakes_told: u32,
    /// The slowest answer of a store that the host was not killed over, by its place in all answers: median, 99th
    /// percentile, slowest.
    pub answered: [Duration; 3],
}

/// The change that is being made.
enum Change {
    Swap,
    Edit,
    Kill,
}

struct Scene {
    host: Host,
    random: fastrand::Rng,
    /// Letters of the versions that were dropped whole.
    dropped: BTreeSet<String>,
    number: u32,
    edits: u32,
    mistakes_told: u32,
}

/// Carries `plan` out. Fails at the first broken promise.
pub async fn run(plan: Plan) -> Result<Report> {
    let stores: Vec<String> = (0..STORES).map(|n| format!("store-{n:02}")).collect();
    let mut scene = Scene::new(&stores, plan.seed).await?;
    let url = scene.host.sync_url();
    let (stop, stopped) = watch::channel(false);
    let talking = try_join_all(
        stores
            .iter()
            .map(|store| talk(&url, store, stopped.clone())),
    );
    let changing = async {
        let changed = scene.change_all(&plan).await;
        stop.send_replace(true);
        changed
    };
    let (talked, changed) = tokio::join!(talking, changing);
    changed.with_context(|| format!("seed {}", plan.seed))?;
    let mut report = Report {
        mistakes_told: scene.mistakes_told,
        answered: percentiles(talked?.concat()),
        ..Report::default()
    };
    let mut seen = BTreeSet::new();
    for store in &stores {
        let log = settled_log(&scene.host, &url, store).await?;
        verify(&log, &[versioned()]).with_context(|| format!("{store}, seed {}", plan.seed))?;
        report.messages += log.iter().filter(|event| event.is_question()).count();
        seen.extend(log.iter().filter_map(version_of).map(str::to_owned));
    }
    report.versions = seen.len();
    let whole: BTreeSet<String> = scene.dropped.iter().map(|it| versions::name(it)).collect();
    let strange: Vec<&String> = seen.difference(&whole).collect();
    ensure!(
        strange.is_empty(),
        "versions that were never there: {strange:?}"
    );
    Ok(report)
}

impl Scene {
    async fn new(stores: &[String], seed: u64) -> Result<Self> {
        let mut host = Host::new(&format!(
            "sync = \"embedded\"\n{}\n{QUICK_TIMING}",
            granted(&[versions::PLUGIN])
        ))?;
        host.keep_address();
        for store in stores {
            host.store(store, "")?;
        }
        let mut scene = Self {
            host,
            random: fastrand::Rng::with_seed(seed),
            dropped: BTreeSet::new(),
            number: 0,
            edits: 0,
            mistakes_told: 0,
        };
        scene.swap(Way::Copy).await?;
        scene.host.start().await?;
        for store in stores {
            scene.host.live(store).await?;
        }
        Ok(scene)
    }

    fn file(&self) -> PathBuf {
        let name = format!("plugins/{}.wasm", versions::PLUGIN);
        self.host.folder().join(name)
    }

    async fn change_all(&mut self, plan: &Plan) -> Result<()> {
        let kinds = [
            (plan.swaps, Change::Swap),
            (plan.edits, Change::Edit),
            (plan.kills, Change::Kill),
        ];
        let mut order: Vec<&Change> = kinds
            .iter()
            .flat_map(|(count, change)| (0..*count).map(move |_| change))
            .collect();
        self.random.shuffle(&mut order);
        for change in order {
            match change {
                Change::Swap => {
                    let way = Way::ALL[self.random.usize(0..Way::ALL.len())];
                    self.swap(way).await?;
                }
                Change::Edit => self.edit().await?,
                Change::Kill => {
                    self.host.kill().await?;
                    self.host.launch()?;
                }
            }
            ensure!(self.host.runs(), "the host ended:\n{}", self.host.log());
            let pause = self.random.u64(0..PAUSE_MAX_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.host.ready().await
    }

    /// Puts the next version into the place of the last.
    async fn swap(&mut self, way: Way) -> Result<()> {
        self.number += 1;
        let letters = self.number.to_string();
        let bytes = component(&letters)?;
        self.dropped.insert(letters);
        place(&self.file(), &bytes, way).await
    }

    /// Edits the configuration of some store; every tenth time with a mistake, which is mended once it was told.
    async fn edit(&mut self) -> Result<()> {
        self.edits += 1;
        let store = format!("store-{:02}", self.random.usize(0..STORES));
        let file = self
            .host
            .folder()
            .join(format!("config/stores/{store}.toml"));
        if self.edits.is_multiple_of(10) {
            return self.mistake(&store, &file).await;
        }
        let fuel = self.random.u32(150..250);
        let text = match self.random.u32(0..6) {
            0 => String::new(),
            1 => format!("quota = {{ fuel_per_run = \"{fuel}M\" }}\n"),
            2 => {
                let keys = format!("config = {{ number = {fuel} }}");
                granted_with(versions::PLUGIN, &keys) + "\n"
            }
            3 => "durability = \"full\"\n".to_owned(),
            4 => format!("[limits]\nconnections = {fuel}\n"),
            _ => return self.come_and_go(fuel).await,
        };
        let way = if self.random.bool() {
            Way::Copy
        } else {
            Way::Rename
        };
        place(&file, text.as_bytes(), way).await
    }

    /// A store that nobody talks to is added, paused, or removed.
    async fn come_and_go(&mut self, number: u32) -> Result<()> {
        let store = format!("guest-{}", number % 3);
        let file = self
            .host
            .folder()
            .join(format!("config/stores/{store}.toml"));
        match (file.exists(), number % 2) {
            (false, _) => place(&file, b"", Way::Rename).await,
            (true, 0) => place(&file, b"paused = true\n", Way::Copy).await,
            (true, _) => Ok(std::fs::remove_file(file)?),
        }
    }

    async fn mistake(&mut self, store: &str, file: &Path) -> Result<()> {
        let before = std::fs::read(file)?;
        place(file, b"[quota]\nfuel_per_run = -5\n", Way::Rename).await?;
        let place_told = format!("config/stores/{store}.toml:2");
        wait::until("a mistake to be told", async || {
            let Ok(health) = self.host.health().await else {
                return Ok(None);
            };
            let told = health["config"]["problems"].to_string();
            let told = told.contains(&format!("config/stores/{store}.toml"))
                && told.contains("fuel_per_run");
            Ok(told.then_some(()))
        })
        .await
        .with_context(|| format!("{place_told}\n{}", self.host.log()))?;
        self.mistakes_told += 1;
        place(file, &before, Way::Rename).await
    }
}

/// Says something again and again until it is told to stop, and measures how long each answer takes, unless the host
/// went away meanwhile.
async fn talk(url: &str, store: &str, stopped: watch::Receiver<bool>) -> Result<Vec<Duration>> {
    let mut client = RawClient::connect(url, store).await?.named("talker");
    client.follow().await?;
    let mut answered = Vec::new();
    let mut number = 0;
    while !*stopped.borrow() {
        let id = format!("{store}-{number}");
        // Said once: if it was not acked it may have landed all the same, which the log will tell.
        number += 1;
        let asked = tokio::time::timeout(wait::PATIENCE, ask(&mut client, &id)).await;
        match asked.with_context(|| format!("{store}: no answer to {id}"))? {
            Ok(took) => answered.push(took),
            Err(error) if error.is::<Refusal>() => return Err(error.context(store.to_owned())),
            Err(_) => {
                while !*stopped.borrow() && client.reconnect(url).await.is_err() {
                    tokio::time::sleep(RETRY_PERIOD).await;
                }
                client.follow().await.ok();
            }
        }
        tokio::time::sleep(MESSAGE_PERIOD).await;
    }
    Ok(answered)
}

/// One question and its answer.
async fn ask(client: &mut RawClient, id: &str) -> Result<Duration> {
    let began = Instant::now();
    let events = [(CHAT, question(id, &format!("what about {id}?")))];
    while !client.try_append(&events).await? {}
    let wanted = format!("v-{id}");
    loop {
        let event = client.next_event().await?;
        if event.args["id"] == wanted.as_str() {
            return Ok(began.elapsed());
        }
    }
}

/// The store's log once the host has handled all of it.
pub async fn settled_log(
    host: &Host,
    url: &str,
    store: &str,
) -> Result<Vec<crate::history::LogEvent>> {
    loop {
        let head = RawClient::log_of(url, store).await?.len() as u64;
        host.quiet(store, head).await?;
        let log = RawClient::log_of(url, store).await?;
        if log.len() as u64 == head {
            return Ok(log);
        }
    }
}

/// Median, 99th percentile, slowest.
pub fn percentiles(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len().saturating_sub(1)) * percent / 100);
    [50, 99, 100].map(|percent| at(percent).copied().unwrap_or_default())
}
