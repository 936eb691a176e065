//! `quartermaster alert list`: what the running server thinks that somebody should know, newest first.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use crate::cli::control::{Client, Running};
use crate::cli::table;
use crate::config::{Environment, Location};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster alert list
  quartermaster alert list --json | jq '.alerts[0]'";

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, newest first
    #[command(after_help = EXAMPLES)]
    List(Arguments),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Asks and prints.
pub(super) fn run(
    Command::List(arguments): &Command,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| list(arguments.json, client, out).await;
    arguments.running.ask(location, environment, work)
}

async fn list(json: bool, client: &Client, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let said: Value = client.get("/api/v1/alerts").await?;
    if json {
        table::print_json(&said, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let alerts = said["alerts"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = alerts
        .map(|alert| {
            let cell = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
            ["at", "kind", "subject", "text"].map(cell).into()
        })
        .collect();
    match rows.is_empty() {
        true => writeln!(out, "no alerts")?,
        false => table::print(&rows, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::cli::control::fake::Fake;

    async fn listed(alerts: Value) -> String {
        let answer = json!({ "alerts": alerts });
        let server = Fake::new(&[("GET /api/v1/alerts", StatusCode::OK, answer)]).await;
        let mut out = Vec::new();
        list(false, &server.client(), &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn each_alert_is_a_line() {
        assert_eq!(listed(json!([])).await, "no alerts\n");
        let alert = json!({ "at": "now", "kind": "plugin-rolled-back", "subject": "echo", "text": "it failed" });
        assert_eq!(
            listed(json!([alert])).await,
            "now  plugin-rolled-back  echo  it failed\n"
        );
    }
}
