//! A reading thread: it reads pages for clients, each on the store's own read-only connection, and never waits for a
//! writer. Only files in use are open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::backend::feed::{Delivery, Feed};
use crate::backend::file::LogFile;
use crate::backend::page::{Page, PageSize};
use crate::event::SeqNum;
use crate::id::{BackendId, StoreId};
use crate::sqlite::Fault;
use crate::store::RequestId;

/// A file that was not read for so long, at least, is closed. Opening it again costs about half a millisecond.
const IDLE: Duration = Duration::from_secs(2);

/// What the thread is sent.
#[derive(Debug)]
pub(super) enum Message {
    Read(Read),
    /// Serve what is queued, close everything, then answer.
    Shutdown(oneshot::Sender<()>),
}

/// A page that a pull wants. It comes through `feed`.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) store: StoreId,
    pub(super) request: RequestId,
    pub(super) backend_id: BackendId,
    pub(super) after: SeqNum,
    /// At most so many events, whatever fits a page.
    pub(super) events_max: usize,
    /// The end of the log that the pull counts down to; none if it is its first page.
    pub(super) end: Option<SeqNum>,
    pub(super) feed: Feed,
}

/// A page that was read, with the log's last event at that time.
pub(super) type PageRead = Result<ReadPage, Fault>;

#[derive(Debug)]
pub(super) struct ReadPage {
    pub(super) page: Arc<Page>,
    pub(super) head: SeqNum,
}

/// The thread's own.
pub(super) struct Reader {
    folder: PathBuf,
    open_max: usize,
    /// The least recently used first.
    open: Vec<OpenFile>,
}

struct OpenFile {
    store: StoreId,
    file: LogFile,
    used_at: Instant,
}

impl Reader {
    pub(super) fn new(folder: PathBuf, open_files_max: usize) -> Self {
        Self {
            folder,
            open_max: open_files_max.max(1),
            open: Vec::new(),
        }
    }

    /// Serves until it is told to shut down, or nobody can ask any more.
    pub(super) fn run(self, runtime: &Runtime, queue: mpsc::Receiver<Message>) {
        runtime.block_on(self.serve(queue));
    }

    async fn serve(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut shutdown = Vec::new();
        loop {
            let message = match self.open.first() {
                None => queue.recv().await,
                Some(oldest) => match timeout_at(oldest.used_at + IDLE, queue.recv()).await {
                    Ok(message) => message,
                    Err(_) => {
                        self.open.remove(0);
                        continue;
                    }
                },
            };
            match message {
                Some(Message::Read(read)) if read.feed.is_open() => self.read(&read),
                // The client has gone meanwhile.
                Some(Message::Read(_)) => {}
                Some(Message::Shutdown(answer)) => {
                    queue.close();
                    shutdown.push(answer);
                }
                None => break,
            }
        }
        self.open.clear();
        for answer in shutdown {
            answer.send(()).ok();
        }
    }

    fn read(&mut self, read: &Read) {
        let page = self.page(read);
        read.feed.put(Delivery::Read(read.request, page));
    }

    fn page(&mut self, read: &Read) -> PageRead {
        let file = self.file(&read.store)?;
        let size = PageSize::empty(&read.backend_id);
        match file.read(read.after, read.events_max, size) {
            Ok(found) => {
                let last = found.events.last().map_or(read.after, |event| event.seq);
                let end = read.end.unwrap_or(found.head);
                let more = end.get().saturating_sub(last.get());
                let more = usize::try_from(more).unwrap_or(usize::MAX);
                let page = Page::new(found.events, more, read.backend_id.clone());
                Ok(ReadPage {
                    page: Arc::new(page),
                    head: found.head,
                })
            }
            Err(fault) => {
                // What a failed disk left in its memory is not believed.
                self.open.pop();
                Err(fault)
            }
        }
    }

    /// The store's file, which is then the last of the open ones.
    fn file(&mut self, store: &StoreId) -> Result<&LogFile, Fault> {
        let used_at = Instant::now();
        let open = match self.open.iter().position(|open| open.store == *store) {
            Some(place) => OpenFile {
                used_at,
                ..self.open.remove(place)
            },
            None => OpenFile {
                store: store.clone(),
                file: LogFile::open_to_read(&self.folder, store)?,
                used_at,
            },
        };
        if self.open.len() >= self.open_max {
            self.open.remove(0);
        }
        self.open.push(open);
        let last = self.open.last().expect("it was just put there");
        Ok(&last.file)
    }
}
