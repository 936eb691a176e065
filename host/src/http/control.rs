//! The control API: orders for a running host, over a socket in its data folder that only its user can open. Whoever
//! orders is known by their user id, which the system tells, and by the name that they give.

mod socket;
mod tasks;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

pub use socket::{SOCKET, bind, serve};
pub use tasks::{BackfillShown, DueShown, Ordered};

use crate::act::Act;
use crate::actor::Clock;
use crate::catalog::{self, CatalogDesk, Choice};
use crate::control::Control;
use crate::http::health;
use crate::id::{PluginName, StoreId};
use crate::journal::Journal;
use crate::supervisor::{self, Desk, Roster, Wish};
use socket::Peer;

/// Bytes of a request: an order with its reason is a hundredth of it.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Alerts in one answer: what somebody reads through.
const ALERTS_MAX: u32 = 200;

/// Characters of a name or a reason that are kept.
const TEXT_MAX: usize = 500;

/// Who carries orders out.
#[derive(Clone)]
pub struct Orders {
    /// What runs at the moment.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// For stores and the configuration.
    pub desk: Desk,
    /// For plugins.
    pub catalog: CatalogDesk,
    /// For what was kept.
    pub control: Control,
    /// For what runs used, and for tasks.
    pub journal: Journal,
    /// The time of an order.
    pub clock: Clock,
}

/// What was wrong with a request.
struct Refusal(StatusCode, String);

type Answer = Result<Response, Refusal>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preview {
    config: Option<std::path::PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginOrder {
    choice: Choice,
    #[serde(default)]
    why: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreOrder {
    wish: Wish,
    #[serde(default)]
    why: String,
    #[serde(default)]
    user: String,
}

fn router(orders: Orders) -> Router {
    Router::new()
        .route("/api/v1/health", get(whole))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/preview", post(preview))
        .route("/api/v1/plugins", get(plugins))
        .route("/api/v1/plugins/{name}", post(choose))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/stores/{id}", get(store).post(wish))
        .route("/api/v1/stores/{id}/usage", get(usage::of_store))
        .route("/api/v1/usage", get(usage::of_all))
        .merge(tasks::router())
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "there is nothing here".to_owned()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(orders)
}

async fn whole(State(orders): State<Orders>) -> Response {
    let roster = orders.roster.borrow().clone();
    let (mut body, _) = health::body(&roster).await;
    let removed = roster.removed.iter();
    let removed = removed.map(|it| json!({ "id": it.id, "order": health::ordered(&it.act) }));
    if let Some(fields) = body.as_object_mut() {
        fields.insert("removed".to_owned(), removed.collect());
    }
    Json(body).into_response()
}

async fn reload(State(orders): State<Orders>) -> Answer {
    let report = orders.desk.reload().await.ok_or_else(Refusal::stopping)?;
    Ok(Json(report).into_response())
}

async fn preview(
    State(orders): State<Orders>,
    body: Result<Json<Preview>, JsonRejection>,
) -> Answer {
    let Json(Preview { config }) = body?;
    let report = orders.desk.preview(config).await;
    Ok(Json(report.ok_or_else(Refusal::stopping)?).into_response())
}

async fn plugins(State(orders): State<Orders>) -> Response {
    Json(orders.catalog.list().await).into_response()
}

async fn choose(
    State(orders): State<Orders>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    body: Result<Json<PluginOrder>, JsonRejection>,
) -> Answer {
    let Json(PluginOrder { choice, why, user }) = body?;
    let name: PluginName = name.parse().map_err(Refusal::bad)?;
    let act = orders.act(peer, &user, &why);
    let report = orders.catalog.choose(name, choice, act).await?;
    Ok(Json(report).into_response())
}

async fn alerts(State(orders): State<Orders>) -> Answer {
    let alerts = orders.control.alerts(ALERTS_MAX).await;
    let alerts =
        alerts.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let alerts = alerts.iter().map(|alert| {
        let at = alert.at.to_string();
        json!({ "at": at, "kind": alert.kind, "subject": alert.subject, "text": alert.text })
    });
    Ok(Json(json!({ "alerts": alerts.collect::<Vec<_>>() })).into_response())
}

async fn store(State(orders): State<Orders>, Path(id): Path<String>) -> Answer {
    let roster = orders.roster.borrow().clone();
    if let Some(found) = health::one(&roster, &id).await {
        return Ok(Json(found).into_response());
    }
    let removed = roster.removed.iter().find(|it| it.id.as_str() == id);
    match removed {
        Some(it) => {
            let body =
                json!({ "id": it.id, "state": "removed", "order": health::ordered(&it.act) });
            Ok(Json(body).into_response())
        }
        None => Err(Refusal(
            StatusCode::NOT_FOUND,
            format!("no store {id} is configured, or its configuration has a mistake"),
        )),
    }
}

async fn wish(
    State(orders): State<Orders>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    body: Result<Json<StoreOrder>, JsonRejection>,
) -> Answer {
    let Json(StoreOrder { wish, why, user }) = body?;
    let id: StoreId = id.parse().map_err(Refusal::bad)?;
    let act = orders.act(peer, &user, &why);
    let followed = orders.desk.wish(id, wish, act).await?;
    Ok(Json(followed).into_response())
}

impl Orders {
    /// Who this is, in a line: what the system knows of them, and what they call themselves.
    fn act(&self, peer: Peer, user: &str, why: &str) -> Act {
        let by = match plain(user) {
            user if user.is_empty() => peer.to_string(),
            user => format!("{user} ({peer})"),
        };
        Act {
            by: by.into(),
            why: plain(why).into(),
            at: self.clock.now(),
        }
    }
}

/// A text that can stand in a log line.
fn plain(text: &str) -> String {
    let allowed = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    allowed.take(TEXT_MAX).collect::<String>().trim().to_owned()
}

impl Refusal {
    fn stopping() -> Self {
        Self(
            StatusCode::SERVICE_UNAVAILABLE,
            "the host is stopping".to_owned(),
        )
    }

    fn bad(error: crate::id::Error) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(code, reason) = self;
        (code, Json(json!({ "error": reason }))).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl From<supervisor::OrderError> for Refusal {
    fn from(error: supervisor::OrderError) -> Self {
        let code = match error {
            supervisor::OrderError::Unknown(_) => StatusCode::NOT_FOUND,
            supervisor::OrderError::Impossible(_) => StatusCode::CONFLICT,
            supervisor::OrderError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(code, error.to_string())
    }
}

impl From<catalog::OrderError> for Refusal {
    fn from(error: catalog::OrderError) -> Self {
        let code = match error {
            catalog::OrderError::Unknown(_) => StatusCode::NOT_FOUND,
            catalog::OrderError::Impossible(_) => StatusCode::CONFLICT,
            catalog::OrderError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(code, error.to_string())
    }
}
