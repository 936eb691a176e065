//! The store's connection to its log, as far as it has come: none, being opened, open. Whatever becomes of it is told as
//! an input. Where the log is makes no other difference than in here.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::actor::End;
use crate::backend::{self, Local, Log};
use crate::event::{NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{Generation, Input, PullKind, RequestId};
use crate::sync::{self, Connection, Endpoint};
use crate::telemetry::StoreState;

/// Where a store's log is.
#[derive(Clone, PartialEq)]
pub enum Source {
    /// At a backend behind a WebSocket.
    Remote(Arc<Endpoint>),
    /// In this host.
    Embedded(Log),
}

/// At most one connection, of the newest generation.
pub(super) enum Link {
    Closed,
    Opening(Generation, BoxFuture<'static, Result<Line, Failure>>),
    Open(Generation, Line),
}

/// A connection that is open.
pub(super) enum Line {
    Remote(Box<Connection>),
    Embedded(Box<Local>),
}

/// Why there is none.
pub(super) enum Failure {
    Sync(sync::Error),
    Backend(backend::Error),
}

impl Link {
    /// Begins to connect, in its turn: `openings` bounds how many stores do so at once.
    pub(super) fn open(
        &mut self,
        source: Source,
        generation: Generation,
        openings: Arc<Semaphore>,
    ) {
        let opening = async move {
            let _turn = openings
                .acquire()
                .await
                .expect("the semaphore is never closed");
            match source {
                Source::Remote(endpoint) => Connection::open(&endpoint, generation)
                    .await
                    .map(|connection| Line::Remote(Box::new(connection)))
                    .map_err(Failure::Sync),
                Source::Embedded(log) => Local::open(&log, generation)
                    .await
                    .map(|local| Line::Embedded(Box::new(local)))
                    .map_err(Failure::Backend),
            }
        };
        *self = Self::Opening(generation, Box::pin(opening));
    }

    /// Waits for what the connection has to say; for ever if there is none. Cancel-safe.
    ///
    /// # Errors
    /// The log cannot be used before somebody has looked.
    pub(super) async fn next(&mut self) -> Result<Input, End> {
        Ok(match self {
            Self::Closed => std::future::pending().await,
            Self::Opening(generation, opening) => {
                let generation = *generation;
                match opening.await {
                    Ok(line) => {
                        *self = Self::Open(generation, line);
                        Input::Connected { generation }
                    }
                    Err(failure) => {
                        *self = Self::Closed;
                        let error = failure.passing()?;
                        Input::Disconnected { generation, error }
                    }
                }
            }
            Self::Open(_, line) => {
                let input = match line {
                    Line::Remote(connection) => connection.receive().await,
                    Line::Embedded(local) => local.receive().await,
                };
                if matches!(input, Input::Disconnected { .. }) {
                    *self = Self::Closed;
                }
                input
            }
        })
    }

    /// Drops the connection of `generation`.
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
        match self.of(generation) {
            // An error is told by `next` as well.
            Some(Line::Remote(connection)) => {
                connection.pull(request, after, backend_id, kind).await.ok();
            }
            Some(Line::Embedded(local)) => local.pull(request, after, backend_id, kind),
            None => {}
        }
    }

    pub(super) async fn ack(&mut self, generation: Generation, request: RequestId) {
        match self.of(generation) {
            Some(Line::Remote(connection)) => {
                connection.ack(request).await.ok();
            }
            Some(Line::Embedded(local)) => local.ack(request),
            None => {}
        }
    }

    pub(super) async fn push(
        &mut self,
        generation: Generation,
        request: RequestId,
        backend_id: &BackendId,
        drafts: &[NumberedDraft],
    ) {
        match self.of(generation) {
            Some(Line::Remote(connection)) => {
                connection.push(request, backend_id, drafts).await.ok();
            }
            Some(Line::Embedded(local)) => local.push(request, backend_id, drafts).await,
            None => {}
        }
    }

    /// Says goodbye; takes about a second at most.
    pub(super) async fn close(self) {
        match self {
            Self::Open(_, Line::Remote(connection)) => connection.close().await,
            Self::Open(_, Line::Embedded(_)) | Self::Closed | Self::Opening(..) => {}
        }
    }

    fn of(&mut self, generation: Generation) -> Option<&mut Line> {
        match self {
            Self::Open(current, line) if *current == generation => Some(line),
            Self::Open(..) | Self::Opening(..) | Self::Closed => None,
        }
    }
}

impl Failure {
    /// What it says, if it may pass by itself.
    fn passing(self) -> Result<Arc<str>, End> {
        let error = match self {
            Self::Sync(error) => return Ok(error.to_string().into()),
            Self::Backend(error) => error,
        };
        let reason = error.to_string().into();
        match error {
            backend::Error::Disk { .. } | backend::Error::Other { .. } => Ok(reason),
            backend::Error::Corrupt { .. } => Err(End::Fatal(StoreState::Quarantined, reason)),
            backend::Error::Newer { .. }
            | backend::Error::Foreign { .. }
            | backend::Error::Locked { .. }
            | backend::Error::Closed => Err(End::Fatal(StoreState::Stopped, reason)),
        }
    }
}
