//! The store's socket, as far as it has come: none, being opened, open. Whatever becomes of it is told as an input.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::event::{NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{Generation, Input, PullKind, RequestId};
use crate::sync::{Connection, Endpoint, Error};

/// At most one socket, of the newest generation.
pub(super) enum Link {
    Closed,
    Opening(Generation, BoxFuture<'static, Result<Connection, Error>>),
    Open(Generation, Box<Connection>),
}

impl Link {
    /// Begins to open a socket, in its turn: `openings` bounds how many stores do so at once.
    pub(super) fn open(
        &mut self,
        endpoint: Arc<Endpoint>,
        generation: Generation,
        openings: Arc<Semaphore>,
    ) {
        let opening = async move {
            let _turn = openings
                .acquire()
                .await
                .expect("the semaphore is never closed");
            Connection::open(&endpoint, generation).await
        };
        *self = Self::Opening(generation, Box::pin(opening));
    }

    /// Waits for what the socket has to say; for ever if there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Input {
        match self {
            Self::Closed => std::future::pending().await,
            Self::Opening(generation, opening) => {
                let generation = *generation;
                match opening.await {
                    Ok(connection) => {
                        *self = Self::Open(generation, Box::new(connection));
                        Input::Connected { generation }
                    }
                    Err(error) => {
                        *self = Self::Closed;
                        Input::Disconnected {
                            generation,
                            error: error.to_string().into(),
                        }
                    }
                }
            }
            Self::Open(_, connection) => {
                let input = connection.receive().await;
                if matches!(input, Input::Disconnected { .. }) {
                    *self = Self::Closed;
                }
                input
            }
        }
    }

    /// Drops the socket of `generation`.
    pub(super) fn drop_generation(&mut self, generation: Generation) {
        let current = match self {
            Self::Closed => return,
            Self::Opening(current, _) | Self::Open(current, _) => *current,
        };
        if current == generation {
            *self = Self::Closed;
        }
    }

    pub(super) async fn pull(
        &mut self,
        generation: Generation,
        request: RequestId,
        after: SeqNum,
        backend_id: Option<&BackendId>,
        kind: PullKind,
    ) {
        if let Some(connection) = self.of(generation) {
            // An error is told by `next` as well.
            connection.pull(request, after, backend_id, kind).await.ok();
        }
    }

    pub(super) async fn ack(&mut self, generation: Generation, request: RequestId) {
        if let Some(connection) = self.of(generation) {
            connection.ack(request).await.ok();
        }
    }

    pub(super) async fn push(
        &mut self,
        generation: Generation,
        request: RequestId,
        backend_id: &BackendId,
        drafts: &[NumberedDraft],
    ) {
        if let Some(connection) = self.of(generation) {
            connection.push(request, backend_id, drafts).await.ok();
        }
    }

    /// Says goodbye; takes about a second at most.
    pub(super) async fn close(self) {
        match self {
            Self::Open(_, connection) => connection.close().await,
            Self::Closed | Self::Opening(..) => {}
        }
    }

    fn of(&mut self, generation: Generation) -> Option<&mut Connection> {
        match self {
            Self::Open(current, connection) if *current == generation => Some(connection),
            Self::Open(..) | Self::Opening(..) | Self::Closed => None,
        }
    }
}
