//! `quartermaster store show`: one store of the running server, as it is now.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::Value;

use super::order::suggest;
use crate::cli::control::{Client, Running};
use crate::cli::table;
use crate::config::{Environment, Location};
use crate::id::StoreId;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster store show shop
  quartermaster store show shop --json | jq .lag_events";

/// What is shown, in this order, as far as there is something to show.
const FIELDS: [&str; 13] = [
    "state",
    "since",
    "reason",
    "config_problem",
    "head",
    "cursor",
    "lag_events",
    "last_activity",
    "last_error",
    "outbox",
    "parked_pushes",
    "dead_letters",
    "runs",
];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    store: StoreId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Asks and prints.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| show(&arguments.store, arguments.json, client, out).await;
    arguments.running.ask(location, environment, work)
}

async fn show(
    store: &StoreId,
    json: bool,
    client: &Client,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let shown = client.get(&format!("/api/v1/stores/{store}")).await;
    let shown: Value = match shown {
        Ok(shown) => shown,
        Err(error) => return Err(suggest(error, store, client).await.into()),
    };
    match json {
        true => table::print_json(&shown, out)?,
        false => table::print(&rows(store, &shown), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(store: &StoreId, shown: &Value) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["store".to_owned(), store.to_string()]];
    for field in FIELDS {
        let said = text(&shown[field]);
        rows.extend(said.map(|said| vec![field.replace('_', " "), said]));
    }
    let order = &shown["order"];
    if let (Some(by), Some(at)) = (text(&order["by"]), text(&order["at"])) {
        let why = text(&order["why"]).filter(|why| !why.is_empty());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        rows.push(vec!["ordered".to_owned(), format!("by {by}, {at}{why}")]);
    }
    for plugin in shown["plugins"].as_array().into_iter().flatten() {
        let name = text(&plugin["name"]).unwrap_or_default();
        let digits: String = text(&plugin["sha256"])
            .unwrap_or_default()
            .chars()
            .take(12)
            .collect();
        let build = match text(&plugin["version"]) {
            Some(version) => format!("{name}  {version}  {digits}"),
            None => {
                let reason = text(&plugin["reason"]);
                let reason = reason.unwrap_or_else(|| "no version of it works here".to_owned());
                format!("{name}  parked: {reason}")
            }
        };
        rows.push(vec!["plugin".to_owned(), build]);
    }
    rows
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::cli::control::fake::Fake;

    #[tokio::test]
    async fn a_store_is_shown_with_its_order_and_its_plugins() {
        let answer = json!({
            "id": "shop", "state": "paused", "since": "2026-11-25T06:00:00.000Z", "reason": "paused by alice",
            "order": { "by": "alice (uid 7)", "why": "moving", "at": "2026-11-25T06:00:00.000Z" },
            "plugins": [
                { "name": "echo", "version": "1.3.0", "sha256": "b".repeat(64) },
                { "name": "todo", "version": null, "sha256": null, "reason": "todo needs kv in shop: add kv" },
            ],
            "outbox": 2,
        });
        let server = Fake::new(&[("GET /api/v1/stores/shop", StatusCode::OK, answer)]).await;
        let mut out = Vec::new();
        let shop = "shop".parse().unwrap();
        show(&shop, false, &server.client(), &mut out)
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "store    shop\n\
             state    paused\n\
             since    2026-11-25T06:00:00.000Z\n\
             reason   paused by alice\n\
             outbox   2\n\
             ordered  by alice (uid 7), 2026-11-25T06:00:00.000Z: moving\n\
             plugin   echo  1.3.0  bbbbbbbbbbbb\n\
             plugin   todo  parked: todo needs kv in shop: add kv\n"
        );
    }
}
