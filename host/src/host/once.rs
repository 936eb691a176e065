//! One pass instead of a server: every store catches up, runs what is due, has it confirmed by its log, and rests. Nothing is
//! listened on, and no change of the configuration is followed. Beside others who do the same, on the same data folder or on one
//! of their own, nothing happens twice: the folder has a lock, and the logs have stamps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Host, House, Stop};
use crate::actor::{Report, StoreHandle};
use crate::config::{Changes, Loaded, Source};
use crate::id::StoreId;
use crate::journal::{ExecutionFilter, Journal};
use crate::store::{ExecutionState, Status, SubscriptionState};
use crate::supervisor::{Roster, Supervisor};
use crate::telemetry::{Metrics, StoreState};
use crate::time::Timestamp;

/// How often stores are asked whether they are through.
const LOOK: Duration = Duration::from_millis(50);

/// What a stop waits for what runs: the pass is over, and what still runs is tried again in the next.
const GRACE: Duration = Duration::from_secs(5);

/// Executions of a store that are counted. More in one pass come about only by a task every second over hours.
const COUNTED_MAX: usize = 10_000;

/// What came of a pass.
#[derive(Debug, Serialize)]
pub struct Pass {
    /// Each store, by id.
    pub stores: Vec<Passed>,
    /// Milliseconds that it took.
    pub took_ms: u64,
}

/// What came of a pass in one store.
#[derive(Debug, Serialize)]
pub struct Passed {
    /// The store.
    pub store: StoreId,
    /// Whether it is through: all of its log was answered, and all that was due is over.
    pub served: bool,
    /// Why not, or why there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Occurrences that are over since the beginning of the pass, by what became of them.
    pub executions: BTreeMap<&'static str, usize>,
    /// When the next is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Timestamp>,
}

/// How far a store is.
struct Progress {
    handle: StoreHandle,
    /// Whether it is through, and why not.
    end: Option<(bool, Option<Arc<str>>)>,
    next_due: Option<Timestamp>,
    /// What keeps it from being through.
    waits_for: Arc<str>,
}

/// Runs one pass over the stores of `loaded`; it ends after `timeout`, finished or not.
///
/// # Errors
/// [`crate::journal::Error::Locked`] if another process works on the data folder; or the host cannot be put together.
pub fn run(
    source: Source,
    loaded: Loaded,
    metrics: Arc<Metrics>,
    timeout: Duration,
) -> anyhow::Result<Pass> {
    let house = House::open(loaded.config.server(), metrics)?;
    house.live(async |host| host.pass(source, loaded, timeout).await)
}

impl Host {
    async fn pass(self, source: Source, loaded: Loaded, timeout: Duration) -> anyhow::Result<Pass> {
        let mut stop = Stop::new()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let began = Instant::now();
        let wall = self.wall();
        let server = loaded.config.server().clone();
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (running, config) = watch::channel(Arc::new(loaded.config.clone()));
        let (catalog, _desk, shelf) = self.catalog(&server.data, config).await?;
        tasks.spawn(catalog.run(closing.clone()));
        let sync = Arc::new(self.endpoint(&server));
        let changes = Changes::none(source.clone());
        let parts = self.parts((source, changes), running, shelf, sync.clone());
        let (mut supervisor, _desk, roster) = Supervisor::start(parts, loaded).await?;
        let mut progress = Progress::of(&roster.borrow());
        tokio::select! {
            () = settle(&mut progress) => {}
            () = sleep(timeout.saturating_sub(began.elapsed())) => info!(?timeout, "the time is up"),
            signal = stop.wait() => info!(signal, "stopping"),
            never = supervisor.run(&mut hangup) => match never {},
        }
        let roster = roster.borrow().clone();
        supervisor.stop(GRACE).await;
        sync.close().await;
        closing.cancel();
        while tasks.join_next().await.is_some() {}
        let mut stores = unserved(&roster);
        for (store, progress) in progress {
            stores.push(progress.passed(store, &self.shared.journal, wall).await);
        }
        stores.sort_by(|one, other| one.store.cmp(&other.store));
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Pass { stores, took_ms })
    }

    fn wall(&self) -> Timestamp {
        let now = self.shared.clock.now().as_millis();
        Timestamp::from_millis(now.saturating_add_signed(*self.shared.wall.borrow()))
    }
}

