//! The embedded LiveStore backend: the event logs of stores that live in this host, and the rules by which clients pull
//! from them and push to them. One SQLite file per store. A store is always written by the same thread, which checks a
//! push against the head, appends many of them with one sync of the disk, and tells every client that follows. Pulls read
//! on threads of their own and never wait for pushes.
//!
//! A [`Client`] is the only way in: the store's own actor uses one as it is, and a socket's frames go through a
//! [`Session`] around one. Nothing that a client sends makes this panic or hold more than a bounded number of bytes.

pub mod access;
mod admission;
mod append;
mod client;
mod error;
mod feed;
mod file;
mod local;
mod page;
mod pull;
mod reader;
mod session;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use access::Rights;
pub use client::{Client, Cursor, Reply};
pub use error::{Error, Lost};
pub use local::Local;
pub use page::Page;
pub use session::{Session, Tally};
pub use wire::{Refusal, Transport};

use crate::id::StoreId;
use crate::sqlite;
use crate::store::Durability;
use feed::feed;
use reader::{Read, Reader};
use writer::{Attach, Writer};

/// Requests that may wait for one thread; whoever asks beyond it waits.
const QUEUE: usize = 1024;

/// Bytes of all pushes that are under way; whoever pushes beyond it waits. Enough for dozens of the largest.
const PUSH_BYTES_MAX: usize = 64 << 20;

/// Where logs are, and what may work on them.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// The folder of the files; made if it is not there.
    pub folder: PathBuf,
    /// How many threads write. A store is always on the same one.
    pub writers: usize,
    /// How many threads read. A store is always on the same one.
    pub readers: usize,
    /// Files that each thread keeps open while all of them are busy; idle ones are closed.
    pub open_files_max: usize,
}

impl BackendConfig {
    /// The defaults for `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            // A writer spends most of its time waiting for the disk, and disks take several syncs at once.
            writers: 4,
            // Reading is computing, mostly.
            readers: 2,
            open_files_max: 64,
        }
    }
}

/// How one store's log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// What an acked push survives.
    pub durability: Durability,
    /// A log that would grow beyond it refuses pushes.
    pub bytes_max: u64,
}

impl Default for LogSettings {
    /// An ack means that the events are on the disk.
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            // Tens of millions of events; far below what fills a disk by surprise.
            bytes_max: 16 << 30,
        }
    }
}

/// The logs of one folder. Clones speak to the same threads. When the last one is dropped, with every [`Log`] and
/// [`Client`], the threads end by themselves after what is queued.
#[derive(Clone, Debug)]
pub struct Backend {
    threads: Arc<Threads>,
}

#[derive(Debug)]
struct Threads {
    writers: Vec<mpsc::Sender<writer::Message>>,
    readers: Vec<mpsc::Sender<reader::Message>>,
    /// Bytes of pushes that may be under way.
    room: Arc<Semaphore>,
}

/// One store's log. No file is touched before a client connects.
#[derive(Clone, Debug)]
pub struct Log {
    store: StoreId,
    settings: LogSettings,
    writer: mpsc::Sender<writer::Message>,
    reader: mpsc::Sender<reader::Message>,
    room: Arc<Semaphore>,
}

impl Backend {
    /// Takes the folder and starts the threads. Blocks for a moment; call it before there is anything to hold up.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process, or another `Backend` of this one, works on the folder; [`Error::Disk`] if
    /// the folder cannot be made or used.
    pub fn open(config: &BackendConfig) -> Result<Self, Error> {
        let folder =
            sqlite::make(&config.folder).map_err(|error| of_folder(&config.folder, error))?;
        let lock = Arc::new(sqlite::lock(&folder).map_err(|error| of_folder(&folder, error))?);
        let mut threads = Threads {
            writers: Vec::new(),
            readers: Vec::new(),
            room: Arc::new(Semaphore::new(PUSH_BYTES_MAX)),
        };
        for number in 0..config.readers.max(1) {
            let (sender, queue) = mpsc::channel(QUEUE);
            let reader = Reader::new(folder.clone(), config.open_files_max);
            start(&folder, format!("log-read-{number}"), move |runtime| {
                reader.run(runtime, queue)
            })?;
            threads.readers.push(sender);
        }
        for number in 0..config.writers.max(1) {
            let (sender, queue) = mpsc::channel(QUEUE);
            let writer = Writer::new(folder.clone(), config.open_files_max, Arc::clone(&lock));
            start(&folder, format!("log-write-{number}"), move |runtime| {
                writer.run(runtime, queue)
            })?;
            threads.writers.push(sender);
        }
        Ok(Self {
            threads: Arc::new(threads),
        })
    }

