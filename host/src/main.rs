//! The `quartermaster` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    quartermaster::cli::run(std::env::args_os())
}
