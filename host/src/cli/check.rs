//! `quartermaster check`: loads the configuration as a start would, and prints every mistake at once; or what a server
//! that runs would do with it.

mod grants;
mod preview;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::cli::control::{Client, Running};
use crate::cli::table::count;
use crate::cli::{EXIT_CONFIG, Refusal};
use crate::config::{Environment, Location, Problem, load};
use grants::Lacking;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster check                                   every mistake in config/
  quartermaster check --config /etc/quartermaster       … in another folder
  quartermaster check --json | jq '.problems[].message' … for a script
  quartermaster check --diff                            what the running server would change
  quartermaster check --diff=/etc/quartermaster         what config/ would change there, without a server

Plugins whose files are in the plugin folder are asked what they need; what a store does not grant them is told, and which tasks \
cannot be planned. They are compiled in this process, without the limits of a server, so check files that you trust.

With --diff nothing is changed; a line is a store that is new (+), gone (-), changed with the keys (~), or that would go on
as it was because of a mistake (!).

Exit codes:
  0   all is well; with --diff, and nothing would change
  1   with --diff: no server, or no answer
  3   with --diff: something would change
  78  something is wrong";

/// Arguments of the command.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print what a reload would do: to the running server, or to one that runs what is in FOLDER
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, require_equals = true)]
    diff: Option<Option<PathBuf>>,
    #[command(flatten)]
    running: Running,
}

/// What is printed.
#[derive(Serialize)]
struct Report {
    /// Whether nothing is wrong, and every plugin that could be looked into may work.
    ok: bool,
    /// Whether the process would start, with the stores below.
    starts: bool,
    /// The stores that would run.
    stores: Vec<String>,
    /// What is wrong.
    problems: Vec<Problem>,
    /// What plugins need and are not granted; each would be parked in its store.
    lacks: Vec<Lacking>,
    /// Tasks that are configured and cannot be planned; all else of their stores goes on.
    tasks_unplanned: Vec<Problem>,
    /// What is worth knowing without being wrong.
    notes: Vec<String>,
}

/// Checks and prints to `out`. `given` is what --config says.
pub(super) fn run(
    arguments: &Arguments,
    given: Option<&Path>,
    location: &Location,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let running = &arguments.running;
    match &arguments.diff {
        Some(Some(_)) | None if running.is_named() => {
            let text = "--data names a running server; it goes with --diff alone".to_owned();
            Err(Refusal::Usage(text).into())
        }
        Some(Some(base)) => {
            let report = preview::against_folder(base, location, environment)?;
            preview::print(&report, arguments.json, out)
        }
        Some(None) => {
            let work = async |client: &Client| {
                let report = preview::against_server(given, client).await?;
                preview::print(&report, arguments.json, out)
            };
            running.ask(location, environment, work)
        }
        None => check(arguments.json, location, environment, out),
    }
}

fn check(
    json: bool,
    location: &Location,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let report = Report::of(location, environment);
    match json {
        true => {
            serde_json::to_writer_pretty(&mut *out, &report)
                .context("the report cannot be printed")?;
            writeln!(out)?;
        }
        false => report.print(out)?,
    }
    Ok(match report.ok {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_CONFIG),
    })
}

impl Report {
    fn of(location: &Location, environment: &Environment) -> Self {
        match load(location, environment) {
            Ok(loaded) => {
                let stores = loaded.config.stores().iter();
                let grants::Found {
                    lacks,
                    unplanned,
                    notes,
                } = grants::look(&loaded.config);
                let fits = lacks.is_empty() && unplanned.is_empty();
                Self {
                    ok: loaded.problems.is_empty() && fits,
                    starts: true,
                    stores: stores.map(|store| store.id.to_string()).collect(),
                    problems: loaded.problems,
                    lacks,
                    tasks_unplanned: unplanned,
                    notes: [loaded.notes, notes].concat(),
                }
            }
            Err(refused) => Self {
                ok: false,
                starts: false,
                stores: Vec::new(),
                problems: refused.problems,
                lacks: Vec::new(),
                tasks_unplanned: Vec::new(),
                notes: refused.notes,
            },
        }
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        for problem in &self.problems {
            writeln!(out, "{problem}")?;
        }
        self.print_lacks(out)?;
        for problem in &self.tasks_unplanned {
            writeln!(out, "{problem}")?;
        }
        let well = count(self.stores.len() as u64, "store");
        if self.ok {
            return writeln!(out, "no problems; {well}");
        }
        if self.problems.is_empty() {
            let parked = count(self.lacks.len() as u64, "plugin");
            let unplanned = count(self.tasks_unplanned.len() as u64, "task");
            return match (self.lacks.is_empty(), self.tasks_unplanned.is_empty()) {
                (_, true) => writeln!(out, "{parked} would not start; {well} would run"),
                (true, false) => {
                    writeln!(out, "{unplanned} would not be planned; {well} would run")
                }
                (false, false) => writeln!(
                    out,
                    "{parked} would not start, {unplanned} would not be planned; {well} would run"
                ),
            };
        }
        let broken: BTreeSet<&str> = self
            .problems
            .iter()
            .filter_map(|problem| problem.store.as_deref())
            .collect();
        let problems = count(self.problems.len() as u64, "problem");
        let broken = broken.into_iter().collect::<Vec<_>>().join(", ");
        match (self.starts, self.stores.is_empty()) {
            (true, false) => writeln!(out, "{problems}; {well} would run, but not: {broken}"),
            (true, true) => writeln!(
                out,
                "{problems}; no store would run; with mistakes: {broken}"
            ),
            (false, _) => writeln!(out, "{problems}; nothing would start"),
        }
    }

