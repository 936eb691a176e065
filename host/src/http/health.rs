//! `/health`: every store with its state and, if that is not well, the reason and what to do.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::act::Act;
use crate::actor::Report;
use crate::http::Site;
use crate::store::{Status, SubscriptionStatus, TasksStatus};
use crate::supervisor::{Broken, ConfigState, Listed, Roster};
use crate::telemetry::StoreState;
use crate::time::Timestamp;

/// The answer: 200 unless no store can work at all.
pub(super) async fn health(State(site): State<Site>) -> Response {
    let roster = site.roster.borrow().clone();
    let (body, code) = body(&roster).await;
    (code, Json(body)).into_response()
}

/// What is said of the whole host, and the status that goes with it.
pub(super) async fn body(roster: &Roster) -> (Value, StatusCode) {
    let reports = reports(roster).await;
    let mut stores: Vec<Value> = reports
        .iter()
        .map(|(it, report)| store(it, report))
        .collect();
    stores.extend(roster.broken.iter().map(broken));
    let well = reports.iter().filter(|(_, report)| is_well(report)).count();
    let granted = !roster.stores.iter().any(Listed::lacks_grant);
    let planned = roster.stores.iter().all(|it| it.tasks_unplanned.is_empty());
    let right = roster.config.problems.is_empty() && roster.plugins.is_empty();
    let mended = right && granted && planned;
    let status = match (well == stores.len() && mended, well) {
        (true, _) => "healthy",
        // Without any store there is none that suffers.
        (false, 0) if !stores.is_empty() => "unhealthy",
        (false, _) => "degraded",
    };
    let code = match status {
        "unhealthy" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let body = json!({
        "status": status,
        "stores": stores,
        "plugins_refused": roster.plugins,
        "config": config(&roster.config),
    });
    (body, code)
}

/// One store as in the whole; none if there is no such store.
pub(super) async fn one(roster: &Roster, id: &str) -> Option<Value> {
    if let Some(listed) = roster
        .stores
        .iter()
        .find(|it| it.handle.id().as_str() == id)
    {
        let report = listed.handle.report().await;
        return Some(store(listed, &report));
    }
    let found = roster.broken.iter().find(|it| &*it.id == id);
    found.map(broken)
}

/// The stores that have not come to anything yet, but for suspected ones: whoever kills a host that is not ready in time must
/// not kill it because it is careful.
pub(super) async fn starting(roster: &Roster) -> Vec<String> {
    let starts = |report: &Option<Report>| match report {
        Some(report) => matches!(
            report.state,
            StoreState::Connecting | StoreState::CatchingUp
        ),
        None => true,
    };
    let reports = reports(roster).await.into_iter();
    reports
        .filter(|(listed, report)| !listed.suspected && starts(report))
        .map(|(listed, _)| listed.handle.id().to_string())
        .collect()
}

async fn reports(roster: &Roster) -> Vec<(&Listed, Option<Report>)> {
    let reports = roster.stores.iter().map(|listed| listed.handle.report());
    let reports = join_all(reports).await;
    roster.stores.iter().zip(reports).collect()
}

fn broken(broken: &Broken) -> Value {
    let Broken { id, reason } = broken;
    json!({ "id": id, "state": StoreState::Stopped.label(), "reason": reason })
}

/// Who ordered something.
pub(super) fn ordered(act: &Act) -> Value {
    json!({ "by": act.by, "why": act.why, "at": act.at.to_string() })
}

fn config(state: &ConfigState) -> Value {
    let ConfigState {
        loaded_at,
        changes,
        problems,
        refused,
        kept,
        restart_needed,
    } = state;
    json!({
        "loaded_at": loaded_at.to_string(),
        "changes": changes,
        "problems": problems,
        "refused": refused,
        "kept": kept,
        "restart_needed": restart_needed,
    })
}

fn is_well(report: &Option<Report>) -> bool {
    report.as_ref().is_some_and(|report| match report.state {
        StoreState::Live | StoreState::Paused | StoreState::CatchingUp => true,
        StoreState::Connecting
        | StoreState::BackingOff
        | StoreState::Stopped
        | StoreState::Quarantined => false,
    })
}

/// One store, in the contract's names.
fn store(listed: &Listed, report: &Option<Report>) -> Value {
    let id = listed.handle.id();
    let Some(report) = report else {
        let reason = "the store did not answer; the machine may be overloaded";
        return json!({ "id": id, "state": StoreState::Stopped.label(), "reason": reason });
    };
    let plugins = listed.plugins.iter().map(|(name, build)| {
        let version = build.as_ref().ok().map(|build| &build.version);
        let sha256 = build.as_ref().ok().map(|build| &build.sha256);
        let reason = build.as_ref().err().map(ToString::to_string);
        json!({ "name": name, "version": version, "sha256": sha256, "reason": reason })
    });
    let order = listed.order.as_ref().map(ordered);
    let mut value = json!({
        "id": id,
        "state": report.state.label(),
        "since": report.since.to_string(),
        "reason": report.reason,
        "plugins": plugins.collect::<Vec<_>>(),
        "tasks_unplanned": listed.tasks_unplanned,
        "order": order,
        "config_problem": listed.problem,
    });
    if let (Some(status), Some(fields)) = (&report.status, value.as_object_mut()) {
        let numbers = json!({
            "backend_id": status.backend_id,
            "head": status.head,
            "cursor": status.subscriptions.iter().filter_map(|it| it.cursor).min(),
            "lag_events": lag_events(status),
            "last_activity": status.last_activity.map(|at: Timestamp| at.to_string()),
            "last_error": last_error(status),
            "outbox": status.outbox,
            "parked_pushes": status.parked_pushes,
            "dead_letters": status.dead_letters,
            "runs": status.runs,
            "ration": status.ration,
            "deferred": status.deferred,
            "tasks": tasks(&status.tasks),
            "subscriptions": status.subscriptions,
        });
        fields.extend(numbers.as_object().cloned().unwrap_or_default());
    }
    value
}

fn tasks(status: &TasksStatus) -> Value {
    json!({
        "planned": status.planned,
        "paused": status.paused,
        "open": status.open,
        "next_due": status.next_due.map(|at| at.to_string()),
    })
}

fn lag_events(status: &Status) -> usize {
    let lags = status.subscriptions.iter().map(|it| it.lag_events);
    usize::try_from(lags.max().unwrap_or(0)).unwrap_or(usize::MAX)
}

fn last_error(status: &Status) -> Option<&str> {
    let of_run = |it: &SubscriptionStatus| it.error.is_some();
    let run = status
        .subscriptions
        .iter()
        .find(|it| of_run(it))
        .and_then(|it| it.error.as_deref());
    status.error.as_deref().or(run)
}
