//! What a run costs: a fresh instance of a plugin and one event, and loading the plugin, compiled and from the cache; and what
//! a guest that computes is slowed down by its protection. Run by hand, on a quiet machine:
//! `cargo bench --bench runtime -- tests/guests/dist/reply.wasm`, or with `slow.wasm spin 2`, which is the text that it is
//! sent.

#[path = "runtime/protection.rs"]
mod protection;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use quartermaster::event::{Event, SeqNum};
use quartermaster::runtime::{
    Call, Engine, EngineSettings, KvPage, KvSource, Level, Limits, LogSink, Plugin, ScheduleSource,
    Tasks,
};
use quartermaster::stamp::{RunId, Stamp, Trigger};
use quartermaster::store::{Cause, KvTotals, Mode, RunRequest, RunToken};
use quartermaster::time::Timestamp;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.find(|argument| !argument.starts_with("--"));
    let bytes = std::fs::read(file.ok_or("name a .wasm file")?)?;
    let words: Vec<String> = arguments.filter(|it| !it.starts_with("--")).collect();
    if !words.is_empty() {
        return protection::measure(&bytes, &words.join(" ")).await;
    }
    println!("before the engine: {} KiB resident", resident_kib()?);
    let cache = std::env::temp_dir().join(format!("qm-bench-{}", std::process::id()));
    let settings = EngineSettings {
        cache: Some(cache.clone()),
        ..EngineSettings::default()
    };
    let engine = Engine::new(settings)?;
    println!("engine idle: {} KiB resident", resident_kib()?);

    let started = Instant::now();
    let plugin = Plugin::load(&engine, "bench".parse()?, &bytes[..]).await?;
    println!("load, compiled: {:?}", started.elapsed());
    // The cache is written by a thread of its own.
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    for _ in 0..10 {
        Plugin::load(&engine, "bench".parse()?, &bytes[..]).await?;
    }
    println!("load, cached: {:?}", started.elapsed() / 10);

    for round in 1..=5 {
        const RUNS: u32 = 5_000;
        let started = cpu()?;
        for _ in 0..RUNS {
            plugin.run(call(&plugin, "hello")?).await;
        }
        let each = (cpu()? - started) / RUNS;
        println!("round {round}: {each:?} of CPU for an instance and an event");
    }
    println!("last: {:?}", plugin.run(call(&plugin, "hello")?).await);
    println!("after the runs: {} KiB resident", resident_kib()?);
    std::fs::remove_dir_all(&cache)?;
    Ok(())
}

/// A user's chat message, as the arguments of its event.
fn message(text: &str) -> String {
    format!(r#"{{"id":"3f0c","text":{text:?},"role":"user"}}"#)
}

/// A run on a user's chat message.
fn call(plugin: &Plugin, text: &str) -> Outcome<Call> {
    let now = Timestamp::from_millis(1_700_000_000_123);
    let event = Event {
        seq: SeqNum::new(42),
        parent: SeqNum::new(41),
        name: "v1.ChatMessageSent".into(),
        args: message(text).into(),
        client_id: "client".into(),
        session_id: "session".into(),
        created_at: Some(now),
    };
    let run = RunId {
        plugin: "bench".parse()?,
        trigger: Trigger::Event(event.seq),
    };
    let request = RunRequest {
        token: RunToken(1),
        stamp: Stamp { run, depth: 1 },
        cause: Cause::Event(event),
        mode: Mode::Reacting,
        attempt: 1,
        now,
        fuel: Limits::default().fuel_per_run,
        timeout: None,
        late: None,
    };
    Ok(Call {
        store: "workspace-1".parse()?,
        request,
        config: "{}".into(),
        grants: plugin.needs().clone(),
        limits: Limits::default(),
        weight: NonZeroU32::MIN,
        kv: Arc::new(Empty),
        schedule: Arc::new(Empty),
        task_defaults: Arc::default(),
        declared: Arc::default(),
        log: Arc::new(Empty),
    })
}

/// A store with nothing in it, and nobody who reads the log.
struct Empty;

impl KvSource for Empty {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        async { Ok(None) }.boxed()
    }

    fn list<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>> {
        async { Ok(KvPage::new()) }.boxed()
    }

    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>> {
        async { Ok(KvTotals::default()) }.boxed()
    }

    fn sizes<'a>(
        &'a self,
        keys: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<u64>>, String>> {
        async { Ok(vec![None; keys.len()]) }.boxed()
    }
}

impl ScheduleSource for Empty {
    fn tasks(&self) -> BoxFuture<'_, Result<Tasks, String>> {
        async { Ok(Tasks::new()) }.boxed()
    }
}

impl LogSink for Empty {
    fn write(&self, _: Level, _: &str) {}
}

/// What this thread has computed: other work on the machine does not count.
fn cpu() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split_whitespace().next().ok_or("an empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

fn resident_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no VmRSS")?;
    Ok(number.parse()?)
}
