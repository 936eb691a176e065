//! A writer thread: the only one that touches its stores' files. It takes all that is queued, sorts it by store, and
//! writes each store's commits in one transaction. Only files in use are open, and of those only a few; the others
//! cost no memory.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::files::Files;
use super::read::Query;
use super::{Proof, Token};
use crate::id::StoreId;
use crate::store::{Commit, Durability, Snapshot};

/// Requests taken at once, and so commits in one transaction: enough to share a sync among many, few enough that the
/// first of them does not wait long.
const BATCH: usize = 256;

/// A file that was not used for so long, at least, is closed. Opening it again costs about a millisecond.
const IDLE: Duration = Duration::from_secs(2);

/// What a thread is sent.
pub(super) enum Message {
    Request(Request),
    /// Serve what is queued, close everything, then answer.
    Shutdown(oneshot::Sender<()>),
}

/// Something to do with one store's file.
pub(super) struct Request {
    pub(super) store: StoreId,
    pub(super) verb: Verb,
}

/// Where the answer goes. Nobody may be waiting any more, which is no reason not to do it.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What to do.
pub(super) enum Verb {
    Claim(Token, Answer<u64>),
    Load(Proof, Answer<Snapshot>),
    Commit(QueuedCommit),
    Release(Answer<()>),
    Archive(Proof, Answer<PathBuf>),
    Read(Query),
}

pub(super) struct QueuedCommit {
    pub(super) proof: Proof,
    pub(super) durability: Durability,
    pub(super) commit: Box<Commit>,
    pub(super) answer: Answer<()>,
}

/// The thread's own.
pub(super) struct Thread {
    pub(super) files: Files,
    /// Held until the last thread has closed its files.
    pub(super) lock: Arc<File>,
}

impl Thread {
    /// Serves until it is told to shut down, or nobody can ask any more. The runtime is only for waiting: everything
    /// else blocks this thread.
    pub(super) fn run(self, runtime: &Runtime, queue: mpsc::Receiver<Message>) {
        runtime.block_on(self.serve_all(queue));
    }

    async fn serve_all(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut requests = Vec::with_capacity(BATCH);
        let mut shutdown = Vec::new();
        let mut tick = Instant::now() + IDLE;
        loop {
            let received = if self.files.is_closed() {
                queue.recv_many(&mut messages, BATCH).await
            } else {
                // Cancel-safe: what was received is in `messages`, and then it has not timed out.
                let receive = queue.recv_many(&mut messages, BATCH);
                let Ok(received) = timeout_at(tick, receive).await else {
                    tick = Instant::now() + IDLE;
                    self.files.close_idle();
                    continue;
                };
                received
            };
            if received == 0 {
                break;
            }
            for message in messages.drain(..) {
                match message {
                    Message::Request(request) => requests.push(request),
                    Message::Shutdown(answer) => {
                        queue.close();
                        shutdown.push(answer);
                    }
                }
            }
            self.serve(&mut requests);
        }
        self.files.close_all();
        drop(self.lock);
        for answer in shutdown {
            answer.send(()).ok();
        }
    }

    fn serve(&mut self, requests: &mut Vec<Request>) {
        // Stable: the requests for one store stay in the order in which they came.
        requests.sort_by(|a, b| a.store.cmp(&b.store));
        let mut commits = Vec::new();
        let mut requests = requests.drain(..).peekable();
        while let Some(Request { store, verb }) = requests.next() {
            let files = &mut self.files;
            match verb {
                Verb::Commit(commit) => commits.push(commit),
                Verb::Claim(token, answer) => {
                    reply(answer, files.with_or_new(&store, |file| file.claim(token)));
                }
                Verb::Load(proof, answer) => {
                    reply(answer, files.with_claimed(&store, |file| file.load(proof)));
                }
                Verb::Release(answer) => reply(answer, files.close(&store)),
                Verb::Archive(proof, answer) => reply(answer, files.archive(&store, proof)),
                Verb::Read(query) => query.serve(files, &store),
            }
            let another_commit = requests
                .peek()
                .is_some_and(|next| next.store == store && matches!(next.verb, Verb::Commit(_)));
            if !another_commit {
                self.write(&store, &mut commits);
            }
        }
    }

    /// Writes commits of one store that were queued one after the other.
    fn write(&mut self, store: &StoreId, commits: &mut Vec<QueuedCommit>) {
        if commits.is_empty() {
            return;
        }
        let batch: Vec<_> = commits
            .iter()
            .map(|queued| (queued.proof, queued.durability, &*queued.commit))
            .collect();
        let outcome = self.files.with_claimed(store, |file| file.commit(&batch));
        for (n, queued) in commits.drain(..).enumerate() {
            let store = store.clone();
            let answer = match &outcome {
                Ok(held) if held[n] => Ok(()),
                Ok(_) => Err(Error::Fenced { store }),
                Err(error) => Err(error.clone()),
            };
            reply(queued.answer, answer);
        }
    }
}

pub(super) fn reply<T>(answer: Answer<T>, result: Result<T, Error>) {
    answer.send(result).ok();
}
