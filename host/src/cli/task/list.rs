//! `quartermaster task list`: the tasks of a store, with what is next and what was last.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{print, source};
use crate::actor::wall;
use crate::cli::control::{Client, Running};
use crate::cli::table;
use crate::config::{Environment, Location};
use crate::id::StoreId;
use crate::journal::{PauseShown, TaskShown, TasksReport};
use crate::store::Origin;
use crate::time::Timestamp;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster task list shop
  quartermaster task list shop --json | jq '.tasks[] | select(.last.state == \"failed\")'

DECLARED are tasks of the configuration and of the plugins' descriptions, SCHEDULED those that plugins planned while they ran. \
Times are those of the task's own zone. Where no server runs, the journal is read as it was left.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    pub(super) store: StoreId,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) running: Running,
}

/// Asks and prints.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| list(arguments, client, wall(), out).await;
    arguments.running.ask(location, environment, work)
}

pub(super) async fn list(
    Arguments { store, json, .. }: &Arguments,
    client: &Client,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let tasks = source::tasks(client, store).await?;
    match (json, tasks.is_empty()) {
        (true, _) => table::print_json(&TasksReport { tasks }, out)?,
        (false, true) => writeln!(out, "store {store} has no tasks")?,
        (false, false) => table::print(&rows(&tasks, now), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(tasks: &[TaskShown], now: Timestamp) -> Vec<Vec<String>> {
    let heads = [
        "PLUGIN", "TASK", "WHEN", "ZONE", "ORIGIN", "NEXT", "LAST", "PAUSED",
    ];
    let heads = heads.map(str::to_owned).to_vec();
    let rows = tasks.iter().map(|task| row(task, now));
    std::iter::once(heads).chain(rows).collect()
}

fn row(task: &TaskShown, now: Timestamp) -> Vec<String> {
    let nothing = || print::NOTHING.to_owned();
    let next = task.next_due.zip(task.next_wall.as_ref());
    let next =
        next.map(|(due, wall)| format!("{}, {}", print::clock(wall), print::distance(due.0, now)));
    let last = task.last.as_ref();
    let last = last.map(|last| format!("{} {}", last.state.as_str(), print::clock(&last.wall)));
    let origin = match task.origin {
        Origin::Declared => "declared",
        Origin::Scheduled { .. } => "scheduled",
    };
    vec![
        task.key.plugin.to_string(),
        task.key.task.to_string(),
        task.when.clone(),
        task.zone.to_string(),
        origin.to_owned(),
        next.unwrap_or_else(nothing),
        last.unwrap_or_else(nothing),
        task.paused.as_ref().map(paused).unwrap_or_default(),
    ]
}

/// Who paused it, when and why.
pub(super) fn paused(PauseShown { since, by, note }: &PauseShown) -> String {
    let since = print::clock(&since.0.to_string());
    match note.is_empty() {
        true => format!("since {since} by {by}"),
        false => format!("since {since} by {by}: {note}"),
    }
}
