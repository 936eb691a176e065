//! The mailbox of a store: how the rest of the host asks it something or tells it to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::id::StoreId;
use crate::store::{SessionStatus, Status};
use crate::telemetry::StoreState;
use crate::time::Timestamp;

/// Messages that may wait in a mailbox: an operator's questions, never events.
pub(super) const MAILBOX: usize = 16;

/// How long a store may take to answer. It never waits for anything that long, unless the machine is overloaded.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running store, from outside.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    id: StoreId,
    mailbox: mpsc::Sender<Message>,
}

/// What a store is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// How are you?
    Report(oneshot::Sender<Report>),
    /// Finish what is going on, and end.
    Stop,
}

/// A store as an operator sees it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The one word.
    pub state: StoreState,
    /// Since when.
    pub since: Timestamp,
    /// Why it is not live, and what to do about it.
    pub reason: Option<Arc<str>>,
    /// The machine's own account; none while there is no machine.
    pub status: Option<Status>,
}

impl Report {
    /// The report of a store that has no machine.
    pub fn without_machine(state: StoreState, since: Timestamp, reason: Option<Arc<str>>) -> Self {
        Self {
            state,
            since,
            reason,
            status: None,
        }
    }

    /// The report of a machine.
    pub(super) fn of(status: Status) -> Self {
        let reason = match &status.session {
            SessionStatus::Stopped(reason) => Some(reason.to_string().into()),
            SessionStatus::Connecting
            | SessionStatus::CatchingUp
            | SessionStatus::Live
            | SessionStatus::BackingOff { .. } => status.error.clone(),
        };
        let state = state_of(&status.session);
        Self {
            state,
            since: status.since,
            reason,
            status: Some(status),
        }
    }
}

impl StoreHandle {
    pub(super) fn new(id: StoreId) -> (Self, mpsc::Receiver<Message>) {
        let (mailbox, messages) = mpsc::channel(MAILBOX);
        (Self { id, mailbox }, messages)
    }

    /// The store's id.
    pub fn id(&self) -> &StoreId {
        &self.id
    }

    /// How the store is; none if it does not answer in time or has ended.
    pub async fn report(&self) -> Option<Report> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.mailbox.send(Message::Report(answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }

    /// Tells the store to finish what is going on and to end. It has ended already if it cannot be told.
    pub async fn stop(&self) {
        self.mailbox.send(Message::Stop).await.ok();
    }
}

/// The one word for a session.
pub(super) fn state_of(session: &SessionStatus) -> StoreState {
    match session {
        SessionStatus::Connecting => StoreState::Connecting,
        SessionStatus::CatchingUp => StoreState::CatchingUp,
        SessionStatus::Live => StoreState::Live,
        SessionStatus::BackingOff { .. } => StoreState::BackingOff,
        SessionStatus::Stopped(_) => StoreState::Stopped,
    }
}
