//! What the journal costs: commits per second, opening, and memory of idle stores. Run by hand, on the disk that
//! matters: `cargo bench --bench journal -- [folder]`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quartermaster::calendar::{Fold, Gap, Rhythm, Timetable, Zone};
use quartermaster::event::{Draft, SeqNum};
use quartermaster::id::{PluginName, StoreId};
use quartermaster::journal::{Error, Journal, JournalConfig, Lease};
use quartermaster::stamp::{RunId, Stamp, Trigger};
use quartermaster::store::{
    Commit, Durability, Ending, ExecutionRecord, ExecutionState, KvWrite, Missed, OccurrenceKind,
    Origin, OutboxEntry, Overlap, SubscriptionRecord, TaskKey, TaskPlan, TaskRecord, Usage,
    UsageRecord,
};
use quartermaster::time::Timestamp;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let folder = folder.unwrap_or_else(|| "target/journal-bench".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()?;
    for durability in [Durability::Normal, Durability::Full] {
        println!("durability {durability:?}");
        for load in [(1, 100, 100), (1, 1, 1000), (50, 1, 200)] {
            let rate = |content| {
                let config = fresh(&folder)?;
                runtime.block_on(commits(&config, durability, load, content))
            };
            let (least, event) = (rate(Content::WithoutUsage)?, rate(Content::Event)?);
            let (stores, in_flight, _) = load;
            println!(
                "  {stores:>3} stores, {in_flight:>3} in flight each: {event:>8.0} commits/s, {:.2} of those without usage",
                event / least
            );
            let task = rate(Content::Occurrence)?;
            println!(
                "      with a task and an execution: {task:>8.0} commits/s, {:.2} of those without",
                task / event
            );
        }
    }
    for stores in [16, 100, 1000] {
        runtime.block_on(idle(&fresh(&folder)?, stores))?;
    }
    runtime.block_on(large(&fresh(&folder)?))?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn fresh(folder: &str) -> Outcome<JournalConfig> {
    if Path::new(folder).exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(JournalConfig::new(folder))
}

/// What is in each commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// A run on an event.
    Event,
    /// The same without what it used.
    WithoutUsage,
    /// The same as of an event, and what becomes of a task and of one occurrence.
    Occurrence,
}

/// How far a task is after its occurrence, which is done.
fn occurrence(plugin: &PluginName, seq: u64) -> (TaskRecord, ExecutionRecord) {
    let minute = Duration::from_secs(60);
    let due = Timestamp::from_millis(seq * 60_000);
    let key = TaskKey {
        plugin: plugin.clone(),
        task: "every-minute".into(),
    };
    let plan = TaskPlan {
        timetable: Timetable {
            rhythm: Rhythm::Every {
                period: minute,
                phase: Duration::ZERO,
            },
            zone: Zone::default(),
            gap: Gap::default(),
            fold: Fold::default(),
            from: None,
            until: None,
            jitter: Duration::ZERO,
        },
        payload: "{\"text\":\"Good morning\"}".into(),
        overlap: Overlap::Skip,
        catch_up: minute,
        missed: Missed::Skip,
        attempts_max: None,
        timeout: None,
    };
    let task = TaskRecord {
        key: key.clone(),
        plan: Arc::new(plan),
        origin: Origin::Declared,
        passed: due,
        ahead: Vec::new(),
        unseen: Vec::new(),
        paused: None,
        gone: false,
    };
    let execution = ExecutionRecord {
        key,
        due,
        since: None,
        state: ExecutionState::Done,
        kind: OccurrenceKind::Timely,
        depth: 0,
        attempts: 1,
        failures: Vec::new(),
        started: Some(due),
        ended: Some(due),
        fuel: 35_000,
        drafts: 1,
        note: None,
    };
    (task, execution)
}

/// What a run of a chatty plugin commits: its cursor, a counter, an answer, the settling of the one before, and what it used.
fn commit(plugin: &PluginName, seq: u64) -> Commit {
    let run = |seq| RunId {
        plugin: plugin.clone(),
        trigger: Trigger::Event(SeqNum::new(seq)),
    };
    let answer = Draft {
        name: "v1.ChatMessageSent".into(),
        args: format!("{{\"text\":\"{}\"}}", "x".repeat(200)).into(),
    };
    Commit {
        scanned: SeqNum::new(seq),
        clock: Timestamp::from_millis(seq),
        subscriptions: vec![SubscriptionRecord {
            plugin: plugin.clone(),
            cursor: SeqNum::new(seq),
            start: SeqNum::ROOT,
            react_from: SeqNum::ROOT,
            attempts: 1,
            failures: Vec::new(),
        }],
        kv: vec![(
            plugin.clone(),
            KvWrite {
                key: "count".into(),
                value: Some(seq.to_string().into_bytes().into()),
            },
        )],
        outbox: vec![OutboxEntry {
            order: seq,
            stamp: Stamp {
                run: run(seq),
                depth: 1,
            },
            drafts: vec![answer],
            parked: None,
        }],
        outbox_removed: seq.checked_sub(1).map(run).into_iter().collect(),
        usage: vec![UsageRecord {
            run: run(seq),
            attempt: 1,
            at: Timestamp::from_millis(seq),
            ending: Ending::Finished,
            usage: Usage {
                fuel: 35_000,
                wall: Duration::from_micros(150),
                memory_peak_bytes: 1_200_000,
                host_calls: 3,
                host_bytes: 300,
                ..Usage::default()
            },
            drafts: 1,
        }],
        ..Commit::default()
    }
}

