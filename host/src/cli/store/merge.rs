//! Bringing a log to where a file is: what is there already must be the file's own beginning, and only what is missing is
//! appended. Nothing is written before the whole log was compared; whatever happens after that, running it again goes on.

use std::sync::Arc;

use anyhow::bail;
use tokio::time::sleep;

use crate::cli::log_file::same_event;
use crate::cli::peer::{Extent, Peer, Pushed};
use crate::cli::progress::Progress;
use crate::cli::store::upcoming::Upcoming;
use crate::event::Event;

/// Pushes in a row without one more event in the log, before the backend is believed to refuse them.
const FAILURES_MAX: u32 = 5;

/// Characters of an event's arguments in a message.
const ARGS_SHOWN: usize = 200;

/// A log on its way to a file's end.
pub(super) struct Merge<'a> {
    peer: &'a mut Peer,
    file: &'a mut Upcoming,
    /// Events that were appended; none as long as the log is only looked at.
    appended: Option<u64>,
    /// Pushes in a row that brought the log no further.
    failures: u32,
    last_failure: Arc<str>,
}

impl<'a> Merge<'a> {
    /// Of the log that `peer` reads from the place before the file's first event.
    pub(super) fn new(peer: &'a mut Peer, file: &'a mut Upcoming) -> Self {
        Self {
            peer,
            file,
            appended: None,
            failures: 0,
            last_failure: "".into(),
        }
    }

    /// Compares the log to its end. Answers how many events of the file it has that were not compared before.
    ///
    /// # Errors
    /// The log has another event in a place of the file's, or events past its end.
    pub(super) async fn compare(&mut self) -> anyhow::Result<u64> {
        let mut present = 0;
        while let Some(events) = self.peer.next(Extent::End).await? {
            for theirs in &events {
                match self.file.take().await? {
                    Some(ours) if same_event(&ours, theirs) => present += 1,
                    Some(ours) => bail!("{}", self.fork(&ours, theirs)),
                    None => bail!("{}", self.longer(theirs)),
                }
            }
        }
        Ok(present)
    }

    /// Appends what the log lacks, after [`Merge::compare`]. Answers how many events were appended.
    ///
    /// # Errors
    /// As there, or the backend refuses the events.
    pub(super) async fn append(&mut self, progress: &mut Progress) -> anyhow::Result<u64> {
        loop {
            self.appended.get_or_insert(0);
            if self.push_on(progress).await? {
                return Ok(self.appended.unwrap_or_default());
            }
            self.failures += 1;
            if self.failures >= FAILURES_MAX {
                bail!(
                    "store {}: the events after {} were refused {FAILURES_MAX} times: {}{}",
                    self.peer.target().store(),
                    self.peer.head(),
                    self.last_failure,
                    self.so_far()
                );
            }
            let wait = self
                .peer
                .target()
                .timing()
                .push
                .delay(self.failures, fastrand::u64(..));
            sleep(wait).await;
            // What an unclear push has left there is ours.
            let landed = self.compare().await?;
            self.count(landed, progress);
        }
    }

    /// Pushes until the file's end; false if the log must be looked at first, because somebody else wrote or because it
    /// is not clear what landed.
    async fn push_on(&mut self, progress: &mut Progress) -> anyhow::Result<bool> {
        let events_max = self.peer.target().push_events_max();
        loop {
            let events = self.file.next_push(events_max).await?;
            let count = events.len();
            if count == 0 {
                return Ok(true);
            }
            match self.peer.push(events).await? {
                Pushed::Accepted => {
                    self.file.pass(count);
                    self.count(count as u64, progress);
                }
                Pushed::Behind { head } => {
                    self.last_failure =
                        format!("its backend admits pushes after {head} only").into();
                    return Ok(false);
                }
                Pushed::Unclear(error) => {
                    self.last_failure = error;
                    return Ok(false);
                }
            }
        }
    }

    fn count(&mut self, events: u64, progress: &mut Progress) {
        if events > 0 {
            self.failures = 0;
        }
        self.appended = self.appended.map(|appended| appended + events);
        progress.advance(events);
    }

    fn fork(&self, ours: &Event, theirs: &Event) -> String {
        format!(
            "store {}: event {} is another one there than in the file{}\n  there:       {}\n  in the file: {}",
            self.peer.target().store(),
            theirs.seq,
            self.so_far(),
            shown(theirs),
            shown(ours)
        )
    }

    fn longer(&self, theirs: &Event) -> String {
        format!(
            "store {}: its log has all events of the file, and goes on after them with event {}{}\n  there: {}",
            self.peer.target().store(),
            theirs.seq,
            self.so_far(),
            shown(theirs)
        )
    }

    /// What has been done when it has to end.
    fn so_far(&self) -> String {
        match self.appended {
            None | Some(0) => "; nothing was written".to_owned(),
            Some(appended) => format!("; {appended} events were appended before"),
        }
    }
}

/// An event in a message: as JSON, so that nothing in it reaches a terminal as it is.
fn shown(event: &Event) -> String {
    let mut args: String = event.args.chars().take(ARGS_SHOWN).collect();
    if args.len() < event.args.len() {
        args.push('…');
    }
    format!(
        "{:?} by {:?}/{:?} {args}",
        event.name, event.client_id, event.session_id
    )
}
