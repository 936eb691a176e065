//! A file's events in order, as far ahead as they are needed: a thread reads the file and waits when it is ahead.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::log_file::{Follows, PAGE_BYTES_MAX, check_event, encoded_bytes, read};
use crate::event::{Event, SeqNum};

/// Events that are handed over at once: what the largest push takes.
const BATCH_EVENTS: usize = 100;

/// Batches that may wait; the thread reads on meanwhile.
const BATCHES_AHEAD: usize = 2;

/// What a file holds, known once all of it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// The store that was exported, as the file spells it.
    pub(super) store_id: String,
    /// How many events it has.
    pub(super) events: u64,
    /// The place before its first event; none if it has no event.
    pub(super) parent: Option<SeqNum>,
}

/// Reads all of a file, and checks every event.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn survey(path: &Path) -> anyhow::Result<Summary> {
    let (mut follows, mut parent) = (Follows::default(), None);
    let header = read(BufReader::new(open(path)?), |event| {
        follows.take(&event)?;
        check_event(&event)?;
        parent.get_or_insert(event.parent);
        Ok(())
    });
    let header = header.map_err(|error| told(path, &error))?;
    Ok(Summary {
        store_id: header.store_id,
        events: header.events,
        parent,
    })
}

/// The events that were not taken yet.
pub(super) struct Upcoming {
    path: PathBuf,
    batches: mpsc::Receiver<Vec<Event>>,
    /// Read, and not taken.
    ready: VecDeque<Event>,
    /// The one thread that reads. It ends by itself when nobody waits for its batches any more.
    reader: JoinSet<Result<(), serde_json::Error>>,
}

impl Upcoming {
    /// Begins to read a file that [`survey`] has found to be good.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = BufReader::new(open(path)?);
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let mut reader = JoinSet::new();
        reader.spawn_blocking(move || send_all(file, &sender));
        Ok(Self {
            path: path.to_owned(),
            batches,
            ready: VecDeque::new(),
            reader,
        })
    }

    /// Takes the next event; none at the end.
    ///
    /// # Errors
    /// The file is not what it was any more; so below.
    pub(super) async fn take(&mut self) -> anyhow::Result<Option<Event>> {
        self.fill(1).await?;
        Ok(self.ready.pop_front())
    }

    /// The next events, as many as one push takes, without taking them.
    pub(super) async fn next_push(&mut self, events_max: usize) -> anyhow::Result<&[Event]> {
        self.fill(events_max).await?;
        let ready = self.ready.make_contiguous();
        let mut bytes = 0;
        let whole = ready.iter().take(events_max).take_while(|event| {
            bytes += encoded_bytes(event);
            bytes <= PAGE_BYTES_MAX
        });
        let count = whole.count();
        Ok(&ready[..count])
    }

    /// Takes the next `count` events, which were pushed.
    pub(super) fn pass(&mut self, count: usize) {
        self.ready.drain(..count);
    }

    /// Reads on until `count` events are ready, or to the end.
    async fn fill(&mut self, count: usize) -> anyhow::Result<()> {
        while self.ready.len() < count {
            let Some(batch) = self.batches.recv().await else {
                return self.ended().await;
            };
            self.ready.extend(batch);
        }
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        match self.reader.join_next().await {
            Some(Ok(read)) => read.map_err(|error| told(&self.path, &error)),
            Some(Err(error)) => Err(anyhow!(
                "the thread that reads {} failed: {error}",
                self.path.display()
            )),
            None => Ok(()),
        }
    }
}

fn send_all(
    file: BufReader<File>,
    batches: &mpsc::Sender<Vec<Event>>,
) -> Result<(), serde_json::Error> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut follows = Follows::default();
    let gone = |_| "nobody waits for it any more".to_owned();
    read(file, |event| {
        follows.take(&event)?;
        bytes += encoded_bytes(&event);
        batch.push(event);
        // A batch may go past the limit by its last event, which is bounded itself.
        if batch.len() == BATCH_EVENTS || bytes > PAGE_BYTES_MAX {
            bytes = 0;
            batches
                .blocking_send(std::mem::take(&mut batch))
                .map_err(gone)?;
        }
        Ok(())
    })?;
    // If nobody waits for the last ones, nobody asks what became of them.
    batches.blocking_send(batch).ok();
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        // It is looked through before anything is written, and then read again.
        return Err(anyhow!("{}: expected a regular file", path.display()));
    }
    Ok(file)
}

