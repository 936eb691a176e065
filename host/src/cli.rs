//! The command line: what can be asked for, and which exit code answers. Each command is a file below.

mod alert;
mod arenas;
mod check;
mod commit;
mod compile_plugin;
mod control;
mod difference;
mod interrupt;
mod log_file;
mod peer;
mod plugin;
mod process_tasks;
mod progress;
mod reload;
mod serve;
mod short;
mod store;
mod stores;
mod table;
mod tail;
mod task;
mod unfinished;
mod usage;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Environment, Location};

/// `EX_CONFIG` of sysexits.h: the configuration is wrong.
const EXIT_CONFIG: u8 = 78;
/// Some stores could not be served; `EX_TEMPFAIL` of `sysexits.h`.
const EXIT_SOME_FAILED: u8 = 75;

/// What clap exits with as well.
const EXIT_USAGE: u8 = 2;

/// Keeps LiveStore stores, and hands their events to WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "quartermaster", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    /// Folder or file of the configuration [default: config/, then /etc/quartermaster]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the configured stores until told to stop
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Arguments),
    /// Have the running server read its configuration again
    #[command(after_help = reload::EXAMPLES)]
    Reload(reload::Arguments),
    /// Look at the whole configuration and print every mistake, or what a reload would change
    #[command(after_help = check::EXAMPLES)]
    Check(check::Arguments),
    /// List stores, let them rest, and move their logs
    #[command(subcommand)]
    Store(store::Command),
    /// List plugins and their versions, look into them, and choose which version is used
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Show what the running server thinks that somebody should know
    #[command(subcommand)]
    Alert(alert::Command),
    /// Show what stores and their plugins used
    #[command(after_help = usage::EXAMPLES)]
    Usage(usage::Arguments),
    /// Run all that is due once, and end: for platforms that start a program every few minutes
    #[command(after_help = process_tasks::EXAMPLES)]
    ProcessTasks(process_tasks::Arguments),
    /// Show a store's tasks and what became of them, and run, pause, resume or make up for one
    #[command(subcommand)]
    Task(task::Command),
    /// Show a store's events as they come
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::Arguments),
    /// Compile a component, as the server has it done
    #[command(hide = true)]
    CompilePlugin(compile_plugin::Arguments),
    /// Append an event to a store's log
    #[command(after_help = commit::EXAMPLES)]
    Commit(commit::Arguments),
}

/// How to get into a store's log.
#[derive(Debug, clap::Args)]
struct Access {
    /// Token for the store's backend, instead of the one in its configuration
    #[arg(long, env = "QM_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Access {
    fn token(&self) -> Option<&str> {
        self.token.as_deref().filter(|token| !token.is_empty())
    }
}

/// An error with an exit code of its own.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  2   wrong usage
  75  some stores could not be served (process-tasks)
  78  bad configuration

Examples:
  quartermaster check
  quartermaster serve
  quartermaster --config /etc/quartermaster check --json
  quartermaster tail shop --name 'v1.Chat*'
  quartermaster store export shop --out shop.json";

/// Carries out one command line, its first word being the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let given = arguments.config.as_deref();
    let location = Location::find(given);
    let dotenv = Path::new(".env");
    let environment = Environment::of_process(dotenv);
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, &location, dotenv),
        Command::Check(arguments) => check::run(
            &arguments,
            given,
            &location,
            &environment,
            &mut std::io::stdout().lock(),
        ),
        Command::Reload(arguments) => reload::run(&arguments, &location, &environment),
        Command::Store(command) => store::run(&command, &location, &environment),
        Command::Plugin(command) => plugin::run(&command, &location, &environment),
        Command::Alert(command) => alert::run(&command, &location, &environment),
        Command::Usage(arguments) => usage::run(&arguments, &location, &environment),
        Command::ProcessTasks(arguments) => process_tasks::run(&arguments, &location, dotenv),
        Command::Task(command) => task::run(&command, &location, &environment),
        Command::Tail(arguments) => tail::run(&arguments, &location, &environment),
        Command::CompilePlugin(arguments) => compile_plugin::run(&arguments),
        Command::Commit(arguments) => commit::run(&arguments, &location, &environment),
    };
    done.unwrap_or_else(|error| fail(&error))
}

/// Help and version are no failure; anything else that cannot be parsed is wrong usage.
fn refuse(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(1);
    match error.print() {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // Whoever reads our output has seen enough, as `head` has: nobody is left to tell.
    let closed = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe);
    if !closed {
        eprintln!("quartermaster: {error:#}");
    }
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Usage(_)) => ExitCode::from(EXIT_USAGE),
        Some(Refusal::Config(_)) => ExitCode::from(EXIT_CONFIG),
        None => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_2_and_help_is_0() {
        let code = |words: &[&str]| {
            let words = std::iter::once("quartermaster").chain(words.iter().copied());
            Arguments::try_parse_from(words)
                .map_err(|error| error.exit_code())
                .err()
        };
        assert_eq!(code(&["chekc"]), Some(2));
        assert_eq!(code(&["check", "--yaml"]), Some(2));
        assert_eq!(code(&[]), Some(2));
        assert_eq!(code(&["--help"]), Some(0));
        assert_eq!(code(&["check", "--config", "x", "--json"]), None);
    }
}
