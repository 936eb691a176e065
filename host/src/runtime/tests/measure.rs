//! What an instance costs. Run it on a quiet machine, built with optimization:
//! `cargo test --release -p quartermaster --lib runtime::tests::measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use super::*;

/// Commits one event.
const COMMIT: &str =
    "(call $commit (i32.const 4096) (i32.const 9) (i32.const 4112) (i32.const 7) (i32.const 8192))
    (i32.const 1024)";

#[tokio::test]
#[ignore = "a measurement"]
async fn an_instance_and_an_event() {
    println!("before the engine: {} KiB resident", resident_kib());
    let cache = tempfile::tempdir().expect("a folder");
    let settings = EngineSettings {
        cache: Some(cache.path().to_owned()),
        ..EngineSettings::default()
    };
    let bytes = match std::env::var_os("PLUGIN") {
        Some(file) => std::fs::read(file).expect("a plugin"),
        None => Guest {
            on_event: COMMIT,
            ..IDLE
        }
        .component(),
    };
    let engine = Engine::new(settings.clone()).expect("an engine");
    println!("engine idle: {} KiB resident", resident_kib());
    let name = || "guest".parse().expect("a name");
    let started = Instant::now();
    let plugin = Plugin::load(&engine, name(), &bytes)
        .await
        .expect("a plugin");
    println!("load, compiled: {:?}", started.elapsed());
    // The cache is written by a thread of its own.
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    for _ in 0..10 {
        Plugin::load(&engine, name(), &bytes)
            .await
            .expect("a plugin");
    }
    println!("load, cached: {:?}", started.elapsed() / 10);
    for round in 1..=5 {
        const RUNS: u32 = 5_000;
        let started = cpu();
        for _ in 0..RUNS {
            plugin.run(call()).await;
        }
        let each = (cpu() - started) / RUNS;
        println!("round {round}: {each:?} of CPU for an instance and an event");
    }
    println!("last: {:?}", plugin.run(call()).await);
    println!("after the runs: {} KiB resident", resident_kib());
}

/// What this thread has computed: other work on the machine does not count.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = stat
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}

pub(super) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("VmRSS")
}
