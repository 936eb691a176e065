//! One task owns one store. It opens the store's journal, feeds its machine with whatever happens, and carries out what
//! the machine wants, in order. It decides nothing but what to do when the journal itself fails: drop the machine, wait,
//! and begin again from what is written. Another configuration is taken in place, or by such a new beginning.

mod clock;
mod guest;
mod handle;
mod life;
mod link;
mod recovery;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, error, info, warn};

pub use clock::{Clock, wall, watch_wall};
pub use handle::{Report, Shown, StoreHandle};
pub use link::Source;

use crate::catalog::Stocked;
use crate::id::{PluginName, StoreId};
use crate::journal::{self, Journal};
use crate::runtime::Limits;
use crate::store::{Durability, Grants, Settings, TaskDefaults};
use crate::telemetry::{Metrics, StoreState};
use crate::time::Timestamp;
use handle::{Face, Mailbox, Message};
use life::Life;
use recovery::Recovery;

/// What every store of the process shares.
#[derive(Clone)]
pub struct Shared {
    /// The journals.
    pub journal: Journal,
    /// Where guests run: a runtime of their own, so that they hold up nobody else.
    pub guests: tokio::runtime::Handle,
    /// How many stores may open a socket at once.
    pub openings: Arc<Semaphore>,
    /// The time.
    pub clock: Clock,
    /// By how many milliseconds the wall clock is ahead of it.
    pub wall: watch::Receiver<i64>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
}

/// One store, as configured. Two that are equal are one configuration.
#[derive(PartialEq)]
pub struct StoreSpec {
    /// Its id.
    pub id: StoreId,
    /// How and why it rests, if it does.
    pub rest: Option<Rest>,
    /// Where its log is.
    pub source: Source,
    /// What a commit survives.
    pub durability: Durability,
    /// For its machine.
    pub settings: Settings,
    /// How much later than planned a task may begin without a word.
    pub task_late_after: Duration,
    /// The plugins that can run in it.
    pub workers: BTreeMap<PluginName, Worker>,
}

/// Why a store is not to do anything, until its configuration says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// What it is called meanwhile.
    pub state: StoreState,
    /// Why, and what to do about it.
    pub reason: Arc<str>,
}

/// A plugin at work in a store.
#[derive(Clone)]
pub struct Worker {
    /// The plugin, in the version that is used there.
    pub stocked: Arc<Stocked>,
    /// Its config there: JSON text.
    pub config: Arc<str>,
    /// What it may do there.
    pub grants: Arc<Grants>,
    /// What each run may use.
    pub limits: Limits,
    /// The store's share of the machine.
    pub weight: NonZeroU32,
    /// What a task that it schedules is like where it says nothing.
    pub task_defaults: Arc<TaskDefaults>,
    /// Ids of tasks that its runs cannot change, because its description or the store's configuration has them.
    pub declared: Arc<BTreeSet<Arc<str>>>,
}

impl PartialEq for Worker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stocked, &other.stocked)
            && self.config == other.config
            && self.grants == other.grants
            && self.limits == other.limits
            && self.weight == other.weight
            && self.task_defaults == other.task_defaults
            && self.declared == other.declared
    }
}

/// The task of one store.
pub struct StoreActor {
    spec: Arc<StoreSpec>,
    shared: Shared,
    mailbox: Mailbox,
    face: Face,
}

/// How a life of a store's machine ended.
#[derive(Debug)]
enum End {
    /// Begin again at once, or rest if the configuration says so.
    Again,
    /// Rest: all that was committed is in the log, as somebody wished.
    Drained,
    /// Everything is finished, as it was told to.
    Stopped,
    /// Begin again on another log, for which the journal was put aside; after a while if the last life ended so as well.
    StartedOver,
    /// Begin again after a while.
    Fault(Arc<str>),
    /// It cannot begin again before somebody has looked.
    Fatal(StoreState, Arc<str>),
}

/// How a rest ended.
enum Rested {
    /// Begin again.
    Again,
    /// It was told to stop.
    Stopped,
}

impl StoreSpec {
    /// Whether a store that stopped for good has a new chance under `new`: another version of a plugin mends nothing.
    fn is_mended_by(&self, new: &Self) -> bool {
        self.rest != new.rest
            || self.source != new.source
            || self.durability != new.durability
            || self.settings.on_reset != new.settings.on_reset
            || self.settings.timing != new.settings.timing
    }
}

impl StoreActor {
    /// A store that is yet to run, and its mailbox.
    pub fn new(spec: Arc<StoreSpec>, shared: Shared) -> (Self, StoreHandle) {
        let (face, shown) = Face::new(&shared.metrics, shared.clock);
        let (handle, mailbox) = StoreHandle::new(spec.clone(), shown);
        let actor = Self {
            spec,
            shared,
            mailbox,
            face,
        };
        (actor, handle)
    }

