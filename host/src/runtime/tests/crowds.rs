//! More runs than the machine can take at once: what each store gets of it, what all together use, and what is left of them
//! when they are gone.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::*;
use crate::runtime::Load;
use crate::runtime::meter::SLICE_FUEL;
use crate::store::Ending;

fn engine(settings: EngineSettings) -> Engine {
    Engine::new(settings).expect("an engine")
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

async fn plugin(engine: &Engine, guest: Guest<'_>) -> Plugin {
    let name = "guest".parse().expect("a name");
    let loaded = Plugin::load(engine, name, guest.component()).await;
    loaded.expect("a plugin")
}

/// A call of store `number`.
fn call_of(number: usize) -> Call {
    Call {
        store: format!("store-{number}").parse().expect("a store id"),
        ..call()
    }
}

/// Does all of that on whatever threads there are; the answers keep their order.
async fn on_all_threads<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut set = JoinSet::new();
    for (place, task) in tasks.enumerate() {
        set.spawn(async move { (place, task.await) });
    }
    let mut answers = set.join_all().await;
    answers.sort_unstable_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// What stores of these weights used in the same time, each with a guest that never ends.
async fn shares(weights: &[u32]) -> Vec<u64> {
    let engine = engine(EngineSettings {
        threads: number(2),
        ..EngineSettings::default()
    });
    let burner = plugin(
        &engine,
        Guest {
            on_event: LOOP,
            ..IDLE
        },
    )
    .await;
    let runs = weights.iter().enumerate().map(|(store, weight)| {
        let mut call = call_of(store);
        call.weight = number(*weight);
        call.limits.fuel_per_run = u64::MAX;
        call.limits.run_timeout = Duration::from_millis(1_500);
        burner.run(call)
    });
    let reports = on_all_threads(runs).await.into_iter();
    reports.map(|report| report.usage.fuel).collect()
}

/// The most that anybody got for each unit of its weight is at most a tenth above the least. Somebody is always in the
/// middle of a slice.
fn assert_fair(shares: &[u64], weights: &[u32]) {
    let each = shares.iter().zip(weights);
    let each: Vec<u64> = each
        .map(|(fuel, weight)| fuel / u64::from(*weight))
        .collect();
    let (least, most) = (each.iter().min(), each.iter().max());
    let (least, most) = (least.expect("shares"), most.expect("shares"));
    assert!(
        most * 10 <= least * 11 + 20 * SLICE_FUEL,
        "{shares:?} for {weights:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_always_want_more_get_equal_fuel() {
    let weights = [1; 10];
    assert_fair(&shares(&weights).await, &weights);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_more_weight_gets_more_fuel() {
    let weights = [1, 2, 3, 1, 2, 3];
    assert_fair(&shares(&weights).await, &weights);
}

/// A kv that counts the instances which asked it, and are not known to be gone.
#[derive(Default)]
struct Counter {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl KvSource for Counter {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok(None)
        }
        .boxed()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hogs_together_never_have_more_memory_than_there_is() {
    const HOGS: usize = 64;
    let settings = EngineSettings::default();
    let limit = Limits::default().memory_bytes_max;
    assert!(HOGS * limit > settings.memory_bytes_max);
    let room = settings.memory_bytes_max / limit;
    let engine = engine(settings);
    // Takes all that it can get, asks kv, and computes for a while.
    let on_event = "(local $i i32)
        (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
        (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192))
        (local.set $i (i32.const 3000000))
        (loop $l
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br_if $l (local.get $i)))
        (i32.const 1024)";
    let hog = plugin(&engine, Guest { on_event, ..IDLE }).await;
    let counter = Arc::new(Counter::default());
    let runs = (0..HOGS).map(|store| {
        let kv = Arc::clone(&counter);
        let run = hog.run(Call {
            kv: kv.clone(),
            ..call_of(store)
        });
        async move {
            let report = run.await;
            kv.now.fetch_sub(1, Ordering::SeqCst);
            report
        }
    });
    for report in on_all_threads(runs).await {
        assert_eq!(report.ending, Ending::Finished, "{report:?}");
        assert!(report.usage.memory_peak_bytes > limit - (2 << 20));
    }
    let most = counter.most.load(Ordering::SeqCst);
    assert!((2..=room).contains(&most), "{most} at once; {room} fit");
    assert_eq!(engine.load(), Load::default());
}

/// Answers after a random while, or never.
struct Moody;

impl KvSource for Moody {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        let micros = fastrand::u64(0..3_000);
        async move {
            match micros {
                0..500 => pending().await,
                _ => tokio::time::sleep(Duration::from_micros(micros)).await,
            }
            Ok(Some(vec![0; micros as usize]))
        }
        .boxed()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_stopped_at_random_moments_leave_nothing_behind() {
    let engine = engine(EngineSettings {
        instances_max: number(16),
        memory_bytes_max: 12 * (64 << 20),
        threads: number(2),
        ..EngineSettings::default()
    });
    let looping = Guest {
        on_event: LOOP,
        ..IDLE
    };
    let calling = Guest {
        on_event: "(loop $l (drop (call $head)) (br $l)) (unreachable)",
        ..IDLE
    };
    let asking = Guest {
        on_event: "(loop $l (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192)) (br $l)) (unreachable)",
        ..IDLE
    };
    let growing = Guest {
        on_event: "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (unreachable)",
        ..IDLE
    };
    let mut plugins = Vec::new();
    for guest in [looping, calling, asking, growing, IDLE] {
        plugins.push(plugin(&engine, guest).await);
    }
    let runs = (0..1_000).map(|run| {
        let mut call = call_of(run % 40);
        call.kv = Arc::new(Moody);
        call.limits.run_timeout = Duration::from_micros(fastrand::u64(0..20_000));
        let run = plugins[run % plugins.len()].run(call);
        // Some are dropped by whoever waits for them, wherever they are by then; some before they were ever polled.
        let patience = Duration::from_micros(fastrand::u64(0..200_000));
        async move {
            match patience.as_micros() % 10 {
                0 => drop(run),
                1..5 => drop(tokio::time::timeout(patience, run).await),
                _ => drop(run.await),
            }
        }
    });
    assert_eq!(on_all_threads(runs).await.len(), 1_000);
    assert_eq!(engine.load(), Load::default());
    let all = join_all((0..16).map(|store| plugins[4].run(call_of(store)))).await;
    assert!(all.iter().all(|report| report.ending == Ending::Finished));
}
