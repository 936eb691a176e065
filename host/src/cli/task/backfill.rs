//! `quartermaster task backfill`: runs what was due in a stretch of the past and never ran. The server decides which times that
//! are, from its journal.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::when::When;
use super::{print, source};
use crate::actor::wall;
use crate::cli::control::{self, Client, Running};
use crate::cli::{Refusal, table};
use crate::config::{Environment, Location};
use crate::http::control::BackfillShown;
use crate::id::StoreId;
use crate::time::Timestamp;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster task backfill shop digest/daily --from 2026-11-01 --to 2026-11-08 --dry-run
  quartermaster task backfill shop daily --from 2d --to 1h
  quartermaster task backfill shop daily --from 2026-11-01T06:00 --to 2026-11-01T07:00Z

Runs each time of the timetable from --from on and before --to that never ran: missed and skipped ones, those from before the \
task was planned, and those at which it rested. What is done, was given up after failing, or goes on is left out. At most 1,000 \
times, and all of them past. The store's log is read from its beginning first, which may take a while: what other servers did of \
it stands there, and is not done again. Of a time whose line in the history is gone and that committed no event nobody knows that it \
ran; such a one runs again.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    pub(super) store: StoreId,
    /// The task: <PLUGIN>/<TASK>, or <TASK> if only one plugin has it
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// The first moment: a day, a time in the task's zone or with Z or an offset, or a duration before now
    #[arg(long, value_name = "WHEN")]
    pub(super) from: When,
    /// The first moment that is not meant any more
    #[arg(long, value_name = "WHEN")]
    pub(super) to: When,
    /// Only show which times would run
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) running: Running,
}

/// What is sent.
#[derive(Serialize)]
struct Body {
    from: Timestamp,
    to: Timestamp,
    dry_run: bool,
    user: String,
}

/// Orders it, and prints which times run.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| backfill(arguments, client, wall(), out).await;
    arguments.running.ask(location, environment, work)
}

pub(super) async fn backfill(
    arguments: &Arguments,
    client: &Client,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let store = &arguments.store;
    let tasks = source::served_tasks(client, store).await?;
    let task = source::find(&tasks, &arguments.task, store)?;
    let instant = |when: When| when.instant(&task.zone, now);
    let (from, to) = (instant(arguments.from), instant(arguments.to));
    if from >= to {
        let text = format!("--to is {to}, and must be after --from, which is {from}");
        return Err(Refusal::Usage(text).into());
    }
    let body = Body {
        from,
        to,
        dry_run: arguments.dry_run,
        user: control::user(),
    };
    let path = source::order_path(store, &task.key, "backfill");
    let shown: BackfillShown = client.post(&path, &body).await?;
    match arguments.json {
        true => table::print_json(&shown, out)?,
        false => show(arguments, &shown, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &Arguments, shown: &BackfillShown, out: &mut dyn Write) -> io::Result<()> {
    let (store, key) = (&arguments.store, &shown.key);
    let count = shown.dues.len();
    let times = table::count(count as u64, "time");
    match (count, arguments.dry_run) {
        (0, _) => writeln!(out, "{store}: {key}: there is nothing to make up for")?,
        (_, true) => writeln!(out, "{store}: {key}: {times} would run")?,
        (_, false) => writeln!(out, "{store}: {key}: {times} ordered to run")?,
    }
    for due in &shown.dues {
        let utc = print::clock(&due.due.0.to_string());
        writeln!(out, "  {}  {utc}", print::clock(&due.wall))?;
    }
    let left_out = [
        (shown.done, "done already"),
        (shown.failed, "given up after failing"),
        (shown.open, "waiting or running"),
        (
            shown.ahead,
            "left to the timetable, which is yet to look at them",
        ),
    ];
    let left_out = left_out.iter().filter(|(count, _)| *count > 0);
    let left_out: Vec<String> = left_out
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    if !left_out.is_empty() {
        writeln!(out, "left out: {}", left_out.join(", "))?;
    }
    if count > 0 && !arguments.dry_run {
        writeln!(
            out,
            "the store's log is read from its beginning first, to see what of it others did; `quartermaster task history \
             {store} {key}` shows what becomes of it"
        )?;
    }
    Ok(())
}
