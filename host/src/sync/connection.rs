//! One connection of one store: requests go out, [`Input`]s come in. It remembers only which calls are open; whether
//! a frame makes sense at this point is for the machine to say.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::debug;

use crate::event::{NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{Generation, Input, PullKind, PushAnswer, RequestId};
use crate::sync::socket::Socket;
use crate::sync::wire::{self, Caller, Failure, Frame};
use crate::sync::{Endpoint, Error, shorten};

/// One socket to a store's backend. Nothing of it outlives it: a new one begins with new pulls.
pub struct Connection {
    endpoint: Arc<Endpoint>,
    generation: Generation,
    state: State,
    /// Calls without an answer: the machine keeps this to a handful.
    calls: Vec<(RequestId, Call)>,
    /// Answers that were found without asking the backend.
    ready: VecDeque<Input>,
}

enum State {
    Open(Box<Socket>),
    Lost(Arc<str>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Pull(PullKind),
    Push,
}

impl Connection {
    /// Opens a socket within the endpoint's `connect_timeout`. Dropping the future gives up.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Refused`], with what it means and what to do.
    pub async fn open(endpoint: &Arc<Endpoint>, generation: Generation) -> Result<Self, Error> {
        let socket = Socket::open(endpoint).await?;
        Ok(Self {
            endpoint: endpoint.clone(),
            generation,
            state: State::Open(Box::new(socket)),
            calls: Vec::new(),
            ready: VecDeque::new(),
        })
    }

    /// Waits for what the backend says next: `Pulled`, `PullEnded`, `PullRefused` or `PushAnswered`, and when the
    /// connection is lost `Disconnected`, then and from then on. Keeps the connection alive, and writes what
    /// [`Connection::pull`] and the like could not write at once; so call it whenever there is nothing else to do.
    ///
    /// Cancel-safe: no input is lost if the future is dropped.
    pub async fn receive(&mut self) -> Input {
        loop {
            if let Some(input) = self.ready.pop_front() {
                return input;
            }
            let socket = match &mut self.state {
                State::Open(socket) => socket,
                State::Lost(error) => {
                    return Input::Disconnected {
                        generation: self.generation,
                        error: error.clone(),
                    };
                }
            };
            let text = match socket.next().await {
                Ok(text) => text,
                Err(error) => {
                    self.lose(&error);
                    continue;
                }
            };
            // From here on nothing awaits: what was read is in `ready` or returned.
            match wire::decode(&text) {
                Ok(frame) => self.on_frame(frame),
                Err(error) => {
                    self.lose(&format!(
                        "the backend sent what cannot be understood: {error}"
                    ));
                }
            }
        }
    }

    /// Asks for the events after `after`; each chunk of the answer wants an [`Connection::ack`]. Without `backend_id`
    /// it asks for all events, whatever `after` says.
    ///
    /// # Errors
    /// [`Error::Lost`]; so for all requests. [`Connection::receive`] says so too.
    pub async fn pull(
        &mut self,
        request: RequestId,
        after: SeqNum,
        backend_id: Option<&BackendId>,
        kind: PullKind,
    ) -> Result<(), Error> {
        self.calls.push((request, Call::Pull(kind)));
        let frame = wire::pull(request, caller(&self.endpoint), after, backend_id, kind);
        self.send(frame).await
    }

    /// Lets the backend send the next chunk of a pull. Harmless for a pull that has ended.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn ack(&mut self, request: RequestId) -> Result<(), Error> {
        self.send(wire::ack(request)).await
    }

    /// Ends a pull of which no more is wanted. Nothing more is told of it than chunks that were on their way.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn interrupt(&mut self, request: RequestId) -> Result<(), Error> {
        // Its exit is then that of a call that has ended before.
        self.calls.retain(|(open, _)| *open != request);
        self.send(wire::interrupt(request)).await
    }

    /// Appends `drafts`. If one of them is not JSON, none is sent, and the answer is `Unknown`.
    ///
    /// # Errors
    /// [`Error::Lost`]: the drafts may have landed all the same.
    pub async fn push(
        &mut self,
        request: RequestId,
        backend_id: &BackendId,
        drafts: &[NumberedDraft],
    ) -> Result<(), Error> {
        match wire::push(request, caller(&self.endpoint), backend_id, drafts) {
            Ok(frame) => {
                self.calls.push((request, Call::Push));
                self.send(frame).await
            }
            Err(index) => {
                let name = &drafts[index].draft.name;
                let error = format!(
                    "not sent: the arguments of draft {index} ({}) are not JSON",
                    shorten(name)
                );
                self.ready.push_back(Input::PushAnswered {
                    generation: self.generation,
                    request,
                    answer: PushAnswer::Unknown {
                        error: error.into(),
                    },
                });
                Ok(())
            }
        }
    }

    /// Sends what is queued and says goodbye; takes a quarter of a second at most.
    pub async fn close(self) {
        match self.state {
            State::Open(socket) => socket.close().await,
            State::Lost(_) => {}
        }
    }

    async fn send(&mut self, frame: String) -> Result<(), Error> {
        let written = match &mut self.state {
            State::Open(socket) => {
                socket.enqueue(frame);
                socket.flush().await
            }
            State::Lost(error) => return Err(Error::Lost(error.clone())),
        };
        written.map_err(|error| Error::Lost(self.lose(&error)))
    }

    /// Drops the socket. `error` may hold what the backend said.
    fn lose(&mut self, error: &str) -> Arc<str> {
        let error: Arc<str> = self.endpoint.quote(error).into();
        self.state = State::Lost(error.clone());
        error
    }

    fn on_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Chunk {
                request,
                page: Some(page),
            } => self.ready.push_back(Input::Pulled {
                generation: self.generation,
                request,
                backend_id: page.backend_id,
                events: page.events,
            }),
            // There is nothing to tell, but the backend waits for the ack before it goes on.
            Frame::Chunk {
                request,
                page: None,
            } => self.enqueue(wire::ack(request)),
            Frame::Exit { request, result } => self.on_exit(request, result),
            Frame::Defect { error } => {
                self.lose(&format!(
                    "the backend could not read a request of ours: {error}"
                ));
            }
            Frame::Pong => {}
            Frame::Unknown { tag } => {
                debug!(tag = shorten(&tag), "skipped a frame of an unknown kind")
            }
        }
    }

    fn on_exit(&mut self, request: RequestId, result: Result<(), Failure>) {
        let Some(index) = self.calls.iter().position(|(open, _)| *open == request) else {
            // The answer to our own interrupt.
            debug!(
                request = request.0,
                "skipped the end of a call that has ended before"
            );
            return;
        };
        let (_, call) = self.calls.swap_remove(index);
        let input = match call {
            Call::Push => self.push_answered(request, result),
            Call::Pull(kind) => self.pull_ended(request, kind, result),
        };
        self.ready.push_back(input);
    }

    fn push_answered(&self, request: RequestId, result: Result<(), Failure>) -> Input {
        let answer = match result {
            Ok(()) => PushAnswer::Accepted,
            Err(Failure::ServerAhead { head }) => PushAnswer::ServerAhead { head },
            Err(Failure::BackendIdMismatch { actual }) => PushAnswer::BackendIdMismatch { actual },
            Err(Failure::Unknown { error }) => PushAnswer::Unknown {
                error: self.endpoint.quote(&error).into(),
            },
        };
        Input::PushAnswered {
            generation: self.generation,
            request,
            answer,
        }
    }

    fn pull_ended(
        &mut self,
        request: RequestId,
        kind: PullKind,
        result: Result<(), Failure>,
    ) -> Input {
        // The backend goes on sending broadcasts to a pull that has ended, well or not, until it is interrupted. It does
        // not answer that; if it did, `on_exit` would skip the answer.
        self.enqueue(wire::interrupt(request));
        let generation = self.generation;
        let (error, mismatch) = match (result, kind) {
            (Ok(()), PullKind::Finite) => {
                return Input::PullEnded {
                    generation,
                    request,
                };
            }
            (Ok(()), PullKind::Live) => ("the backend ended a live pull".to_owned(), None),
            (Err(Failure::BackendIdMismatch { actual }), _) => {
                ("the backend holds another log".to_owned(), actual)
            }
            (Err(Failure::ServerAhead { head }), _) => {
                (format!("the backend's head is {head}"), None)
            }
            (Err(Failure::Unknown { error }), _) => (self.endpoint.quote(&error), None),
        };
        Input::PullRefused {
            generation,
            request,
            error: error.into(),
            mismatch,
        }
    }

    fn enqueue(&mut self, frame: String) {
        match &mut self.state {
            State::Open(socket) => socket.enqueue(frame),
            State::Lost(_) => {}
        }
    }
}

fn caller(endpoint: &Endpoint) -> Caller<'_> {
    Caller {
        store_id: endpoint.store_id().as_str(),
        payload: endpoint.secret_payload(),
    }
}
