//! `quartermaster task …`: the tasks of a store, when they are due, what became of their occurrences, and what is to become
//! of them. What is only looked at is read from the journal where no server runs; orders need one.

mod backfill;
mod history;
mod list;
mod next;
mod order;
mod print;
mod source;
mod when;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::{Environment, Location};

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the tasks of a store
    #[command(after_help = list::EXAMPLES)]
    List(list::Arguments),
    /// Show when tasks are due, and what daylight saving does to them
    #[command(after_help = next::EXAMPLES)]
    Next(next::Arguments),
    /// Run a task now
    #[command(after_help = order::RUN_EXAMPLES)]
    Run(order::Arguments),
    /// Let a task rest
    #[command(after_help = order::PAUSE_EXAMPLES)]
    Pause(order::Pause),
    /// Let a task go on that rests
    #[command(after_help = order::RESUME_EXAMPLES)]
    Resume(order::Arguments),
    /// Show what became of the times at which tasks were due
    #[command(after_help = history::EXAMPLES)]
    History(history::Arguments),
    /// Run what was due in a stretch of the past and never ran
    #[command(after_help = backfill::EXAMPLES)]
    Backfill(backfill::Arguments),
}

/// Carries it out.
pub(super) fn run(
    command: &Command,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::run(arguments, location, environment),
        Command::Next(arguments) => next::run(arguments, location, environment),
        Command::Run(arguments) => order::run(arguments, location, environment),
        Command::Pause(arguments) => order::pause(arguments, location, environment),
        Command::Resume(arguments) => order::resume(arguments, location, environment),
        Command::History(arguments) => history::run(arguments, location, environment),
        Command::Backfill(arguments) => backfill::run(arguments, location, environment),
    }
}

#[cfg(test)]
mod tests;
