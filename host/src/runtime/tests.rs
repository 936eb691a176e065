//! Whole guests through the public door. They are written as text, small enough to see what each one does; those built
//! from Rust, JavaScript and others are tested from outside the crate.

mod bounds;
mod crowds;
mod effects;
mod fuel;
mod hostile;
mod loading;
mod refusals;
mod side_by_side;
mod tasks;
mod virtual_wasi;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, LazyLock, mpsc};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, pending};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::event::{Event, SeqNum};
use crate::runtime::{
    Call, Engine, EngineSettings, Error, KvPage, KvSource, Level, Limits, LogSink, Plugin,
    RunReport, ScheduleSource, Tasks,
};
use crate::stamp::{RunId, Stamp, Trigger};
use crate::store::{Cause, Grants, KvTotals, Mode, RunRequest, RunToken};
use crate::time::Timestamp;

/// One for all tests, as one is for all stores.
static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(EngineSettings::default()).expect("an engine"));

/// A guest's places in `guest.wat`; then packages besides ours, and what the guest's world has besides the world of our
/// contract that it is made for.
#[derive(Clone, Copy)]
struct Guest<'a> {
    contract: &'a str,
    imports: &'a str,
    items: &'a str,
    describe: &'a str,
    on_event: &'a str,
    wit: &'a str,
    world: &'a str,
}

/// Returns ok and does nothing.
const IDLE: Guest = Guest {
    contract: "plugin",
    imports: "",
    items: "",
    describe: "(i32.const 2048)",
    on_event: "(i32.const 1024)",
    wit: "",
    world: "",
};

/// How `guest.wat` exports its handler of events.
const ON_EVENT: &str = "(export \"quartermaster:plugin/on-event@0.1.0#on-event\")";

/// Never returns.
const LOOP: &str = "(loop $l (br $l)) (unreachable)";

/// Reads `key`.
const GET: &str = "(call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192)) (i32.const 1024)";

impl Guest<'_> {
    fn component(&self) -> Vec<u8> {
        let text = include_str!("tests/guest.wat")
            .replace("{imports}", self.imports)
            .replace("{items}", self.items)
            .replace("{describe}", self.describe)
            .replace("{on_event}", self.on_event);
        let text = match self.contract {
            // That world has no such export.
            "task-plugin" => text.replace(ON_EVENT, ""),
            _ => text,
        };
        let mut module = wat::parse_str(text).expect("valid text");
        let mut resolve = Resolve::default();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        resolve.push_path(wit).expect("our own contract");
        let world = format!(
            "package test:guest;\n{}\nworld guest {{ include quartermaster:plugin/{}@0.1.0;\n{} }}",
            self.wit, self.contract, self.world
        );
        let package = resolve.push_str("guest.wit", &world).expect("valid WIT");
        let world = resolve
            .select_world(&[package], Some("guest"))
            .expect("the world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
            .expect("the world's types");
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(ComponentEncoder::encode)
            .expect("a component")
    }

    async fn load(&self) -> Result<Plugin, Error> {
        load(&self.component()).await
    }
}

async fn load(bytes: &[u8]) -> Result<Plugin, Error> {
    sendable(Plugin::load(
        &ENGINE,
        "guest".parse().expect("a name"),
        bytes,
    ))
    .await
}

/// Loads a guest that handles events with `on_event`, and calls it once.
async fn run(on_event: &str, call: Call) -> RunReport {
    let guest = Guest { on_event, ..IDLE };
    let plugin = guest.load().await.expect("a plugin");
    sendable(plugin.run(call)).await
}

/// What can go from thread to thread.
fn sendable<T: Send>(future: T) -> T {
    future
}

