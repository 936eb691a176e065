//! `cargo xtask`: everything a developer of this project runs, and all of it that CI runs. This file is the list of
//! commands; each is a module of its own.

mod bench;
mod check;
mod checkout;
mod component;
mod demo;
mod fuzz;
mod packages;
mod peers;
mod plugins;
mod test;
mod torture;
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
    /// Build plugins/*/ to plugins/dist/NAME.wasm and the test guests to tests/guests/dist/NAME.wasm
    Plugins(plugins::Args),
    /// Build everything and run every test, against real LiveStore peers
    Test(test::Args),
    /// Show it at work: the host, two stores in it, and a chat page where a plugin answers
    Demo(demo::Args),
    /// Throw frames at the decoder, then kill the host again and again under traffic and check every log
    Torture(torture::Args),
    /// Measure the host beside a Node process with one LiveStore store for each workspace; `bench backend`: its
    /// embedded backend beside the original one
    Bench(bench::Args),
    /// Check formatting, lints, documentation, the tree's own rules, versions and licenses
    Check(check::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Plugins(args) => plugins::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Torture(args) => torture::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Check(args) => check::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