/// Asks the stores until all are through.
async fn settle(progress: &mut BTreeMap<StoreId, Progress>) {
    loop {
        let mut waits = false;
        for progress in progress.values_mut().filter(|it| it.end.is_none()) {
            if let Some(report) = progress.handle.report().await {
                progress.look(&report);
            }
            waits |= progress.end.is_none();
        }
        if !waits {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Stores that have no task.
fn unserved(roster: &Roster) -> Vec<Passed> {
    let without = |store: StoreId, served, reason: Arc<str>| Passed {
        store,
        served,
        reason: Some(reason),
        executions: BTreeMap::new(),
        next_due: None,
    };
    let broken = roster.broken.iter().filter_map(|broken| {
        let store = broken.id.parse().ok()?;
        Some(without(store, false, broken.reason.clone()))
    });
    let removed = roster.removed.iter();
    let removed = removed.map(|it| without(it.id.clone(), true, "it was removed by hand".into()));
    broken.chain(removed).collect()
}

impl Progress {
    fn of(roster: &Roster) -> BTreeMap<StoreId, Self> {
        let listed = roster.stores.iter().map(|listed| {
            let progress = Self {
                handle: listed.handle.clone(),
                end: None,
                next_due: None,
                waits_for: "it has not begun".into(),
            };
            (listed.handle.id().clone(), progress)
        });
        listed.collect()
    }

    fn look(&mut self, report: &Report) {
        let reason = || report.reason.clone();
        match (report.state, &report.status) {
            (StoreState::Live, Some(status)) => {
                self.next_due = status.tasks.next_due;
                match waits_for(status) {
                    None => self.end = Some((true, None)),
                    Some(what) => self.waits_for = what,
                }
            }
            (StoreState::Paused, _) => self.end = Some((true, reason())),
            (StoreState::Stopped | StoreState::Quarantined, _) => {
                self.end = Some((false, reason()));
            }
            (
                StoreState::Live
                | StoreState::Connecting
                | StoreState::CatchingUp
                | StoreState::BackingOff,
                _,
            ) => {
                let state = report.state.label();
                self.waits_for = match &report.reason {
                    Some(reason) => format!("it is {state}: {reason}").into(),
                    None => format!("it is {state}").into(),
                };
            }
        }
    }

    /// Its place in the summary. `since` is when the pass began, by the wall clock.
    async fn passed(self, store: StoreId, journal: &Journal, since: Timestamp) -> Passed {
        let late = || {
            let what = &self.waits_for;
            let reason = format!("not finished in time: {what}; the next pass goes on from here");
            (false, Some(reason.into()))
        };
        let (mut served, mut reason) = self.end.clone().unwrap_or_else(late);
        let filter = ExecutionFilter::latest(COUNTED_MAX);
        let mut executions = BTreeMap::new();
        match journal.executions(&store, filter).await {
            Ok(found) => {
                let over = |ended: Option<Timestamp>| ended.is_some_and(|ended| ended >= since);
                for execution in found.iter().filter(|it| over(it.ended)) {
                    *executions.entry(execution.state.as_str()).or_default() += 1;
                }
            }
            // A store that never began has no journal to read; its reason stands already.
            Err(_) if !served => {}
            Err(error) => (served, reason) = (false, Some(error.to_string().into())),
        }
        Passed {
            store,
            served,
            reason,
            executions,
            next_due: self.next_due,
        }
    }
}

/// What a live store is not through with.
fn waits_for(status: &Status) -> Option<Arc<str>> {
    if status.outbox > 0 {
        return Some(format!("{} runs to be confirmed by its log", status.outbox).into());
    }
    for subscription in &status.subscriptions {
        let plugin = &subscription.plugin;
        let what = match subscription.state {
            SubscriptionState::Parked => continue,
            SubscriptionState::Idle if subscription.lag_events == 0 => continue,
            SubscriptionState::Starting | SubscriptionState::Idle | SubscriptionState::Running => {
                "is at work"
            }
            SubscriptionState::Retrying => "waits for its next attempt",
            SubscriptionState::Tripped => "rests after failures",
            SubscriptionState::Rationed => "waits for its ration",
        };
        return Some(format!("{plugin} {what}").into());
    }
    let open = status.tasks.runnable;
    (open > 0).then(|| format!("{open} occurrences of tasks are not over").into())
}

impl Pass {
    /// How many occurrences came to that end in all stores together.
    pub fn count(&self, state: ExecutionState) -> usize {
        let stores = self.stores.iter();
        stores
            .filter_map(|passed| passed.executions.get(state.as_str()))
            .sum()
    }
}