/// A call with an event `v1.Said {"text":"hi"}` in place 42, an empty kv and nobody to read the log.
fn call() -> Call {
    Call {
        store: "workspace-1".parse().expect("a store id"),
        request: RunRequest {
            token: RunToken(1),
            stamp: Stamp {
                run: RunId {
                    plugin: "guest".parse().expect("a name"),
                    trigger: Trigger::Event(SeqNum::new(42)),
                },
                depth: 1,
            },
            cause: Cause::Event(Event {
                seq: SeqNum::new(42),
                parent: SeqNum::new(41),
                name: "v1.Said".into(),
                args: "{\"text\":\"hi\"}".into(),
                client_id: "client".into(),
                session_id: "session".into(),
                created_at: Some(Timestamp::from_millis(1_700_000_000_123)),
            }),
            mode: Mode::Reacting,
            attempt: 1,
            now: Timestamp::from_millis(1_700_000_000_123),
            fuel: Limits::default().fuel_per_run,
            timeout: None,
            late: None,
        },
        config: "{}".into(),
        grants: Arc::new(all()),
        limits: Limits::default(),
        weight: NonZeroU32::MIN,
        kv: Arc::new(Map::default()),
        schedule: Arc::new(Planned::default()),
        task_defaults: Arc::default(),
        declared: Arc::default(),
        log: Arc::new(Unread),
    }
}

/// Every grant there is.
fn all() -> Grants {
    let every = || vec!["*".parse().expect("a pattern")];
    Grants {
        read: every(),
        commit: every(),
        kv: true,
        schedule: true,
    }
}

/// A call with other limits than the default.
fn limits(change: impl FnOnce(&mut Limits)) -> Call {
    let mut call = call();
    change(&mut call.limits);
    call
}

/// A kv in memory.
#[derive(Default)]
struct Map(BTreeMap<String, Vec<u8>>);

impl KvSource for Map {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        async { Ok(self.0.get(key).cloned()) }.boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
        _bytes_max: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>> {
        let entries = self.0.iter();
        let wanted = entries
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| &***key > after))
            .map(|(key, value)| (key.clone(), value.clone()));
        let page = wanted.take(limit).collect();
        async { Ok(page) }.boxed()
    }

    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>> {
        let entries = self.0.iter();
        let totals = KvTotals {
            entries: self.0.len() as u64,
            bytes: entries
                .map(|(key, value)| (key.len() + value.len()) as u64)
                .sum(),
        };
        async move { Ok(totals) }.boxed()
    }

    fn sizes<'a>(
        &'a self,
        keys: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<u64>>, String>> {
        let size = |key: &Arc<str>| {
            let value = self.0.get(&**key)?;
            Some((key.len() + value.len()) as u64)
        };
        let sizes = keys.iter().map(size).collect();
        async { Ok(sizes) }.boxed()
    }
}

/// A kv that never answers.
struct Silent;

impl KvSource for Silent {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        pending().boxed()
    }

    fn list<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>> {
        pending().boxed()
    }

    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>> {
        pending().boxed()
    }

    fn sizes<'a>(&'a self, _: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<Option<u64>>, String>> {
        pending().boxed()
    }
}

/// Tasks in memory.
#[derive(Default)]
struct Planned(Tasks);

impl ScheduleSource for Planned {
    fn tasks(&self) -> BoxFuture<'_, Result<Tasks, String>> {
        async { Ok(self.0.clone()) }.boxed()
    }
}

struct Unread;

impl LogSink for Unread {
    fn write(&self, _: Level, _: &str) {}
}

/// Hands the lines of a log to a test.
struct Lines(mpsc::SyncSender<(Level, String)>);

impl LogSink for Lines {
    fn write(&self, level: Level, line: &str) {
        self.0
            .try_send((level, line.to_owned()))
            .expect("the test listens, and there is room");
    }
}

/// A call whose log can be read.
fn call_with_log() -> (Call, mpsc::Receiver<(Level, String)>) {
    let (sender, lines) = mpsc::sync_channel(1_000);
    let log = Arc::new(Lines(sender));
    (Call { log, ..call() }, lines)
}
