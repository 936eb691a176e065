//! One connection to one log, whichever way it is reached: a socket to a backend, or this process's own files. Both say
//! the same things; in which order to believe them is not decided here.

use std::sync::Arc;

use crate::backend::{self, Local, Log};
use crate::event::{Draft, Event, NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{Generation, Input, PullKind, PushAnswer, RequestId};
use crate::sync::{self, Connection, Endpoint};

/// An open connection.
pub(super) enum Link {
    /// To a backend somewhere else, or to the host that runs.
    Socket(Box<Connection>),
    /// To a log that this process works on.
    Here(Box<Local>),
}

/// What is heard over it.
#[derive(Debug)]
pub(super) enum Said {
    /// Part of a pull's answer. It wants an [`Link::ack`].
    Page {
        request: RequestId,
        backend_id: BackendId,
        events: Vec<Event>,
    },
    /// A finite pull has come to its end.
    Ended { request: RequestId },
    /// A pull was refused. `replaced` means that the log is another one than before.
    Refused { error: Arc<str>, replaced: bool },
    /// A push was answered.
    Pushed {
        request: RequestId,
        answer: PushAnswer,
    },
    /// The connection is gone.
    Lost { error: Arc<str> },
}

impl Link {
    /// Opens a socket.
    pub(super) async fn to(endpoint: &Arc<Endpoint>) -> Result<Self, sync::Error> {
        let connection = Connection::open(endpoint, Generation::default()).await?;
        Ok(Self::Socket(Box::new(connection)))
    }

    /// Opens a log of this process.
    pub(super) async fn into_log(log: &Log) -> Result<Self, backend::Error> {
        let local = Local::open(log, Generation::default()).await?;
        Ok(Self::Here(Box::new(local)))
    }

    /// The next thing that is heard. Cancel-safe.
    pub(super) async fn next(&mut self) -> Said {
        loop {
            let input = match self {
                Self::Socket(connection) => connection.receive().await,
                Self::Here(local) => local.receive().await,
            };
            if let Some(said) = said(input) {
                return said;
            }
        }
    }

    /// Asks for the events after `after`; for all of them if the log's id is not known.
    pub(super) async fn pull(
        &mut self,
        request: RequestId,
        after: SeqNum,
        backend_id: Option<&BackendId>,
        kind: PullKind,
    ) {
        match self {
            // A lost connection is told by `next`; so below.
            Self::Socket(connection) => {
                connection.pull(request, after, backend_id, kind).await.ok();
            }
            Self::Here(local) => local.pull(request, after, backend_id, kind),
        }
    }

    /// Lets the next page come.
    pub(super) async fn ack(&mut self, request: RequestId) {
        match self {
            Self::Socket(connection) => {
                connection.ack(request).await.ok();
            }
            Self::Here(local) => local.ack(request),
        }
    }

    /// Ends a pull of which no more is wanted.
    pub(super) async fn interrupt(&mut self, request: RequestId) {
        match self {
            Self::Socket(connection) => {
                connection.interrupt(request).await.ok();
            }
            Self::Here(local) => local.interrupt(request),
        }
    }

    /// Appends events at the places that they have.
    pub(super) async fn push(
        &mut self,
        request: RequestId,
        backend_id: &BackendId,
        events: &[Event],
    ) {
        let drafts: Vec<_> = events.iter().map(numbered).collect();
        match self {
            Self::Socket(connection) => {
                connection.push(request, backend_id, &drafts).await.ok();
            }
            Self::Here(local) => local.push(request, backend_id, &drafts).await,
        }
    }

    /// Says goodbye; takes a quarter of a second at most.
    pub(super) async fn close(self) {
        match self {
            Self::Socket(connection) => connection.close().await,
            Self::Here(_) => {}
        }
    }
}

fn numbered(event: &Event) -> NumberedDraft {
    NumberedDraft {
        seq: event.seq,
        parent: event.parent,
        draft: Draft {
            name: event.name.clone(),
            args: event.args.clone(),
        },
        client_id: event.client_id.clone(),
        session_id: event.session_id.clone(),
    }
}

/// Nothing if a connection never says it.
fn said(input: Input) -> Option<Said> {
    match input {
        Input::Pulled {
            request,
            backend_id,
            events,
            ..
        } => Some(Said::Page {
            request,
            backend_id,
            events,
        }),
        Input::PullEnded { request, .. } => Some(Said::Ended { request }),
        Input::PullRefused {
            error, mismatch, ..
        } => Some(Said::Refused {
            error,
            replaced: mismatch.is_some(),
        }),
        Input::PushAnswered {
            request, answer, ..
        } => Some(Said::Pushed { request, answer }),
        Input::Disconnected { error, .. } => Some(Said::Lost { error }),
        Input::Connected { .. }
        | Input::RunFinished { .. }
        | Input::Committed
        | Input::Redrive { .. }
        | Input::Discard { .. }
        | Input::Unpark { .. }
        | Input::Task { .. }
        | Input::ClockSet { .. }
        | Input::Reconfigure { .. }
        | Input::Renew
        | Input::Drain => None,
    }
}
