//! What a log costs without sockets and frames: events per second that are acked, by batch, stores and pushes in flight,
//! and events per second that are read. Run by hand, on the disk that matters: `cargo bench --bench backend -- [folder]`.
//! Beside the original backend, with sockets: `cargo xtask bench backend`.

use std::path::Path;
use std::time::Instant;

use futures_util::future::try_join_all;
use quartermaster::backend::{Backend, BackendConfig, Client, LogSettings, Reply, Rights};
use quartermaster::event::{Event, SeqNum};
use quartermaster::store::{Durability, PullKind, RequestId};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let folder = folder.unwrap_or_else(|| "target/backend-bench".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()?;
    for durability in [Durability::Normal, Durability::Full] {
        println!("durability {durability:?}");
        for (stores, in_flight) in [(1, 1), (1, 32), (50, 1), (50, 32)] {
            for batch in [1, 10, 100] {
                let begin = Instant::now();
                let pushes = 40_000 / (stores * batch).max(100) + in_flight;
                let load = Load {
                    batch,
                    in_flight,
                    pushes,
                };
                runtime.block_on(append(&fresh(&folder)?, durability, stores, load))?;
                let rate = (stores * pushes * batch) as f64 / begin.elapsed().as_secs_f64();
                println!(
                    "  {stores:>2} stores, batches of {batch:>3}, {in_flight:>2} in flight each: {rate:>8.0} events/s"
                );
            }
        }
    }
    runtime.block_on(read(&fresh(&folder)?))?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn fresh(folder: &str) -> Outcome<BackendConfig> {
    if Path::new(folder).exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(BackendConfig::new(folder))
}

#[derive(Clone, Copy)]
struct Load {
    batch: usize,
    in_flight: usize,
    pushes: usize,
}

/// Every store has one client, which keeps some pushes in flight.
async fn append(
    config: &BackendConfig,
    durability: Durability,
    stores: usize,
    load: Load,
) -> Outcome<()> {
    let backend = Backend::open(config)?;
    let settings = LogSettings {
        durability,
        ..LogSettings::default()
    };
    let mut clients = Vec::new();
    for number in 0..stores {
        let log = backend.log(&format!("store-{number}").parse()?, settings);
        clients.push(log.connect(Rights::ReadWrite).await?);
    }
    try_join_all(clients.into_iter().map(|client| pushes(client, load))).await?;
    backend.shutdown().await;
    Ok(())
}

async fn pushes(mut client: Client, load: Load) -> Outcome<()> {
    let (mut sent, mut acked, mut head) = (0, 0, 0);
    while acked < load.pushes {
        while sent < load.pushes && sent - acked < load.in_flight {
            let batch = (1..=load.batch as u64).map(|n| event(head + n)).collect();
            client.push(RequestId(sent as u64), batch, None).await;
            head += load.batch as u64;
            sent += 1;
        }
        match client.next().await? {
            Reply::Pushed { .. } => acked += 1,
            other @ (Reply::Page { .. }
            | Reply::Ended { .. }
            | Reply::PullRefused { .. }
            | Reply::PushRefused { .. }
            | Reply::Interrupted { .. }) => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

/// One client reads a long log from its beginning.
async fn read(config: &BackendConfig) -> Outcome<()> {
    const EVENTS: usize = 100_000;
    let backend = Backend::open(config)?;
    let log = backend.log(&"long".parse()?, LogSettings::default());
    let load = Load {
        batch: 100,
        in_flight: 32,
        pushes: EVENTS / 100,
    };
    pushes(log.connect(Rights::ReadWrite).await?, load).await?;
    let mut client = log.connect(Rights::ReadOnly).await?;
    let begin = Instant::now();
    let mut events = 0;
    client.pull(RequestId(0), None, PullKind::Finite);
    loop {
        match client.next().await? {
            Reply::Page { request, page } => {
                events += page.events().len();
                client.ack(request);
            }
            Reply::Ended { .. } => break,
            other @ (Reply::Pushed { .. }
            | Reply::PullRefused { .. }
            | Reply::PushRefused { .. }
            | Reply::Interrupted { .. }) => return Err(format!("{other:?}").into()),
        }
    }
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    println!("read: {rate:.0} events/s");
    backend.shutdown().await;
    Ok(())
}

/// A chat message.
fn event(seq: u64) -> Event {
    Event {
        seq: SeqNum::new(seq),
        parent: SeqNum::new(seq - 1),
        name: "v1.ChatMessageSent".into(),
        args: format!(
            r#"{{"id":"m{seq}","text":"{}","role":"user"}}"#,
            "x".repeat(100)
        )
        .into(),
        client_id: "alice".into(),
        session_id: "static".into(),
        created_at: None,
    }
}
