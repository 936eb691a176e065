//! What waits for one client: pages and answers, in the order in which they are to be sent, bounded in number and in
//! bytes. Who puts something in never waits; a client that lets too much pile up loses its connection.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::backend::error::Lost;
use crate::backend::page::Page;
use crate::backend::reader::PageRead;
use crate::backend::wire::Refusal;
use crate::store::RequestId;

/// Messages that may wait. Live pages of a busy log hold many events each.
const MESSAGES_MAX: usize = 1024;

/// Bytes that may wait: seconds of a busy log for a client on a slow line. A page alone is at most about 2 MB here.
const BYTES_MAX: usize = 8 << 20;

/// Something for a client.
#[derive(Debug)]
pub(super) enum Delivery {
    /// Events that were just appended.
    Live(Arc<Page>),
    /// The page that one of its pulls asked for.
    Read(RequestId, PageRead),
    /// The answer to a push.
    Pushed(RequestId, Result<(), Refusal>),
    /// Nothing: it wakes a client whose connection was ended.
    Ended,
}

/// The side of those who have something for the client.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    queue: mpsc::Sender<Delivery>,
    state: Arc<State>,
}

/// The client's own side.
#[derive(Debug)]
pub(super) struct FeedQueue {
    queue: mpsc::Receiver<Delivery>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of pages that wait.
    bytes: AtomicUsize,
    /// Whether it wants to be told of what is appended.
    follows: AtomicBool,
    /// Set once, by whoever ends it.
    lost: OnceLock<Lost>,
}

/// A feed and its two sides.
pub(super) fn feed() -> (Feed, FeedQueue) {
    let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
    let state = Arc::new(State::default());
    let feed = Feed {
        queue: sender,
        state: Arc::clone(&state),
    };
    let queue = FeedQueue {
        queue: receiver,
        state,
    };
    (feed, queue)
}

impl Feed {
    /// Whether the client is still there and worth telling.
    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_closed() && self.state.lost.get().is_none()
    }

    /// Hands over a page that was just appended, if the client follows.
    pub(super) fn tell(&self, page: &Arc<Page>) {
        if self.state.follows.load(Ordering::Acquire) {
            self.put(Delivery::Live(Arc::clone(page)));
        }
    }

    /// Hands over the answer to something that the client asked for.
    pub(super) fn put(&self, delivery: Delivery) {
        if !self.is_open() {
            return;
        }
        let bytes = delivery.size_bytes();
        let waiting = self.state.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        // One delivery alone always goes through: what it may have is bounded elsewhere.
        let fits = waiting <= BYTES_MAX || waiting == bytes;
        if !fits || self.queue.try_send(delivery).is_err() {
            self.end(Lost::SlowReader {
                bytes_max: BYTES_MAX,
                messages_max: MESSAGES_MAX,
            });
        }
    }

    /// Ends the client's connection; what waits for it is not delivered.
    pub(super) fn end(&self, lost: Lost) {
        // Only the first reason counts.
        self.state.lost.set(lost).ok();
        // Wakes the client, which may be waiting; if the queue is full, it has something to wake for.
        self.queue.try_send(Delivery::Ended).ok();
    }

    /// Says whether the client wants to be told of what is appended from now on.
    pub(super) fn follow(&self, follows: bool) {
        self.state.follows.store(follows, Ordering::Release);
    }
}

impl FeedQueue {
    /// The next delivery; once it is lost, why, however often it is asked. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Delivery, Lost> {
        // Whoever ends it says so before it wakes us, so nothing is missed between the two looks.
        self.still_there()?;
        let delivery = self.queue.recv().await;
        self.still_there()?;
        // The client itself holds a feed, so the queue does not end before it.
        let delivery = delivery.ok_or(Lost::Shutdown)?;
        self.state
            .bytes
            .fetch_sub(delivery.size_bytes(), Ordering::AcqRel);
        Ok(delivery)
    }

    fn still_there(&self) -> Result<(), Lost> {
        self.state.lost.get().cloned().map_or(Ok(()), Err)
    }
}

impl Delivery {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Live(page) => page.size_bytes(),
            Self::Read(_, read) => read.as_ref().map_or(0, |read| read.page.size_bytes()),
            Self::Pushed(..) | Self::Ended => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{event, runtime};
    use crate::id::BackendId;

    fn page(bytes: usize) -> Arc<Page> {
        let mut event = event(1, "a");
        event.args = "x".repeat(bytes).into();
        Arc::new(Page::new(vec![event], 0, BackendId::new("id")))
    }

    #[test]
    fn a_client_that_takes_nothing_is_ended_before_much_piles_up() {
        runtime().block_on(async {
            let (feed, mut queue) = feed();
            feed.follow(true);
            let large = page(1 << 20);
            let mut told = 0;
            while feed.is_open() {
                feed.tell(&large);
                told += 1;
                assert!(told < 16, "it goes on for ever");
            }
            assert!(told > 2);
            // More often than there are messages in the queue.
            for _ in 0..=told {
                assert!(matches!(queue.next().await, Err(Lost::SlowReader { .. })));
            }
        });
    }

    #[test]
    fn what_was_taken_makes_room_again() {
        runtime().block_on(async {
            let (feed, mut queue) = feed();
            feed.follow(true);
            for _ in 0..100 {
                feed.tell(&page(1 << 20));
                assert!(matches!(queue.next().await, Ok(Delivery::Live(_))));
            }
        });
    }

    #[test]
    fn many_small_messages_are_bounded_too() {
        let (feed, _queue) = feed();
        for number in 0..=MESSAGES_MAX as u64 {
            assert!(feed.is_open());
            feed.put(Delivery::Pushed(RequestId(number), Ok(())));
        }
        assert!(!feed.is_open());
    }

    #[test]
    fn who_does_not_follow_is_not_told() {
        runtime().block_on(async {
            let (feed, mut queue) = feed();
            feed.tell(&page(10));
            feed.put(Delivery::Pushed(RequestId(7), Ok(())));
            assert!(matches!(queue.next().await, Ok(Delivery::Pushed(..))));
        });
    }
}
