//! One client's calls as values: what it pulls and pushes, and what it gets. The same for the store's own actor and for
//! whoever is at the other end of a socket, so the same rules hold for both.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::backend::error::{Error, Lost};
use crate::backend::feed::{Delivery, Feed, FeedQueue};
use crate::backend::file::Identity;
use crate::backend::page::Page;
use crate::backend::pull::{Next, Pull, Step};
use crate::backend::reader::{PageRead, Read};
use crate::backend::wire::Refusal;
use crate::backend::writer::{Message, Push};
use crate::backend::{Log, PUSH_BYTES_MAX, Rights, admission};
use crate::event::{Event, SeqNum};
use crate::id::BackendId;
use crate::sqlite::Fault;
use crate::store::{PullKind, RequestId};

/// Pulls that one client may have open. LiveStore has one.
const PULLS_MAX: usize = 32;

/// Pushes of one client that may be under way before it should be listened to again.
const PUSHES_MAX: usize = 128;

/// Where a pull begins: after `seq`, in the log that the client has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The log.
    pub backend_id: String,
    /// The last event that the client has.
    pub seq: SeqNum,
}

/// What a client gets.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The next page of a pull.
    Page {
        /// The pull.
        request: RequestId,
        /// Its events.
        page: Arc<Page>,
    },
    /// A finite pull is at its end.
    Ended {
        /// The pull.
        request: RequestId,
    },
    /// A pull was refused, or cannot go on.
    PullRefused {
        /// The pull.
        request: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// A push is in the log, and as safe there as the log's durability says.
    Pushed {
        /// The push.
        request: RequestId,
    },
    /// A push was refused: nothing of it is in the log.
    PushRefused {
        /// The push.
        request: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// A pull was ended by the client.
    Interrupted {
        /// The pull.
        request: RequestId,
    },
}

/// A connection to one log. Nothing of it outlives it: a new one begins with new pulls.
#[derive(Debug)]
pub struct Client {
    log: Log,
    rights: Rights,
    identity: Identity,
    feed: Feed,
    queue: FeedQueue,
    pulls: Vec<Pull>,
    /// Whether the feed tells of what is appended.
    follows: bool,
    /// The last event that the feed has told of.
    published: SeqNum,
    /// Pushes without an answer.
    pushes: usize,
    /// Replies to be handed out.
    replies: VecDeque<Reply>,
    /// Answers to pushes whose events one of the pulls is about to show: an echo comes before its ack.
    held: Vec<Reply>,
}

impl Client {
    pub(super) fn new(
        log: Log,
        rights: Rights,
        identity: Identity,
        feed: Feed,
        queue: FeedQueue,
    ) -> Self {
        Self {
            log,
            rights,
            identity,
            feed,
            queue,
            pulls: Vec::new(),
            follows: false,
            published: SeqNum::ROOT,
            pushes: 0,
            replies: VecDeque::new(),
            held: Vec::new(),
        }
    }

    /// The identity of the log.
    pub fn backend_id(&self) -> &BackendId {
        &self.identity.backend_id
    }

    /// The last event when this client connected.
    pub fn head(&self) -> SeqNum {
        self.identity.head
    }

    /// Asks for the events after `cursor`, or for all. Each page wants an [`Client::ack`] before the next comes; live
    /// pages come without.
    pub fn pull(&mut self, request: RequestId, cursor: Option<Cursor>, kind: PullKind) {
        let expected = &self.identity.backend_id;
        let foreign = cursor
            .as_ref()
            .filter(|cursor| cursor.backend_id != expected.as_str());
        if let Some(cursor) = foreign {
            let refusal = Refusal::BackendIdMismatch {
                expected: expected.clone(),
                received: cursor.backend_id.clone(),
            };
            return self.refuse_pull(request, refusal);
        }
        self.pulls.retain(|pull| pull.request != request);
        if self.pulls.len() >= PULLS_MAX {
            let message = format!("at most {PULLS_MAX} pulls may be open on a connection");
            return self.refuse_pull(request, Refusal::unknown("TooManyPulls", message));
        }
        let after = cursor.map_or(SeqNum::ROOT, |cursor| cursor.seq);
        self.pulls.push(Pull::new(request, after, kind));
        self.go_on(self.pulls.len() - 1, Next::Read);
    }

    /// Lets the next page of a pull come. Harmless for a pull that has ended.
    pub fn ack(&mut self, request: RequestId) {
        if let Some(index) = self.position(request) {
            let next = self.pulls[index].on_ack();
            self.go_on(index, next);
        }
    }

    /// Ends a pull. A push cannot be taken back, and goes on.
    pub fn interrupt(&mut self, request: RequestId) {
        if let Some(index) = self.position(request) {
            self.remove(index);
            self.replies.push_back(Reply::Interrupted { request });
        }
    }

    /// Appends `batch` if its first parent is the head and `backend_id`, if any, is this log's. Waits while too much is
    /// under way.
    ///
    /// Not cancel-safe: whoever drops it does not know whether the batch was pushed.
    pub async fn push(
        &mut self,
        request: RequestId,
        batch: Vec<Event>,
        backend_id: Option<String>,
    ) {
        if batch.is_empty() {
            return self.replies.push_back(Reply::Pushed { request });
        }
        let refused = match self.rights {
            Rights::ReadOnly => Err(Refusal::unknown(
                "ReadOnly",
                "these credentials may read this store and not write to it".to_owned(),
            )),
            Rights::ReadWrite => admission::check_batch(&batch, &self.identity.backend_id),
        };
        if let Err(refusal) = refused {
            return self
                .replies
                .push_back(Reply::PushRefused { request, refusal });
        }
        let sent = self.send(request, batch, backend_id).await;
        match sent {
            Ok(()) => self.pushes += 1,
            Err(_) => self.feed.end(Lost::Shutdown),
        }
    }

    async fn send(
        &self,
        request: RequestId,
        batch: Vec<Event>,
        backend_id: Option<String>,
    ) -> Result<(), Error> {
        let bytes: usize = batch.iter().map(Event::size_bytes).sum();
        let bytes = u32::try_from(bytes.min(PUSH_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.log.room).acquire_many_owned(bytes).await;
        let push = Push {
            store: self.log.store.clone(),
            request,
            batch,
            backend_id,
            feed: self.feed.clone(),
            _room: room.map_err(|_| Error::Closed)?,
        };
        self.log.send(Message::Push(push)).await
    }

    /// Waits for the next reply.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// The connection is over, then and from then on.
    pub async fn next(&mut self) -> Result<Reply, Lost> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Ok(reply);
            }
            // From here to the next turn nothing awaits: what was taken from the queue is in `replies` or `held`.
            match self.queue.next().await? {
                Delivery::Live(page) => self.on_live(&page),
                Delivery::Read(request, read) => self.on_read(request, read),
                Delivery::Pushed(request, answer) => self.on_pushed(request, answer),
                Delivery::Ended => {}
            }
            if !self.pulls.iter().any(Pull::is_about_to_show) {
                self.replies.extend(self.held.drain(..));
            }
        }
    }

    /// Whether calls wait for their answers, or answers to be handed out.
    pub(super) fn is_idle(&self) -> bool {
        self.pulls.is_empty() && self.pushes == 0 && self.replies.is_empty() && self.held.is_empty()
    }

    /// Whether there is room for another call: a client that asks for much should take the answers first.
    pub(super) fn has_room(&self) -> bool {
        self.pushes < PUSHES_MAX && self.replies.len() < PULLS_MAX
    }

    fn on_live(&mut self, page: &Arc<Page>) {
        self.published = page.last().unwrap_or(self.published);
        for index in 0..self.pulls.len() {
            let step = self.pulls[index].on_live(page);
            self.step(index, step);
        }
    }

    fn on_read(&mut self, request: RequestId, read: PageRead) {
        let Some(index) = self.position(request) else {
            return;
        };
        match read {
            Ok(read) => {
                let step = self.pulls[index].on_read(read, self.follows, self.published);
                self.step(index, step);
            }
            Err(fault) => {
                self.remove(index);
                self.refuse_pull(request, unreadable(&fault));
                if matches!(
                    fault,
                    Fault::Corrupt(_) | Fault::Foreign | Fault::Newer { .. }
                ) {
                    self.log.quarantine(fault);
                }
            }
        }
    }

    fn on_pushed(&mut self, request: RequestId, answer: Result<(), Refusal>) {
        self.pushes -= 1;
        self.held.push(match answer {
            Ok(()) => Reply::Pushed { request },
            Err(refusal) => Reply::PushRefused { request, refusal },
        });
    }

    fn step(&mut self, index: usize, step: Step) {
        let Step { page, next } = step;
        if let Some(page) = page {
            let request = self.pulls[index].request;
            self.replies.push_back(Reply::Page { request, page });
        }
        self.go_on(index, next);
    }

    fn go_on(&mut self, index: usize, next: Next) {
        let request = self.pulls[index].request;
        match next {
            Next::Wait => {}
            Next::Read => self.read(index),
            Next::Follow => {
                self.set_follows(true);
                self.read(index);
            }
            Next::End => {
                self.remove(index);
                self.replies.push_back(Reply::Ended { request });
            }
        }
    }

    fn read(&mut self, index: usize) {
        let pull = &self.pulls[index];
        let read = Read {
            store: self.log.store.clone(),
            request: pull.request,
            backend_id: self.identity.backend_id.clone(),
            after: pull.after(),
            events_max: pull.events_max(),
            end: pull.end(),
            feed: self.feed.clone(),
        };
        if !self.log.read(read) {
            let request = self.pulls[index].request;
            self.remove(index);
            let message = "too many pulls are waiting for their pages; try again later".to_owned();
            self.refuse_pull(request, Refusal::unknown("Overloaded", message));
        }
    }

    fn remove(&mut self, index: usize) {
        self.pulls.remove(index);
        if !self.pulls.iter().any(Pull::is_live) {
            self.set_follows(false);
        }
    }

    fn set_follows(&mut self, follows: bool) {
        self.follows = follows;
        self.feed.follow(follows);
    }

    fn position(&self, request: RequestId) -> Option<usize> {
        self.pulls.iter().position(|pull| pull.request == request)
    }

    fn refuse_pull(&mut self, request: RequestId, refusal: Refusal) {
        self.replies
            .push_back(Reply::PullRefused { request, refusal });
    }
}

/// For clients: which event, but no path of this machine.
fn unreadable(fault: &Fault) -> Refusal {
    let message = match fault {
        Fault::Corrupt(what) => format!("the log is damaged: {what}; its operator must look"),
        Fault::Disk(reason) | Fault::Other(reason) => {
            format!("the log cannot be read at the moment: {reason}; try again later")
        }
        Fault::Newer { .. } | Fault::Foreign => {
            "the log's file was replaced by another; its operator must look".to_owned()
        }
    };
    Refusal::unknown("StorageError", message)
}
