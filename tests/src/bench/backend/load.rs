//! Events accepted in a second: one writer for each store, who waits for each ack or lets many pushes be in flight.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use super::connection::{Connection, Heard};
use super::subject::{Subject, store_name};
use super::usage::processor_time;

/// One way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writing {
    /// Events in one push.
    pub(super) batch: u64,
    /// Pushes in flight in each store.
    pub(super) window: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    /// Events in a second.
    pub(super) per_second: f64,
    /// Processor cores that the server used.
    pub(super) server_cores: f64,
    /// Processor cores that the clients used.
    pub(super) client_cores: f64,
}

/// Writes for `time` in each of the stores, waits for the last ack, and reads every log back: nothing may be refused,
/// lost or doubled.
pub(super) async fn accepted(
    subject: &Subject,
    stores: usize,
    writing: Writing,
    time: Duration,
) -> Result<Accepted> {
    let url = subject.url();
    let mut writers = writers(&url, stores).await?;
    let used = (subject.processor_time()?, processor_time(None)?);
    let begin = Instant::now();
    let ends = try_join_all(
        writers
            .iter_mut()
            .map(|writer| write(writer, writing, begin + time)),
    );
    let ends = ends.await?;
    let took = ends.into_iter().max().unwrap_or(begin) - begin;
    let took = took.as_secs_f64();
    let server = subject.processor_time()? - used.0;
    let client = processor_time(None)? - used.1;
    let written = writers.iter().map(Connection::head).sum::<u64>();
    let readers = readers(&url, stores).await?;
    for (writer, reader) in writers.iter().zip(readers) {
        ensure!(
            reader.head() == writer.head(),
            "{} events were acked, {} are in the log",
            writer.head(),
            reader.head()
        );
    }
    Ok(Accepted {
        per_second: written as f64 / took,
        server_cores: server.as_secs_f64() / took,
        client_cores: client.as_secs_f64() / took,
    })
}

/// A connection to each store that can push after its log, and pulls nothing.
pub(super) async fn writers(url: &str, stores: usize) -> Result<Vec<Connection>> {
    let readers = readers(url, stores).await?;
    try_join_all(readers.iter().map(|reader| reader.anew(url))).await
}

/// A connection to each store that has read the whole of its log.
pub(super) async fn readers(url: &str, stores: usize) -> Result<Vec<Connection>> {
    try_join_all((0..stores).map(async |number| {
        let mut connection = Connection::open(url, &store_name(number)).await?;
        connection.catch_up().await?;
        Ok(connection)
    }))
    .await
}

/// Writes until `end`; returns when the last ack came.
async fn write(writer: &mut Connection, writing: Writing, end: Instant) -> Result<Instant> {
    let mut in_flight = 0;
    loop {
        let now = Instant::now();
        if now < end && in_flight < writing.window {
            while in_flight < writing.window {
                writer.push(writing.batch).await?;
                in_flight += 1;
            }
            writer.flush().await?;
        }
        if in_flight == 0 {
            return Ok(now);
        }
        match writer.next().await? {
            Heard::Done { .. } => in_flight -= 1,
            Heard::Page { text, .. } => anyhow::bail!("a page that nobody pulled: {text}"),
        }
    }
}

/// Events acked in a second to one writer, whatever admits them.
pub(super) async fn written_per_second(
    writer: &mut Connection,
    writing: Writing,
    time: Duration,
) -> Result<f64> {
    let begin = Instant::now();
    let end = write(writer, writing, begin + time).await?;
    Ok(writer.head() as f64 / (end - begin).as_secs_f64())
}

/// Appends so many events to store 0.
pub(super) async fn fill(subject: &Subject, events: u64) -> Result<()> {
    let mut writer = writers(&subject.url(), 1).await?.remove(0);
    while writer.head() < events {
        writer.push(100.min(events - writer.head())).await?;
        writer.flush().await?;
        writer.next().await?;
    }
    Ok(())
}

/// Events pulled in a second by one reader of store 0, whose log has so many.
pub(super) async fn read_per_second(subject: &Subject, events: u64) -> Result<f64> {
    let mut reader = Connection::open(&subject.url(), &store_name(0)).await?;
    let begin = Instant::now();
    reader.catch_up().await?;
    let took = begin.elapsed();
    let read = reader.head();
    ensure!(
        read == events,
        "{events} events were acked, {read} are in the log"
    );
    Ok(events as f64 / took.as_secs_f64())
}
