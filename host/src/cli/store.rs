//! `quartermaster store …`: stores as a whole, what is to become of them, and their logs from one
//! place to another.

mod backup;
mod export;
mod import;
mod list;
mod merge;
mod order;
mod show;
mod upcoming;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use order::{duration, suggest};

use crate::config::{Environment, Location};
use crate::supervisor::Wish;

/// What can be done with a store.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the configured stores
    #[command(after_help = list::EXAMPLES)]
    List(list::Arguments),
    /// Write a store's whole log to a file
    #[command(after_help = export::EXAMPLES)]
    Export(export::Arguments),
    /// Append a file's events to a store's log
    #[command(after_help = import::EXAMPLES)]
    Import(import::Arguments),
    /// Copy what this host keeps of a store, while it runs
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::Arguments),
    /// Show one store of the running server
    #[command(after_help = show::EXAMPLES)]
    Show(show::Arguments),
    /// Let a store of the running server rest
    #[command(after_help = order::PAUSE_EXAMPLES)]
    Pause(order::Arguments),
    /// Lift what was ordered about a store
    #[command(after_help = order::RESUME_EXAMPLES)]
    Resume(order::Arguments),
    /// Let it rest once all that it has committed is in its log
    #[command(after_help = order::DRAIN_EXAMPLES)]
    Drain(order::Drain),
    /// Stop a store as if it were not configured
    #[command(after_help = order::REMOVE_EXAMPLES)]
    Remove(order::Arguments),
}

/// Carries it out.
pub(super) fn run(
    command: &Command,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::run(
            arguments,
            location,
            environment,
            &mut std::io::stdout().lock(),
        ),
        Command::Export(arguments) => export::run(arguments, location, environment),
        Command::Import(arguments) => import::run(arguments, location, environment),
        Command::Backup(arguments) => backup::run(arguments, location, environment),
        Command::Show(arguments) => show::run(arguments, location, environment),
        Command::Pause(arguments) => order::run(arguments, Wish::Pause, location, environment),
        Command::Resume(arguments) => order::run(arguments, Wish::Resume, location, environment),
        Command::Drain(arguments) => order::drain(arguments, location, environment),
        Command::Remove(arguments) => order::run(arguments, Wish::Remove, location, environment),
    }
}
