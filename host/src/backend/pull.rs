//! One pull: from its cursor through the log page by page, and then, if it is live, along with what is appended. Pages
//! are read only as the client acks them, and what is appended meanwhile is not kept for it: it is read like the rest.
//! Only at the end of the log does it follow, so it is in order, without gaps and without doubles.

use std::sync::Arc;

use crate::backend::page::{Page, PageSize};
use crate::backend::reader::ReadPage;
use crate::event::SeqNum;
use crate::store::{PullKind, RequestId};

/// The original reads so many events at a time and cuts them into pages, so its pages end there too: 100, 100, 56.
const BLOCK_EVENTS: usize = 256;

/// A pull under way.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) request: RequestId,
    kind: PullKind,
    phase: Phase,
    /// The last event that it was given.
    after: SeqNum,
    /// The end of the log when it began; what is left is counted down to it.
    end: Option<SeqNum>,
    /// Events up to the end of the block.
    block_left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A page was asked for.
    Reading,
    /// A page is out, and others follow once it is acked.
    Paused,
    /// The last page is out; once it is acked, the pull ends.
    Ending,
    /// It is at the end of the log and follows it.
    Live,
}

/// What follows from something that happened to a pull.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// To be given to the client.
    pub(super) page: Option<Arc<Page>>,
    /// What comes next.
    pub(super) next: Next,
}

/// What a pull needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing now.
    #[default]
    Wait,
    /// The next page.
    Read,
    /// To be told of what is appended from now on, and then the next page: there may have been something in between.
    Follow,
    /// Nothing ever again.
    End,
}

impl Pull {
    /// A pull of what follows `after`; it begins with reading a page.
    pub(super) fn new(request: RequestId, after: SeqNum, kind: PullKind) -> Self {
        Self {
            request,
            kind,
            phase: Phase::Reading,
            after,
            end: None,
            block_left: BLOCK_EVENTS,
        }
    }

    /// After which event it reads on.
    pub(super) fn after(&self) -> SeqNum {
        self.after
    }

    /// Where the log ended when it began; none before its first page.
    pub(super) fn end(&self) -> Option<SeqNum> {
        self.end
    }

    /// How many events its next page may have at most.
    pub(super) fn events_max(&self) -> usize {
        self.block_left.min(PageSize::EVENTS_MAX)
    }

    /// Whether it goes along with what is appended.
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether it is about to show what was just appended, in a page that it asked for, or as soon as it is live.
    pub(super) fn is_about_to_show(&self) -> bool {
        self.kind == PullKind::Live && self.phase == Phase::Reading
    }

    /// A page was read. `follows` says whether the client has been told of everything appended since before it was
    /// asked for, up to `published`.
    pub(super) fn on_read(&mut self, read: ReadPage, follows: bool, published: SeqNum) -> Step {
        if self.phase != Phase::Reading {
            return Step::default();
        }
        let ReadPage { page, head } = read;
        let first = self.end.is_none();
        self.end.get_or_insert(head);
        self.advance(&page);
        let at_end = self.after >= head;
        let page = (first || !page.events().is_empty()).then_some(page);
        let next = match (at_end, self.kind) {
            (false, _) => {
                self.phase = Phase::Paused;
                Next::Wait
            }
            (true, PullKind::Finite) => {
                self.phase = Phase::Ending;
                Next::Wait
            }
            // It goes on reading: until it is live it lets pass what it is told.
            (true, PullKind::Live) if !follows => Next::Follow,
            (true, PullKind::Live) if published > self.after => Next::Read,
            (true, PullKind::Live) => {
                self.phase = Phase::Live;
                Next::Wait
            }
        };
        Step { page, next }
    }

    /// The client took a page.
    pub(super) fn on_ack(&mut self) -> Next {
        match self.phase {
            Phase::Paused => {
                self.phase = Phase::Reading;
                Next::Read
            }
            Phase::Ending => Next::End,
            // Acks of live pages; there is nothing to hold back.
            Phase::Reading | Phase::Live => Next::Wait,
        }
    }

    /// Events were appended.
    pub(super) fn on_live(&mut self, page: &Arc<Page>) -> Step {
        if self.phase != Phase::Live {
            return Step::default();
        }
        let page = page.after(self.after);
        let Some(first) = page.events().first() else {
            return Step::default();
        };
        if first.parent > self.after {
            self.phase = Phase::Reading;
            return Step {
                page: None,
                next: Next::Read,
            };
        }
        self.advance(&page);
        Step {
            page: Some(page),
            next: Next::Wait,
        }
    }

