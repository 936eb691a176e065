//! `quartermaster reload`: has the running server read its configuration again, and waits for what comes of it.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::control::{Client, Running};
use crate::cli::{EXIT_CONFIG, difference, table};
use crate::config::{Environment, Location};
use crate::supervisor::{ReloadOutcome, ReloadReport};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster reload
  quartermaster reload --json | jq .diff
  quartermaster check --diff && quartermaster reload

The server watches its configuration and reloads by itself, on SIGHUP too; this waits and says what came of it: stores \
that are new (+), gone (-), changed with the keys (~), or kept as they were because of a mistake (!).

Exit codes:
  0   applied, or nothing to apply
  1   no server, or no answer
  78  a mistake: nothing was applied, or not all";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
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
    let work =
        async |client: &Client| reload(arguments.json, client, &mut std::io::stdout().lock()).await;
    arguments.running.ask(location, environment, work)
}

async fn reload(json: bool, client: &Client, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let nothing = serde_json::json!({});
    let report: ReloadReport = client.post("/api/v1/reload", &nothing).await?;
    match json {
        true => table::print_json(&report, out)?,
        false => difference::print(&report, out)?,
    }
    Ok(match report.outcome {
        ReloadOutcome::Refused => ExitCode::from(EXIT_CONFIG),
        ReloadOutcome::Unchanged | ReloadOutcome::Applied | ReloadOutcome::WouldApply => {
            match report.problems.is_empty() && report.kept.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(EXIT_CONFIG),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::control::fake::Fake;
    use crate::cli::difference::tests::{full, nothing};

    async fn reload_with(answer: Value, json: bool) -> (String, ExitCode) {
        let path = "POST /api/v1/reload";
        let mut server = Fake::new(&[(path, StatusCode::OK, answer)]).await;
        let mut out = Vec::new();
        let code = reload(json, &server.client(), &mut out).await.unwrap();
        assert_eq!(server.asked(), [(path.to_owned(), json!({}))]);
        (String::from_utf8(out).unwrap(), code)
    }

    #[tokio::test]
    async fn what_was_applied_is_printed() {
        let mut report = nothing("applied");
        report["diff"]["added"] = json!(["lab"]);
        assert_eq!(
            reload_with(report, false).await,
            ("+ lab\napplied\n".to_owned(), ExitCode::SUCCESS)
        );
        assert_eq!(
            reload_with(nothing("unchanged"), false).await,
            ("nothing is different\n".to_owned(), ExitCode::SUCCESS)
        );
    }

    #[tokio::test]
    async fn a_mistake_is_78_whether_or_not_the_rest_was_applied() {
        for outcome in ["applied", "refused"] {
            let (text, code) = reload_with(full(outcome), false).await;
            assert!(text.contains("! shop: goes on as"), "{text}");
            assert_eq!(code, ExitCode::from(78));
        }
        let (text, _) = reload_with(full("refused"), false).await;
        assert!(
            text.ends_with("\n1 problem; refused: nothing changes\n"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn json_is_what_the_server_said() {
        let (text, _) = reload_with(full("applied"), true).await;
        let printed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(printed, full("applied"));
    }
}
