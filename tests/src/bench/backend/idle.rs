//! The memory that an idle connection costs the server.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{Connection, Heard};
use super::subject::{Subject, store_name};

/// Connections that are opened at once.
const TOGETHER: usize = 50;

/// How far two looks at the memory may be apart to count as rest, in percent.
const REST_PERCENT: u64 = 1;

/// Looks at most; then whatever it is counts.
const LOOKS_MAX: u32 = 10;

/// Bytes for each of `connections` connections with an open live pull, spread over the stores. The first connection to
/// each store is not counted: it pays for the store. Both looks are taken after `rest` without any traffic, long enough
/// for the original's objects to hibernate.
pub(super) async fn bytes_per_connection(
    subject: &Subject,
    stores: usize,
    connections: usize,
    rest: Duration,
) -> Result<u64> {
    let (stop, stopped) = watch::channel(false);
    let mut listeners = JoinSet::new();
    open(subject, stores, 0..stores, &stopped, &mut listeners).await?;
    let before = at_rest(subject, rest).await?;
    let further = stores..stores + connections;
    open(subject, stores, further, &stopped, &mut listeners).await?;
    let after = at_rest(subject, rest).await?;
    stop.send_replace(true);
    while let Some(ended) = listeners.join_next().await {
        ended??;
    }
    Ok(after.saturating_sub(before) / connections as u64)
}

async fn open(
    subject: &Subject,
    stores: usize,
    numbers: std::ops::Range<usize>,
    stopped: &watch::Receiver<bool>,
    listeners: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let url = subject.url();
    let numbers: Vec<usize> = numbers.collect();
    for some in numbers.chunks(TOGETHER) {
        let opened = try_join_all(some.iter().map(async |number| {
            let mut connection = Connection::open(&url, &store_name(number % stores)).await?;
            connection.pull(true).await?;
            let Heard::Page { request, .. } = connection.next().await? else {
                bail!("a live pull ended");
            };
            connection.ack(request).await?;
            Ok(connection)
        }));
        for connection in opened.await? {
            listeners.spawn(listen(connection, stopped.clone()));
        }
    }
    Ok(())
}

/// Answers the server's pings until it is told to stop. Nobody writes, so nothing else may come.
async fn listen(mut connection: Connection, mut stopped: watch::Receiver<bool>) -> Result<()> {
    // Both arms are cancel-safe: a watch loses nothing, `next` says so of itself.
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
        heard = connection.next() => {
            heard?;
            bail!("an idle connection heard something")
        }
    }
}

async fn at_rest(subject: &Subject, rest: Duration) -> Result<u64> {
    let mut last = subject.resident_bytes()?;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(rest).await;
        let now = subject.resident_bytes()?;
        let rests = now.abs_diff(last) <= last * REST_PERCENT / 100;
        last = now;
        if rests {
            break;
        }
    }
    Ok(last)
}
