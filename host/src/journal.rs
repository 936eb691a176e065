//! Where a store's state is kept: one SQLite file per store, written by a few threads. The verbs speak in plain
//! values; whatever they do, a machine decided it. One process works on a folder, and one lease at a time writes to a
//! store: each commit proves that its lease is the latest and that it knows the commit before it.

mod aside;
mod column;
#[cfg(test)]
mod contract;
mod dead_letter;
mod error;
mod execution;
mod file;
mod files;
mod kv;
mod landed;
mod meta;
#[cfg(test)]
mod model;
mod outbox;
mod ration;
mod read;
mod report;
mod schema;
mod shown;
mod subscription;
mod task;
#[cfg(test)]
mod tests;
mod thread;
mod usage;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};

pub use aside::{OpenTasks, executions_of, open_of, stores, tasks_of, usage_of};
pub use error::Error;
pub use execution::ExecutionFilter;
pub use report::{By, RunShown, UsageReport, UsageRow};
pub use shown::{
    ExecutionShown, ExecutionsReport, FailureShown, Iso, PauseShown, TaskShown, TasksReport,
};

use crate::id::StoreId;
use crate::sqlite;
use crate::store::{Commit, Durability, Snapshot};
use files::Files;
use thread::{Answer, Message, QueuedCommit, Request, Thread, Verb};

/// Requests that may wait for one thread; whoever asks beyond it waits. A store has hardly ever more than one, so it
/// is as many stores as may write at once before they slow each other down.
const QUEUE: usize = 1024;

/// Where journals are, and what they may use.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The folder of the files; made if it is not there.
    pub folder: PathBuf,
    /// How many threads write. A store is always on the same one.
    pub threads: usize,
    /// Files that each thread keeps open while all of them are busy; idle ones are closed.
    pub open_files_max: usize,
    /// A file that would grow beyond it refuses to: [`Error::Disk`].
    pub file_bytes_max: u64,
}

impl JournalConfig {
    /// The defaults for `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            // Two: one may wait for its disk while the other works.
            threads: 2,
            // 16 MiB for each thread, and that only while so many stores write many times a second.
            open_files_max: 64,
            // Far above what quotas let a store have, and far below what fills a disk by surprise.
            file_bytes_max: 4 << 30,
        }
    }
}

/// The journals of all stores in one folder. Clones speak to the same threads. When the last one is dropped, the
/// threads end by themselves after what is queued.
#[derive(Clone, Debug)]
pub struct Journal {
    threads: Arc<[mpsc::Sender<Message>]>,
    folder: Arc<Path>,
}

/// The right to write to a store's journal, until somebody else claims it. After any [`Error`] it is spent.
#[derive(Debug)]
#[must_use = "a lease that is dropped leaves a -wal file behind; release it"]
pub struct Lease {
    store: StoreId,
    durability: Durability,
    proof: Proof,
}

impl Lease {
    /// Whose journal it is.
    pub fn store(&self) -> &StoreId {
        &self.store
    }
}

/// Resolves when a commit is written, or when it is certain that it is not and that nothing more will be under its
/// lease. Of these errors only [`Error::Disk`] may pass by itself. Whoever drops it does not hold up the commit.
#[derive(Debug)]
#[must_use = "until it resolves, nobody knows whether the commit is written"]
pub struct Confirmation(oneshot::Receiver<Result<(), Error>>);

impl Future for Confirmation {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(answer.unwrap_or(Err(Error::Closed)))
    }
}

/// Some entries of a plugin's kv, in the order of their keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvPage {
    /// Keys and values.
    pub entries: Vec<(Arc<str>, Arc<[u8]>)>,
    /// Whether others follow the last one.
    pub more: bool,
}

/// Chosen at random for each claim, and never counted: a restored file would count again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Token([u8; 16]);

/// What a lease knows, and a journal must know as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proof {
    token: Token,
    /// The number of the last commit.
    chain: u64,
}

