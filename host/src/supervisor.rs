//! Which stores run, and how: it turns the configuration, the catalog and what was ordered by hand into store tasks, and
//! again whenever one of them changes. Stores that a change does not concern never notice it.

mod beginning;
mod desk;
mod lacks;
mod reload;
mod roster;
mod served;
mod spec;
mod trials;
mod unplanned;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info, warn};

pub use desk::{Desk, Followed, OrderError, ReloadOutcome, ReloadReport, Wish};
pub use roster::{Broken, ConfigState, Listed, Removed, Roster};
pub use served::addresses;
pub use spec::{log_of, spread};

use crate::actor::{Shared, StoreActor, StoreHandle, StoreSpec};
use crate::backend::Backend;
use crate::catalog::Shelf;
use crate::config::{Changes, Config, Loaded, Origin, Problem, Source, StoreConfig};
use crate::control::{self, Control, OrderKind, StoreOrder};
use crate::http;
use crate::id::StoreId;
use crate::time::Timestamp;
use desk::Order;
use lacks::Lacks;
use spec::Chosen;
use spec::tasks::Plans;
use trials::Trials;
use unplanned::Unplanned;
use wishes::Wished;

/// The running stores.
pub struct Supervisor {
    parts: Parts,
    /// In force.
    config: Arc<Config>,
    /// What there was when it was read.
    origin: Origin,
    state: ConfigState,
    /// What was told to the log about the configuration.
    told: Vec<Problem>,
    orders: BTreeMap<StoreId, StoreOrder>,
    /// Which stores the process has yet to live through.
    trials: Trials,
    /// When they are looked at next.
    look_at: Timestamp,
    stores: BTreeMap<StoreId, Running>,
    /// Stores that a connection cannot even be tried for.
    unusable: BTreeMap<StoreId, Arc<str>>,
    /// What plugins lack, as it was last told to the log.
    lacks: Lacks,
    /// Tasks that cannot be planned, as it was last told to the log.
    unplanned: Unplanned,
    /// The plans of all tasks.
    plans: Plans,
    tasks: JoinSet<()>,
    ids: HashMap<Id, StoreId>,
    /// Stores that were told to stop and have not ended.
    leaving: BTreeSet<StoreId>,
    /// Orders that take a while.
    wishes: JoinSet<Wished>,
    queue: mpsc::Receiver<Order>,
    roster: watch::Sender<Arc<Roster>>,
}

/// What a supervisor works with.
pub struct Parts {
    /// Where the configuration is read from.
    pub source: Source,
    /// Tells when it may differ: from before it was read first.
    pub changes: Changes,
    /// Who wants to know what is in force.
    pub running: watch::Sender<Arc<Config>>,
    /// What the catalog has.
    pub shelf: watch::Receiver<Arc<Shelf>>,
    /// What was ordered by hand.
    pub control: Control,
    /// The logs that are kept here.
    pub backend: Backend,
    /// Where apps reach them.
    pub endpoint: Arc<http::sync::Endpoint>,
    /// For every store.
    pub shared: Shared,
}

/// A store that has a task.
struct Running {
    handle: StoreHandle,
    spec: Arc<StoreSpec>,
    chosen: Vec<Chosen>,
    /// Tasks that are configured for it and cannot be planned.
    unplanned: Vec<Problem>,
}

/// What may have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    /// The catalog only.
    Catalog,
    /// Anything.
    Anything,
}

