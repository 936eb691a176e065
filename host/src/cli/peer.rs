//! One store's log as the commands see it: read in order from any place to its end or for ever, and appended to. It
//! connects again by itself when a connection is lost; what a push without an answer means is for its caller to find
//! out, by reading on. It never writes what it was not told to, and believes no head but one that was shown to it.

mod chain;
mod line;
mod link;
mod pass;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::event::{Event, SeqNum};
use crate::id::BackendId;
use crate::store::{PullKind, PushAnswer, RequestId};
use chain::Chain;
use line::Line;
use link::Said;

pub(super) use target::{Intent, Target};

/// Whole pulls that bring nothing after the head although later events are known, before the gap is believed.
const GAP_PULLS_MAX: u32 = 3;

/// A first step of the search for the log's end: as much as one page holds.
const PAGE_EVENTS: u64 = 100;

/// How far to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// To the end that the log has now.
    End,
    /// Past the end: wait for what comes.
    Live,
}

/// What became of a push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The events are in the log, at the places they had.
    Accepted,
    /// Others wrote first: the log is further than its events that were read.
    Behind {
        /// Where the backend says that the log ends.
        head: SeqNum,
    },
    /// It may have landed or not: read on and look.
    Unclear(Arc<str>),
}

/// An open log.
pub(super) struct Peer {
    line: Line,
    backend_id: Option<BackendId>,
    chain: Chain,
    /// Whether the log has shown the event at the head, so that it must be there again after a reconnect.
    head_shown: bool,
    /// The finite pull that goes on.
    check: Option<Check>,
    /// A live pull goes on.
    live: bool,
    /// Finite pulls in a row that left a gap open.
    gap_pulls: u32,
}

/// A finite pull.
struct Check {
    request: RequestId,
    /// The event that it must show.
    wanted: Option<SeqNum>,
}