async fn claim_all(
    journal: &Journal,
    stores: usize,
    durability: Durability,
) -> Outcome<Vec<Lease>> {
    let mut leases = Vec::new();
    for n in 0..stores {
        let store: StoreId = format!("store-{n}").parse()?;
        leases.push(journal.claim(&store, durability).await?);
    }
    Ok(leases)
}

async fn commits(
    config: &JournalConfig,
    durability: Durability,
    (stores, in_flight, rounds): (usize, u64, u64),
    content: Content,
) -> Outcome<f64> {
    let journal = Journal::open(config)?;
    let plugin: PluginName = "echo".parse()?;
    let leases = claim_all(&journal, stores, durability).await?;
    let began = Instant::now();
    let write = async |mut lease: Lease| -> Result<(), Error> {
        for round in 0..rounds {
            let mut confirmations = Vec::new();
            for seq in round * in_flight..(round + 1) * in_flight {
                let mut commit = commit(&plugin, seq);
                match content {
                    Content::Event => {}
                    Content::WithoutUsage => commit.usage.clear(),
                    Content::Occurrence => {
                        let (task, execution) = occurrence(&plugin, seq);
                        commit.tasks.push(task);
                        commit.executions.push(execution);
                    }
                }
                confirmations.push(journal.commit(&mut lease, commit).await?);
            }
            for confirmation in confirmations {
                confirmation.await?;
            }
        }
        Ok(())
    };
    for done in join_all(leases.into_iter().map(write)).await {
        done?;
    }
    let seconds = began.elapsed().as_secs_f64();
    journal.shutdown().await;
    Ok((stores as u64 * in_flight * rounds) as f64 / seconds)
}

async fn idle(config: &JournalConfig, stores: usize) -> Outcome<()> {
    let journal = Journal::open(config)?;
    let plugin: PluginName = "echo".parse()?;
    let before = resident_kib()?;
    let per_store = |began: Instant| began.elapsed().as_secs_f64() * 1000.0 / stores as f64;

    let began = Instant::now();
    let mut leases = claim_all(&journal, stores, Durability::Normal).await?;
    println!("{stores} stores, one after the other, in ms per store");
    println!("  first claim     {:6.2}", per_store(began));
    let began = Instant::now();
    for lease in &leases {
        journal.load(lease).await?;
    }
    println!("  load            {:6.2}", per_store(began));
    let began = Instant::now();
    for seq in 0..2 {
        for lease in &mut leases {
            journal.commit(lease, commit(&plugin, seq)).await?.await?;
        }
    }
    println!("  commit          {:6.2}", per_store(began) / 2.0);
    println!("  resident memory {:+} KiB", resident_kib()? - before);
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("  5 s later       {:+} KiB", resident_kib()? - before);
    let began = Instant::now();
    for lease in leases {
        journal.release(lease).await?;
    }
    println!("  release         {:6.2}", per_store(began));
    let began = Instant::now();
    claim_all(&journal, stores, Durability::Normal).await?;
    println!("  second claim    {:6.2}", per_store(began));
    journal.shutdown().await;
    Ok(())
}

/// How long a start reads a store with much in it.
async fn large(config: &JournalConfig) -> Outcome<()> {
    let journal = Journal::open(config)?;
    let plugin: PluginName = "echo".parse()?;
    let mut lease = journal.claim(&"large".parse()?, Durability::Normal).await?;
    for thousand in 0..10 {
        let write = |n: usize| KvWrite {
            key: format!("key-{}", thousand * 1000 + n).into(),
            value: Some(vec![b'x'; 1000].into()),
        };
        let commit = Commit {
            kv: (0..1000).map(|n| (plugin.clone(), write(n))).collect(),
            ..Commit::default()
        };
        journal.commit(&mut lease, commit).await?.await?;
    }
    let began = Instant::now();
    journal.load(&lease).await?;
    println!(
        "load of 10,000 kv entries of 1,000 bytes: {:?}",
        began.elapsed()
    );
    journal.shutdown().await;
    Ok(())
}

/// Memory of this process; 0 where the system does not say.
fn resident_kib() -> Outcome<i64> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return Ok(0);
    };
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(number.unwrap_or("0").trim().parse()?)
}
