//! `cargo xtask demo`: builds the plugins and the host, and shows them at work (`tests/src/bin/demo.rs`).

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{checkout, peers, plugins, test};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// End after the first answer
    #[arg(long)]
    once: bool,
}

/// Builds and runs the demo.
pub(crate) fn run(args: &Args) -> Result<()> {
    peers::prepare()?;
    plugins::run(&plugins::Args::default())?;
    test::build()?;
    let mut demo = Command::new(checkout::root().join("target/debug/demo"));
    if args.once {
        demo.arg("--once");
    }
    become_program(&mut demo)
}

/// Goes on as another program, so that Ctrl-C reaches it alone and the terminal waits until it has tidied up.
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    Err(command.exec()).with_context(|| format!("cannot start {}", command.get_program().display()))
}
