//! What the machine itself can do, measured in the same run: syncs of the disk, a round trip over the loopback
//! interface, and how fast the load's own client is against a server that says yes to everything.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::connection::word_after;
use super::latency::percentile;
use crate::paths;

/// What is appended before each sync: a page of SQLite's.
const APPEND_BYTES: usize = 4096;

/// What goes there and back: about the size of a push with one small event.
const ECHO_BYTES: usize = 300;

/// Appends of 4 KiB in a second, each synced to the disk that the logs are on.
pub(super) fn syncs_per_second(time: Duration) -> Result<f64> {
    let folder = paths::temporary_on_disk()?;
    let mut file = File::create(folder.path().join("floor"))?;
    let begin = Instant::now();
    let mut count = 0_u32;
    while begin.elapsed() < time {
        file.write_all(&[0x5a; APPEND_BYTES])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

/// The median time of such an append and sync when there is one now and then, as for the latencies: a disk and a processor
/// that have gone to rest in between take longer than busy ones.
pub(super) fn gentle_sync(rate: u32, time: Duration) -> Result<Duration> {
    let folder = paths::temporary_on_disk()?;
    let mut file = File::create(folder.path().join("floor"))?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < time {
        thread::sleep(Duration::from_secs(1) / rate);
        let written = Instant::now();
        file.write_all(&[0x5a; APPEND_BYTES])?;
        file.sync_data()?;
        times.push(written.elapsed());
    }
    times.sort_unstable();
    Ok(percentile(&times, 50))
}

/// The median time of a round trip to another thread over TCP.
pub(super) fn loopback_round_trip(time: Duration) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; ECHO_BYTES];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut bytes = [0; ECHO_BYTES];
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let sent = Instant::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        times.push(sent.elapsed());
    }
    drop(stream);
    echo.join().map_err(|_| anyhow!("the echo panicked"))??;
    times.sort_unstable();
    Ok(percentile(&times, 50))
}

/// A server that admits every push unseen, on a thread of its own, for one connection; returns its address.
pub(super) fn yes_server() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("ws://{}", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    // It ends with its connection; nobody waits for it.
    thread::spawn(move || runtime.block_on(say_yes(listener)));
    Ok(url)
}

async fn say_yes(listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(frame) = message? else {
            continue;
        };
        let Some(id) = word_after(&frame, r#""id":""#) else {
            continue;
        };
        if frame.contains("SyncWsRpc.Pull") {
            let page = format!(
                r#"{{"_tag":"Chunk","requestId":"{id}","values":[{{"batch":[],"pageInfo":{{"_tag":"NoMore"}},"backendId":"yes"}}]}}"#
            );
            socket.send(Message::text(page)).await?;
        }
        let exit = format!(
            r#"{{"_tag":"Exit","requestId":"{id}","exit":{{"_tag":"Success","value":{{}}}}}}"#
        );
        socket.send(Message::text(exit)).await?;
    }
    Ok(())
}
