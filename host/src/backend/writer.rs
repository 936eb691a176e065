//! A writing thread: the only one that appends to its stores' logs. It takes all that is queued, appends each store's
//! pushes in one transaction, and after the commit tells every client that follows, then the pushers. So nobody hears of
//! an event that a crash could take back, and an echo always comes before its ack.

use std::collections::HashMap;
use std::fs::File;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::backend::append::{self, Appended};
use crate::backend::error::{Error, Lost};
use crate::backend::feed::{Delivery, Feed};
use crate::backend::file::{Identity, LogFile};
use crate::backend::page::Page;
use crate::backend::wire::Refusal;
use crate::backend::{LogSettings, path_of};
use crate::event::Event;
use crate::id::StoreId;
use crate::sqlite::Fault;
use crate::store::RequestId;

/// Requests taken at once, and so pushes in one transaction: enough to share a sync among many, few enough that the
/// first of them does not wait long.
const BATCH: usize = 256;

/// A file that was not used for so long, at least, is closed. Opening it again costs about a millisecond.
const IDLE: Duration = Duration::from_secs(2);

/// Clients of a log before those that have gone are looked for.
const FEEDS_MIN: usize = 16;

/// What the thread is sent.
#[derive(Debug)]
pub(super) enum Message {
    Attach(Attach),
    Push(Push),
    /// A reader has found the log damaged.
    Quarantine(StoreId, Fault),
    /// Serve what is queued, close everything, then answer.
    Shutdown(oneshot::Sender<()>),
}

/// A client comes.
#[derive(Debug)]
pub(super) struct Attach {
    pub(super) store: StoreId,
    pub(super) settings: LogSettings,
    pub(super) feed: Feed,
    pub(super) answer: oneshot::Sender<Result<Identity, Error>>,
}

/// A client pushes. The answer comes through its feed.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) store: StoreId,
    pub(super) request: RequestId,
    pub(super) batch: Vec<Event>,
    /// The log that the client means.
    pub(super) backend_id: Option<String>,
    pub(super) feed: Feed,
    /// The bytes of the batch, given back when it is done with.
    pub(super) _room: OwnedSemaphorePermit,
}

/// The thread's own.
pub(super) struct Writer {
    folder: PathBuf,
    open_max: usize,
    /// Held until the last writer has closed its files.
    lock: Arc<File>,
    logs: HashMap<StoreId, OpenLog>,
    /// The stores whose files are open; the least recently used first.
    open: Vec<StoreId>,
}

