//! Tasks of a store: which there are and what became of their occurrences, asked of the journal; and orders about one, which
//! its store takes. An order is in the journal when it is answered.

mod backfill;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};

pub use backfill::{BackfillShown, DueShown};

use super::socket::Peer;
use super::{Answer, Orders, Refusal};
use crate::actor::StoreHandle;
use crate::id::{PluginName, StoreId};
use crate::journal::{self, ExecutionFilter, ExecutionsReport, TasksReport};
use crate::store::{ExecutionState, TaskKey, TaskOrder, TaskRecord};
use crate::supervisor::spread;
use crate::telemetry::StoreState;
use crate::time::Timestamp;

/// Executions in one answer, if nobody says how many.
const EXECUTIONS: usize = 20;

/// And at most: of each task some hundreds are kept, and people read them.
const EXECUTIONS_MAX: usize = 10_000;

/// What is asked for of executions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    plugin: Option<PluginName>,
    task: Option<Arc<str>>,
    /// States with commas between them; all of them if it is missing.
    state: Option<String>,
    /// In Unix milliseconds.
    before: Option<Timestamp>,
    limit: Option<usize>,
}

/// An order about a task.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default)]
    note: String,
    #[serde(default)]
    user: String,
}

/// An order to make up for times of the past.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backfill {
    /// The first instant, in Unix milliseconds.
    from: Timestamp,
    /// The first instant that is not meant any more.
    to: Timestamp,
    /// Only tell what would be done.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    user: String,
}

/// What was ordered, and what is to be known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The store.
    pub store: StoreId,
    /// The task.
    #[serde(flatten)]
    pub key: TaskKey,
    /// `run`, `pause` or `resume`.
    pub order: String,
    /// What else is to be known; none if it is just done.
    pub note: Option<String>,
}

pub(super) fn router() -> Router<Orders> {
    const TASK: &str = "/api/v1/stores/{id}/tasks/{plugin}/{task}";
    Router::new()
        .route("/api/v1/stores/{id}/tasks", get(list))
        .route("/api/v1/stores/{id}/tasks/executions", get(executions))
        .route(&format!("{TASK}/run"), post(run))
        .route(&format!("{TASK}/pause"), post(pause))
        .route(&format!("{TASK}/resume"), post(resume))
        .route(&format!("{TASK}/backfill"), post(backfill))
}

async fn list(State(orders): State<Orders>, Path(id): Path<String>) -> Answer {
    let store = orders.known(&id).await?;
    let records = orders.tasks(&store).await?;
    let mut last = Vec::new();
    for record in records.iter().filter(|record| !record.gone) {
        let filter = ExecutionFilter::of(&record.key, 1);
        let found = orders.journal.executions(&store, filter).await;
        last.extend(found.map_err(failed)?);
    }
    let report = TasksReport::of(records, &last, spread(&store));
    Ok(Json(report).into_response())
}

async fn executions(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    let wrong = |error: QueryRejection| bad(error.body_text());
    let filter = asked.map_err(wrong)?.0.filter()?;
    let store = orders.known(&id).await?;
    let tasks = orders.tasks(&store).await?;
    let found = orders.journal.executions(&store, filter).await;
    let report = ExecutionsReport::of(found.map_err(failed)?, &tasks, spread(&store));
    Ok(Json(report).into_response())
}

async fn run(
    State(orders): State<Orders>,
    Extension(peer): Extension<Peer>,
    Path(path): Path<(String, String, String)>,
    body: Result<Json<Order>, JsonRejection>,
) -> Answer {
    let Json(order) = body?;
    let target = orders.target(path).await?;
    target.carry_out(TaskOrder::Run).await?;
    target.tell(&orders, peer, &order.user, "run");
    let state = target.handle.shown().state;
    let waits = (state != StoreState::Live)
        .then(|| format!("the store is {}: it runs once that is live", state.label()));
    Ok(target.done("run", waits))
}

async fn pause(
    State(orders): State<Orders>,
    Extension(peer): Extension<Peer>,
    Path(path): Path<(String, String, String)>,
    body: Result<Json<Order>, JsonRejection>,
) -> Answer {
    let Json(Order { note, user }) = body?;
    let target = orders.target(path).await?;
    let act = orders.act(peer, &user, &note);
    let before = target.record.paused.as_ref();
    let known = before.map(|pause| format!("it was paused already, by {}", pause.by));
    let order = TaskOrder::Pause {
        by: act.by,
        note: act.why,
    };
    target.carry_out(order).await?;
    Ok(target.done("pause", known))
}

async fn resume(
    State(orders): State<Orders>,
    Extension(peer): Extension<Peer>,
    Path(path): Path<(String, String, String)>,
    body: Result<Json<Order>, JsonRejection>,
) -> Answer {
    let Json(order) = body?;
    let target = orders.target(path).await?;
    target.carry_out(TaskOrder::Resume).await?;
    target.tell(&orders, peer, &order.user, "resume");
    let note = match target.record.paused {
        None => "it was not paused",
        Some(_) => "what was due meanwhile is left out",
    };
    Ok(target.done("resume", Some(note.to_owned())))
}

