//! The backend as its clients see it: logs in a temporary folder, real threads, real files.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::*;
use crate::event::{Event, SeqNum};
use crate::store::{PullKind, RequestId};

mod clients;
mod faults;
mod random;

/// An event at its place.
pub(super) fn event(seq: u64, name: &str) -> Event {
    Event {
        seq: SeqNum::new(seq),
        parent: SeqNum::new(seq - 1),
        name: name.into(),
        args: format!(r#"{{"n":{seq}}}"#).into(),
        client_id: "alice".into(),
        session_id: "s".into(),
        created_at: None,
    }
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A folder with a backend on it. Ends with the value.
struct Scene {
    folder: tempfile::TempDir,
    backend: Backend,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::open(&BackendConfig::new(folder.path())).unwrap();
        Self { folder, backend }
    }

    fn log(&self, store: &str) -> Log {
        let store = store.parse().unwrap();
        self.backend.log(&store, LogSettings::default())
    }

    async fn connect(&self, store: &str) -> Client {
        self.log(store).connect(Rights::ReadWrite).await.unwrap()
    }

    async fn restart(self) -> Self {
        self.backend.shutdown().await;
        let Self { folder, backend } = self;
        drop(backend);
        let backend = Backend::open(&BackendConfig::new(folder.path())).unwrap();
        Self { folder, backend }
    }
}

/// The next reply; a hang is a failure.
async fn next(client: &mut Client) -> Reply {
    let next = tokio::time::timeout(Duration::from_secs(20), client.next());
    next.await.expect("a reply").expect("a connection")
}

/// Appends events with these numbers.
async fn append(client: &mut Client, seqs: std::ops::RangeInclusive<u64>) -> Result<(), Refusal> {
    let batch = seqs.map(|seq| event(seq, "a")).collect();
    push(client, batch).await
}

async fn push(client: &mut Client, batch: Vec<Event>) -> Result<(), Refusal> {
    const PUSH: RequestId = RequestId(9_000);
    client.push(PUSH, batch, None).await;
    loop {
        match next(client).await {
            Reply::Pushed { request: PUSH } => return Ok(()),
            Reply::PushRefused {
                request: PUSH,
                refusal,
            } => return Err(refusal),
            Reply::Page { .. } => {}
            other @ (Reply::Pushed { .. }
            | Reply::PushRefused { .. }
            | Reply::PullRefused { .. }
            | Reply::Ended { .. }
            | Reply::Interrupted { .. }) => panic!("{other:?}"),
        }
    }
}

/// All events after `after`, over one finite pull; the sizes of its pages.
async fn read(client: &mut Client, after: u64) -> Result<(Vec<Event>, Vec<usize>), Refusal> {
    const PULL: RequestId = RequestId(8_000);
    let cursor = Cursor {
        backend_id: client.backend_id().as_str().to_owned(),
        seq: SeqNum::new(after),
    };
    client.pull(PULL, Some(cursor), PullKind::Finite);
    let (mut events, mut sizes) = (Vec::new(), Vec::new());
    loop {
        match next(client).await {
            Reply::Page {
                request: PULL,
                page,
            } => {
                sizes.push(page.events().len());
                events.extend_from_slice(page.events());
                client.ack(PULL);
            }
            Reply::Ended { request: PULL } => return Ok((events, sizes)),
            Reply::PullRefused { refusal, .. } => return Err(refusal),
            other @ (Reply::Page { .. }
            | Reply::Ended { .. }
            | Reply::Pushed { .. }
            | Reply::PushRefused { .. }
            | Reply::Interrupted { .. }) => panic!("{other:?}"),
        }
    }
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq.get()).collect()
}