impl Peer {
    /// Connects, and learns which log it is.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub(super) async fn open(target: Target) -> anyhow::Result<Self> {
        let mut peer = Self {
            line: Line::open(target).await?,
            backend_id: None,
            chain: Chain::default(),
            head_shown: false,
            check: None,
            live: false,
            gap_pulls: 0,
        };
        peer.probe(SeqNum::ROOT).await?;
        Ok(peer)
    }

    /// The store.
    pub(super) fn target(&self) -> &Target {
        self.line.target()
    }

    /// The last event that was read, or that was accepted from us.
    pub(super) fn head(&self) -> SeqNum {
        self.chain.head()
    }

    /// Goes on connecting as long as it takes: for a command without an end of its own.
    pub(super) fn never_give_up(&mut self) {
        self.line.never_give_up();
    }

    /// Reads on with the event after `after`.
    pub(super) async fn seek(&mut self, after: SeqNum) {
        self.end_check().await;
        self.chain = Chain::after(after);
        self.head_shown = false;
        self.gap_pulls = 0;
    }

    /// The place of the log's last event, without reading the log: no message tells it, but a cursor past the end is
    /// answered with an empty page. Takes about twice the logarithm of the log's length in short requests.
    pub(super) async fn end(&mut self) -> anyhow::Result<SeqNum> {
        let mut low = match self.probe(SeqNum::ROOT).await? {
            Some(seen) => seen.get(),
            None => return Ok(SeqNum::ROOT),
        };
        // There are events up to `low` and none after `high`.
        let (mut high, mut step) = (None, PAGE_EVENTS);
        loop {
            let after = match high {
                Some(high) if high <= low => return Ok(SeqNum::new(low)),
                Some(high) => low + (high - low) / 2,
                None => low + step,
            };
            match self.probe(SeqNum::new(after)).await? {
                Some(seen) => low = low.max(seen.get()),
                None => high = Some(after.max(low)),
            }
            step *= 2;
        }
    }

    /// The last event of the first page after `after`; none if nothing is there.
    async fn probe(&mut self, after: SeqNum) -> anyhow::Result<Option<SeqNum>> {
        self.end_check().await;
        let mut asked = None;
        loop {
            let request = match asked {
                Some(request) => request,
                None => *asked.insert(self.pull(after, PullKind::Finite).await?),
            };
            let patience = self.line.target().timing().pull_timeout;
            match self.line.hear(patience).await {
                Some(Said::Page {
                    request: of,
                    backend_id,
                    events,
                }) if of == request => {
                    self.recognize(backend_id)?;
                    self.line.link()?.interrupt(request).await;
                    return Ok(events.iter().map(|event| event.seq).max());
                }
                Some(Said::Ended { request: of }) if of == request => return Ok(None),
                Some(Said::Page { .. } | Said::Ended { .. } | Said::Pushed { .. }) => {}
                Some(Said::Refused { error, replaced }) => self.on_refused(error, replaced)?,
                Some(Said::Lost { error }) => self.lose(error),
                None => self.lose(silence(patience)),
            }
            asked = asked.filter(|_| self.line.is_open());
        }
    }

    /// The next events, in order and without a gap; with [`Extent::End`] `None` once the log was read to the end that it
    /// had when it was asked.
    ///
    /// # Errors
    /// The log contradicts itself or was replaced, or it cannot be reached any more.
    pub(super) async fn next(&mut self, extent: Extent) -> anyhow::Result<Option<Vec<Event>>> {
        loop {
            self.ask(extent).await?;
            let patience = self.patience();
            match self.line.hear(patience).await {
                Some(Said::Page {
                    request,
                    backend_id,
                    events,
                }) => {
                    let taken = self.take(request, backend_id, events).await?;
                    if !taken.is_empty() {
                        return Ok(Some(taken));
                    }
                }
                Some(Said::Ended { request }) => {
                    if self.on_end(request)? && extent == Extent::End {
                        return Ok(None);
                    }
                }
                Some(Said::Pushed { .. }) => {}
                Some(Said::Refused { error, replaced }) => self.on_refused(error, replaced)?,
                Some(Said::Lost { error }) => self.lose(error),
                None if self.check.is_some() => self.lose(silence(patience)),
                // A broadcast may have got lost.
                None => self.start_check().await?,
            }
        }
    }

    /// Appends events that follow the head, and waits for the answer.
    ///
    /// # Errors
    /// The log was replaced, or it cannot be reached any more.
    pub(super) async fn push(&mut self, events: &[Event]) -> anyhow::Result<Pushed> {
        self.end_check().await;
        self.line.connected().await?;
        let request = self.line.next_request();
        let backend_id = self.backend_id.clone().context("the log has no id")?;
        self.line.link()?.push(request, &backend_id, events).await;
        let patience = self.line.target().timing().push_timeout;
        loop {
            let error = match self.line.hear(patience).await {
                Some(Said::Pushed {
                    request: of,
                    answer,
                }) if of == request => return self.on_answer(events, answer),
                // Broadcasts to pulls that have ended: whoever reads on asks for them again.
                Some(Said::Page { .. } | Said::Ended { .. } | Said::Pushed { .. }) => continue,
                Some(Said::Refused { error, .. } | Said::Lost { error }) => error,
                None => silence(patience),
            };
            self.lose(error.clone());
            return Ok(Pushed::Unclear(error));
        }
    }

    /// Lets go of the log.
    pub(super) async fn close(self) {
        self.line.close().await;
    }

    fn on_answer(&mut self, events: &[Event], answer: PushAnswer) -> anyhow::Result<Pushed> {
        match answer {
            PushAnswer::Accepted => {
                if let Some(last) = events.last() {
                    self.chain.advance(last.seq);
                    self.head_shown = true;
                }
                self.line.is_well();
                Ok(Pushed::Accepted)
            }
            PushAnswer::ServerAhead { head } => Ok(Pushed::Behind { head }),
            PushAnswer::BackendIdMismatch { .. } => Err(self.replaced()),
            PushAnswer::Unknown { error } => Ok(Pushed::Unclear(error)),
        }
    }

    /// Sees to it that something is asked for.
    async fn ask(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.line.connected().await?;
        match extent {
            Extent::End if self.check.is_none() => self.start_check().await,
            Extent::Live if !self.live => {
                // The head must still be there; a live pull does not tell.
                self.start_check().await?;
                self.pull(self.chain.head(), PullKind::Live).await?;
                self.live = true;
                Ok(())
            }
            Extent::End | Extent::Live => Ok(()),
        }
    }

    /// How long to wait before something must be done.
    fn patience(&self) -> Duration {
        let timing = self.line.target().timing();
        match &self.check {
            Some(_) => timing.pull_timeout,
            None if self.chain.has_gap() => timing.gap_timeout,
            None => timing.check_period,
        }
    }

    /// Pulls from one event before the head, so that the backend must show that it still has the head.
    async fn start_check(&mut self) -> anyhow::Result<()> {
        let head = self.chain.head();
        let wanted = (self.head_shown && head > SeqNum::ROOT).then_some(head);
        let after = match wanted {
            Some(head) => SeqNum::new(head.get() - 1),
            None => head,
        };
        let request = self.pull(after, PullKind::Finite).await?;
        self.check = Some(Check { request, wanted });
        Ok(())
    }

    /// Gives up a reading that has not come to its end.
    async fn end_check(&mut self) {
        if let Some(check) = self.check.take()
            && let Ok(link) = self.line.link()
        {
            link.interrupt(check.request).await;
        }
    }

    async fn take(
        &mut self,
        request: RequestId,
        backend_id: BackendId,
        events: Vec<Event>,
    ) -> anyhow::Result<Vec<Event>> {
        self.recognize(backend_id)?;
        // While these are worked on, the next page may be on its way.
        self.line.link()?.ack(request).await;
        if let Some(check) = &mut self.check
            && check.request == request
        {
            let shows = |wanted: &SeqNum| events.iter().any(|event| event.seq == *wanted);
            check.wanted = check.wanted.filter(|wanted| !shows(wanted));
        }
        let taken = self.chain.offer(events);
        let taken = taken.with_context(|| format!("store {}", self.line.target().store()))?;
        if !taken.is_empty() {
            self.head_shown = true;
            self.gap_pulls = 0;
        }
        Ok(taken)
    }

    /// A finite pull has ended. Whether the log was read to its end.
    fn on_end(&mut self, request: RequestId) -> anyhow::Result<bool> {
        let Some(check) = self.check.take_if(|check| check.request == request) else {
            return Ok(false);
        };
        let store = self.line.target().store();
        if let Some(head) = check.wanted {
            bail!(
                "store {store}: its backend no longer has event {head}, which it showed before: the log was cut back"
            );
        }
        if !self.chain.has_gap() {
            return Ok(true);
        }
        self.gap_pulls += 1;
        if self.gap_pulls >= GAP_PULLS_MAX {
            bail!(
                "store {store}: its backend has nothing that follows event {}, but later events: the log has lost events \
                 in the middle",
                self.chain.head()
            );
        }
        Ok(false)
    }

    fn recognize(&mut self, backend_id: BackendId) -> anyhow::Result<()> {
        self.line.is_well();
        match &self.backend_id {
            Some(known) if *known != backend_id => Err(self.replaced()),
            Some(_) => Ok(()),
            None => {
                self.backend_id = Some(backend_id);
                Ok(())
            }
        }
    }

    fn replaced(&self) -> anyhow::Error {
        let store = self.line.target().store();
        anyhow!(
            "store {store}: its backend holds another log than a moment ago: it was wiped or replaced; start again"
        )
    }

    fn on_refused(&mut self, error: Arc<str>, replaced: bool) -> anyhow::Result<()> {
        if replaced {
            return Err(self.replaced());
        }
        self.lose(error);
        Ok(())
    }

    async fn pull(&mut self, after: SeqNum, kind: PullKind) -> anyhow::Result<RequestId> {
        self.line.connected().await?;
        let request = self.line.next_request();
        let backend_id = self.backend_id.clone();
        let link = self.line.link()?;
        link.pull(request, after, backend_id.as_ref(), kind).await;
        Ok(request)
    }

    /// Forgets the connection, and what was asked for over it. The next question opens another.
    fn lose(&mut self, error: Arc<str>) {
        self.line.lose(error);
        self.check = None;
        self.live = false;
        self.chain.forget_ahead();
    }
}

fn silence(patience: Duration) -> Arc<str> {
    format!("no answer within {patience:?}").into()
}
