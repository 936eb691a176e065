//! The command line: what can be asked for, and which exit code answers. Each command is a file below.

mod arenas;
mod check;
mod serve;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Environment, Location};

/// `EX_CONFIG` of sysexits.h: the configuration is wrong.
const EXIT_CONFIG: u8 = 78;

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
    /// Look at the whole configuration and print every mistake
    #[command(after_help = check::EXAMPLES)]
    Check(check::Arguments),
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  2   wrong usage
  78  bad configuration

Examples:
  quartermaster check
  quartermaster serve
  quartermaster --config /etc/quartermaster check --json";

/// Carries out one command line, its first word being the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let location = Location::find(arguments.config.as_deref());
    let environment = Environment::of_process(Path::new(".env"));
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, &location, &environment),
        Command::Check(arguments) => check::run(
            &arguments,
            &location,
            &environment,
            &mut std::io::stdout().lock(),
        ),
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
    ExitCode::FAILURE
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
