//! Changes on a running host: how long until a dropped plugin runs, until a store that was added answers, and what the
//! others feel meanwhile. Beside it what users do today: start their Node process again.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Machine;
use super::subject::{Kind, Subject};
use crate::backend::Backend;
use crate::components;
use crate::grants::granted;
use crate::history::{CHAT, question};
use crate::host::Host;
use crate::living::percentiles;
use crate::raw::RawClient;
use crate::versions::{self, PLUGIN, Way, component, place};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Plugins dropped.
    swaps: usize,
    /// Stores added one by one.
    added: usize,
    /// Stores added in one edit.
    added_at_once: usize,
    /// Stores of the peer when it is started again.
    peer_stores: usize,
}

impl Plan {
    /// What the table is made of.
    pub fn full() -> Self {
        Self {
            swaps: 100,
            added: 50,
            added_at_once: 500,
            peer_stores: 50,
        }
    }

    /// Shows whether it works.
    pub fn quick() -> Self {
        Self {
            swaps: 5,
            added: 5,
            added_at_once: 50,
            peer_stores: 2,
        }
    }
}

/// The store that is asked all the time.
const STORE: &str = "asked";

/// Questions that make up a calm moment.
const CALM: usize = 500;

/// Between two questions to a store whose answers change.
const LOOK: Duration = Duration::from_millis(1);

/// Medians and 99th percentiles, row by row.
struct Table(Vec<(String, [Duration; 3])>);

/// Measures everything, and answers the table as Markdown.
pub async fn run(plan: Plan, machine: &Machine) -> Result<String> {
    let mut table = Table(Vec::new());
    let host = start().await?;
    let calm = asked_while(&host, "calm", CALM, async || Ok(false)).await?;
    table.row("answer to a message, nothing else going on (floor)", calm);
    table.row(
        "from dropping a plugin to its first answer",
        swaps(&host, plan).await?,
    );
    table.row(
        "from saving TOML to the first answer of the new store",
        adds(&host, plan).await?,
    );
    let (all_live, answers) = add_at_once(&host, plan).await?;
    table.row(
        &format!(
            "until all of {} stores added in one edit are live",
            plan.added_at_once
        ),
        [all_live; 3],
    );
    table.row("answer in a store from before, meanwhile", answers);
    for (name, bytes) in [
        ("functions", components::with_functions(300_000)),
        ("blocks", components::with_nested_blocks(40_000)),
    ] {
        println!("a component that is hard to compile: {name}");
        let answers = while_judged(&host, name, &bytes).await?;
        table.row(
            &format!("answer while a component of very many {name} is compiled"),
            answers,
        );
    }
    drop(host);
    println!("the peer's restart");
    let backend = Backend::start().await?;
    let peer = Subject::start(Kind::Peer, &backend, plan.peer_stores).await?;
    let ready = peer.ready_after();
    peer.stop().await?;
    table.row(
        &format!(
            "for comparison: the Node peer with {} stores started again",
            plan.peer_stores
        ),
        [ready; 3],
    );
    Ok(table.markdown(machine))
}

async fn start() -> Result<Host> {
    let mut host = Host::new(&format!("sync = \"embedded\"\n{}", granted(&[PLUGIN])))?;
    host.keep_address();
    host.store(STORE, "")?;
    place(&file(&host), &component("1")?, Way::Copy).await?;
    host.start().await?;
    host.live(STORE).await?;
    Ok(host)
}

fn file(host: &Host) -> PathBuf {
    host.folder().join(format!("plugins/{PLUGIN}.wasm"))
}

