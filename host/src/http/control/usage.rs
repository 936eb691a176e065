//! What runs used, asked of the journals of a running host: of one store, or of every store that has a journal.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::{Answer, Orders, Refusal};
use crate::id::StoreId;
use crate::journal::{self, By, UsageReport};
use crate::supervisor::Listed;
use crate::time::Timestamp;

/// Rows in one answer: every plugin of ten thousand stores, or a day's hours of some hundreds.
const ROWS_MAX: usize = 100_000;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// In Unix milliseconds.
    since: Timestamp,
    by: By,
}

pub(super) async fn of_store(
    State(orders): State<Orders>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    let id = orders.known(&id).await?;
    report(&orders, &[id], asked).await
}

pub(super) async fn of_all(
    State(orders): State<Orders>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    let stores = orders.stores().await?;
    report(&orders, &stores, asked).await
}

async fn report(
    orders: &Orders,
    stores: &[StoreId],
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    let wrong = |error: QueryRejection| Refusal(StatusCode::BAD_REQUEST, error.body_text());
    let Query(Asked { since, by }) = asked.map_err(wrong)?;
    let mut report = UsageReport::default();
    for store in stores {
        match orders.journal.usage(store, since, by).await {
            Ok(rows) => report.usage.extend(rows),
            Err(error) => report.problems.push(error.to_string()),
        }
        if report.usage.len() > ROWS_MAX {
            let reason = format!(
                "that is more than {ROWS_MAX} rows; ask for fewer stores, a shorter time, or by day or total"
            );
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, reason));
        }
    }
    Ok(Json(report).into_response())
}

impl Orders {
    /// The store of this name, which runs or has a journal.
    pub(super) async fn known(&self, id: &str) -> Result<StoreId, Refusal> {
        let id: StoreId = id.parse().map_err(Refusal::bad)?;
        let runs = |it: &Listed| *it.handle.id() == id;
        let runs = self.roster.borrow().stores.iter().any(runs);
        if runs || self.stores().await?.contains(&id) {
            return Ok(id);
        }
        let reason = format!("no store {id} is configured, and none of this name has a journal");
        Err(Refusal(StatusCode::NOT_FOUND, reason))
    }

    /// Every store that has a journal.
    async fn stores(&self) -> Result<Vec<StoreId>, Refusal> {
        let folder = Arc::clone(self.journal.folder());
        let listed = tokio::task::spawn_blocking(move || journal::stores(&folder)).await;
        let failed = |error: &dyn std::fmt::Display| {
            let reason = format!("cannot list {}: {error}", self.journal.folder().display());
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, reason)
        };
        listed
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))
    }
}
