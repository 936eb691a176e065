//! The connection to the backend as the rules see it: connect, catch up, be live, lose it, begin again. Nothing of an
//! older connection is believed, and a new one always begins with a pull from the head.

use std::sync::Arc;

use crate::event::SeqNum;
use crate::id::BackendId;
use crate::store::machine::StoreState;
use crate::store::{Effect, Generation, OnReset, RequestId, StopReason};
use crate::time::Timestamp;

/// How the store stands with its backend.
#[derive(Debug)]
pub(super) enum Session {
    Offline {
        retry_at: Timestamp,
    },
    Connecting {
        generation: Generation,
        deadline: Timestamp,
    },
    Open(Box<Open>),
    Stopped(StopReason),
}

/// An open socket.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) generation: Generation,
    requests: u64,
    /// Whether the log was read to its end on this socket, and a live pull follows it.
    pub(super) live: bool,
    /// A finite pull from the head, to find what is missing.
    pub(super) check: Option<Check>,
    /// A finite pull from the window's end, to fetch what did not fit.
    pub(super) refill: Option<Refill>,
    /// When the next check is due by itself.
    pub(super) check_at: Timestamp,
    /// When a check is due because events wait for their parent.
    pub(super) gap_at: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Check {
    pub(super) request: RequestId,
    /// The head when it was asked, which the backend must still have.
    pub(super) head: SeqNum,
    pub(super) shown: bool,
    pub(super) deadline: Timestamp,
}

#[derive(Debug)]
pub(super) struct Refill {
    pub(super) request: RequestId,
    /// Whether an ack is held back until there is room.
    pub(super) held: bool,
    pub(super) deadline: Timestamp,
}

impl Session {
    /// Whether the log was read to its end on the present socket.
    pub(super) fn is_live(&self) -> bool {
        self.open().is_some_and(|open| open.live)
    }

    pub(super) fn open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Offline { .. } | Self::Connecting { .. } | Self::Stopped(_) => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Offline { .. } | Self::Connecting { .. } | Self::Stopped(_) => None,
        }
    }

    /// The open socket, if it is the one of `generation`.
    pub(super) fn of(&mut self, generation: Generation) -> Option<&mut Open> {
        self.open_mut().filter(|open| open.generation == generation)
    }
}

impl StoreState {
    pub(super) fn is_live(&self) -> bool {
        self.session.is_live()
    }

    /// Opens a socket when its time has come.
    pub(super) fn connect_if_due(&mut self, now: Timestamp) {
        let Session::Offline { retry_at } = self.session else {
            return;
        };
        if retry_at > now || self.is_ending() {
            return;
        }
        self.generations_used += 1;
        let generation = Generation(self.generations_used);
        let deadline = now + self.settings.timing.connect_timeout;
        self.enter(
            Session::Connecting {
                generation,
                deadline,
            },
            now,
        );
        self.effects.push_back(Effect::Connect { generation });
    }

    pub(super) fn on_connected(&mut self, generation: Generation, now: Timestamp) {
        let Session::Connecting {
            generation: expected,
            ..
        } = self.session
        else {
            return;
        };
        if expected != generation {
            return;
        }
        let open = Open {
            generation,
            requests: 0,
            live: false,
            check: None,
            refill: None,
            check_at: Timestamp::NEVER,
            gap_at: None,
        };
        self.enter(Session::Open(Box::new(open)), now);
        self.start_check(now);
    }

    pub(super) fn on_disconnected(
        &mut self,
        generation: Generation,
        error: Arc<str>,
        now: Timestamp,
    ) {
        let current = match &self.session {
            Session::Connecting { generation, .. } => Some(*generation),
            Session::Open(open) => Some(open.generation),
            Session::Offline { .. } | Session::Stopped(_) => None,
        };
        if current == Some(generation) {
            self.back_off(error, now);
        }
    }

    /// Drops the socket because of what it did or did not do, and begins again.
    pub(super) fn reconnect(&mut self, error: &str, now: Timestamp) {
        self.disconnect();
        self.back_off(error.into(), now);
    }

    fn disconnect(&mut self) {
        let generation = match &self.session {
            Session::Connecting { generation, .. } => *generation,
            Session::Open(open) => open.generation,
            Session::Offline { .. } | Session::Stopped(_) => return,
        };
        self.effects.push_back(Effect::Disconnect { generation });
    }

