//! Tasks that are due each second in many stores, while two servers, and one-shot passes beside them, all with journals of their own,
//! are killed again and again. In the end every occurrence has exactly one effect in its log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::grants::granted_with;
use crate::host::Host;
use crate::raw::RawClient;
use crate::scene::{QUICK_TIMING, host_with_logs};
use crate::ticks::{Second, ensure_each_second_once, ensure_traced, ticks};

/// How long a server or a pass lives before it is killed, at most.
const LIFE_MAX_MS: u64 = 6_000;

/// One pass of two is let end by itself.
const SPARED: u64 = 2;

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Occurrences with an effect, over all stores.
    pub occurrences: usize,
    /// Servers and passes that were killed.
    pub kills: u32,
    /// Passes that came to their end.
    pub passes: u32,
}

#[derive(Default)]
struct Tally {
    over: AtomicBool,
    kills: AtomicU32,
    passes: AtomicU32,
}

/// Has the tasks of `stores` stores run for `seconds` seconds; `seed` decides when whom is killed. Fails at the first
/// broken promise.
pub async fn run(stores: usize, seconds: u64, seed: u64) -> Result<Report> {
    let names: Vec<String> = (0..stores).map(|n| format!("store-{n:03}")).collect();
    let mut logs = host_with_logs(names.iter().map(String::as_str))?;
    logs.start().await?;
    let instance = || instance(&logs.sync_url(), &names);
    let mut servers = [instance()?, instance()?];
    let passes = [instance()?, instance()?];
    for server in &mut servers {
        server.start().await?;
        for name in &names {
            server.live(name).await?;
        }
    }
    let began = unix_seconds()?;
    let tally = Arc::new(Tally::default());
    let mut players = JoinSet::new();
    let mut rng = fastrand::Rng::with_seed(seed);
    for server in servers {
        players.spawn(serve(server, rng.fork(), tally.clone()));
    }
    for pass in passes {
        players.spawn(process(pass, rng.fork(), tally.clone()));
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let ended = unix_seconds()?;
    tally.over.store(true, Ordering::Relaxed);
    let mut hosts = Vec::new();
    while let Some(host) = players.join_next().await {
        hosts.push(host??);
    }
    // What a kill cut short is finished by whoever knows of it.
    for host in &hosts {
        host.done(&["process-tasks", "--timeout", "100s"]).await?;
    }
    let mut report = Report {
        kills: tally.kills.load(Ordering::Relaxed),
        passes: tally.passes.load(Ordering::Relaxed),
        ..Report::default()
    };
    for name in &names {
        let occurrences = check(&logs.sync_url(), name, (began, ended)).await;
        report.occurrences += occurrences.with_context(|| format!("{name}, seed {seed}"))?;
    }
    Ok(report)
}

/// An installation on the logs at `url`, which traces what it does.
fn instance(url: &str, names: &[String]) -> Result<Host> {
    let plugin = granted_with(
        "clockwork",
        "trace = true, tasks = { second = { every = \"1s\" } }",
    );
    let host = Host::new(&format!("sync = {url:?}\n{plugin}\n{QUICK_TIMING}"))?;
    for name in names {
        host.store(name, "")?;
    }
    host.install("clockwork")?;
    Ok(host)
}

/// A server that is killed and started again.
async fn serve(mut host: Host, mut rng: fastrand::Rng, tally: Arc<Tally>) -> Result<Host> {
    loop {
        tokio::time::sleep(Duration::from_millis(rng.u64(..LIFE_MAX_MS))).await;
        host.kill().await?;
        tally.kills.fetch_add(1, Ordering::Relaxed);
        if tally.over.load(Ordering::Relaxed) {
            return Ok(host);
        }
        host.launch()?;
    }
}

/// One pass after the other; some of them are killed.
async fn process(host: Host, mut rng: fastrand::Rng, tally: Arc<Tally>) -> Result<Host> {
    while !tally.over.load(Ordering::Relaxed) {
        if rng.u64(..SPARED) == 0 {
            host.command(&["process-tasks", "--timeout", "5s"]).await?;
            tally.passes.fetch_add(1, Ordering::Relaxed);
        } else {
            let pass = host.begin(&["process-tasks", "--timeout", "60s"])?;
            tokio::time::sleep(Duration::from_millis(rng.u64(..LIFE_MAX_MS))).await;
            pass.kill().await?;
            tally.kills.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(host)
}

async fn check(url: &str, store: &str, span: (Second, Second)) -> Result<usize> {
    let log = RawClient::log_of(url, store).await?;
    ensure_each_second_once(&log, "second", span)?;
    ensure_traced(&log)?;
    let count = ticks(&log, "second")?.len();
    ensure!(count > 0, "nothing happened");
    Ok(count)
}

fn unix_seconds() -> Result<Second> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
