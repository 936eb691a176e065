//! What the host says over HTTP: of itself whether it lives, whether it is ready, how each store is, and numbers; and to
//! LiveStore apps what their logs hold.

pub mod control;
mod demo;
mod health;
mod listen;
pub mod sync;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::watch;

use crate::supervisor::Roster;
use crate::telemetry::Metrics;

pub use demo::Demo;
pub use listen::serve;

/// What the handlers answer from.
#[derive(Clone)]
pub struct Site {
    /// What runs at the moment.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// The logs that are kept here.
    pub sync: Arc<sync::Endpoint>,
}

/// The host's pages.
pub fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/health", get(health::health))
        .route("/metrics", get(metrics))
        .route("/sync", any(sync::sync))
        // LiveStore's client puts its parameters behind whatever URL it was given.
        .route("/sync/", any(sync::sync))
        .with_state(site)
}

/// For whoever opens the address in a browser.
async fn index() -> &'static str {
    "Quartermaster\n\n\
     /livez    the process answers\n\
     /readyz   every store has settled: live, paused, stopped, or waiting to try again\n\
     /health   how each store is, as JSON\n\
     /metrics  numbers for Prometheus\n\
     /sync     LiveStore apps sync here with the logs that this host keeps\n"
}

async fn livez() -> &'static str {
    "ok\n"
}

/// 200 once no store is in its first attempt any more, else 503 with those that are.
async fn readyz(State(site): State<Site>) -> Response {
    let roster = site.roster.borrow().clone();
    let starting = health::starting(&roster).await;
    if starting.is_empty() {
        return "ok\n".into_response();
    }
    let text = format!("starting: {}\n", starting.join(" "));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn metrics(State(site): State<Site>) -> Response {
    (
        [(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)],
        site.metrics.render(),
    )
        .into_response()
}
