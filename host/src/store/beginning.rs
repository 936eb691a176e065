//! How a life of a store begins: from what the journal holds and what the settings say, to the first conclusions.

use std::collections::{BTreeMap, VecDeque};

use crate::event::SeqNum;
use crate::id::PluginName;
use crate::store::breaker::Breaker;
use crate::store::machine::StoreState;
use crate::store::outbox::Outbox;
use crate::store::push::Pushing;
use crate::store::ration::Ration;
use crate::store::sabotage::Sabotage;
use crate::store::scan::Scan;
use crate::store::session::Session;
use crate::store::staging::Staging;
use crate::store::subscription::{Start, Subscription};
use crate::store::tasks::Tasks;
use crate::store::window::Window;
use crate::store::{
    BreakerRecord, RationRecord, Settings, Snapshot, SubscriptionRecord, SubscriptionSettings,
};
use crate::time::Timestamp;

impl StoreState {
    /// Begins a life from what the journal holds. `seed` is for jitter only. `ahead` is by how many milliseconds the wall
    /// clock is ahead of `now`.
    pub fn new(
        settings: Settings,
        snapshot: Snapshot,
        seed: u64,
        (now, ahead): (Timestamp, i64),
    ) -> Self {
        Self::sabotaged(settings, snapshot, seed, (now, ahead), None)
    }

    /// A life in which one rule may be broken.
    pub(crate) fn sabotaged(
        settings: Settings,
        snapshot: Snapshot,
        seed: u64,
        (now, ahead): (Timestamp, i64),
        sabotage: Option<Sabotage>,
    ) -> Self {
        // A clock that was set back must not make this life's commits older than the last one's.
        let (now, today) = (now.max(snapshot.clock), now);
        let (snapshot, removed, known) = Known::of(&settings, snapshot, ahead, now, sabotage);
        let state = Self::offline(settings, snapshot, known, (seed, sabotage), now);
        state.resumed(removed, now, today)
    }

    /// A life that knows what it knew, and has begun nothing.
    fn offline(
        settings: Settings,
        snapshot: Snapshot,
        known: Known,
        (seed, sabotage): (u64, Option<Sabotage>),
        now: Timestamp,
    ) -> Self {
        let Known {
            subscriptions,
            ration,
            tasks,
        } = known;
        let head = scan_start(snapshot.scanned, &subscriptions, sabotage);
        let needed = subscriptions.iter().filter_map(Subscription::needs_after);
        let fill = needed.fold(head, Ord::min);
        Self {
            rng: fastrand::Rng::with_seed(seed),
            sabotage,
            effects: VecDeque::new(),
            session: Session::Offline { retry_at: now },
            since: now,
            error: None,
            connect_failures: 0,
            generations_used: 0,
            gap_checks: 0,
            last_activity: None,
            backend_id: snapshot.backend_id,
            scan: Scan::new(head, settings.limits.stash_events_max),
            window: Window::new(fill, &settings.limits),
            subscriptions,
            first: 0,
            ration,
            deferred: None,
            tokens_used: 0,
            tasks,
            scan_from: None,
            dead_letters: snapshot.dead_letters.into_iter().collect(),
            outbox: Outbox::new(snapshot.outbox),
            pushing: Pushing::default(),
            staging: Staging::new(),
            draining: false,
            restart_wanted: false,
            halted: false,
            settings,
        }
    }

    /// Settles what the life before left open, and draws the first conclusions.
    fn resumed(mut self, mut removed: Vec<PluginName>, now: Timestamp, today: Timestamp) -> Self {
        self.charge_lost_runs();
        // One whose start was never fixed may have tasks.
        let plans = self.tasks.plugins().into_iter();
        removed.extend(plans.filter(|plugin| !self.serves(plugin)));
        removed.sort_unstable();
        removed.dedup();
        for plugin in removed {
            self.remove_subscription(plugin, now);
        }
        // Of tasks, only the wall clock counts.
        self.on_clock_set(self.tasks.ahead(), today);
        self.declare_tasks(today);
        self.forget_old_tasks(today);
        self.advance(now);
        self
    }

    /// The plugin no longer works here: its record, kv and dead letters go in one commit. Its drafts are still pushed.
    fn remove_subscription(&mut self, plugin: PluginName, now: Timestamp) {
        self.dead_letters.retain(|run, _| run.plugin != plugin);
        self.tasks.remove_plugin(&plugin);
        if self.breaks(Sabotage::RemovedDraftsDropped) {
            let gone = self.outbox.drop_plugin(&plugin);
            self.staging.next.outbox_removed.extend(gone);
        }
        self.staging.next.subscriptions_removed.push(plugin);
        self.staging.write_by(now);
    }
}

