//! What people order about single stores: it is written down before it is done, so that it outlives the process.

use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info};

use super::{Changed, Followed, OrderError, Supervisor, Wish};
use crate::act::Act;
use crate::actor::{Shown, StoreHandle};
use crate::control::{OrderKind, StoreOrder};
use crate::id::StoreId;
use crate::telemetry::StoreState;

type Answer = oneshot::Sender<Result<Followed, OrderError>>;

/// How long whoever pauses a store waits to see it rest: a little longer than the store waits for its runs.
const PATIENCE: Duration = Duration::from_secs(12);

/// Between looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// How an order that takes a while ended.
pub(super) enum Wished {
    /// There is nothing more to do.
    Told,
    /// A store was drained, or not.
    Drained {
        store: StoreId,
        act: Act,
        answer: Answer,
        drained: Result<(), String>,
    },
}

impl Supervisor {
    pub(super) async fn on_wish(&mut self, store: StoreId, wish: Wish, act: Act, answer: Answer) {
        let configured = self.config.stores().iter().any(|it| it.id == store);
        if !configured && !self.orders.contains_key(&store) {
            let unknown =
                format!("no store {store} is configured, or its configuration has a mistake");
            drop(answer.send(Err(OrderError::Unknown(unknown))));
            return;
        }
        let before = self.orders.get(&store).map(|order| order.kind);
        let rests = match wish {
            Wish::Pause | Wish::Drain { .. } => before == Some(OrderKind::Quarantined),
            Wish::Resume | Wish::Remove => false,
        };
        if rests {
            let reason = format!("store {store} is quarantined: it rests already");
            drop(answer.send(Err(OrderError::Impossible(reason))));
            return;
        }
        let order = |kind| {
            Some(StoreOrder {
                kind,
                act: act.clone(),
            })
        };
        match wish {
            Wish::Pause => {
                self.order(store, order(OrderKind::Paused), &act, answer)
                    .await
            }
            Wish::Remove => {
                self.order(store, order(OrderKind::Removed), &act, answer)
                    .await
            }
            Wish::Resume => self.order(store, None, &act, answer).await,
            Wish::Drain { within } => self.drain(store, within, act, answer),
        }
    }

    /// Writes an order down and follows it.
    async fn order(
        &mut self,
        store: StoreId,
        order: Option<StoreOrder>,
        act: &Act,
        answer: Answer,
    ) {
        let before = self.orders.get(&store).map(|order| order.kind);
        let control = &self.parts.control;
        let written = match &order {
            Some(_) => control.set_order(&store, order.clone()).await,
            None => control.lift_order(&store, act).await,
        };
        if let Err(error) = written {
            drop(answer.send(Err(OrderError::Failed(error.to_string()))));
            return;
        }
        let kind = order.as_ref().map(|order| order.kind);
        info!(%store, ?kind, ?before, "ordered by hand");
        let resting = self.stores.get(&store);
        let resting = resting.filter(|running| running.spec.rest.is_some());
        let resting = resting.map(|running| running.handle.shown());
        match order {
            Some(order) => drop(self.orders.insert(store.clone(), order)),
            None => {
                self.orders.remove(&store);
                self.begin_at_once(&store, before);
            }
        }
        self.reconcile(Changed::Anything).await;
        let paused = self.paused_by_config(&store);
        let handle = self
            .stores
            .get(&store)
            .map(|running| running.handle.clone());
        self.wishes.spawn(async move {
            let followed = match kind {
                Some(OrderKind::Removed) => followed(store, "removed", None),
                // The last of them is never wished for.
                Some(OrderKind::Paused | OrderKind::Drained | OrderKind::Quarantined) => {
                    rested(store, handle).await
                }
                None => {
                    let vain = before.is_none() && resting.is_none();
                    resumed(store, handle, resting, vain, paused).await
                }
            };
            drop(answer.send(Ok(followed)));
            Wished::Told
        });
    }

    fn paused_by_config(&self, store: &StoreId) -> bool {
        let mut stores = self.config.stores().iter();
        stores.any(|it| it.id == *store && it.paused)
    }

    fn drain(&mut self, store: StoreId, within: Duration, act: Act, answer: Answer) {
        let Some(running) = self.stores.get(&store) else {
            let reason = format!("store {store} does not run");
            drop(answer.send(Err(OrderError::Impossible(reason))));
            return;
        };
        let handle = running.handle.clone();
        self.wishes.spawn(async move {
            let drained = handle.drain(within).await;
            Wished::Drained {
                store,
                act,
                answer,
                drained,
            }
        });
    }

    pub(super) async fn on_wished(&mut self, wished: Wished) {
        let (store, act, answer) = match wished {
            Wished::Told => return,
            Wished::Drained {
                store,
                act,
                answer,
                drained,
            } => match drained {
                Ok(()) => (store, act, answer),
                Err(reason) => {
                    let reason = format!("store {store} is not drained: {reason}");
                    drop(answer.send(Err(OrderError::Impossible(reason))));
                    return;
                }
            },
        };
        let kind = OrderKind::Drained;
        let written = self.parts.control.set_order(
            &store,
            Some(StoreOrder {
                kind,
                act: act.clone(),
            }),
        );
        if let Err(error) = written.await {
            error!(%store, %error, "it is drained, but that cannot be written down; it starts again");
            drop(answer.send(Err(OrderError::Failed(error.to_string()))));
            // It ends, and is started anew because it is wanted.
            self.let_go(store);
            return;
        }
        info!(%store, by = %act.by, "drained by hand");
        self.orders.insert(store.clone(), StoreOrder { kind, act });
        self.reconcile(Changed::Anything).await;
        drop(answer.send(Ok(followed(store, StoreState::Paused.label(), None))));
    }
}

fn followed(store: StoreId, state: &str, note: Option<&str>) -> Followed {
    Followed {
        store,
        state: state.to_owned(),
        note: note.map(str::to_owned),
    }
}

/// Waits until the store rests.
async fn rested(store: StoreId, handle: Option<StoreHandle>) -> Followed {
    let Some(handle) = handle else {
        return followed(store, StoreState::Paused.label(), Some("it did not run"));
    };
    let rests = async {
        while handle
            .report()
            .await
            .is_some_and(|report| report.state != StoreState::Paused)
        {
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, rests).await {
        Ok(()) => followed(store, StoreState::Paused.label(), None),
        Err(_) => followed(store, "pausing", Some("it is still finishing what runs")),
    }
}

/// Waits until the store has left its rest.
async fn resumed(
    store: StoreId,
    handle: Option<StoreHandle>,
    resting: Option<Shown>,
    vain: bool,
    paused: bool,
) -> Followed {
    let Some(handle) = handle else {
        let note = "it is not configured, or it is still stopping; it runs as soon as it can";
        return followed(store, StoreState::Stopped.label(), Some(note));
    };
    let left = async {
        while !paused && resting == Some(handle.shown()) {
            tokio::time::sleep(LOOK).await;
        }
    };
    // If it takes longer, what it does meanwhile is the answer.
    drop(tokio::time::timeout(PATIENCE, left).await);
    let note = match (paused, vain) {
        (true, _) => Some("its configuration says paused = true; change that to have it run"),
        (false, true) => Some("nobody had paused it"),
        (false, false) => None,
    };
    followed(store, handle.shown().state.label(), note)
}
