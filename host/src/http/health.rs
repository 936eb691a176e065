//! `/health`: every store with its state and, if that is not well, the reason and what to do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};

use crate::actor::{Report, StoreHandle};
use crate::http::Site;
use crate::store::{Status, SubscriptionStatus};
use crate::telemetry::StoreState;
use crate::time::Timestamp;

/// A store or plugin that could not be started.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// Its id or file.
    pub id: Arc<str>,
    /// What it is.
    #[serde(skip)]
    pub kind: Kind,
    /// What is wrong with it, and what to do.
    pub reason: Arc<str>,
}

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A store whose configuration cannot be used.
    Store,
    /// A file of the plugin folder.
    Plugin,
}

/// The answer: 200 unless no store can work at all.
pub(super) async fn health(State(site): State<Site>) -> Response {
    let reports = reports(&site.stores).await;
    let mut stores: Vec<Value> = reports
        .iter()
        .map(|(id, report)| store(id, report))
        .collect();
    let broken = |kind: Kind| site.broken.iter().filter(move |broken| broken.kind == kind);
    stores.extend(broken(Kind::Store).map(
        |it| json!({ "id": it.id, "state": StoreState::Stopped.label(), "reason": it.reason }),
    ));
    let well = reports.iter().filter(|(_, report)| is_well(report)).count();
    let all_well = well == stores.len() && site.broken.is_empty();
    let status = match (all_well, well) {
        (true, _) => "healthy",
        (false, 0) => "unhealthy",
        (false, _) => "degraded",
    };
    let plugins: Vec<&Broken> = broken(Kind::Plugin).collect();
    let body = json!({ "status": status, "stores": stores, "plugins_refused": plugins });
    let code = if status == "unhealthy" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (code, Json(body)).into_response()
}

/// The stores that have not come to anything yet.
pub(super) async fn starting(site: &Site) -> Vec<String> {
    let reports = reports(&site.stores).await;
    let starts = |report: &Option<Report>| match report {
        Some(report) => matches!(
            report.state,
            StoreState::Connecting | StoreState::CatchingUp
        ),
        None => true,
    };
    reports
        .into_iter()
        .filter(|(_, it)| starts(it))
        .map(|(id, _)| id.to_string())
        .collect()
}

async fn reports(stores: &[StoreHandle]) -> Vec<(&str, Option<Report>)> {
    let report = |handle: &StoreHandle| {
        let handle = handle.clone();
        async move { handle.report().await }
    };
    let reports = join_all(stores.iter().map(report)).await;
    stores
        .iter()
        .map(|handle| handle.id().as_str())
        .zip(reports)
        .collect()
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
fn store(id: &str, report: &Option<Report>) -> Value {
    let Some(report) = report else {
        let reason = "the store did not answer; the machine may be overloaded";
        return json!({ "id": id, "state": StoreState::Stopped.label(), "reason": reason });
    };
    let mut value = json!({
        "id": id,
        "state": report.state.label(),
        "since": report.since.to_string(),
        "reason": report.reason,
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
            "subscriptions": status.subscriptions,
        });
        fields.extend(numbers.as_object().cloned().unwrap_or_default());
    }
    value
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
