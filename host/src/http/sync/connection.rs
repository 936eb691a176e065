//! One client's WebSocket and its session with a log: the loop that carries frames between the two. It is one task, and
//! everything in it waits in one place, so a client that does not read holds up nobody and is itself still heard.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::offer::Tenure;
use super::socket::{Ended, Heard, Socket};
use crate::backend::{Lost, Session, Tally};
use crate::telemetry::{Metrics, SyncPushes};

/// LiveStore's keep-alive, word for word as its clients send it.
const PING: &str = r#"{"_tag":"Ping"}"#;

/// The token is no longer good. Codes from 4000 on are an application's own (RFC 6455, 7.4.2); this one reminds of 401.
const EXPIRED: u16 = 4401;

/// An open connection.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) tenure: Arc<Tenure>,
    pub(super) metrics: Arc<Metrics>,
    /// When the client's token is no longer good.
    pub(super) expires: Option<Instant>,
    /// Until when the store wants no more events from it.
    pub(super) slowed: Option<Instant>,
    /// What it said meanwhile. While this is here nothing more is read.
    pub(super) held: Option<Utf8Bytes>,
}

impl Connection {
    /// Serves the client until it goes, or has to.
    pub(super) async fn run(mut self: Box<Self>) {
        match self.serve().await {
            Ended::Gone(reason) => tracing::debug!(reason, "a client has gone"),
            Ended::Told(code, reason) => {
                tracing::debug!(code, reason, "a client was sent away");
                // On the heap, because all that is idle would carry the room for it.
                Box::pin(self.socket.close(code, &reason)).await;
            }
        }
    }

    async fn serve(&mut self) -> Ended {
        let tenure = Arc::clone(&self.tenure);
        let mut over = pin!(tenure.over());
        loop {
            self.count();
            let reading = self.held.is_none() && self.session.has_room();
            let writable = self.socket.is_writable();
            let wake_at = [self.expires, self.slowed].into_iter().flatten().min();
            let heard = tokio::select! {
                biased;
                () = &mut over => return tenure.goodbye(),
                // One frame at a time: the next is taken when this one is out, and until then the socket is read.
                frame = self.session.next(), if writable => match frame {
                    Ok(frame) => {
                        self.socket.send(frame);
                        continue;
                    }
                    Err(lost) => return self.on_lost(&lost),
                },
                heard = self.socket.next(reading) => heard,
                () = sleep_until_some(wake_at) => {
                    let now = Instant::now();
                    if self.expires.is_some_and(|at| at <= now) {
                        let reason = "the token has expired; get a new one and connect again";
                        return Ended::Told(EXPIRED, reason.to_owned());
                    }
                    self.slowed = self.slowed.filter(|at| *at > now);
                    self.held.take().map_or(Ok(Heard::Sent), |text| Ok(Heard::Text(text)))
                }
            };
            match heard {
                Ok(Heard::Sent) => {}
                Ok(Heard::Text(text)) if self.slowed.is_some() && text.trim_end() != PING => {
                    self.held = Some(text);
                }
                Ok(Heard::Text(text)) => {
                    let taken = tokio::select! {
                        biased;
                        () = &mut over => None,
                        // Given up only with the whole connection: whoever pushed and has no answer looks into the log.
                        () = self.session.take(&text) => Some(()),
                    };
                    if taken.is_none() {
                        return tenure.goodbye();
                    }
                    self.slow();
                }
                Err(ended) => return ended,
            }
        }
    }

    /// Makes the client wait for what it has just pushed.
    fn slow(&mut self) {
        let events = self.count();
        if events > 0 {
            self.slowed = self.tenure.pace.take(events);
        }
    }

    /// Counts what the session did since the last time; the events that it took in.
    fn count(&mut self) -> usize {
        let tally = self.session.tally();
        count(&self.metrics, &tally);
        tally.sent
    }

    fn on_lost(&self, lost: &Lost) -> Ended {
        let code = match lost {
            Lost::SlowReader { .. } => {
                self.metrics.sync_slow_reader();
                CloseCode::Policy
            }
            Lost::Log(_) => CloseCode::Again,
            Lost::Shutdown => CloseCode::Away,
        };
        Ended::Told(code.into(), lost.to_string())
    }
}

/// Adds what a session did to the numbers of the process.
pub(super) fn count(metrics: &Metrics, tally: &Tally) {
    metrics.sync_pushes(&SyncPushes {
        events: tally.accepted,
        accepted: tally.pushed,
        server_ahead: tally.server_ahead,
        backend_id_mismatch: tally.backend_id_mismatch,
        unknown: tally.refused,
    });
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