impl Journal {
    /// Takes the folder and starts the threads. Blocks for a moment; call it before there is anything to hold up.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process, or another `Journal` of this one, works on the folder; [`Error::Disk`] if
    /// the folder cannot be made or used.
    pub fn open(config: &JournalConfig) -> Result<Self, Error> {
        let folder = sqlite::make(&config.folder)
            .map_err(|error| Error::of_folder(&config.folder, error))?;
        let lock = sqlite::lock(&folder).map_err(|error| Error::of_folder(&folder, error))?;
        let lock = Arc::new(lock);
        let mut threads = Vec::new();
        for number in 0..config.threads.max(1) {
            let (sender, queue) = mpsc::channel(QUEUE);
            let thread = Thread {
                files: Files::new(folder.clone(), config),
                lock: Arc::clone(&lock),
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(|error| disk(&folder, &error))?;
            std::thread::Builder::new()
                .name(format!("journal-{number}"))
                .spawn(move || thread.run(&runtime, queue))
                .map_err(|error| disk(&folder, &error))?;
            threads.push(sender);
        }
        let threads = threads.into();
        let folder = folder.into();
        Ok(Self { threads, folder })
    }

    /// Where the files are.
    pub fn folder(&self) -> &Arc<Path> {
        &self.folder
    }

    /// Takes the store's journal, which is made if there is none. An earlier lease is fenced.
    pub async fn claim(&self, store: &StoreId, durability: Durability) -> Result<Lease, Error> {
        let mut token = Token::default();
        getrandom::fill(&mut token.0).map_err(|error| Error::Other {
            path: store.as_str().into(),
            reason: format!("the system gave no random numbers: {error}"),
        })?;
        let chain = self.ask(store, |answer| Verb::Claim(token, answer)).await?;
        Ok(Lease {
            store: store.clone(),
            durability,
            proof: Proof { token, chain },
        })
    }

    /// Reads all that a start needs, and checks everything else in the file.
    pub async fn load(&self, lease: &Lease) -> Result<Snapshot, Error> {
        self.ask(&lease.store, |answer| Verb::Load(lease.proof, answer))
            .await
    }

    /// Queues `commit`, to be written whole or not at all; the [`Confirmation`] says when it is. More than one may be
    /// on its way: they are written in the order of these calls, and if one fails, those after it are fenced. A call
    /// that is dropped before it returns has queued nothing.
    ///
    /// # Errors
    /// [`Error::Closed`]. All others come with the confirmation.
    pub async fn commit(&self, lease: &mut Lease, commit: Commit) -> Result<Confirmation, Error> {
        let place = self.thread_of(&lease.store).reserve().await;
        let place = place.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        let queued = QueuedCommit {
            proof: lease.proof,
            durability: lease.durability,
            commit: Box::new(commit),
            answer,
        };
        lease.proof.chain += 1;
        place.send(Message::Request(Request {
            store: lease.store.clone(),
            verb: Verb::Commit(queued),
        }));
        Ok(Confirmation(answered))
    }

    /// Closes the store's file, after what was asked of it before, so that one complete file is left. The lease stays
    /// in it as the latest until the next claim.
    pub async fn release(&self, lease: Lease) -> Result<(), Error> {
        self.ask(&lease.store, Verb::Release).await
    }

    /// Gives the store's file another name in the same folder, which is answered: the next claim begins anew. Nothing
    /// is deleted.
    pub async fn archive(&self, lease: Lease) -> Result<PathBuf, Error> {
        self.ask(&lease.store, |answer| Verb::Archive(lease.proof, answer))
            .await
    }

    /// Does all that is queued, closes the files, ends the threads and frees the folder. Whoever asks later gets
    /// [`Error::Closed`].
    pub async fn shutdown(&self) {
        let mut answers = Vec::new();
        for thread in self.threads.iter() {
            let (answer, answered) = oneshot::channel();
            // A thread that cannot be told has ended already.
            if thread.send(Message::Shutdown(answer)).await.is_ok() {
                answers.push(answered);
            }
        }
        for answered in answers {
            answered.await.ok();
        }
    }

    async fn ask<T>(
        &self,
        store: &StoreId,
        verb: impl FnOnce(Answer<T>) -> Verb,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            store: store.clone(),
            verb: verb(answer),
        };
        let sent = self.thread_of(store).send(Message::Request(request)).await;
        sent.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    fn thread_of(&self, store: &StoreId) -> &mpsc::Sender<Message> {
        let hash = crc32fast::hash(store.as_str().as_bytes()) as usize;
        &self.threads[hash % self.threads.len()]
    }
}

/// Whether a process works on the journals in `folder` at this moment: a server runs.
pub fn is_in_use(folder: &Path) -> bool {
    matches!(sqlite::lock(folder), Err(sqlite::FolderError::Locked))
}

/// Copies a store's journal in `folder` to `target`, which must not be there, whether or not somebody works on it. False
/// if it has none. Blocks; the copy is not synced.
///
/// # Errors
/// The file cannot be read, or the copy not written; then there may be something at `target`.
pub fn backup(folder: &Path, store: &StoreId, target: &Path) -> Result<bool, Error> {
    let path = path_of(folder, store);
    sqlite::copy(&path, target).map_err(|fault| error::Fault::File(fault).at(store, &path))
}

/// Where a store's journal is.
fn path_of(folder: &Path, store: &StoreId) -> PathBuf {
    folder.join(format!("{store}.db"))
}

fn disk(path: &Path, error: &io::Error) -> Error {
    Error::Disk {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