async fn backfill(
    State(orders): State<Orders>,
    Extension(peer): Extension<Peer>,
    Path(path): Path<(String, String, String)>,
    body: Result<Json<Backfill>, JsonRejection>,
) -> Answer {
    let Json(wanted) = body?;
    let target = orders.target(path).await?;
    let Target { store, record, .. } = &target;
    let filter = ExecutionFilter {
        before: Some(wanted.to),
        ..ExecutionFilter::of(&record.key, EXECUTIONS_MAX)
    };
    let known = orders.journal.executions(store, filter).await;
    let now = crate::actor::wall();
    let stretch = wanted.from..wanted.to;
    let plan = backfill::plan(record, &known.map_err(failed)?, stretch, now).map_err(bad)?;
    let dues: Vec<Timestamp> = plan.dues.iter().map(|it| it.due.0).collect();
    if !wanted.dry_run && !dues.is_empty() {
        target.carry_out(TaskOrder::Backfill { dues }).await?;
        target.tell(&orders, peer, &wanted.user, "backfill");
    }
    Ok(Json(plan).into_response())
}

/// A task, and the store that takes orders about it.
struct Target {
    store: StoreId,
    handle: StoreHandle,
    record: TaskRecord,
}

impl Target {
    async fn carry_out(&self, order: TaskOrder) -> Result<(), Refusal> {
        let store = &self.store;
        let refused = |reason| Refusal(StatusCode::CONFLICT, format!("store {store}: {reason}"));
        let key = self.record.key.clone();
        self.handle.task(key, order).await.map_err(refused)
    }

    /// Tells who ordered what the journal keeps no name of.
    fn tell(&self, orders: &Orders, peer: Peer, user: &str, order: &str) {
        let (store, task) = (&self.store, &self.record.key);
        let by = orders.act(peer, user, "").by;
        tracing::info!(%store, %task, order, %by, "somebody gave an order about a task");
    }

    fn done(&self, order: &str, note: Option<String>) -> axum::response::Response {
        let ordered = Ordered {
            store: self.store.clone(),
            key: self.record.key.clone(),
            order: order.to_owned(),
            note,
        };
        Json(ordered).into_response()
    }
}

impl Asked {
    fn filter(self) -> Result<ExecutionFilter, Refusal> {
        let limit = self.limit.unwrap_or(EXECUTIONS);
        if !(1..=EXECUTIONS_MAX).contains(&limit) {
            let reason = format!("limit: expected 1 to {EXECUTIONS_MAX}, found {limit}");
            return Err(bad(reason));
        }
        let words = self.state.iter().flat_map(|states| states.split(','));
        let states = words.map(|word| {
            let mut states = ExecutionState::ALL.into_iter();
            states.find(|state| state.as_str() == word).ok_or_else(|| {
                let known = ExecutionState::ALL.map(ExecutionState::as_str).join(", ");
                bad(format!("state: expected some of {known}, found {word:?}"))
            })
        });
        Ok(ExecutionFilter {
            plugin: self.plugin,
            task: self.task,
            states: states.collect::<Result<_, _>>()?,
            before: self.before,
            limit,
        })
    }
}

impl Orders {
    /// Every task of a store, also those that are over.
    async fn tasks(&self, store: &StoreId) -> Result<Vec<TaskRecord>, Refusal> {
        self.journal.tasks(store).await.map_err(failed)
    }

    async fn target(
        &self,
        (id, plugin, task): (String, String, String),
    ) -> Result<Target, Refusal> {
        let store: StoreId = id.parse().map_err(Refusal::bad)?;
        let plugin: PluginName = plugin.parse().map_err(Refusal::bad)?;
        let roster = self.roster.borrow().clone();
        let listed = roster.stores.iter().find(|it| *it.handle.id() == store);
        let Some(listed) = listed else {
            let reason =
                format!("no store {store} is configured, or its configuration has a mistake");
            return Err(Refusal(StatusCode::NOT_FOUND, reason));
        };
        let handle = listed.handle.clone();
        let records = self.tasks(&store).await?.into_iter();
        let mut wanted = records.filter(|record| !record.gone);
        let key = TaskKey {
            plugin,
            task: task.into(),
        };
        let Some(record) = wanted.find(|record| record.key == key) else {
            let reason = format!(
                "store {store} has no task {key}; `quartermaster task list {store}` shows those there are"
            );
            return Err(Refusal(StatusCode::NOT_FOUND, reason));
        };
        Ok(Target {
            store,
            handle,
            record,
        })
    }
}

fn bad(reason: String) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason)
}

fn failed(error: journal::Error) -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
