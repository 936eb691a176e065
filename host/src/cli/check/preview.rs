//! `quartermaster check --diff`: what a reload would do, said by the server that runs, or found out here for two places
//! without one. Nothing is changed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::control::Client;
use crate::cli::{EXIT_CONFIG, Refusal, difference, table};
use crate::config::{Environment, Location, Refused, load};
use crate::supervisor::{ReloadOutcome, ReloadReport};

/// Something would change. Not 1 or 2, which say that nobody knows.
const EXIT_DIFFERENT: u8 = 3;

/// What the server would do with the configuration at `given`; with none, with its own.
pub(super) async fn against_server(
    given: Option<&Path>,
    client: &Client,
) -> anyhow::Result<ReloadReport> {
    // The server stands in a folder of its own.
    let given: Option<PathBuf> = given.map(std::path::absolute).transpose()?;
    let order = json!({ "config": given });
    Ok(client.post("/api/v1/preview", &order).await?)
}

/// What a server that runs what is in `base` would do with what is at `location`.
pub(super) fn against_folder(
    base: &Path,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ReloadReport> {
    if !base.exists() {
        let text = format!("--diff: nothing is at {}", base.display());
        return Err(Refusal::Usage(text).into());
    }
    let base = load(&Location::find(Some(base)), environment)
        .map_err(|refused| Refusal::Config(format!("--diff={}: {refused}", base.display())))?;
    Ok(match load(location, environment) {
        Ok(loaded) => {
            let reloaded = loaded.over(&base.config);
            let mut report = ReloadReport {
                outcome: ReloadOutcome::WouldApply,
                diff: reloaded.diff,
                kept: reloaded.kept,
                restart_needed: reloaded.restart_needed,
                problems: reloaded.problems,
                notes: reloaded.notes,
            };
            if report.diff.is_empty() {
                report.outcome = ReloadOutcome::Unchanged;
            }
            report
        }
        Err(refused) => refusal(refused),
    })
}

fn refusal(refused: Refused) -> ReloadReport {
    ReloadReport {
        outcome: ReloadOutcome::Refused,
        diff: Default::default(),
        kept: Vec::new(),
        restart_needed: Vec::new(),
        problems: refused.problems,
        notes: refused.notes,
    }
}

/// Prints it, and says in the exit code what it is.
pub(super) fn print(
    report: &ReloadReport,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    match json {
        true => table::print_json(report, out)?,
        false => difference::print(report, out)?,
    }
    let wrong = report.outcome == ReloadOutcome::Refused || !report.problems.is_empty();
    Ok(match (wrong, difference::is_any(report)) {
        (true, _) => ExitCode::from(EXIT_CONFIG),
        (false, true) => ExitCode::from(EXIT_DIFFERENT),
        (false, false) => ExitCode::SUCCESS,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::http::StatusCode;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::cli::control::fake::Fake;
    use crate::cli::difference::tests::{full, nothing};

    fn printed(report: &ReloadReport) -> (String, ExitCode) {
        let mut out = Vec::new();
        let code = print(report, false, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), code)
    }

    #[tokio::test]
    async fn the_server_is_asked_about_the_place_that_was_named_by_its_full_path() {
        let path = "POST /api/v1/preview";
        let mut server = Fake::new(&[(path, StatusCode::OK, full("would-apply"))]).await;
        let client = server.client();
        against_server(Some(Path::new("conf")), &client)
            .await
            .unwrap();
        against_server(None, &client).await.unwrap();
        let full_path = std::path::absolute("conf").unwrap();
        let orders: Vec<Value> = server.asked().into_iter().map(|(_, order)| order).collect();
        assert_eq!(
            orders,
            [json!({ "config": full_path }), json!({ "config": null })]
        );
    }

    #[test]
    fn the_exit_code_says_whether_something_would_change() {
        let code = |report: Value| printed(&serde_json::from_value(report).unwrap()).1;
        assert_eq!(code(nothing("unchanged")), ExitCode::SUCCESS);
        let mut changed = full("would-apply");
        assert_eq!(code(changed.clone()), ExitCode::from(78), "a mistake");
        changed["problems"] = json!([]);
        assert_eq!(code(changed), ExitCode::from(3));
        assert_eq!(code(nothing("refused")), ExitCode::from(78));
        let mut restart = nothing("unchanged");
        restart["restart_needed"] = json!(["server.listen"]);
        assert_eq!(code(restart), ExitCode::from(3));
    }

    fn between(old: &str, new: &str) -> (String, ExitCode) {
        let folders = [old, new].map(|main| {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join("quartermaster.toml"), main).unwrap();
            folder
        });
        let location = Location::Folder(folders[1].path().to_owned());
        let report = against_folder(folders[0].path(), &location, &Environment::default());
        let (text, code) = printed(&report.unwrap());
        (
            text.replace(&folders[1].path().display().to_string(), "config"),
            code,
        )
    }

    #[test]
    fn two_folders_are_compared_without_a_server() {
        let sync = "[defaults]\nsync = \"wss://sync.example.com\"\n";
        let old = format!("{sync}[stores.desk]\n[stores.old]\n[stores.shop]\n");
        assert_eq!(
            between(&old, &old),
            ("nothing is different\n".to_owned(), ExitCode::SUCCESS)
        );
        let new = format!("{sync}[stores.desk]\npaused = true\n[stores.lab]\n[stores.shop]\n");
        assert_eq!(
            between(&old, &new),
            (
                "+ lab\n- old\n~ desk: paused\na reload would do this\n".to_owned(),
                ExitCode::from(3)
            )
        );
        let broken =
            format!("{sync}[stores.desk]\n[stores.old]\n[stores.shop]\npaused = 1\n[stores.lab]\n");
        assert_eq!(
            between(&old, &broken),
            (
                "config/quartermaster.toml:6: stores.shop.paused: expected true or false, found 1\n\
                 + lab\n\
                 ! shop: goes on as it was configured before\n\
                 1 problem; a reload would do this\n"
                    .to_owned(),
                ExitCode::from(78)
            )
        );
        let (text, code) = between(&old, "[server]\nlisten = 1\n");
        assert!(text.ends_with("; refused: nothing changes\n"), "{text}");
        assert_eq!(code, ExitCode::from(78));
    }

    #[test]
    fn a_base_that_is_not_there_or_broken_is_told() {
        let folder = TempDir::new().unwrap();
        let nowhere = folder.path().join("nowhere");
        let ask = |base: &Path| {
            let error = against_folder(base, &Location::Nowhere, &Environment::default());
            error.unwrap_err()
        };
        let error = ask(&nowhere);
        assert!(
            matches!(error.downcast_ref(), Some(Refusal::Usage(text)) if text.contains("nowhere"))
        );
        fs::write(folder.path().join("quartermaster.toml"), "x = 1\n").unwrap();
        let error = ask(folder.path());
        assert!(
            matches!(error.downcast_ref(), Some(Refusal::Config(text)) if text.contains("--diff="))
        );
    }
}
