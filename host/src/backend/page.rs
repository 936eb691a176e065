//! What one chunk of a pull carries. A live page is made once and shared by every client that follows.

use std::sync::{Arc, OnceLock};

use crate::backend::wire;
use crate::event::{Event, SeqNum};
use crate::id::BackendId;

/// Events of one pull, in an unbroken chain; none if there are none to tell of.
#[derive(Debug)]
pub struct Page {
    events: Vec<Event>,
    /// Events behind it that were known when it was read.
    more: usize,
    backend_id: BackendId,
    /// Encoded when the first socket needs it.
    body: OnceLock<String>,
}

impl Page {
    pub(super) fn new(events: Vec<Event>, more: usize, backend_id: BackendId) -> Self {
        Self {
            events,
            more,
            backend_id,
            body: OnceLock::new(),
        }
    }

    /// The live pages of events that were just appended.
    pub(super) fn split(events: Vec<Event>, backend_id: &BackendId) -> Vec<Arc<Self>> {
        let mut pages = Vec::new();
        let mut page = Vec::new();
        let mut size = PageSize::empty(backend_id);
        let mut finish = |page: Vec<Event>| {
            pages.push(Arc::new(Self::new(page, 0, backend_id.clone())));
        };
        for event in events {
            if !size.add(&event) {
                finish(std::mem::take(&mut page));
                size = PageSize::empty(backend_id);
                size.add(&event);
            }
            page.push(event);
        }
        if !page.is_empty() {
            finish(page);
        }
        pages
    }

    /// The events, in the order of the log.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The identity of the log.
    pub fn backend_id(&self) -> &BackendId {
        &self.backend_id
    }

    /// The place of the last event.
    pub(super) fn last(&self) -> Option<SeqNum> {
        self.events.last().map(|event| event.seq)
    }

    /// The same without what lies at or before `after`.
    pub(super) fn after(self: &Arc<Self>, after: SeqNum) -> Arc<Self> {
        if self.events.first().is_none_or(|event| event.seq > after) {
            return Arc::clone(self);
        }
        let events = self.events.iter().filter(|event| event.seq > after);
        let events = events.cloned().collect();
        Arc::new(Self::new(events, self.more, self.backend_id.clone()))
    }

    /// Bytes that it holds in memory, near enough for a limit. Encoded, it holds about as much again.
    pub(super) fn size_bytes(&self) -> usize {
        2 * self.events.iter().map(Event::size_bytes).sum::<usize>()
    }

    /// As it stands in a frame.
    pub(super) fn body(&self) -> &str {
        self.body
            .get_or_init(|| wire::page_body(&self.events, self.more, self.backend_id.as_str()))
    }
}

/// How much of a page is used. Measured as the original measures it, so that pages end where its pages end.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize {
    events: usize,
    bytes: usize,
}

impl PageSize {
    /// Events in a page: the original's limit.
    pub(super) const EVENTS_MAX: usize = 100;

    /// Bytes of an encoded page: the original's limit, below the frames of 1 MiB that its platform once allowed.
    pub(super) const BYTES_MAX: usize = 900_000;

    pub(super) fn empty(backend_id: &BackendId) -> Self {
        Self {
            events: 0,
            bytes: wire::page_envelope_bytes(backend_id.as_str()),
        }
    }

    /// Takes the event in if there is room for it.
    pub(super) fn add(&mut self, event: &Event) -> bool {
        let bytes = self.bytes + wire::page_event_bytes(event);
        let fits = self.events < Self::EVENTS_MAX && bytes <= Self::BYTES_MAX;
        if fits {
            self.events += 1;
            self.bytes = bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::event;

    #[test]
    fn pages_end_at_a_hundred_events_or_at_their_size() {
        let id = BackendId::new("id");
        let small = (1..=250).map(|seq| event(seq, "a")).collect();
        let counts: Vec<usize> = Page::split(small, &id)
            .iter()
            .map(|page| page.events().len())
            .collect();
        assert_eq!(counts, [100, 100, 50]);

        let large = (1..=5).map(|seq| {
            let mut event = event(seq, "a");
            event.args = format!("\"{}\"", "x".repeat(400_000)).into();
            event
        });
        let pages = Page::split(large.collect(), &id);
        let counts: Vec<usize> = pages.iter().map(|page| page.events().len()).collect();
        assert_eq!(counts, [2, 2, 1]);
        assert!(
            pages
                .iter()
                .all(|page| page.body().len() <= PageSize::BYTES_MAX)
        );
    }

    #[test]
    fn what_a_client_has_is_left_out() {
        let id = BackendId::new("id");
        let page = Arc::new(Page::new(
            (4..=6).map(|seq| event(seq, "a")).collect(),
            0,
            id,
        ));
        let seqs = |page: &Page| -> Vec<u64> {
            let seqs = page.events().iter().map(|event| event.seq.get());
            seqs.collect()
        };
        assert!(Arc::ptr_eq(&page.after(SeqNum::new(3)), &page));
        assert_eq!(seqs(&page.after(SeqNum::new(5))), [6]);
        assert!(seqs(&page.after(SeqNum::new(6))).is_empty());
    }
}