/// What a life knows from the journal and its settings together.
struct Known {
    subscriptions: Vec<Subscription>,
    ration: Ration,
    tasks: Tasks,
}

impl Known {
    /// Takes its part of the snapshot, whose rest is answered with it; and the plugins that work here no more.
    fn of(
        settings: &Settings,
        mut snapshot: Snapshot,
        ahead: i64,
        now: Timestamp,
        sabotage: Option<Sabotage>,
    ) -> (Snapshot, Vec<PluginName>, Self) {
        if sabotage == Some(Sabotage::TankFullAtStart) {
            snapshot.rations.clear();
        }
        if sabotage == Some(Sabotage::OpenForgottenAtStart) {
            snapshot.executions.clear();
        }
        let records = std::mem::take(&mut snapshot.subscriptions);
        let rations = std::mem::take(&mut snapshot.rations);
        let kept = Kept::new(records, rations, std::mem::take(&mut snapshot.breakers));
        let ration = Ration::new(settings.ration, kept.ration(None), now);
        let (subscriptions, removed) = subscriptions_of(settings, kept, sabotage, now);
        let tasks = Tasks::new(
            std::mem::take(&mut snapshot.tasks),
            std::mem::take(&mut snapshot.executions),
            std::mem::take(&mut snapshot.landed_occurrences),
            settings.spread,
            ahead,
        );
        let known = Self {
            subscriptions,
            ration,
            tasks,
        };
        (snapshot, removed, known)
    }
}

/// What the journal has about subscriptions.
struct Kept {
    records: Vec<SubscriptionRecord>,
    rations: Vec<RationRecord>,
    breakers: Vec<BreakerRecord>,
}

impl Kept {
    fn new(
        records: Vec<SubscriptionRecord>,
        rations: Vec<RationRecord>,
        breakers: Vec<BreakerRecord>,
    ) -> Self {
        Self {
            records,
            rations,
            breakers,
        }
    }

    /// What is left of a plugin's ration, or of the store's own.
    fn ration(&self, owner: Option<&PluginName>) -> Option<&RationRecord> {
        let mut rations = self.rations.iter();
        rations.find(|record| record.owner.as_ref() == owner)
    }
}

/// The subscriptions that are configured, as the journal left them, and those in the journal that are not configured any
/// more.
fn subscriptions_of(
    settings: &Settings,
    mut kept: Kept,
    sabotage: Option<Sabotage>,
    now: Timestamp,
) -> (Vec<Subscription>, Vec<PluginName>) {
    let known = |record: SubscriptionRecord| (record.plugin.clone(), record);
    let mut records: BTreeMap<_, _> = kept.records.drain(..).map(known).collect();
    let failing = |record: BreakerRecord| (record.plugin.clone(), record);
    let mut breakers: BTreeMap<_, _> = kept.breakers.drain(..).map(failing).collect();
    let ration = |settings: &SubscriptionSettings| {
        let record = kept.ration(Some(&settings.plugin));
        Ration::new(settings.ration, record, now)
    };
    if sabotage == Some(Sabotage::StartReevaluated) {
        records.clear();
    }
    let subscription = |it: &SubscriptionSettings| {
        let breaker = Breaker::new(breakers.remove(&it.plugin), it.build.as_ref());
        Subscription::new(it.clone(), records.remove(&it.plugin), ration(it), breaker)
    };
    let subscriptions = settings.subscriptions.iter().map(subscription).collect();
    (subscriptions, records.into_keys().collect())
}

/// Where a life's scan begins: no stamp of a trigger that may still run lies before it. `scanned` is not enough, since a
/// commit after a restart may have been decided before the scan came back to where it was.
fn scan_start(
    scanned: SeqNum,
    subscriptions: &[Subscription],
    sabotage: Option<Sabotage>,
) -> SeqNum {
    let behind = |it: &&Subscription| match it.start {
        Start::Fixed { .. } => true,
        Start::Open => !it.starts_at_head() && sabotage != Some(Sabotage::AddedWithoutRescan),
    };
    let cursors = subscriptions.iter().filter(behind).map(|it| it.cursor);
    match sabotage {
        Some(Sabotage::ScanFromHighest) => cursors.fold(scanned, Ord::max),
        Some(Sabotage::ScanFromLowestCursorOnly) => cursors.min().unwrap_or(scanned),
        Some(_) | None => cursors.fold(scanned, Ord::min),
    }
}
