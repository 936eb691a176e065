//! What a reload did or would do, for people: a line for each store that is new, gone or changed, with the keys and never
//! a value, because some are secrets.

use std::io::{self, Write};

use crate::cli::table::count;
use crate::supervisor::{ReloadOutcome, ReloadReport};

/// Prints it. Lines that only repeat what everybody knows are left out: nothing different, nothing printed but the last.
pub(super) fn print(report: &ReloadReport, out: &mut dyn Write) -> io::Result<()> {
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    for store in &report.diff.added {
        writeln!(out, "+ {store}")?;
    }
    for store in &report.diff.removed {
        writeln!(out, "- {store}")?;
    }
    for (store, keys) in &report.diff.changed {
        writeln!(out, "~ {store}: {}", keys.join(", "))?;
    }
    for plugin in &report.diff.rollouts {
        writeln!(out, "~ plugin {plugin}: rollout")?;
    }
    if let Some(keys) = server_keys(report) {
        writeln!(out, "server: {keys}")?;
    }
    for store in &report.kept {
        writeln!(out, "! {store}: goes on as it was configured before")?;
    }
    writeln!(out, "{}", summary(report))
}

/// Whether anything is or would be different.
pub(super) fn is_any(report: &ReloadReport) -> bool {
    !report.diff.is_empty() || !report.restart_needed.is_empty()
}

/// The keys of `[server]`; none if none differs.
fn server_keys(report: &ReloadReport) -> Option<String> {
    let bare = |key: &str| key.strip_prefix("server.").unwrap_or(key).to_owned();
    let needing: Vec<String> = report.restart_needed.iter().map(|key| bare(key)).collect();
    let live = report.diff.server.iter().map(|key| bare(key));
    let live = live.filter(|key| !needing.contains(key));
    let marked = needing.iter().map(|key| format!("{key} (needs a restart)"));
    let keys: Vec<String> = marked.chain(live).collect();
    (!keys.is_empty()).then(|| keys.join(", "))
}

fn summary(report: &ReloadReport) -> String {
    let outcome = match report.outcome {
        ReloadOutcome::Unchanged if report.problems.is_empty() && is_any(report) => {
            "nothing else is different"
        }
        ReloadOutcome::Unchanged if report.problems.is_empty() => "nothing is different",
        ReloadOutcome::Unchanged => "nothing changes",
        ReloadOutcome::Applied => "applied",
        ReloadOutcome::WouldApply => "a reload would do this",
        ReloadOutcome::Refused => "refused: nothing changes",
    };
    match report.problems.len() {
        0 => outcome.to_owned(),
        problems => format!("{}; {outcome}", count(problems as u64, "problem")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Something of everything, as the server sends it.
    pub(in crate::cli) fn full(outcome: &str) -> Value {
        json!({
            "outcome": outcome,
            "diff": {
                "server": ["listen", "shutdown_grace"],
                "rollouts": ["echo"],
                "added": ["lab"],
                "removed": ["old"],
                "changed": { "desk": ["quota.memory", "plugins.echo.config"] },
            },
            "kept": ["shop"],
            "restart_needed": ["server.listen"],
            "problems": [{
                "file": "config/stores/shop.toml",
                "line": 7,
                "key": "paused",
                "message": "expected true or false, found 1",
                "store": "shop",
            }],
            "notes": ["config/stores/x.txt: not read"],
        })
    }

    pub(in crate::cli) fn nothing(outcome: &str) -> Value {
        json!({
            "outcome": outcome,
            "diff": { "server": [], "rollouts": [], "added": [], "removed": [], "changed": {} },
            "kept": [], "restart_needed": [], "problems": [], "notes": [],
        })
    }

    fn printed(report: Value) -> String {
        let report: ReloadReport = serde_json::from_value(report).unwrap();
        let mut out = Vec::new();
        print(&report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_part_of_a_difference_has_its_line() {
        assert_eq!(
            printed(full("applied")),
            "note: config/stores/x.txt: not read\n\
             config/stores/shop.toml:7: paused: expected true or false, found 1\n\
             + lab\n\
             - old\n\
             ~ desk: quota.memory, plugins.echo.config\n\
             ~ plugin echo: rollout\n\
             server: listen (needs a restart), shutdown_grace\n\
             ! shop: goes on as it was configured before\n\
             1 problem; applied\n"
        );
    }

    #[test]
    fn no_difference_is_one_line() {
        assert_eq!(printed(nothing("unchanged")), "nothing is different\n");
        let mut restart = nothing("unchanged");
        restart["restart_needed"] = json!(["server.data"]);
        assert_eq!(
            printed(restart),
            "server: data (needs a restart)\nnothing else is different\n"
        );
    }
}
