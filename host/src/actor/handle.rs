//! The mailbox of a store: how the rest of the host asks it something, gives it another configuration, or tells it to
//! stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::actor::{Clock, StoreSpec};
use crate::id::StoreId;
use crate::store::{SessionStatus, Status, TaskKey, TaskOrder};
use crate::telemetry::{Metrics, StoreGauge, StoreState};
use crate::time::Timestamp;

/// Messages that may wait in a mailbox: an operator's questions, never events.
pub(super) const MAILBOX: usize = 16;

/// How long a store may take to answer. It never waits for anything that long, unless the machine is overloaded.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running store, from outside.
#[derive(Clone)]
pub struct StoreHandle {
    id: StoreId,
    messages: mpsc::Sender<Message>,
    /// Not a message: whoever changes a configuration never waits for a store, and a store that is busy takes only the
    /// newest of several.
    spec: watch::Sender<Arc<StoreSpec>>,
    shown: watch::Receiver<Shown>,
}

/// What a store does, as far as it can be seen without asking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// In one word.
    pub state: StoreState,
    /// Since when.
    pub since: Timestamp,
}

/// Where a store shows what it does: among the numbers, and to whoever has a handle.
pub(super) struct Face {
    gauge: StoreGauge,
    clock: Clock,
    shown: watch::Sender<Shown>,
}

/// The store's end of it.
pub(super) struct Mailbox {
    messages: mpsc::Receiver<Message>,
    spec: watch::Receiver<Arc<StoreSpec>>,
}

/// What a store is told.
pub(super) enum Message {
    /// How are you?
    Report(oneshot::Sender<Report>),
    /// Be as this says from now on.
    Reconfigure(Arc<StoreSpec>),
    /// Take nothing new; rest once all that was committed is in the log.
    Drain {
        /// How long that may take; then go on as before.
        within: Duration,
        /// Whether it is done, or why not.
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Do this about a task.
    Task {
        /// Which.
        key: TaskKey,
        /// What.
        order: TaskOrder,
        /// Whether it is in the journal, or why not.
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Finish what is going on, for so long, and end.
    Stop { grace: Duration },
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

impl Mailbox {
    /// The next message. Who has lost every handle is told to stop at once. Cancel-safe.
    pub(super) async fn next(&mut self) -> Message {
        const STOP: Message = Message::Stop {
            grace: Duration::ZERO,
        };
        tokio::select! {
            message = self.messages.recv() => message.unwrap_or(STOP),
            changed = self.spec.changed() => match changed {
                Ok(()) => Message::Reconfigure(self.spec.borrow_and_update().clone()),
                Err(_) => STOP,
            },
        }
    }
}

impl Face {
    /// One of a store that is about to begin.
    pub(super) fn new(metrics: &Arc<Metrics>, clock: Clock) -> (Self, watch::Receiver<Shown>) {
        let state = StoreState::Connecting;
        let since = clock.now();
        let (shown, seen) = watch::channel(Shown { state, since });
        let gauge = metrics.store(state);
        (
            Self {
                gauge,
                clock,
                shown,
            },
            seen,
        )
    }

    /// The store does something else now.
    pub(super) fn set(&mut self, state: StoreState) {
        self.gauge.set(state);
        let since = self.clock.now();
        self.shown.send_replace(Shown { state, since });
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreHandle({})", self.id)
    }
}

impl StoreHandle {
    pub(super) fn new(spec: Arc<StoreSpec>, shown: watch::Receiver<Shown>) -> (Self, Mailbox) {
        let (sender, messages) = mpsc::channel(MAILBOX);
        let handle = Self {
            id: spec.id.clone(),
            messages: sender,
            spec: watch::Sender::new(spec),
            shown,
        };
        let spec = handle.spec.subscribe();
        (handle, Mailbox { messages, spec })
    }

    /// The store's id.
    pub fn id(&self) -> &StoreId {
        &self.id
    }

    /// What the store does.
    pub fn shown(&self) -> Shown {
        *self.shown.borrow()
    }

    /// How the store is; none if it does not answer in time or has ended.
    pub async fn report(&self) -> Option<Report> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.messages.send(Message::Report(answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }

    /// Gives the store another configuration. It takes it as soon as it can, in place if it can.
    pub fn reconfigure(&self, spec: Arc<StoreSpec>) {
        self.spec.send_replace(spec);
    }

    /// Has the store take nothing new, and rest once all that was committed is in its log.
    ///
    /// # Errors
    /// It is not done within `within`, or cannot be; the store goes on as before.
    pub async fn drain(&self, within: Duration) -> Result<(), String> {
        let gone = || "the store has ended".to_owned();
        let (answer, answered) = oneshot::channel();
        let message = Message::Drain { within, answer };
        self.messages.send(message).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Has the store do something about one of its tasks; it is in the journal when this returns.
    ///
    /// # Errors
    /// There is no such task, or the store does not run at the moment.
    pub async fn task(&self, key: TaskKey, order: TaskOrder) -> Result<(), String> {
        let gone = || "the store began anew just now; look whether it is done".to_owned();
        let (answer, answered) = oneshot::channel();
        let message = Message::Task { key, order, answer };
        let asked = async {
            self.messages.send(message).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        };
        let late = |_| Err("the store does not answer; the machine may be overloaded".to_owned());
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(late)
    }

    /// Tells the store to finish what is going on, for at most so long, and to end. It has ended already if it cannot be
    /// told.
    pub async fn stop(&self, grace: Duration) {
        self.messages.send(Message::Stop { grace }).await.ok();
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
