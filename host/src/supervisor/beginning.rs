//! How stores begin: noted before, so that the next process knows which of them this one did not live through, and those
//! under suspicion one group after the other. [`Trials`] decides who; this writes it down, tells it, and has it done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::{error, info, warn};

use super::trials::{Guilty, Standing, Trials};
use super::{Changed, Running, Supervisor};
use crate::act::Act;
use crate::config::{Config, StoreConfig};
use crate::control::{self, Alert, Control, OrderKind, StoreOrder, Suspicion};
use crate::id::StoreId;
use crate::telemetry::StoreState;
use crate::time::Timestamp;

/// Between two looks at stores on trial: short beside the seconds that a trial takes.
const LOOK: Duration = Duration::from_millis(250);

/// Reads what the last process left, and orders a rest for whoever it shows to be guilty.
pub(super) async fn judge(
    control: &Control,
    config: &Config,
    orders: &mut BTreeMap<StoreId, StoreOrder>,
    now: Timestamp,
) -> Result<Trials, control::Error> {
    let left = control.trials().await?;
    let unfinished = left.len();
    let configured: BTreeSet<&StoreId> = config.stores().iter().map(|store| &store.id).collect();
    let (trials, guilty) = Trials::after(left, |id| configured.contains(id), now);
    for guilty in guilty {
        quarantine(control, guilty, orders, now).await;
    }
    if unfinished > 0 {
        let waiting = trials.held_count();
        warn!(
            stores = unfinished,
            waiting,
            "the last process ended while stores were beginning; those that wait begin one group after the other"
        );
    }
    Ok(trials)
}

async fn quarantine(
    control: &Control,
    Guilty { store, suspicion }: Guilty,
    orders: &mut BTreeMap<StoreId, StoreOrder>,
    now: Timestamp,
) {
    let times = suspicion.alone;
    let why = format!(
        "the process died {times} times in a row just after this store began, with all others well or not begun; its plugins and \
         its journal rest until `quartermaster store resume {store}`, which gives it one more chance"
    );
    error!(%store, %why, "store quarantined");
    let alert = Alert {
        at: now,
        kind: "store-quarantined".into(),
        subject: store.as_str().into(),
        text: why.as_str().into(),
    };
    let act = Act {
        by: "the host".into(),
        why: why.into(),
        at: now,
    };
    let kind = OrderKind::Quarantined;
    let order = StoreOrder { kind, act };
    let written = match control.set_order(&store, Some(order.clone())).await {
        Ok(()) => control.alert(&alert).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        error!(%store, %error, "it rests until this process ends, but that cannot be written down");
    }
    orders.insert(store, order);
}

/// What an operator is told about a store that waits.
pub(super) fn told(suspicion: Suspicion) -> String {
    let Suspicion {
        deaths,
        alone: _,
        peers,
    } = suspicion;
    let together = match peers {
        0 | 1 => "alone".to_owned(),
        peers => format!("together with {} others", peers - 1),
    };
    format!(
        "the process died {deaths} times in a row while this store was beginning, at last {together}; it waits for its turn, \
         which comes by itself once the process has run well for a while (`quartermaster store resume` does not wait)"
    )
}

impl Supervisor {
    /// Puts every store on trial that is about to begin, and notes it.
    pub(super) async fn open_trials(&mut self) {
        let now = self.parts.shared.clock.now();
        let config = self.config.clone();
        for store in config.stores() {
            let id = &store.id;
            let waits = self.leaving.contains(id) || self.trials.held(id).is_some();
            let rests = |running: &Running| running.spec.rest.is_some();
            let begins = self.stores.get(id).is_none_or(rests);
            if begins && !waits && self.may_begin(store) && !self.trials.is_open(id) {
                self.trials.open(id, now);
            }
        }
        self.note_trials().await;
    }

    /// Whether nobody has ordered the store to rest.
    fn may_begin(&self, store: &StoreConfig) -> bool {
        !store.paused && !self.orders.contains_key(&store.id)
    }

    /// The store begins now, whatever speaks against it. It is noted with the next change.
    pub(super) fn begin_at_once(&mut self, id: &StoreId, before: Option<OrderKind>) {
        if before == Some(OrderKind::Quarantined) {
            self.trials.give_last_chance(id);
        }
        let mut stores = self.config.stores().iter();
        let begins = stores.any(|it| it.id == *id && self.may_begin(it));
        if begins && self.trials.held(id).is_some() {
            self.trials.open(id, self.parts.shared.clock.now());
        }
    }

    /// Ends the trials that are over, and begins the next.
    pub(super) async fn on_look(&mut self) {
        let now = self.parts.shared.clock.now();
        let stores = &self.stores;
        for (store, suspicion) in self.trials.look(now, |id| standing(stores.get(id))) {
            if suspicion != Suspicion::default() {
                info!(%store, "the process lives on with this store; it is no longer suspected");
            }
        }
        let config = self.config.clone();
        let stores = config.stores().iter().filter(|it| self.may_begin(it));
        let may_begin: BTreeSet<&StoreId> = stores.map(|it| &it.id).collect();
        let group = self.trials.next(now, |id| may_begin.contains(id));
        if group.is_empty() {
            let is_over = self.trials.is_over(|id| may_begin.contains(id));
            self.note_trials().await;
            if is_over {
                // Until something begins again, which is noted.
                self.look_at = Timestamp::NEVER;
            }
            return;
        }
        for store in &group {
            self.trials.open(store, now);
        }
        self.note_trials().await;
        match group.as_slice() {
            [store] => info!(%store, "begins alone, because it is suspected"),
            group => {
                info!(stores = group.len(), first = ?group.first(), "begin together, because they are suspected")
            }
        }
        self.reconcile(Changed::Anything).await;
    }

    /// Writes down what has changed about trials, and has them looked at soon. If that fails stores begin all the same: a full disk must not stop
    /// them, and only a crash of the process would miss what was not noted.
    async fn note_trials(&mut self) {
        let changes = self.trials.take_changes();
        if !changes.is_empty()
            && let Err(error) = self.parts.control.put_trials(changes).await
        {
            warn!(%error, "cannot note which stores are beginning; a store that crashes the process would not be found");
        }
        self.look_at = self.parts.shared.clock.now() + LOOK;
    }
}

/// How a store stands in its trial.
fn standing(running: Option<&Running>) -> Standing {
    let Some(running) = running else {
        return Standing::Gone;
    };
    let shown = running.handle.shown();
    match shown.state {
        StoreState::Connecting | StoreState::CatchingUp => Standing::Busy,
        StoreState::Live
        | StoreState::Paused
        | StoreState::BackingOff
        | StoreState::Stopped
        | StoreState::Quarantined => Standing::Settled(shown.since),
    }
}
