//! `quartermaster plugin list`: every plugin that the running server knows, a line for each version.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::catalog::{CatalogReport, NotGrantedReport, PluginReport, VersionReport, VersionState};
use crate::cli::control::{Client, Running};
use crate::cli::table::{self, count};
use crate::config::{Environment, Location};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster plugin list
  quartermaster plugin list --json | jq -r '.plugins[].versions[].sha256'

A line is a version: its plugin, what it calls itself, the first digits of its SHA-256, what is done with it (stable: for \
every store; candidate: for the stores of its rollout; kept: to go back to; withdrawn: not used again), the stores that use \
it, and its runs since the server started. Grants that a plugin lacks, versions that somebody holds and files that were \
refused follow.";

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
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let work = async |client: &Client| list(arguments.json, client, &mut io::stdout().lock()).await;
    arguments.running.ask(location, environment, work)
}

async fn list(json: bool, client: &Client, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let report: CatalogReport = client.get("/api/v1/plugins").await?;
    if json {
        table::print_json(&report, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&report.plugins, out)?;
    for refused in &report.refused {
        writeln!(
            out,
            "refused: {}: {}",
            refused.path.display(),
            refused.reason
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line for each version, and below them one for each pin.
pub(super) fn print(plugins: &[PluginReport], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> = plugins.iter().flat_map(rows_of).collect();
    table::print(&rows, out)?;
    plugins.iter().try_for_each(|plugin| {
        print_lack(plugin, out)?;
        print_pins(plugin, out)
    })
}

/// Prints what it lacks, if anything.
pub(super) fn print_lack(plugin: &PluginReport, out: &mut dyn Write) -> io::Result<()> {
    let Some(NotGrantedReport { stores, reason }) = &plugin.not_granted else {
        return Ok(());
    };
    let more = match stores.saturating_sub(1) {
        0 => String::new(),
        more => format!("; and in {}", count(more as u64, "more store")),
    };
    writeln!(out, "parked: {reason}{more}")
}

/// Prints a line for each pin.
pub(super) fn print_pins(plugin: &PluginReport, out: &mut dyn Write) -> io::Result<()> {
    for pin in &plugin.pins {
        let place = match &pin.store {
            Some(store) => format!("store {store}"),
            None => "every store".to_owned(),
        };
        let held = pin.sha256.short();
        let by = table::act(&pin.act);
        writeln!(out, "pin: {} in {place} stays at {held}: {by}", plugin.name)?;
    }
    Ok(())
}

fn rows_of(plugin: &PluginReport) -> Vec<Vec<String>> {
    let mut remarks = Vec::new();
    if !plugin.present {
        remarks.push("file gone, subscriptions are parked".to_owned());
    }
    if let Some(rollout) = &plugin.rollout {
        remarks.push(format!("rollout to {rollout}"));
    }
    let remarks = remarks.join("; ");
    let name = plugin.name.to_string();
    if plugin.versions.is_empty() {
        return vec![vec![name, "-".to_owned(), "-".to_owned(), remarks]];
    }
    let mut rows: Vec<Vec<String>> = plugin.versions.iter().map(|it| row(&name, it)).collect();
    // What is said of the plugin stands in the line of its newest version.
    if let Some(remark) = rows.first_mut().and_then(|row| row.last_mut())
        && !remarks.is_empty()
    {
        let own = std::mem::take(remark);
        *remark = match own.is_empty() {
            true => remarks,
            false => format!("{remarks}; {own}"),
        };
    }
    rows
}

fn row(name: &str, version: &VersionReport) -> Vec<String> {
    let mut runs = count(version.runs, "run");
    if version.failures > 0 {
        runs.push_str(&format!(", {} failed", version.failures));
    }
    vec![
        name.to_owned(),
        version.version.clone(),
        version.sha256.short().to_owned(),
        state(version.state).to_owned(),
        count(version.stores as u64, "store"),
        runs,
        version.act.as_ref().map(table::act).unwrap_or_default(),
    ]
}

/// In one word.
pub(super) fn state(state: VersionState) -> &'static str {
    match state {
        VersionState::Candidate => "candidate",
        VersionState::Stable => "stable",
        VersionState::Kept => "kept",
        VersionState::Withdrawn => "withdrawn",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use axum::http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::control::fake::Fake;

    fn version(digit: &str, version: &str, state: &str, failures: u64) -> Value {
        json!({
            "sha256": digit.repeat(64), "version": version, "size_bytes": 84_211,
            "seen_at": 1_795_432_393_359_u64, "state": state, "stores": 1,
            "runs": 12, "failures": failures, "act": null,
        })
    }

    pub(in crate::cli::plugin) fn echo() -> Value {
        let act = json!({ "by": "alice (uid 7)", "why": "too many failures", "at": 0 });
        let mut withdrawn = version("c", "1.4.0-rc1", "withdrawn", 9);
        withdrawn["act"] = act.clone();
        json!({
            "name": "echo", "present": true, "stores": 4, "rollout": "workspace-1",
            "versions": [withdrawn, version("b", "1.3.0", "stable", 0)],
            "pins": [{ "store": "shop", "sha256": "b".repeat(64), "act": act }],
            "not_granted": { "stores": 3, "reason": "echo needs kv in lab: add kv = true to it" },
        })
    }

    fn catalog() -> Value {
        let todo = json!({
            "name": "todo", "present": false, "stores": 0, "rollout": null, "versions": [], "pins": [],
            "not_granted": null,
        });
        let refused = json!({ "path": "plugins/dist/x.wasm", "reason": "it is a core module" });
        json!({ "plugins": [echo(), todo], "refused": [refused] })
    }

    async fn listed(json: bool) -> String {
        let answers = [("GET /api/v1/plugins", StatusCode::OK, catalog())];
        let server = Fake::new(&answers).await;
        let mut out = Vec::new();
        let code = list(json, &server.client(), &mut out).await.unwrap();
        assert_eq!(code, ExitCode::SUCCESS);
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn each_version_is_a_line_and_so_is_what_is_held_or_refused() {
        assert_eq!(
            listed(false).await,
            "echo  1.4.0-rc1  cccccccccccc  withdrawn  1 store  12 runs, 9 failed  rollout to workspace-1; by alice \
             (uid 7), 1970-01-01T00:00:00.000Z: too many failures\n\
             echo  1.3.0      bbbbbbbbbbbb  stable     1 store  12 runs\n\
             todo  -          -             file gone, subscriptions are parked\n\
             parked: echo needs kv in lab: add kv = true to it; and in 2 more stores\n\
             pin: echo in store shop stays at bbbbbbbbbbbb: by alice (uid 7), 1970-01-01T00:00:00.000Z: too many \
             failures\n\
             refused: plugins/dist/x.wasm: it is a core module\n"
        );
    }

    #[tokio::test]
    async fn json_is_what_the_server_said() {
        let printed: Value = serde_json::from_str(&listed(true).await).unwrap();
        assert_eq!(printed, catalog());
    }
}
