//! `quartermaster task next`: the times at which tasks are due, and what daylight saving does to them. They are computed here,
//! from the timetables that the store has.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::when::When;
use super::{list, print, source};
use crate::actor::wall;
use crate::cli::control::{Client, Running};
use crate::cli::table;
use crate::config::{Environment, Location};
use crate::id::StoreId;
use crate::journal::{Iso, PauseShown, TaskShown};
use crate::store::TaskKey;
use crate::time::Timestamp;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster task next shop                                      the next five times of every task
  quartermaster task next shop digest/daily -n 10
  quartermaster task next shop daily --from 2026-03-28              what the change of the clocks does to it
  quartermaster task next shop --json | jq '.tasks[].times[].due'

Each time stands there in the task's own zone and in UTC.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    pub(super) store: StoreId,
    /// Only this task: <PLUGIN>/<TASK>, or <TASK> if only one plugin has it
    #[arg(value_name = "TASK")]
    pub(super) task: Option<String>,
    /// How many times
    #[arg(short = 'n', long = "times", value_name = "COUNT", default_value = "5",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) times: u16,
    /// From when on, instead of now: a day, a time in the task's zone or with Z or an offset, or a duration before now
    #[arg(long, value_name = "WHEN")]
    pub(super) from: Option<When>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) running: Running,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    tasks: Vec<Coming>,
}

/// The coming times of a task.
#[derive(Serialize)]
struct Coming {
    #[serde(flatten)]
    key: TaskKey,
    when: String,
    zone: String,
    /// Starts are spread over so long by store.
    jitter_ms: u64,
    /// In this store each is later by this.
    delay_ms: u64,
    paused: Option<PauseShown>,
    times: Vec<Time>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct Time {
    due: Iso,
    wall: String,
    /// What the change of the clocks did to it.
    note: Option<String>,
}

/// A time that the pattern names and the policy leaves out.
#[derive(Serialize)]
struct LeftOut {
    at: Iso,
    note: String,
}

/// Asks, reckons and prints.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| next(arguments, client, wall(), out).await;
    arguments.running.ask(location, environment, work)
}

pub(super) async fn next(
    arguments: &Arguments,
    client: &Client,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let store = &arguments.store;
    let tasks = source::tasks(client, store).await?;
    let wanted: Vec<&TaskShown> = match &arguments.task {
        Some(name) => vec![source::find(&tasks, name, store)?],
        None => tasks.iter().collect(),
    };
    let coming = wanted.into_iter().map(|task| {
        let from = arguments.from.map(|when| when.instant(&task.zone, now));
        coming(task, from.unwrap_or(now), arguments.times.into())
    });
    let tasks: Vec<Coming> = coming.collect();
    if arguments.json {
        table::print_json(&Report { tasks }, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if tasks.is_empty() {
        writeln!(out, "store {store} has no tasks")?;
    }
    for task in &tasks {
        show(task, now, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// So many times from `from` on.
fn coming(task: &TaskShown, from: Timestamp, times: usize) -> Coming {
    let timetable = &task.plan.timetable;
    let before = from - Duration::from_millis(1);
    let first = timetable.next_after(before);
    let dues = std::iter::successors(first, |due| timetable.next_after(*due));
    let dues: Vec<Timestamp> = dues.take(times).collect();
    let last = dues.last().copied().unwrap_or(before);
    let left_out = timetable.omitted(before, last).into_iter();
    let times = dues.into_iter().map(|due| Time {
        due: Iso(due),
        wall: timetable.wall(due),
        note: timetable.note(due).map(|note| note.to_string()),
    });
    Coming {
        key: task.key.clone(),
        when: task.when.clone(),
        zone: task.zone.to_string(),
        jitter_ms: u64::try_from(timetable.jitter.as_millis()).unwrap_or(u64::MAX),
        delay_ms: task.delay_ms,
        paused: task.paused.clone(),
        times: times.collect(),
        left_out: left_out
            .map(|it| LeftOut {
                at: Iso(it.at),
                note: it.to_string(),
            })
            .collect(),
    }
}

fn show(task: &Coming, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}, {}", task.key, task.when, task.zone)?;
    let times = task.times.iter().map(|time| {
        let cells = [
            String::new(),
            print::clock(&time.wall),
            print::clock(&time.due.0.to_string()),
            print::distance(time.due.0, now),
            time.note.clone().unwrap_or_default(),
        ];
        (time.due, cells.to_vec())
    });
    let left_out = task.left_out.iter().map(|left| {
        let words = ["", "left out", "", "", &left.note].map(str::to_owned);
        (left.at, words.to_vec())
    });
    let mut lines: Vec<(Iso, Vec<String>)> = times.chain(left_out).collect();
    lines.sort_by_key(|(at, _)| *at);
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(_, cells)| cells).collect();
    table::print(&rows, out)?;
    if task.times.is_empty() {
        writeln!(out, "  it is not due any more")?;
    }
    if task.jitter_ms > 0 {
        let spread = print::millis(Some(task.jitter_ms));
        let delay = print::millis(Some(task.delay_ms));
        writeln!(
            out,
            "  starts are spread over {spread} by store: here each begins {delay} after its time"
        )?;
    }
    if let Some(pause) = &task.paused {
        let told = list::paused(pause);
        writeln!(
            out,
            "  it is paused {told}; until it is resumed none of these runs"
        )?;
    }
    Ok(())
}
