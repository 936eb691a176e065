//! The way of the store's own actor to its log: the same calls and answers as over a socket to a distant backend, without
//! the socket.

use std::sync::Arc;

use crate::backend::client::{Client, Cursor, Reply};
use crate::backend::error::Error;
use crate::backend::wire::Refusal;
use crate::backend::{Log, Rights};
use crate::event::{Event, NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{Generation, Input, PullKind, PushAnswer, RequestId};

/// A connection of the actor.
#[derive(Debug)]
pub struct Local {
    client: Client,
    generation: Generation,
    /// Set once the client has lost its log.
    lost: Option<Arc<str>>,
}

impl Local {
    /// Connects.
    ///
    /// # Errors
    /// What keeps the log from being used.
    pub async fn open(log: &Log, generation: Generation) -> Result<Self, Error> {
        Ok(Self {
            client: log.connect(Rights::ReadWrite).await?,
            generation,
            lost: None,
        })
    }

    /// Waits for what comes next: `Pulled`, `PullEnded`, `PullRefused` or `PushAnswered`, and when the log is lost
    /// `Disconnected`, then and from then on.
    ///
    /// Cancel-safe.
    pub async fn receive(&mut self) -> Input {
        let generation = self.generation;
        loop {
            if let Some(error) = &self.lost {
                let error = Arc::clone(error);
                return Input::Disconnected { generation, error };
            }
            match self.client.next().await {
                Ok(reply) => {
                    if let Some(input) = input(reply, generation) {
                        return input;
                    }
                }
                Err(lost) => self.lost = Some(lost.to_string().into()),
            }
        }
    }

    /// Asks for the events after `after`; without `backend_id`, for all.
    pub fn pull(
        &mut self,
        request: RequestId,
        after: SeqNum,
        backend_id: Option<&BackendId>,
        kind: PullKind,
    ) {
        let cursor = backend_id.map(|backend_id| Cursor {
            backend_id: backend_id.as_str().to_owned(),
            seq: after,
        });
        self.client.pull(request, cursor, kind);
    }

    /// Lets the next page of a pull come.
    pub fn ack(&mut self, request: RequestId) {
        self.client.ack(request);
    }

    /// Ends a pull of which no more is wanted.
    pub fn interrupt(&mut self, request: RequestId) {
        self.client.interrupt(request);
    }

    /// Appends `drafts`.
    pub async fn push(
        &mut self,
        request: RequestId,
        backend_id: &BackendId,
        drafts: &[NumberedDraft],
    ) {
        let events = drafts.iter().map(event).collect();
        let backend_id = backend_id.as_str().to_owned();
        self.client.push(request, events, Some(backend_id)).await;
    }
}

/// A draft as it will stand in the log. The host made it, and its arguments were checked when the guest gave them.
fn event(numbered: &NumberedDraft) -> Event {
    Event {
        seq: numbered.seq,
        parent: numbered.parent,
        name: Arc::clone(&numbered.draft.name),
        args: Arc::clone(&numbered.draft.args),
        client_id: Arc::clone(&numbered.client_id),
        session_id: Arc::clone(&numbered.session_id),
        created_at: None,
    }
}

/// What a reply means to the machine. None for the end of a pull that it does not know of any more.
fn input(reply: Reply, generation: Generation) -> Option<Input> {
    Some(match reply {
        Reply::Page { request, page } => Input::Pulled {
            generation,
            request,
            backend_id: page.backend_id().clone(),
            events: page.events().to_vec(),
        },
        Reply::Ended { request } => Input::PullEnded {
            generation,
            request,
        },
        Reply::Pushed { request } => Input::PushAnswered {
            generation,
            request,
            answer: PushAnswer::Accepted,
        },
        Reply::PullRefused { request, refusal } => {
            let error = refusal.to_string().into();
            let mismatch = match refusal {
                Refusal::BackendIdMismatch { expected, .. } => Some(expected),
                Refusal::ServerAhead { .. } | Refusal::Unknown { .. } => None,
            };
            Input::PullRefused {
                generation,
                request,
                error,
                mismatch,
            }
        }
        Reply::PushRefused { request, refusal } => Input::PushAnswered {
            generation,
            request,
            answer: push_answer(refusal),
        },
        Reply::Interrupted { .. } => return None,
    })
}

fn push_answer(refusal: Refusal) -> PushAnswer {
    match refusal {
        Refusal::ServerAhead { head, .. } => PushAnswer::ServerAhead { head },
        Refusal::BackendIdMismatch { expected, .. } => PushAnswer::BackendIdMismatch {
            actual: Some(expected),
        },
        Refusal::Unknown { .. } => PushAnswer::Unknown {
            error: refusal.to_string().into(),
        },
    }
}
