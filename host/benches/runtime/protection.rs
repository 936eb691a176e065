//! The same guest and the same event in engines with more and more protection, the last of them the host's own. Rounds of all
//! follow each other, so that a machine which is slower for a while is slower for all; the quickest round of each counts.

use std::time::Duration;

use quartermaster::runtime::{Engine, EngineSettings, Plugin};
use wasmtime::component::{Component, Instance, Linker, Val};
use wasmtime::{Config, Store};

use super::{Outcome, call, cpu, message};

/// Rounds of all, and runs in each.
const ROUNDS: usize = 15;
const RUNS: u32 = 4;

/// What is on in an engine.
#[derive(Clone, Copy)]
struct Protection {
    name: &'static str,
    fuel: bool,
    epochs: bool,
    /// Fuel of a slice, after which the guest pauses.
    slice: Option<u64>,
}

const fn with(name: &'static str, fuel: bool, epochs: bool, slice: Option<u64>) -> Protection {
    Protection {
        name,
        fuel,
        epochs,
        slice,
    }
}

const PROTECTIONS: [Protection; 8] = [
    with("none", false, false, None),
    with("epochs", false, true, None),
    with("fuel", true, false, None),
    with("fuel and epochs", true, true, None),
    with("and slices of 10,000", true, true, Some(10_000)),
    with("and slices of 100,000", true, true, Some(100_000)),
    with("and slices of 1,000,000", true, true, Some(1_000_000)),
    with("and slices of 3,000,000", true, true, Some(3_000_000)),
];

/// A guest in an engine that has only its protection.
struct Bare {
    store: Store<()>,
    instance: Instance,
    protection: Protection,
}

/// Runs the guest everywhere, and prints a table.
pub(super) async fn measure(bytes: &[u8], text: &str) -> Outcome<()> {
    let mut bare = Vec::new();
    for protection in PROTECTIONS {
        bare.push(Bare::new(protection, bytes).await?);
    }
    let engine = Engine::new(EngineSettings::default())?;
    let plugin = Plugin::load(&engine, "bench".parse()?, bytes).await?;
    let mut best = [Duration::MAX; PROTECTIONS.len() + 1];
    let mut report = None;
    for _ in 0..ROUNDS {
        for (bare, best) in bare.iter_mut().zip(&mut best) {
            let started = cpu()?;
            for _ in 0..RUNS {
                bare.call(text).await?;
            }
            *best = (*best).min((cpu()? - started) / RUNS);
        }
        let started = cpu()?;
        for _ in 0..RUNS {
            report = Some(plugin.run(call(&plugin, text)?).await);
        }
        let whole = &mut best[PROTECTIONS.len()];
        *whole = (*whole).min((cpu()? - started) / RUNS);
    }
    println!("{report:?}\n");
    println!("| protection | CPU of a run | ratio |\n|---|---:|---:|");
    let names = PROTECTIONS.iter().map(|it| it.name);
    let names = names.chain(["the host: all that, a fresh instance, limits, turns"]);
    for (name, time) in names.zip(best) {
        let ratio = time.as_secs_f64() / best[0].as_secs_f64();
        println!("| {name} | {time:.2?} | {ratio:.3} |");
    }
    Ok(())
}

impl Bare {
    async fn new(protection: Protection, bytes: &[u8]) -> Outcome<Self> {
        let mut config = Config::new();
        config
            .consume_fuel(protection.fuel)
            .epoch_interruption(protection.epochs)
            .concurrency_support(false)
            .cranelift_nan_canonicalization(true);
        let engine = wasmtime::Engine::new(&config)?;
        let component = Component::from_binary(&engine, bytes)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        linker.allow_shadowing(true);
        let mut imports = linker.instance("quartermaster:plugin/store@0.1.0")?;
        imports.func_new("commit", |_, _, _, results| {
            results[0] = Val::Result(Ok(None));
            Ok(())
        })?;
        let mut store = Store::new(&engine, ());
        if protection.fuel {
            store.set_fuel(u64::MAX)?;
            store.fuel_async_yield_interval(protection.slice)?;
        }
        if protection.epochs {
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
        }
        let instance = linker.instantiate_async(&mut store, &component).await?;
        Ok(Self {
            store,
            instance,
            protection,
        })
    }

    async fn call(&mut self, text: &str) -> Outcome<()> {
        let name = "quartermaster:plugin/on-event@0.1.0";
        let interface = self.instance.get_export_index(&mut self.store, None, name);
        let interface = interface.ok_or("no on-event")?;
        let function =
            self.instance
                .get_export_index(&mut self.store, Some(&interface), "on-event");
        let function = function.ok_or("no function on-event")?;
        let function = self.instance.get_func(&mut self.store, function);
        let function = function.ok_or("on-event is no function")?;
        let mut results = [Val::Bool(false)];
        function
            .call_async(&mut self.store, &arguments(text), &mut results)
            .await?;
        let answer = &results[0];
        if matches!(answer, Val::Result(Ok(_))) {
            return Ok(());
        }
        Err(format!("{}: {answer:?}", self.protection.name).into())
    }
}

/// A run and its event, as the contract has them.
fn arguments(text: &str) -> [Val; 2] {
    let string = |text: &str| Val::String(text.into());
    let record = |fields: Vec<(&str, Val)>| {
        let fields = fields.into_iter();
        Val::Record(fields.map(|(name, it)| (name.to_owned(), it)).collect())
    };
    let run = record(vec![
        ("store", string("workspace-1")),
        ("stamp", string("qm1:bench:e42:1")),
        ("mode", Val::Enum("reacting".into())),
        ("attempt", Val::U32(1)),
        ("now-ms", Val::U64(1_700_000_000_123)),
        ("depth", Val::U32(1)),
        ("config", string("{}")),
    ]);
    let event = record(vec![
        ("seq", Val::U64(42)),
        ("name", string("v1.ChatMessageSent")),
        ("args", string(&message(text))),
        ("client-id", string("client")),
        ("session-id", string("session")),
        ("created-at-ms", Val::Option(None)),
    ]);
    [run, event]
}
