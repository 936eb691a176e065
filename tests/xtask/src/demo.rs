//! `cargo xtask demo`: builds the plugins and the host, and shows them at work (`tests/src/bin/demo.rs`). It needs
//! nothing but Rust; with Node.js at hand, the chat page is a real LiveStore app.

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
    plugins::run(&plugins::Args::only(&["echo"]))?;
    test::build()?;
    let mut demo = Command::new(checkout::root().join("target/debug/demo"));
    if args.once {
        demo.arg("--once");
    } else {
        add_page(&mut demo);
    }
    become_program(&mut demo)
}

/// Bundles the page on LiveStore's packages, if that can be done here; the host brings another, which needs no build.
fn add_page(demo: &mut Command) {
    match peers::prepare_page() {
        Ok(page) => {
            demo.arg("--page").arg(page);
        }
        Err(error) => eprintln!(
            "the chat page is the hand-sized one, as the one on LiveStore's packages cannot be built: {error:#}"
        ),
    }
}

/// Goes on as another program, so that Ctrl-C reaches it alone and the terminal waits until it has tidied up.
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    Err(command.exec()).with_context(|| format!("cannot start {}", command.get_program().display()))
}