    /// The log of `store`.
    pub fn log(&self, store: &StoreId, settings: LogSettings) -> Log {
        let hash = crc32fast::hash(store.as_str().as_bytes()) as usize;
        let Threads {
            writers,
            readers,
            room,
        } = &*self.threads;
        Log {
            store: store.clone(),
            settings,
            writer: writers[hash % writers.len()].clone(),
            reader: readers[hash % readers.len()].clone(),
            room: Arc::clone(room),
        }
    }

    /// Does all that is queued, tells the clients, closes the files, ends the threads and frees the folder. Whoever asks
    /// later gets [`Error::Closed`].
    pub async fn shutdown(&self) {
        // Readers first: with nobody else at a file, its writer can leave it whole.
        for thread in &self.threads.readers {
            let (answer, answered) = oneshot::channel();
            if thread.send(reader::Message::Shutdown(answer)).await.is_ok() {
                answered.await.ok();
            }
        }
        let mut answers = Vec::new();
        for thread in &self.threads.writers {
            let (answer, answered) = oneshot::channel();
            if thread.send(writer::Message::Shutdown(answer)).await.is_ok() {
                answers.push(answered);
            }
        }
        for answered in answers {
            answered.await.ok();
        }
    }
}

impl PartialEq for Log {
    /// Whether both are the same log, kept in the same way.
    fn eq(&self, other: &Self) -> bool {
        self.store == other.store
            && self.settings == other.settings
            && self.writer.same_channel(&other.writer)
    }
}

impl Log {
    /// Whose log it is.
    pub fn store(&self) -> &StoreId {
        &self.store
    }

    /// How it is kept.
    pub fn settings(&self) -> &LogSettings {
        &self.settings
    }

    /// A client that may do what `rights` say. The file is made if there is none.
    ///
    /// # Errors
    /// What keeps the file from being used; [`Error::Corrupt`] also if a reader has found it damaged since the start.
    pub async fn connect(&self, rights: Rights) -> Result<Client, Error> {
        let (feed, queue) = feed();
        let (answer, answered) = oneshot::channel();
        let attach = Attach {
            store: self.store.clone(),
            settings: self.settings,
            feed: feed.clone(),
            answer,
        };
        let sent = self.writer.send(writer::Message::Attach(attach)).await;
        sent.map_err(|_| Error::Closed)?;
        let attached = answered.await.map_err(|_| Error::Closed)??;
        Ok(Client::new(self.clone(), rights, attached, feed, queue))
    }

    async fn send(&self, message: writer::Message) -> Result<(), Error> {
        self.writer.send(message).await.map_err(|_| Error::Closed)
    }

    /// Asks for a page; it comes through the read's feed. False if the reader is gone or has too much to do.
    fn read(&self, read: Read) -> bool {
        self.reader.try_send(reader::Message::Read(read)).is_ok()
    }

    /// Tells the writer that a reader found the file damaged.
    fn quarantine(&self, fault: sqlite::Fault) {
        let message = writer::Message::Quarantine(self.store.clone(), fault);
        // A writer with too much to do is told by the next who reads there.
        self.writer.try_send(message).ok();
    }
}

/// Copies a store's log in `folder` to `target`, which must not be there, whether or not somebody works on it. False if it
/// has none. Blocks; the copy is not synced.
///
/// # Errors
/// The file cannot be read, or the copy not written; then there may be something at `target`.
pub fn backup(folder: &Path, store: &StoreId, target: &Path) -> Result<bool, Error> {
    let path = path_of(folder, store);
    sqlite::copy(&path, target).map_err(|fault| Error::at(&path, fault))
}

/// Where a store's log is.
pub fn path_of(folder: &Path, store: &StoreId) -> PathBuf {
    folder.join(format!("{store}.db"))
}

/// Starts a thread with a runtime that it may wait on.
fn start(
    folder: &Path,
    name: String,
    run: impl FnOnce(&Runtime) + Send + 'static,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let started = runtime.and_then(|runtime| {
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || run(&runtime))
    });
    started.map(drop).map_err(|error| Error::Disk {
        path: folder.to_owned(),
        reason: error.to_string(),
    })
}

fn of_folder(folder: &Path, error: sqlite::FolderError) -> Error {
    match error {
        sqlite::FolderError::Locked => Error::Locked {
            folder: folder.to_owned(),
        },
        sqlite::FolderError::Disk(path, error) => Error::Disk {
            path,
            reason: error.to_string(),
        },
    }
}
