//! `quartermaster store …`: stores as a whole, and their logs from one place to another.

mod backup;
mod export;
mod import;
mod list;
mod merge;
mod upcoming;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::{Environment, Location};

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
    }
}
