//! `quartermaster task history`: what became of the times at which tasks were due.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::{print, source};
use crate::cli::control::{Client, Running};
use crate::cli::{short, table};
use crate::config::{Environment, Location};
use crate::id::StoreId;
use crate::journal::{ExecutionFilter, ExecutionShown, ExecutionsReport};
use crate::store::{ExecutionState, TaskKey};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster task history shop                                      the last 20 of all tasks
  quartermaster task history shop digest/daily -n 100
  quartermaster task history shop --state failed --state missed
  quartermaster task history shop --json | jq '.executions[] | .late_ms'

DUE is in the task's own zone. LATE counts from the time at which it was to begin, jitter included; it is - for what \
somebody ordered. MISSED could not begin in time, SKIPPED was left out on purpose: the note says why. A line may stand for all \
times of a stretch. Of each task the last 200 that are over are kept. Where no server runs, the journal is read as it was left.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    pub(super) store: StoreId,
    /// Only this task: <PLUGIN>/<TASK>, or <TASK> if only one plugin has it
    #[arg(value_name = "TASK")]
    pub(super) task: Option<String>,
    /// How many at most
    #[arg(short = 'n', long = "limit", value_name = "COUNT", default_value = "20",
        value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) limit: u16,
    /// Only those of which this has become; may be repeated
    #[arg(long = "state", value_name = "STATE")]
    pub(super) states: Vec<ExecutionState>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) running: Running,
}

impl ValueEnum for ExecutionState {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

/// Asks and prints.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| history(arguments, client, out).await;
    arguments.running.ask(location, environment, work)
}

pub(super) async fn history(
    arguments: &Arguments,
    client: &Client,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let executions = collect(arguments, client).await?;
    match (arguments.json, executions.is_empty()) {
        (true, _) => table::print_json(&ExecutionsReport { executions }, out)?,
        (false, true) => writeln!(out, "nothing of that kind is known")?,
        (false, false) => table::print(&rows(&executions), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn collect(arguments: &Arguments, client: &Client) -> anyhow::Result<Vec<ExecutionShown>> {
    let store = &arguments.store;
    let limit = usize::from(arguments.limit);
    let mut filter = ExecutionFilter {
        states: arguments.states.clone(),
        ..ExecutionFilter::latest(limit)
    };
    let Some(name) = &arguments.task else {
        return source::executions(client, store, &filter).await;
    };
    let tasks = source::tasks(client, store).await?;
    let found = source::find(&tasks, name, store).map(|task| task.key.clone());
    let (key, unknown) = match (found, whole(name)) {
        (Ok(key), _) => (key, None),
        // What a task that is no longer there did may still be known.
        (Err(unknown), Some(key)) => (key, Some(unknown)),
        (Err(unknown), None) => return Err(unknown),
    };
    filter.plugin = Some(key.plugin);
    filter.task = Some(key.task);
    let executions = source::executions(client, store, &filter).await?;
    match unknown {
        Some(unknown) if executions.is_empty() => Err(unknown),
        Some(_) | None => Ok(executions),
    }
}

/// The task of a whole name.
fn whole(name: &str) -> Option<TaskKey> {
    let (plugin, task) = name.split_once('/')?;
    Some(TaskKey {
        plugin: plugin.parse().ok()?,
        task: task.into(),
    })
}

fn rows(executions: &[ExecutionShown]) -> Vec<Vec<String>> {
    let heads = [
        "DUE", "TASK", "STATE", "KIND", "STARTED", "LATE", "TOOK", "ATTEMPTS", "FUEL", "DRAFTS",
        "NOTE",
    ];
    let heads = heads.map(str::to_owned).to_vec();
    std::iter::once(heads)
        .chain(executions.iter().map(row))
        .collect()
}

fn row(execution: &ExecutionShown) -> Vec<String> {
    let started = execution.started.map(|at| print::clock(&at.0.to_string()));
    vec![
        print::clock(&execution.wall),
        execution.key.to_string(),
        execution.state.as_str().to_owned(),
        execution.kind.as_str().to_owned(),
        started.unwrap_or_else(|| print::NOTHING.to_owned()),
        print::millis(execution.late_ms),
        print::millis(execution.took_ms),
        execution.attempts.to_string(),
        short::fuel(execution.fuel),
        execution.drafts.to_string(),
        note(execution),
    ]
}

/// Why, in one line: the note, or else how the last attempt failed.
fn note(execution: &ExecutionShown) -> String {
    let last = execution.failures.last().map(|failure| &failure.error);
    let why = execution.note.as_ref().or(last);
    let why = why.map(|why| why.to_string()).unwrap_or_default();
    match execution.since {
        Some(since) => {
            let since = print::clock(&since.0.to_string());
            format!("this and all before, after {since}: {why}")
        }
        None => why,
    }
}