    fn back_off(&mut self, error: Arc<str>, now: Timestamp) {
        self.error = Some(error);
        self.connect_failures = self.connect_failures.saturating_add(1);
        self.scan.clear_stash();
        self.forget_pushes();
        let retry = self.settings.timing.reconnect;
        if retry.attempts_max > 0 && self.connect_failures >= retry.attempts_max {
            self.stop(
                StopReason::GaveUp {
                    attempts: self.connect_failures,
                },
                now,
            );
            return;
        }
        let retry_at = now + retry.delay(self.connect_failures, self.rng.u64(..));
        self.enter(Session::Offline { retry_at }, now);
    }

    /// Stops the store until somebody looks.
    pub(super) fn stop(&mut self, reason: StopReason, now: Timestamp) {
        self.disconnect();
        self.scan.clear_stash();
        self.forget_pushes();
        self.enter(Session::Stopped(reason), now);
    }

    /// The backend holds another log than the journal's.
    pub(super) fn on_reset(&mut self, actual: Option<BackendId>, now: Timestamp) {
        let Some(journal) = self.backend_id.clone() else {
            self.reconnect("the backend refused a pull that named no log", now);
            return;
        };
        match self.settings.on_reset {
            OnReset::Stop => {
                self.stop(
                    StopReason::BackendReset {
                        journal,
                        backend: actual,
                    },
                    now,
                );
            }
            OnReset::StartOver => {
                self.disconnect();
                self.halted = true;
                self.effects
                    .push_back(Effect::StartOver { backend_id: actual });
            }
        }
    }

    /// A number for the next request on the open socket.
    pub(super) fn next_request(&mut self) -> Option<(Generation, RequestId)> {
        let open = self.session.open_mut()?;
        let request = RequestId(open.requests);
        open.requests += 1;
        Some((open.generation, request))
    }

    /// Looks after an open socket's deadlines.
    pub(super) fn on_open_timeout(&mut self, now: Timestamp) {
        let Some(open) = self.session.open() else {
            return;
        };
        let check_late = open
            .check
            .as_ref()
            .is_some_and(|check| check.deadline <= now);
        let refill_late = open
            .refill
            .as_ref()
            .is_some_and(|refill| refill.deadline <= now);
        if check_late || refill_late {
            self.reconnect("the backend did not go on with a pull", now);
            return;
        }
        if self
            .pushing
            .in_flight
            .iter()
            .any(|push| push.deadline <= now)
        {
            self.reconnect("the backend did not answer a push", now);
            return;
        }
        let gap = open.gap_at.is_some_and(|at| at <= now);
        let awaited = self
            .pushing
            .awaited
            .is_some_and(|awaited| awaited.until <= now);
        if gap || awaited || open.check_at <= now {
            self.start_check(now);
        }
        if let Some(open) = self.session.open_mut().filter(|open| open.check.is_some()) {
            // The end of the pull that is under way decides about all three.
            open.check_at = Timestamp::NEVER;
            open.gap_at = open.gap_at.map(|_| Timestamp::NEVER);
            if let Some(awaited) = &mut self.pushing.awaited {
                awaited.until = Timestamp::NEVER;
            }
        }
        if self.pushing.not_before.is_some_and(|at| at <= now) {
            self.pushing.not_before = None;
        }
    }

    /// The first of an open socket's deadlines.
    pub(super) fn poll_open_timeout(&self) -> Timestamp {
        let Some(open) = self.session.open() else {
            return Timestamp::NEVER;
        };
        let check = open.check.as_ref().map(|check| check.deadline);
        let refill = open.refill.as_ref().map(|refill| refill.deadline);
        let awaited = self.pushing.awaited.map(|awaited| awaited.until);
        let pushes = self.pushing.in_flight.iter().map(|push| push.deadline);
        let others = [check, refill, awaited, open.gap_at, self.pushing.not_before];
        others
            .into_iter()
            .flatten()
            .chain(pushes)
            .fold(open.check_at, Ord::min)
    }

    fn enter(&mut self, session: Session, now: Timestamp) {
        self.session = session;
        self.since = now;
    }
}
