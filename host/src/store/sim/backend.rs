//! Model backend: one log with its admission rule, as LiveStore's Cloudflare backend has it, faults included. The only
//! check on a push is that its first parent is the head. Rows are appended in statements of so many at a time, and the
//! head is kept apart from them, so a push that fails half way leaves rows that the head knows nothing of.

use std::sync::Arc;

use crate::event::{Event, NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::PushAnswer;
use crate::time::Timestamp;

/// One log. A reset begins another.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) id: BackendId,
    /// Event n stands at n-1. There may be rows past the head, after a push that failed half way.
    pub(super) rows: Vec<Event>,
    pub(super) head: SeqNum,
}

/// One push on its way.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) backend_id: Option<BackendId>,
    pub(super) drafts: Vec<NumberedDraft>,
}

/// What becomes of a push that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stored,
    /// Stored, and answered with an error.
    StoredButDenied,
    /// Not stored, and answered with an error.
    Failed,
    /// If it takes more than one statement: only the first is stored, and the head does not move.
    Torn,
}

/// The backend: its logs, the last of which is the one it serves.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) logs: Vec<Log>,
    /// Rows in one atomic statement.
    pub(super) statement_rows: usize,
    /// The app's `onPush` refuses every event whose arguments are in here.
    pub(super) refuses: Refusal,
    events_written: u64,
}

/// Which events the app refuses for ever: by a hash of their arguments, so that a draft keeps its fate over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Out of a thousand.
    pub(super) permille: u64,
    pub(super) seed: u64,
}

impl Refusal {
    /// Whether the app refuses an event with these arguments.
    pub(super) fn covers(&self, args: &str) -> bool {
        let hash = args.bytes().fold(self.seed, |hash, byte| {
            (hash ^ u64::from(byte))
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(29)
        });
        hash % 1000 < self.permille
    }
}

impl Backend {
    pub(super) fn new(statement_rows: usize, refuses: Refusal) -> Self {
        let mut backend = Self {
            logs: Vec::new(),
            statement_rows,
            refuses,
            events_written: 0,
        };
        backend.reset();
        backend
    }

    /// The log that is served.
    pub(super) fn log(&self) -> &Log {
        self.logs.last().expect("there is always a log")
    }

    fn log_mut(&mut self) -> &mut Log {
        self.logs.last_mut().expect("there is always a log")
    }

    /// Wipes the log: an empty one with another id is served from now on.
    pub(super) fn reset(&mut self) {
        let id = BackendId::new(&format!("log-{}", self.logs.len()));
        self.logs.push(Log {
            id,
            rows: Vec::new(),
            head: SeqNum::ROOT,
        });
    }

    /// Whether another client can write: not after a torn append.
    pub(super) fn is_sound(&self) -> bool {
        self.log().rows.len() as u64 == self.log().head.get()
    }

    /// Another client appends one event, with arguments that no other event has.
    pub(super) fn write(&mut self, name: &str, session_id: &str, now: Timestamp) -> Event {
        assert!(
            self.is_sound(),
            "nobody can write past rows that the head knows nothing of"
        );
        self.events_written += 1;
        let args: Arc<str> = format!("\"event {}\"", self.events_written).into();
        let log = self.log_mut();
        let event = Event {
            seq: log.head.next(),
            parent: log.head,
            name: name.into(),
            args,
            client_id: "somebody".into(),
            session_id: session_id.into(),
            created_at: Some(now),
        };
        log.head = event.seq;
        log.rows.push(event.clone());
        event
    }

    /// Takes a push, and says what to answer and what to tell everybody.
    pub(super) fn append(
        &mut self,
        push: &Push,
        fate: Fate,
        now: Timestamp,
    ) -> (PushAnswer, Vec<Event>) {
        let log = self.log();
        let unknown = |error: &str| {
            (
                PushAnswer::Unknown {
                    error: error.into(),
                },
                Vec::new(),
            )
        };
        if push.backend_id.as_ref().is_some_and(|id| *id != log.id) {
            return (
                PushAnswer::BackendIdMismatch {
                    actual: Some(log.id.clone()),
                },
                Vec::new(),
            );
        }
        if push
            .drafts
            .iter()
            .any(|draft| self.refuses.covers(&draft.draft.args))
        {
            return unknown("the app's onPush threw");
        }
        if push
            .drafts
            .first()
            .is_some_and(|first| first.parent != log.head)
        {
            return (PushAnswer::ServerAhead { head: log.head }, Vec::new());
        }
        if !self.is_sound() {
            return unknown("UNIQUE constraint failed");
        }
        match fate {
            Fate::Failed => unknown("storage was busy"),
            Fate::Torn if push.drafts.len() > self.statement_rows => {
                let rows = push.drafts.iter().take(self.statement_rows);
                let rows: Vec<_> = rows.map(|draft| event_of(draft, now)).collect();
                self.log_mut().rows.extend(rows);
                unknown("the second statement failed")
            }
            Fate::Stored | Fate::Torn => (PushAnswer::Accepted, self.store(push, now)),
            Fate::StoredButDenied => {
                let events = self.store(push, now);
                (
                    PushAnswer::Unknown {
                        error: "internal error after the append".into(),
                    },
                    events,
                )
            }
        }
    }

    fn store(&mut self, push: &Push, now: Timestamp) -> Vec<Event> {
        let events: Vec<_> = push
            .drafts
            .iter()
            .map(|draft| event_of(draft, now))
            .collect();
        let log = self.log_mut();
        log.rows.extend(events.iter().cloned());
        log.head = events.last().map_or(log.head, |last| last.seq);
        events
    }

    /// Up to `max` rows after `after`, and whether there are none beyond them.
    pub(super) fn page(&self, after: SeqNum, max: usize) -> (Vec<Event>, bool) {
        let rows = &self.log().rows;
        let first = usize::try_from(after.get()).map_or(rows.len(), |skip| skip.min(rows.len()));
        let end = (first + max).min(rows.len());
        (rows[first..end].to_vec(), end == rows.len())
    }
}

fn event_of(draft: &NumberedDraft, now: Timestamp) -> Event {
    Event {
        seq: draft.seq,
        parent: draft.parent,
        name: draft.draft.name.clone(),
        args: draft.draft.args.clone(),
        client_id: draft.client_id.clone(),
        session_id: draft.session_id.clone(),
        created_at: Some(now),
    }
}