/// How long after its grace a store that was told to stop is waited for.
const STOP_MARGIN: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Starts every store of `loaded` that can be started, unless somebody ordered otherwise.
    ///
    /// # Errors
    /// What was ordered by hand cannot be read.
    pub async fn start(
        mut parts: Parts,
        loaded: Loaded,
    ) -> Result<(Self, Desk, watch::Receiver<Arc<Roster>>), control::Error> {
        let (desk, queue) = Desk::new();
        let (roster, shown) = watch::channel(Arc::default());
        parts.changes.also(loaded.files);
        let now = parts.shared.clock.now();
        let mut orders = parts.control.orders().await?;
        let trials = beginning::judge(&parts.control, &loaded.config, &mut orders, now).await?;
        let mut supervisor = Self {
            config: Arc::new(loaded.config),
            origin: loaded.origin,
            state: ConfigState {
                loaded_at: now,
                problems: loaded.problems.clone(),
                ..ConfigState::default()
            },
            told: loaded.problems,
            orders,
            trials,
            look_at: Timestamp::NEVER,
            stores: BTreeMap::new(),
            unusable: BTreeMap::new(),
            lacks: Lacks::new(),
            unplanned: Unplanned::new(),
            plans: Plans::default(),
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            leaving: BTreeSet::new(),
            wishes: JoinSet::new(),
            queue,
            roster,
            parts,
        };
        supervisor.reconcile(Changed::Anything).await;
        let metrics = &supervisor.parts.shared.metrics;
        metrics.config_loaded(supervisor.state.problems.len(), supervisor.state.loaded_at);
        info!(
            stores = supervisor.stores.len(),
            broken = supervisor.unusable.len(),
            "stores started"
        );
        Ok((supervisor, desk, shown))
    }

    /// Follows every change, until it is dropped. `hangup` is SIGHUP.
    pub async fn run(&mut self, hangup: &mut Signal) -> Infallible {
        loop {
            let (clock, look_at) = (self.parts.shared.clock, self.look_at);
            // All are cancel-safe: queues, a time, and watches that are looked at again.
            tokio::select! {
                // None once nobody can order anything any more; everything else goes on.
                Some(order) = self.queue.recv() => self.on_order(order).await,
                () = self.parts.changes.next() => {
                    self.reload().await;
                }
                _ = hangup.recv() => {
                    info!("SIGHUP: reading the configuration again");
                    self.reload_as_asked().await;
                }
                Ok(()) = self.parts.shelf.changed() => {
                    self.reconcile(Changed::Catalog).await;
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.on_ended(ended.map(|(id, ())| id)).await;
                }
                () = clock.sleep_until(look_at) => self.on_look().await,
                Some(wished) = self.wishes.join_next() => match wished {
                    Ok(wished) => self.on_wished(wished).await,
                    Err(error) => error!(%error, "an order was not carried to its end"),
                },
            }
        }
    }

    async fn on_order(&mut self, order: Order) {
        // Whoever asked may have stopped waiting.
        match order {
            Order::Reload(answer) => drop(answer.send(self.reload_as_asked().await)),
            Order::Preview { config, answer } => drop(answer.send(self.preview(config).await)),
            Order::Store {
                store,
                wish,
                act,
                answer,
            } => self.on_wish(store, wish, act, answer).await,
        }
    }

    /// Stops every store: what goes on is finished, or given up after `grace`. A store that is given up loses nothing:
    /// it begins again from its journal. Whether all were finished.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.wishes.shutdown().await;
        // Whatever ends the process from here on, it is no store that begins.
        if let Err(error) = self.parts.control.forget_trials().await {
            warn!(%error, "cannot note that stores have begun well; some may begin later at the next start");
        }
        let finish = async {
            let handles = self.stores.values().map(|running| &running.handle);
            futures_util::future::join_all(handles.map(|handle| handle.stop(grace))).await;
            while self.tasks.join_next().await.is_some() {}
        };
        let finished = tokio::time::timeout(grace + STOP_MARGIN, finish)
            .await
            .is_ok();
        if !finished {
            let stores = self.tasks.len();
            warn!(stores, ?grace, "gave up what was still going on");
        }
        self.tasks.shutdown().await;
        finished
    }

    /// Has everything run that should, as it should, and nothing else.
    async fn reconcile(&mut self, changed: Changed) {
        self.open_trials().await;
        let shelf = self.parts.shelf.borrow_and_update().clone();
        let config = self.config.clone();
        if changed == Changed::Anything {
            self.unusable.clear();
        }
        let mut wanted = BTreeSet::new();
        for store in config.stores() {
            if !self.is_removed(&store.id) {
                wanted.insert(&store.id);
                self.put(store, &shelf, changed);
            }
        }
        let gone = |id: &&StoreId| !wanted.contains(id);
        let gone: Vec<StoreId> = self.stores.keys().filter(gone).cloned().collect();
        for id in gone {
            self.let_go(id);
        }
        if changed == Changed::Anything {
            let backend = &self.parts.backend;
            let removed = |id: &StoreId| self.is_removed(id);
            let (addresses, served) = served::served(&config, removed, backend);
            self.parts.endpoint.apply(addresses, served);
        }
        self.publish(&shelf);
    }

    fn is_removed(&self, id: &StoreId) -> bool {
        let order = self.orders.get(id);
        order.is_some_and(|order| order.kind == OrderKind::Removed)
    }

    /// One store runs as it should, unless its last task has yet to end: then it is put when that is over.
    fn put(&mut self, config: &StoreConfig, shelf: &Shelf, changed: Changed) {
        let id = &config.id;
        let chosen = spec::choose(config, shelf);
        let running = self.stores.get(id);
        let same = running.is_some_and(|running| spec::is_same(&running.chosen, &chosen));
        if self.leaving.contains(id) || (changed == Changed::Catalog && same) {
            return;
        }
        let rest = spec::rest(config, self.orders.get(id), self.trials.held(id));
        let (timetables, unplanned) = spec::tasks::plan(config, &chosen, &mut self.plans);
        let (server, backend) = (self.config.server(), &self.parts.backend);
        let spec = match spec::spec(server, config, &chosen, timetables, rest, backend) {
            Ok(spec) => Arc::new(spec),
            Err(error) => {
                self.unusable.insert(id.clone(), error.to_string().into());
                return;
            }
        };
        match self.stores.get_mut(id) {
            Some(running) => {
                if running.spec != spec {
                    running.handle.reconfigure(spec.clone());
                    running.spec = spec;
                }
                running.chosen = chosen;
                running.unplanned = unplanned;
            }
            None => self.launch(spec, chosen, unplanned),
        }
    }

    fn launch(&mut self, spec: Arc<StoreSpec>, chosen: Vec<Chosen>, unplanned: Vec<Problem>) {
        let (actor, handle) = StoreActor::new(spec.clone(), self.parts.shared.clone());
        let id = handle.id().clone();
        let task = self.tasks.spawn(actor.run());
        self.ids.insert(task.id(), id.clone());
        let running = Running {
            handle,
            spec,
            chosen,
            unplanned,
        };
        self.stores.insert(id, running);
    }

    /// The store is to stop; its journal stays as it is.
    fn let_go(&mut self, id: StoreId) {
        let Some(running) = self.stores.remove(&id) else {
            return;
        };
        let grace = self.config.server().shutdown_grace;
        info!(store = %id, "store is no longer wanted; it stops, and its journal stays");
        self.leaving.insert(id);
        self.wishes.spawn(async move {
            running.handle.stop(grace).await;
            Wished::Told
        });
    }

    async fn on_ended(&mut self, ended: Result<Id, JoinError>) {
        let task = ended.as_ref().map_or_else(JoinError::id, |id| *id);
        let Some(id) = self.ids.remove(&task) else {
            return;
        };
        if self.leaving.remove(&id) {
            self.open_trials().await;
            let shelf = self.parts.shelf.borrow().clone();
            // It may be wanted again by now.
            let config = self.config.clone();
            let wanted = config.stores().iter().find(|store| store.id == id);
            if let Some(store) = wanted.filter(|_| !self.is_removed(&id)) {
                self.put(store, &shelf, Changed::Anything);
                self.publish(&shelf);
            }
            return;
        }
        let reason = match ended {
            Ok(_) => "its task ended without being told to".to_owned(),
            Err(error) => format!("its task failed: {error}"),
        };
        error!(store = %id, %reason, "store stopped; it starts again with the next change of its configuration");
        self.stores.remove(&id);
        self.unusable.insert(id, reason.into());
        let shelf = self.parts.shelf.borrow().clone();
        self.publish(&shelf);
    }
}
