//! How long a push takes to reach another client, and to be acked, at a rate that troubles nobody.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{try_join, try_join_all};

use super::connection::{Connection, Heard, numbers_after};
use super::load;
use super::subject::Subject;

/// Times in ascending order.
pub(super) struct Latencies {
    /// From a push to its event at another connection's live pull.
    pub(super) to_reader: Vec<Duration>,
    /// From a push to its ack.
    pub(super) to_ack: Vec<Duration>,
}

/// In each store one client writes events, one at a time and evenly over `time`, and another follows; all together
/// write `rate` events a second.
pub(super) async fn latencies(
    subject: &Subject,
    stores: usize,
    rate: u32,
    time: Duration,
) -> Result<Latencies> {
    let url = subject.url();
    let writers = load::writers(&url, stores).await?;
    let mut readers = load::writers(&url, stores).await?;
    for reader in &mut readers {
        let request = reader.pull(true).await?;
        // The empty first page: from here on it is live.
        let Heard::Page { .. } = reader.next().await? else {
            bail!("a live pull ended");
        };
        reader.ack(request).await?;
    }
    let period = Duration::from_secs(1) * u32::try_from(stores)? / rate;
    let count = u64::try_from(time.as_nanos() / period.as_nanos())?.max(1);
    let begin = Instant::now();
    let pairs = writers.into_iter().zip(readers).enumerate();
    let pairs = pairs.map(async |(number, (writer, reader))| {
        // Spread, so that the stores do not speak all at the same moment.
        let first = begin + period * u32::try_from(number)? / u32::try_from(stores)?;
        try_join(write(writer, first, period, count), read(reader, count)).await
    });
    let mut all = Latencies {
        to_reader: Vec::new(),
        to_ack: Vec::new(),
    };
    for (written, heard) in try_join_all(pairs).await? {
        for (number, (sent, acked)) in written.iter().enumerate() {
            all.to_ack.push(*acked - *sent);
            all.to_reader.push(heard[number] - *sent);
        }
    }
    all.to_reader.sort_unstable();
    all.to_ack.sort_unstable();
    Ok(all)
}

/// When each push left, and when its ack came.
async fn write(
    mut writer: Connection,
    first: Instant,
    period: Duration,
    count: u64,
) -> Result<Vec<(Instant, Instant)>> {
    let mut times = Vec::new();
    for number in 0..count {
        let due = first + period * u32::try_from(number)?;
        tokio::time::sleep_until(due.into()).await;
        let sent = Instant::now();
        let request = writer.push(1).await?;
        writer.flush().await?;
        match writer.next().await? {
            Heard::Done { request: ended } => ensure!(ended == request, "another ack"),
            Heard::Page { text, .. } => bail!("a page that nobody pulled: {text}"),
        }
        times.push((sent, Instant::now()));
    }
    Ok(times)
}

/// When each event came first. Broadcasts of the original may come twice or overtake each other.
async fn read(mut reader: Connection, count: u64) -> Result<Vec<Instant>> {
    let mut heard = vec![None; usize::try_from(count)?];
    while heard.contains(&None) {
        let Heard::Page { request, text } = reader.next().await? else {
            bail!("a live pull ended");
        };
        let now = Instant::now();
        reader.ack(request).await?;
        for seq in numbers_after(&text, r#""seqNum":"#) {
            let place = usize::try_from(seq)?.checked_sub(1);
            let place = place.and_then(|place| heard.get_mut(place));
            place
                .with_context(|| format!("event {seq} of {count}"))?
                .get_or_insert(now);
        }
    }
    Ok(heard.into_iter().flatten().collect())
}

/// The time that `percent` of them did not exceed.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let place = (sorted.len() * percent / 100).min(last);
    sorted.get(place).copied().unwrap_or_default()
}