/// `shop.json:12:5: event number 3: …`
fn told(path: &Path, error: &serde_json::Error) -> anyhow::Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    let problem = text.strip_suffix(&place).unwrap_or(&text);
    anyhow!("{}:{line}:{column}: {problem}", path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn event(seq: u64, args: &str) -> String {
        let parent = seq - 1;
        format!(
            "{{\"name\":\"n\",\"args\":{args},\"seqNum\":{seq},\"parentSeqNum\":{parent},\"clientId\":\"c\",\"sessionId\":\"s\"}}"
        )
    }

    fn log(events: &[String]) -> String {
        format!(
            "{{\"events\":[{}],\"version\":1,\"storeId\":\"shop\"}}",
            events.join(",\n")
        )
    }

    #[test]
    fn a_good_file_is_summed_up() {
        let (_folder, path) = written(&log(&[event(4, "1"), event(5, "2")]));
        assert_eq!(
            survey(&path).unwrap(),
            Summary {
                store_id: "shop".to_owned(),
                events: 2,
                parent: Some(SeqNum::new(3)),
            }
        );
        let (_folder, path) = written(&log(&[]));
        assert_eq!(survey(&path).unwrap().parent, None);
    }

    #[test]
    fn a_broken_file_is_told_with_its_line_and_event() {
        let complaint = |text: &str| {
            let (_folder, path) = written(text);
            let error = survey(&path).unwrap_err().to_string();
            error.rsplit_once('/').unwrap().1.to_owned()
        };
        let good = event(1, "1");
        for (text, expected) in [
            (
                log(&[good.clone(), event(3, "1")]),
                "log.json:2:81: event number 2: seqNum 3 follows seqNum 1; expected 2",
            ),
            (
                log(&[good.clone(), "{\"name\":\"n\"}".to_owned()]),
                "log.json:2:12: event number 2: missing field `seqNum`",
            ),
            (log(&[event(1, "tru")]), "event number 1: expected ident"),
            (
                "[]".to_owned(),
                "log.json:1:1: invalid type: sequence, expected an exported log",
            ),
            (
                "{\"version\":2,\"storeId\":\"a\",\"events\":[]}".to_owned(),
                "version 2: this version of quartermaster reads version 1 only",
            ),
            (
                "{\"storeId\":\"a\",\"events\":[]}".to_owned(),
                "missing field `version`",
            ),
            (
                "{\"version\":1,\"events\":[]}".to_owned(),
                "missing field `storeId`",
            ),
            (
                "{\"version\":1,\"storeId\":\"a\"}".to_owned(),
                "missing field `events`",
            ),
            (
                "{\"version\":1,\"storeId\":\"a\",\"events\":[],\"events\":[]}".to_owned(),
                "duplicate field `events`",
            ),
            (
                "{\"version\":1,\"storeId\":\"a\",\"events\":[],\"eventCount\":2}".to_owned(),
                "eventCount says 2, but 0 events are there",
            ),
            (
                log(std::slice::from_ref(&good))[..80].to_owned(),
                "EOF while parsing",
            ),
            (log(&[good]) + "x", "trailing characters"),
            (String::new(), "EOF while parsing a value"),
        ] {
            let complaint = complaint(&text);
            assert!(
                complaint.contains(expected),
                "{complaint}\nlacks {expected}"
            );
        }
    }

    #[tokio::test]
    async fn pushes_are_cut_by_events_and_by_bytes() {
        let large = format!("\"{}\"", "x".repeat(400_000));
        let mut events: Vec<String> = (1..=30).map(|seq| event(seq, "{ \"a\": 1 }")).collect();
        events.extend((31..=33).map(|seq| event(seq, &large)));
        let (_folder, path) = written(&log(&events));
        let mut upcoming = Upcoming::read(&path).unwrap();
        assert_eq!(
            upcoming.take().await.unwrap().unwrap().args.as_ref(),
            "{\"a\":1}"
        );
        let mut pushes = Vec::new();
        loop {
            let count = upcoming.next_push(14).await.unwrap().len();
            if count == 0 {
                break;
            }
            upcoming.pass(count);
            pushes.push(count);
        }
        assert_eq!(pushes, [14, 14, 3, 1]);
        assert!(upcoming.take().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_file_that_changes_meanwhile_is_noticed() {
        let (_folder, path) = written(&log(&[event(1, "1"), event(3, "1")]));
        let mut upcoming = Upcoming::read(&path).unwrap();
        assert!(upcoming.take().await.is_err());
    }
}
