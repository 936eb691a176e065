//! Many runs at once: each gets its turn, and one that is stopped leaves nothing behind.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};

use super::*;
use crate::store::Ending;

#[tokio::test]
async fn a_long_run_lets_others_go_on() {
    let long = Guest {
        on_event: LOOP,
        ..IDLE
    }
    .load()
    .await
    .expect("a plugin");
    let quick = IDLE.load().await.expect("a plugin");
    let started = Instant::now();
    let long = async {
        long.run(call()).await;
        started.elapsed()
    };
    let quick = async {
        quick.run(call()).await;
        started.elapsed()
    };
    let (long, quick) = join(long, quick).await;
    assert!(
        quick < long / 2,
        "the quick run took {quick:?}, the long one {long:?}"
    );
}

#[tokio::test]
async fn a_run_waits_while_all_instances_are_in_use() {
    let settings = EngineSettings {
        instances_max: NonZeroU32::new(2).expect("two"),
        ..EngineSettings::default()
    };
    let engine = Engine::new(settings).expect("an engine");
    let bytes = Guest {
        on_event: GET,
        ..IDLE
    }
    .component();
    let name = "guest".parse().expect("a name");
    let plugin = Plugin::load(&engine, name, bytes).await.expect("a plugin");
    let stuck = || {
        let mut call = limits(|limits| limits.run_timeout = Duration::from_millis(20));
        call.kv = Arc::new(Silent);
        plugin.run(call)
    };
    let stuck = join_all([stuck(), stuck(), stuck()]);
    let quick = join_all((0..20).map(|_| plugin.run(call())));
    let (stuck, quick) = join(stuck, quick).await;
    assert!(stuck.iter().all(|report| report.ending == Ending::TimedOut));
    assert!(quick.iter().all(|report| report.ending == Ending::Finished));
}

#[tokio::test]
async fn a_thousand_stopped_runs_leave_nothing_behind() {
    let waiting = Guest {
        on_event: GET,
        ..IDLE
    }
    .load()
    .await
    .expect("a plugin");
    let looping = Guest {
        on_event: LOOP,
        ..IDLE
    }
    .load()
    .await
    .expect("a plugin");
    let stopped = |plugin: &Plugin, millis| {
        let plugin = plugin.clone();
        let mut call = limits(|limits| limits.run_timeout = Duration::from_millis(millis));
        call.kv = Arc::new(Silent);
        async move { plugin.run(call).await.ending }
    };
    let mut resident = Vec::new();
    for _ in 0..3 {
        for round in 0..10 {
            let mut runs: Vec<_> = (0..33).map(|run| stopped(&waiting, run % 7)).collect();
            runs.push(stopped(&looping, round));
            for ending in join_all(runs).await {
                assert_eq!(ending, Ending::TimedOut);
            }
            // And one that its caller forgets in the middle.
            let forgotten = tokio::time::timeout(Duration::from_millis(1), stopped(&waiting, 1000));
            assert!(forgotten.await.is_err());
        }
        resident.push(resident_kib());
    }
    // The first round fills the pool; tests that run beside this one may take some too.
    let grown = resident[2].saturating_sub(resident[0]);
    assert!(grown < 32 << 10, "{grown} KiB more: {resident:?}");
    let all = join_all((0..64).map(|_| stopped(&waiting, 0))).await;
    assert_eq!(all.len(), 64);
}

/// The process's resident memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("VmRSS")
}
