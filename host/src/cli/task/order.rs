//! `quartermaster task run|pause|resume`: what is to become of a task, ordered of the running server. Its store keeps the order
//! in its journal.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::source;
use crate::cli::control::{self, Client, Running};
use crate::cli::table;
use crate::config::{Environment, Location};
use crate::http::control::Ordered;
use crate::id::StoreId;

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  quartermaster task run shop digest/daily
  quartermaster task run shop daily

It runs once, whatever its timetable says, also if it is paused. `quartermaster task history` shows what becomes of it.";

pub(super) const PAUSE_EXAMPLES: &str = "\
Examples:
  quartermaster task pause shop digest/daily --note 'the mail server is down'

What runs is finished, and what waits is skipped. It rests until `task resume`, also over restarts of the server; what is due \
meanwhile is left out, and leaves no line in its history.";

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  quartermaster task resume shop digest/daily

It goes on with the next time at which it is due. What was due meanwhile is left out; `task backfill` makes up for it.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store
    #[arg(value_name = "STORE")]
    pub(super) store: StoreId,
    /// The task: <PLUGIN>/<TASK>, or <TASK> if only one plugin has it
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) running: Running,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pause {
    #[command(flatten)]
    pub(super) arguments: Arguments,
    /// The reason, which is kept with the pause
    #[arg(long, value_name = "TEXT")]
    pub(super) note: String,
}

/// What is to become of it.
#[derive(Clone, Copy)]
pub(super) enum Order<'a> {
    Run,
    Pause { note: &'a str },
    Resume,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    note: &'a str,
    user: String,
}

/// Has it run now.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    carry_out(arguments, Order::Run, location, environment)
}

/// Has it rest.
pub(super) fn pause(
    Pause { arguments, note }: &Pause,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    carry_out(arguments, Order::Pause { note }, location, environment)
}

/// Has it go on.
pub(super) fn resume(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    carry_out(arguments, Order::Resume, location, environment)
}

fn carry_out(
    arguments: &Arguments,
    wanted: Order<'_>,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let work = async |client: &Client| order(arguments, wanted, client, out).await;
    arguments.running.ask(location, environment, work)
}

pub(super) async fn order(
    arguments: &Arguments,
    wanted: Order<'_>,
    client: &Client,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let store = &arguments.store;
    let tasks = source::served_tasks(client, store).await?;
    let key = &source::find(&tasks, &arguments.task, store)?.key;
    let (word, note, told) = match wanted {
        Order::Run => ("run", "", "ordered to run now"),
        Order::Pause { note } => ("pause", note, "paused"),
        Order::Resume => ("resume", "", "resumed"),
    };
    let user = control::user();
    let path = source::order_path(store, key, word);
    let ordered: Ordered = client.post(&path, &Body { note, user }).await?;
    if arguments.json {
        table::print_json(&ordered, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &ordered.note {
        None => writeln!(out, "{store}: {key}: {told}")?,
        Some(note) => writeln!(out, "{store}: {key}: {told}; {note}")?,
    }
    Ok(ExitCode::SUCCESS)
}