    /// Runs the store until it is told to stop. A panic costs the store its machine, and nobody else anything.
    pub async fn run(mut self) {
        let mut recovery = Recovery::default();
        loop {
            let began = self.shared.clock.now();
            let end = match self.spec.rest.clone() {
                Some(Rest { state, reason }) => End::Fatal(state, reason),
                None => {
                    let life = AssertUnwindSafe(self.life()).catch_unwind().await;
                    life.unwrap_or_else(|panic| End::Fault(panicked(&*panic)))
                }
            };
            let now = self.shared.clock.now();
            recovery.on_end(now.since(began));
            let (state, reason, until) = match end {
                End::Stopped => return,
                End::Again => continue,
                End::StartedOver => {
                    let Some(wait) = recovery.after_start_over(fastrand::u64(..)) else {
                        continue;
                    };
                    let reason = "the backend shows another log each time; its address may lead to several backends";
                    warn!(store = %self.spec.id, reason, ?wait, "store begins anew again");
                    (StoreState::BackingOff, reason.into(), now + wait)
                }
                End::Fault(reason) => {
                    let wait = recovery.after_fault(fastrand::u64(..));
                    warn!(store = %self.spec.id, %reason, ?wait, "store failed; begins again");
                    (StoreState::BackingOff, reason, now + wait)
                }
                End::Drained => {
                    let reason = "drained: all that it has committed is in its log";
                    (StoreState::Paused, reason.into(), Timestamp::NEVER)
                }
                End::Fatal(StoreState::Paused, reason) => {
                    info!(store = %self.spec.id, %reason, "store rests");
                    (StoreState::Paused, reason, Timestamp::NEVER)
                }
                End::Fatal(StoreState::BackingOff, reason) => {
                    debug!(store = %self.spec.id, %reason, "store waits for its turn");
                    (StoreState::BackingOff, reason, Timestamp::NEVER)
                }
                End::Fatal(state, reason) => {
                    error!(store = %self.spec.id, %reason, "store stopped");
                    (state, reason, Timestamp::NEVER)
                }
            };
            match self.rest(state, reason, until).await {
                Rested::Again => {}
                Rested::Stopped => return,
            }
        }
    }

    async fn life(&mut self) -> End {
        match self.begin().await {
            Ok(mut life) => {
                let Self {
                    spec,
                    mailbox,
                    face,
                    ..
                } = self;
                life.run(spec, mailbox, face).await
            }
            Err(end) => end,
        }
    }

    /// Claims the journal and wakes the machine.
    async fn begin(&mut self) -> Result<Life, End> {
        let (id, durability) = (self.spec.id.clone(), self.spec.durability);
        let journal = self.shared.journal.clone();
        let claim = async move {
            let lease = journal.claim(&id, durability).await?;
            let snapshot = journal.load(&lease).await?;
            Ok((lease, snapshot))
        };
        let since = self.shared.clock.now();
        let report = Report::without_machine(StoreState::Connecting, since, None);
        self.face.set(StoreState::Connecting);
        let mut claim = std::pin::pin!(claim);
        let claimed: Result<_, journal::Error> = loop {
            tokio::select! {
                claimed = &mut claim => break claimed,
                message = self.mailbox.next() => match message {
                    Message::Report(answer) => drop(answer.send(report.clone())),
                    Message::Reconfigure(spec) => {
                        let again = self.spec.is_mended_by(&spec);
                        self.spec = spec;
                        if again {
                            return Err(End::Again);
                        }
                    }
                    Message::Drain { answer, .. } | Message::Task { answer, .. } => {
                        drop(answer.send(Err("it is only just beginning; try again".to_owned())));
                    }
                    Message::Stop { .. } => return Err(End::Stopped),
                },
            }
        };
        let (lease, snapshot) = claimed.map_err(end_of)?;
        Ok(Life::new(
            self.spec.clone(),
            self.shared.clone(),
            lease,
            snapshot,
        ))
    }

    /// Waits until `until`, or until another configuration promises more, and answers questions meanwhile.
    async fn rest(&mut self, state: StoreState, reason: Arc<str>, until: Timestamp) -> Rested {
        let clock = self.shared.clock;
        let report = Report::without_machine(state, clock.now(), Some(reason.clone()));
        self.face.set(state);
        let mut rested = std::pin::pin!(clock.sleep_until(until));
        loop {
            tokio::select! {
                () = &mut rested => return Rested::Again,
                message = self.mailbox.next() => match message {
                    Message::Report(answer) => drop(answer.send(report.clone())),
                    Message::Reconfigure(spec) => {
                        let again = self.spec.is_mended_by(&spec);
                        self.spec = spec;
                        if again {
                            return Rested::Again;
                        }
                    }
                    Message::Drain { answer, .. } | Message::Task { answer, .. } => {
                        drop(answer.send(Err(format!("it is {}: {reason}", state.label()))));
                    }
                    Message::Stop { .. } => {
                        info!(store = %self.spec.id, "store stopped");
                        return Rested::Stopped;
                    }
                },
            }
        }
    }
}

/// What a failure of the journal means for its store.
fn end_of(error: journal::Error) -> End {
    let reason = error.to_string().into();
    match error {
        journal::Error::Disk { .. }
        | journal::Error::Fenced { .. }
        | journal::Error::Other { .. } => End::Fault(reason),
        journal::Error::Corrupt { .. } => End::Fatal(StoreState::Quarantined, reason),
        // It is shut down after the stores, so its thread has died of a mistake of ours. The others go on.
        journal::Error::Closed
        | journal::Error::Locked { .. }
        | journal::Error::Newer { .. }
        | journal::Error::Foreign { .. } => End::Fatal(StoreState::Stopped, reason),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "the store's task panicked: {}",
        text.unwrap_or("without a message")
    )
    .into()
}