/// Asks `count` questions and then as long as `goes_on`, one after the other.
async fn asked_while(
    host: &Host,
    name: &str,
    count: usize,
    mut goes_on: impl AsyncFnMut() -> Result<bool>,
) -> Result<[Duration; 3]> {
    let mut client = RawClient::connect(&host.sync_url(), STORE).await?;
    client.follow().await?;
    let mut times = Vec::new();
    while times.len() < count || goes_on().await? {
        let began = Instant::now();
        answer(&mut client, &format!("{name}-{}", times.len())).await?;
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

/// Asks once, and answers which version answered.
async fn answer(client: &mut RawClient, id: &str) -> Result<String> {
    let events = [(CHAT, question(id, "and now?"))];
    while !client.try_append(&events).await? {}
    let wanted = format!("v-{id}");
    loop {
        let event = client.next_event().await?;
        if event.args["id"] == wanted.as_str() {
            let version = event.args["result"]
                .as_str()
                .context("an answer without a version")?;
            return Ok(version.to_owned());
        }
    }
}

/// From the rename of a new version to the first answer by it.
async fn swaps(host: &Host, plan: Plan) -> Result<[Duration; 3]> {
    println!("{} swaps", plan.swaps);
    let mut client = RawClient::connect(&host.sync_url(), STORE).await?;
    client.follow().await?;
    let mut times = Vec::new();
    for number in 0..plan.swaps {
        let letters = (number + 2).to_string();
        let bytes = component(&letters)?;
        let wanted = versions::name(&letters);
        let began = Instant::now();
        place(&file(host), &bytes, Way::Rename).await?;
        for question in 0.. {
            let version = answer(&mut client, &format!("swap-{letters}-{question}")).await?;
            if version == wanted {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

/// From the file of a new store to the first answer in it.
async fn adds(host: &Host, plan: Plan) -> Result<[Duration; 3]> {
    println!("{} stores, one by one", plan.added);
    let mut times = Vec::new();
    for number in 0..plan.added {
        let store = format!("added-{number}");
        let began = Instant::now();
        host.store(&store, "")?;
        // Refused until it is there. What was said before its plugin began to listen is not answered: ask again.
        let mut client = loop {
            match RawClient::connect(&host.sync_url(), &store).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
        client.follow().await?;
        for question in 0.. {
            let id = format!("{store}-{question}");
            let asked = answer(&mut client, &id);
            if tokio::time::timeout(Duration::from_millis(20), asked)
                .await
                .is_ok()
            {
                break;
            }
        }
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

/// One edit adds many stores: how long until all are live, and what a store from before feels.
async fn add_at_once(host: &Host, plan: Plan) -> Result<(Duration, [Duration; 3])> {
    println!("{} stores in one edit", plan.added_at_once);
    let main = host.folder().join("config/quartermaster.toml");
    let mut text = fs::read_to_string(&main)?;
    for number in 0..plan.added_at_once {
        writeln!(text, "[stores.many-{number:03}]")?;
    }
    let began = Instant::now();
    place(&main, text.as_bytes(), Way::Rename).await?;
    let wanted = 1 + plan.added + plan.added_at_once;
    let mut all_live = None;
    let mut looked = Instant::now();
    let answers = asked_while(host, "many", 50, async || {
        // A look at so many stores is work of its own: not after every question.
        if looked.elapsed() > Duration::from_millis(100) {
            looked = Instant::now();
            if live_stores(host).await? >= wanted {
                all_live = Some(began.elapsed());
            }
        }
        Ok(all_live.is_none())
    });
    let answers = answers.await?;
    Ok((all_live.context("they never became live")?, answers))
}

/// As the numbers say, which cost less to read than every store's health.
async fn live_stores(host: &Host) -> Result<usize> {
    let page = crate::http::get(host.address(), "/metrics").await?.body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("qm_stores{state=\"live\"} "));
    Ok(line.context("no qm_stores in /metrics")?.parse()?)
}

/// What is felt while a component is judged.
async fn while_judged(host: &Host, name: &str, bytes: &[u8]) -> Result<[Duration; 3]> {
    let path = host.folder().join(format!("plugins/{name}.wasm"));
    fs::write(&path, bytes)?;
    let shown = path.display().to_string();
    let judged = async || {
        let health = host.health().await?;
        let refused = health["plugins_refused"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(!refused.iter().any(|it| it["id"] == shown.as_str()))
    };
    let answers = asked_while(host, name, 50, judged).await?;
    fs::remove_file(path)?;
    Ok(answers)
}

impl Table {
    fn row(&mut self, name: &str, times: [Duration; 3]) {
        println!("{name}: {times:?}");
        self.0.push((name.to_owned(), times));
    }

    fn markdown(&self, machine: &Machine) -> String {
        let mut text = String::from(
            "# Changes on a running host\n\n\
             Written by `cargo xtask bench living`, with the users on the same cores. Each line is also given as a multiple \
             of the first one's median, which is what the machine could do at that moment.\n\n",
        );
        text += &format!(
            "{} cores · {}\n\n",
            machine.cores,
            machine.versions.join(" · ")
        );
        text += "| | median | 99th percentile | slowest | median ÷ floor |\n|---|---:|---:|---:|---:|\n";
        let floor = self
            .0
            .first()
            .map_or(1.0, |(_, times)| times[0].as_secs_f64());
        for (name, times) in &self.0 {
            let [median, p99, slowest] =
                times.map(|time| format!("{:.1} ms", time.as_secs_f64() * 1000.0));
            let ratio = times[0].as_secs_f64() / floor;
            text += &format!("| {name} | {median} | {p99} | {slowest} | {ratio:.1}× |\n");
        }
        text
    }
}
