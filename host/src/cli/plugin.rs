//! `quartermaster plugin …`: which versions of a plugin there are, and which of them is used where.

mod choose;
mod inspect;
mod list;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::{Environment, Location};

pub(super) use inspect::examine;

/// What can be done with a plugin.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the plugins of the running server, with every version it keeps
    #[command(after_help = list::EXAMPLES)]
    List(list::Arguments),
    /// Look into a .wasm file, without a server, or at one plugin of the running server
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::Arguments),
    /// Withdraw the newest version everywhere
    #[command(after_help = choose::ROLLBACK_EXAMPLES)]
    Rollback(choose::Rollback),
    /// Hold one version, in one store or everywhere, whatever is newer
    #[command(after_help = choose::PIN_EXAMPLES)]
    Pin(choose::Pin),
    /// Hold it no more
    #[command(after_help = choose::UNPIN_EXAMPLES)]
    Unpin(choose::Unpin),
    /// Give the newest version to every store now
    #[command(after_help = choose::PROMOTE_EXAMPLES)]
    Promote(choose::Promote),
}

/// Carries it out.
pub(super) fn run(
    command: &Command,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::run(arguments, location, environment),
        Command::Inspect(arguments) => inspect::run(arguments, location, environment),
        Command::Rollback(arguments) => choose::run(arguments.parts(), location, environment),
        Command::Pin(arguments) => choose::run(arguments.parts(), location, environment),
        Command::Unpin(arguments) => choose::run(arguments.parts(), location, environment),
        Command::Promote(arguments) => choose::run(arguments.parts(), location, environment),
    }
}