    fn advance(&mut self, page: &Page) {
        self.after = page.last().unwrap_or(self.after);
        self.block_left = self.block_left.saturating_sub(page.events().len());
        if self.block_left == 0 {
            self.block_left = BLOCK_EVENTS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::event;
    use crate::id::BackendId;

    const REQUEST: RequestId = RequestId(0);

    fn page(seqs: std::ops::RangeInclusive<u64>) -> Arc<Page> {
        let events = seqs.map(|seq| event(seq, "a")).collect();
        Arc::new(Page::new(events, 0, BackendId::new("id")))
    }

    fn read(seqs: std::ops::RangeInclusive<u64>, head: u64) -> ReadPage {
        ReadPage {
            page: page(seqs),
            head: SeqNum::new(head),
        }
    }

    fn nothing() -> ReadPage {
        ReadPage {
            page: Arc::new(Page::new(Vec::new(), 0, BackendId::new("id"))),
            head: SeqNum::ROOT,
        }
    }

    fn given(step: &Step) -> Option<(u64, u64)> {
        let events = step.page.as_ref()?.events();
        Some((events.first()?.seq.get(), events.last()?.seq.get()))
    }

    #[test]
    fn a_finite_pull_waits_for_each_ack_and_ends_after_the_last() {
        let mut pull = Pull::new(REQUEST, SeqNum::ROOT, PullKind::Finite);
        let step = pull.on_read(read(1..=100, 150), false, SeqNum::ROOT);
        assert_eq!((given(&step), step.next), (Some((1, 100)), Next::Wait));
        assert_eq!(pull.on_ack(), Next::Read);
        let step = pull.on_read(read(101..=150, 150), false, SeqNum::ROOT);
        assert_eq!((given(&step), step.next), (Some((101, 150)), Next::Wait));
        assert_eq!(pull.on_ack(), Next::End);
    }

    #[test]
    fn pages_end_where_the_original_ends_them() {
        let mut pull = Pull::new(REQUEST, SeqNum::ROOT, PullKind::Finite);
        let mut sizes = Vec::new();
        let mut next = 1;
        while sizes.len() < 6 {
            let events = pull.events_max() as u64;
            sizes.push(events);
            pull.on_read(read(next..=next + events - 1, 1000), false, SeqNum::ROOT);
            assert_eq!(pull.on_ack(), Next::Read);
            next += events;
        }
        assert_eq!(sizes, [100, 100, 56, 100, 100, 56]);
    }

    #[test]
    fn a_live_pull_looks_once_more_after_it_began_to_follow() {
        let mut pull = Pull::new(REQUEST, SeqNum::ROOT, PullKind::Live);
        let step = pull.on_read(read(1..=3, 3), false, SeqNum::ROOT);
        assert_eq!((given(&step), step.next), (Some((1, 3)), Next::Follow));
        assert!(pull.is_about_to_show());
        // 4 was appended in between; nobody told it.
        let step = pull.on_read(read(4..=4, 4), true, SeqNum::ROOT);
        assert_eq!((given(&step), step.next), (Some((4, 4)), Next::Wait));
        assert!(pull.is_live() && !pull.is_about_to_show());
        assert_eq!(given(&pull.on_live(&page(5..=6))), Some((5, 6)));
        assert_eq!(
            given(&pull.on_live(&page(5..=7))),
            Some((7, 7)),
            "no event comes twice"
        );
    }

    #[test]
    fn what_was_told_while_a_page_was_read_is_read_too() {
        let mut pull = Pull::new(REQUEST, SeqNum::ROOT, PullKind::Live);
        let step = pull.on_live(&page(1..=1));
        assert_eq!((given(&step), step.next), (None, Next::Wait));
        // The page was read before 1 was appended, and arrives after it was told.
        let step = pull.on_read(nothing(), true, SeqNum::new(1));
        assert_eq!(step.next, Next::Read);
        let step = pull.on_read(read(1..=1, 1), true, SeqNum::new(1));
        assert_eq!(given(&step), Some((1, 1)));
        assert!(pull.is_live());
    }

    #[test]
    fn a_live_pull_that_misses_something_reads_again() {
        let mut pull = Pull::new(REQUEST, SeqNum::ROOT, PullKind::Live);
        pull.on_read(read(1..=1, 1), true, SeqNum::ROOT);
        let step = pull.on_live(&page(3..=3));
        assert_eq!((given(&step), step.next), (None, Next::Read));
        let step = pull.on_read(read(2..=3, 3), true, SeqNum::new(3));
        assert_eq!(given(&step), Some((2, 3)));
        assert!(pull.is_live());
    }

    #[test]
    fn an_empty_log_gives_one_empty_page() {
        for kind in [PullKind::Finite, PullKind::Live] {
            let mut pull = Pull::new(REQUEST, SeqNum::ROOT, kind);
            let step = pull.on_read(nothing(), false, SeqNum::ROOT);
            assert!(step.page.is_some_and(|page| page.events().is_empty()));
            if kind == PullKind::Live {
                let step = pull.on_read(nothing(), true, SeqNum::ROOT);
                assert!(step.page.is_none() && pull.is_live());
            }
        }
    }
}
