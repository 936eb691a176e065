//! `cargo xtask bench`: makes release builds, and measures the host beside the Node peer (`tests/src/bench.rs`), its
//! embedded backend beside the original one (`tests/src/bench/backend.rs`), what changes cost while it runs
//! (`tests/src/bench/living.rs`), what stores feel of each other (`tests/src/bench/rations.rs`), or how late tasks begin
//! (`tests/src/bench/tasks.rs`).

use std::process::Command;

use anyhow::Result;

use crate::demo::become_program;
use crate::{checkout, peers, plugins};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Measure the embedded backend beside the original one in workerd: accepted events, latency, memory, catch-up
    Backend {
        /// Take a minute instead of a quarter of an hour: shows whether it works, and writes no file
        #[arg(long)]
        quick: bool,
    },
    /// Measure changes on a running host: a dropped plugin, added stores, and what the others feel meanwhile
    Living {
        /// Take a minute instead of some: shows whether it works, and writes no file
        #[arg(long)]
        quick: bool,
    },
    /// Measure quiet stores alone and beside stores that burn all they can get, and what each of those gets
    Rations {
        /// Take half a minute instead of two: shows whether it works, and writes no file
        #[arg(long)]
        quick: bool,
    },
    /// Measure how late the tasks of ten thousand stores begin, beside as many bare timers
    Tasks {
        /// Take fewer stores: shows whether it works, and writes no file
        #[arg(long)]
        quick: bool,
    },
}

/// Builds and runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    peers::prepare()?;
    plugins::run(&plugins::Args::default())?;
    let packages = [
        "--package",
        "quartermaster",
        "--package",
        "quartermaster-tests",
    ];
    checkout::run(
        checkout::cargo()
            .args(["build", "--release", "--locked", "--bins"])
            .args(packages),
    )?;
    let release = checkout::root().join("target/release");
    let mut bench = match &args.what {
        None => Command::new(release.join("bench")),
        Some(What::Backend { quick }) => {
            let mut bench = Command::new(release.join("bench_backend"));
            bench.args(quick.then_some("--quick"));
            bench
        }
        Some(What::Living { quick }) => {
            let mut bench = Command::new(release.join("bench_living"));
            bench.args(quick.then_some("--quick"));
            bench
        }
        Some(What::Rations { quick }) => {
            let mut bench = Command::new(release.join("bench_rations"));
            bench.args(quick.then_some("--quick"));
            bench
        }
        Some(What::Tasks { quick }) => {
            let mut bench = Command::new(release.join("bench_tasks"));
            bench.args(quick.then_some("--quick"));
            bench
        }
    };
    become_program(bench.env("QM_BIN", release.join("quartermaster")))
}