/// A log that somebody is connected to.
struct OpenLog {
    settings: LogSettings,
    identity: Identity,
    file: Option<LogFile>,
    used_at: Instant,
    feeds: Vec<Feed>,
    /// How many feeds there may be before those of clients that have gone are dropped.
    sweep_at: usize,
    /// Whether the last transaction failed.
    failing: bool,
    /// Set once it is known to be damaged; nothing is served from it any more.
    damaged: Option<Error>,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, open_files_max: usize, lock: Arc<File>) -> Self {
        Self {
            folder,
            open_max: open_files_max.max(1),
            lock,
            logs: HashMap::new(),
            open: Vec::new(),
        }
    }

    /// Serves until it is told to shut down, or nobody can ask any more. The runtime is only for waiting: everything
    /// else blocks this thread.
    pub(super) fn run(self, runtime: &Runtime, queue: mpsc::Receiver<Message>) {
        runtime.block_on(self.serve(queue));
    }

    async fn serve(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut shutdown = Vec::new();
        let mut tick = Instant::now() + IDLE;
        loop {
            // However busy the queue is: what nobody uses is put away in time.
            if tick <= Instant::now() {
                tick = Instant::now() + IDLE;
                self.put_away();
            }
            // Cancel-safe: what was received is in `messages`, and then it has not timed out.
            let receive = queue.recv_many(&mut messages, BATCH);
            let Ok(received) = timeout_at(tick, receive).await else {
                continue;
            };
            if received == 0 {
                break;
            }
            let mut pushes = Vec::new();
            for message in messages.drain(..) {
                match message {
                    Message::Attach(attach) => self.attach(attach),
                    Message::Push(push) => pushes.push(push),
                    Message::Quarantine(store, fault) => self.quarantine(&store, fault),
                    Message::Shutdown(answer) => {
                        queue.close();
                        shutdown.push(answer);
                    }
                }
            }
            // Stable: the pushes to one store stay in the order in which they came.
            pushes.sort_by(|one, other| one.store.cmp(&other.store));
            for pushes in pushes.chunk_by(|one, other| one.store == other.store) {
                self.append(pushes);
            }
        }
        self.close();
        for answer in shutdown {
            answer.send(()).ok();
        }
    }

    fn attach(&mut self, attach: Attach) {
        let Attach {
            store,
            settings,
            feed,
            answer,
        } = attach;
        let attached = self.log(&store, settings).map(|log| {
            if log.feeds.len() >= log.sweep_at {
                log.feeds.retain(Feed::is_open);
                log.sweep_at = FEEDS_MIN.max(2 * log.feeds.len());
            }
            log.feeds.push(feed);
            log.identity.clone()
        });
        answer.send(attached).ok();
    }

    /// The store's log, which is opened and made if need be.
    fn log(&mut self, store: &StoreId, settings: LogSettings) -> Result<&mut OpenLog, Error> {
        let known = self.logs.get(store);
        if let Some(damaged) = known.and_then(|log| log.damaged.clone()) {
            return Err(damaged);
        }
        if known.is_none_or(|log| log.settings != settings) {
            self.make_room();
            let (file, identity) = LogFile::open(&self.folder, store, &settings)?;
            self.open.retain(|open| open != store);
            self.open.push(store.clone());
            let log = OpenLog {
                settings,
                identity,
                file: Some(file),
                used_at: Instant::now(),
                feeds: Vec::new(),
                sweep_at: FEEDS_MIN,
                failing: false,
                damaged: None,
            };
            if let Some(before) = self.logs.insert(store.clone(), log) {
                let log = self.logs.get_mut(store).expect("it was just put there");
                log.feeds = before.feeds;
            }
        }
        Ok(self
            .logs
            .get_mut(store)
            .expect("it is there or was put there"))
    }

    /// Appends what is admitted of pushes to one store, and answers all of them.
    fn append(&mut self, pushes: &[Push]) {
        let store = &pushes[0].store;
        let appended = match self.ready(store) {
            Ok(log) => log.append(pushes).map_err(|fault| {
                let path = path_of(&self.folder, store);
                Error::at(&path, fault)
            }),
            Err(error) => Err(error),
        };
        match appended {
            Ok(Appended {
                answers, events, ..
            }) => {
                if let Some(log) = self.logs.get_mut(store) {
                    log.published(events);
                    if mem::take(&mut log.failing) {
                        info!(%store, "the log takes events again");
                    }
                }
                for (push, answer) in pushes.iter().zip(answers) {
                    push.feed.put(Delivery::Pushed(push.request, answer));
                }
            }
            Err(error) => self.refuse(store, pushes, error),
        }
    }

    /// The store's log with its file open.
    fn ready(&mut self, store: &StoreId) -> Result<&mut OpenLog, Error> {
        let Some(log) = self.logs.get(store) else {
            // Its clients have gone, and with them the pusher.
            return Err(Error::Closed);
        };
        if let Some(damaged) = &log.damaged {
            return Err(damaged.clone());
        }
        if log.file.is_none() {
            let settings = log.settings;
            self.make_room();
            let (file, identity) = LogFile::open(&self.folder, store, &settings)?;
            self.open.push(store.clone());
            let log = self.logs.get_mut(store).expect("it was there");
            if log.identity != identity {
                // Somebody replaced the file, or a commit that seemed to fail is there after all. Clients begin again
                // from their cursors.
                log.end(&Lost::Log("the log was opened again and is another".into()));
            }
            log.identity = identity;
            log.file = Some(file);
        }
        let log = self.logs.get_mut(store).expect("it was there");
        log.used_at = Instant::now();
        if self.open.last() != Some(store) {
            self.open.retain(|open| open != store);
            self.open.push(store.clone());
        }
        Ok(log)
    }

    /// Nothing of these pushes is in the log, as far as is known.
    fn refuse(&mut self, store: &StoreId, pushes: &[Push], error: Error) {
        self.open.retain(|open| open != store);
        if let Some(log) = self.logs.get_mut(store) {
            // What a failed disk left in its memory is not believed: the next push opens it again.
            log.file = None;
            if !mem::replace(&mut log.failing, true) {
                warn!(%store, %error, "the log takes no events; pushes are refused until it does");
            }
        }
        let refusal = Refusal::unknown("StorageError", error.for_clients());
        for push in pushes {
            push.feed
                .put(Delivery::Pushed(push.request, Err(refusal.clone())));
        }
        match error {
            Error::Corrupt { .. } | Error::Newer { .. } | Error::Foreign { .. } => {
                self.set_damaged(store, error);
            }
            Error::Locked { .. } | Error::Disk { .. } | Error::Closed | Error::Other { .. } => {}
        }
    }

    fn quarantine(&mut self, store: &StoreId, fault: Fault) {
        let error = Error::at(&path_of(&self.folder, store), fault);
        self.set_damaged(store, error);
    }

    fn set_damaged(&mut self, store: &StoreId, error: Error) {
        let Some(log) = self.logs.get_mut(store) else {
            return;
        };
        if log.damaged.is_none() {
            error!(%store, %error, "the log is damaged; nothing is served from it");
            log.end(&Lost::Log(
                format!("the log of store {store} is damaged").into(),
            ));
            log.damaged = Some(error);
        }
        log.file = None;
        self.open.retain(|open| open != store);
    }

    /// Closes the file that was not used for the longest time if as many are open as may be.
    fn make_room(&mut self) {
        if self.open.len() < self.open_max {
            return;
        }
        let store = self.open.remove(0);
        if let Some(file) = self.logs.get_mut(&store).and_then(|log| log.file.take()) {
            warn_if_failed(&store, file.put_away());
        }
    }

    /// Closes what was not used for a while, and forgets logs that nobody is connected to.
    fn put_away(&mut self) {
        let now = Instant::now();
        for (store, log) in &mut self.logs {
            log.feeds.retain(Feed::is_open);
            if now.duration_since(log.used_at) < IDLE {
                continue;
            }
            if let Some(file) = log.file.take() {
                warn_if_failed(store, file.put_away());
            }
        }
        self.logs
            .retain(|_, log| !log.feeds.is_empty() || log.file.is_some() || log.damaged.is_some());
        let logs = &self.logs;
        self.open
            .retain(|store| logs.get(store).is_some_and(|log| log.file.is_some()));
    }

    fn close(self) {
        for (store, mut log) in self.logs {
            log.end(&Lost::Shutdown);
            if let Some(file) = log.file {
                warn_if_failed(&store, file.close());
            }
        }
        drop(self.lock);
    }
}

impl OpenLog {
    fn append(&mut self, pushes: &[Push]) -> Result<Appended, Fault> {
        let file = self.file.as_ref().expect("it was made ready");
        let appended = append::transact(file, &self.identity, pushes)?;
        self.identity.head = appended.head;
        Ok(appended)
    }

    /// Tells everyone who follows of events that are in the log now.
    fn published(&mut self, events: Vec<Event>) {
        let pages = Page::split(events, &self.identity.backend_id);
        for page in &pages {
            self.feeds.iter().for_each(|feed| feed.tell(page));
        }
    }

    /// Ends every client's connection.
    fn end(&mut self, lost: &Lost) {
        self.feeds.drain(..).for_each(|feed| feed.end(lost.clone()));
    }
}

/// Nothing is lost: the WAL stays, and the next open reads it.
fn warn_if_failed(store: &StoreId, closed: Result<(), Fault>) {
    if let Err(fault) = closed {
        warn!(%store, ?fault, "a log was closed without folding its WAL");
    }
}
