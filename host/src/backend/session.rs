//! One client's frames: what arrives on its socket becomes calls of a [`Client`], and the replies become frames. It
//! holds no rule of its own.

use std::collections::VecDeque;

use crate::backend::client::{Client, Cursor, Reply};
use crate::backend::error::Lost;
use crate::backend::wire::{self, Call, Frame, Malformed, Refusal, Transport};
use crate::store::{PullKind, RequestId};

/// Frames that may wait because of what a client sent, before it should be listened to again.
const OUTGOING_MAX: usize = 64;

/// A client that speaks in frames.
#[derive(Debug)]
pub struct Session {
    client: Client,
    transport: Transport,
    /// Answers that needed nobody's word.
    outgoing: VecDeque<String>,
    /// Pushes without an answer, and the events in each.
    pushes: Vec<(RequestId, usize)>,
    tally: Tally,
}

/// What a session did with pushes, for whoever counts or slows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that the client sent, be they accepted or not.
    pub sent: usize,
    /// Events that are in the log now.
    pub accepted: usize,
    /// Pushes that were accepted.
    pub pushed: usize,
    /// Pushes that did not begin at the log's head.
    pub server_ahead: usize,
    /// Pushes that were meant for another log.
    pub backend_id_mismatch: usize,
    /// Pushes that were refused for another reason.
    pub refused: usize,
}

impl Session {
    /// A session of `client`, whose frames come over `transport`. Over HTTP pages are not acked: the body that carries
    /// them is as good.
    pub fn new(client: Client, transport: Transport) -> Self {
        Self {
            client,
            transport,
            outgoing: VecDeque::new(),
            pushes: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Takes in one frame; what does not make sense is answered. Waits while too much is under way.
    ///
    /// Not cancel-safe: whoever drops it does not know whether the frame had an effect.
    pub async fn take(&mut self, frame: &str) {
        match wire::decode(frame, self.transport) {
            Ok(Frame::Request { id, call }) => self.call(id, call).await,
            Ok(Frame::Ack { request }) => self.client.ack(RequestId(request)),
            Ok(Frame::Interrupt { request }) => self.client.interrupt(RequestId(request)),
            Ok(Frame::Ping) => self.outgoing.push_back(wire::PONG.to_owned()),
            Ok(Frame::Eof) => {}
            Err(Malformed::Frame(problem)) => self.outgoing.push_back(wire::defect(&problem)),
            Err(Malformed::Call { id, problem }) => {
                self.outgoing.push_back(wire::exit_die(id, &problem));
            }
        }
    }

    async fn call(&mut self, id: u64, call: Call) {
        let request = RequestId(id);
        match call {
            Call::Pull { live, cursor } => {
                let kind = if live {
                    PullKind::Live
                } else {
                    PullKind::Finite
                };
                let cursor = cursor.map(|cursor| Cursor {
                    backend_id: cursor.backend_id,
                    seq: cursor.seq,
                });
                self.client.pull(request, cursor, kind);
            }
            Call::Push { batch, backend_id } => {
                self.tally.sent += batch.len();
                self.pushes.push((request, batch.len()));
                self.client.push(request, batch, backend_id).await;
            }
            Call::Ping => self.outgoing.push_back(wire::exit_ping(id)),
        }
    }

    /// Waits for the next frame for the client.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// The session is over; close the socket and say why.
    pub async fn next(&mut self) -> Result<String, Lost> {
        if let Some(frame) = self.outgoing.pop_front() {
            return Ok(frame);
        }
        // Nothing awaits after this.
        let reply = self.client.next().await?;
        Ok(match reply {
            Reply::Page { request, page } => {
                match self.transport {
                    Transport::WebSocket => {}
                    Transport::Http => self.client.ack(request),
                }
                wire::chunk(request.0, page.body())
            }
            Reply::Ended { request } => wire::exit_pull(request.0),
            Reply::PullRefused { request, refusal } => wire::exit_failure(request.0, &refusal),
            Reply::PushRefused { request, refusal } => {
                self.on_answered(request);
                *match refusal {
                    Refusal::ServerAhead { .. } => &mut self.tally.server_ahead,
                    Refusal::BackendIdMismatch { .. } => &mut self.tally.backend_id_mismatch,
                    Refusal::Unknown { .. } => &mut self.tally.refused,
                } += 1;
                wire::exit_failure(request.0, &refusal)
            }
            Reply::Pushed { request } => {
                self.tally.accepted += self.on_answered(request);
                self.tally.pushed += 1;
                wire::exit_push(request.0)
            }
            Reply::Interrupted { request } => wire::exit_interrupted(request.0),
        })
    }

    /// What was done since this was last asked.
    pub fn tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The events of a push that waited for its answer.
    fn on_answered(&mut self, request: RequestId) -> usize {
        let index = self.pushes.iter().position(|(id, _)| *id == request);
        index.map_or(0, |index| self.pushes.remove(index).1)
    }

    /// Whether every call was answered.
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_empty() && self.client.is_idle()
    }

    /// Whether to read another frame from the client: not while much that it asked for waits to be sent to it.
    pub fn has_room(&self) -> bool {
        self.outgoing.len() < OUTGOING_MAX && self.client.has_room()
    }
}