    /// One line for each place: what holds for all stores is lacking in each of them.
    fn print_lacks(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let at = |it: &'_ Lacking| (it.plugin.clone(), it.problem.place.clone());
        let same_place = |one: &Lacking, other: &Lacking| at(one) == at(other);
        for group in self.lacks.chunk_by(same_place) {
            let [first, others @ ..] = group else {
                continue;
            };
            match others.len() {
                0 => writeln!(out, "{}", first.problem)?,
                more => {
                    let more = count(more as u64, "more store");
                    writeln!(out, "{}; the same in {more}", first.problem)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// What is printed for a main file, with paths as if it were in `config`, and whether that is a success.
    fn check(main: &str, json: bool) -> (String, bool) {
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("quartermaster.toml"), main).expect("a file");
        let location = Location::Folder(folder.path().to_owned());
        let mut out = Vec::new();
        let code = super::check(json, &location, &Environment::default(), &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        let folder = folder.path().display().to_string();
        let success = code.expect("it was printed") == ExitCode::SUCCESS;
        (text.replace(&folder, "config"), success)
    }

    const GOOD: &str = "[defaults]\nsync = \"wss://sync.example.com\"\n[stores.desk]\n";

    #[test]
    fn a_good_configuration_is_told_in_one_line() {
        assert_eq!(
            check(GOOD, false),
            ("no problems; 1 store\n".to_owned(), true)
        );
    }

    #[test]
    fn a_broken_store_is_told_with_those_that_would_run() {
        let (text, success) = check(&format!("{GOOD}[stores.shop]\npaused = 1\n"), false);
        assert_eq!(
            text,
            "config/quartermaster.toml:5: stores.shop.paused: expected true or false, found 1\n\
             1 problem; 1 store would run, but not: shop\n"
        );
        assert!(!success);
    }

    #[test]
    fn no_store_at_all_is_told_as_such() {
        let (text, _) = check(&format!("{GOOD}paused = 1\n"), false);
        assert!(
            text.ends_with("\n1 problem; no store would run; with mistakes: desk\n"),
            "{text}"
        );
    }

    #[test]
    fn a_data_folder_is_named_only_to_ask_its_server() {
        for diff in [None, Some(Some(PathBuf::from("config")))] {
            let arguments = Arguments {
                json: false,
                diff,
                running: Running::named(Path::new("data")),
            };
            let environment = Environment::default();
            let refused = run(
                &arguments,
                None,
                &Location::Nowhere,
                &environment,
                &mut Vec::new(),
            );
            let error = refused.unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(Refusal::Usage(_))));
        }
    }

    #[test]
    fn a_broken_process_starts_nothing() {
        let (text, success) = check(&format!("{GOOD}[server]\nlisten = 1\ndata = 2\n"), false);
        assert!(
            text.ends_with("\n2 problems; nothing would start\n"),
            "{text}"
        );
        assert!(!success);
    }

    #[test]
    fn json_has_every_part_of_a_problem() {
        let (text, success) = check(&format!("{GOOD}[stores.shop]\npaused = 1\n"), true);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "ok": false,
                "starts": true,
                "stores": ["desk"],
                "problems": [{
                    "file": "config/quartermaster.toml",
                    "line": 5,
                    "key": "stores.shop.paused",
                    "message": "expected true or false, found 1",
                    "store": "shop",
                }],
                "lacks": [],
                "tasks_unplanned": [],
                "notes": [],
            })
        );
        assert!(!success);
    }
}
