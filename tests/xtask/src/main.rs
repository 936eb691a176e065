//! `cargo xtask`: everything a developer of this project runs, and all of it that CI runs. This file is the list of
//! commands; each is a module of its own.

mod checkout;
mod component;
mod plugins;
mod wasm_target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds and tries out Quartermaster.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build plugins/*/ to plugins/dist/<name>.wasm and the test guests to tests/guests/dist/<name>.wasm
    Plugins(plugins::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Plugins(args) => plugins::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
