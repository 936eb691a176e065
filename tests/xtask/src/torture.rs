//! `cargo xtask torture`: fuzzing, then the crash stories at length (`tests/src/torture.rs`, `tests/src/torture/logs.rs`,
//! `tests/src/torture/tasks.rs`, `tests/src/living.rs`).

use std::process::Command;

use anyhow::Result;

use crate::demo::become_program;
use crate::{checkout, fuzz, peers, plugins, test};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many times to kill the host while its plugins answer in stores of a LiveStore backend; 0 for not at all
    #[arg(long, default_value_t = 1000)]
    kills: u32,
    /// How many times to kill it while clients write to embedded stores; 0 for not at all
    #[arg(long, default_value_t = 100)]
    log_kills: u32,
    /// How many times to replace a plugin under traffic, with some kills among it; 0 for not at all
    #[arg(long, default_value_t = 500)]
    swaps: u32,
    /// How many times to edit the configuration meanwhile; a tenth of the edits are broken
    #[arg(long, default_value_t = 200)]
    edits: u32,
    /// For how many seconds to run the tasks of 200 stores on two servers and two passes that are killed; 0 for not at all
    #[arg(long, value_name = "N", default_value_t = 120)]
    task_seconds: u32,
    /// Kill at the same moments as the run that printed this seed; otherwise at new ones
    #[arg(long)]
    seed: Option<u64>,
    /// How long to fuzz the frame decoder first; 0 for not at all
    #[arg(long, value_name = "N", default_value_t = 60)]
    fuzz_seconds: u32,
}

/// Builds and runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.fuzz_seconds > 0 {
        fuzz::run(args.fuzz_seconds)?;
    }
    peers::prepare()?;
    plugins::run(&plugins::Args::default())?;
    test::build()?;
    let mut torture = Command::new(checkout::root().join("target/debug/torture"));
    torture
        .arg(args.kills.to_string())
        .arg(args.log_kills.to_string())
        .arg(args.swaps.to_string())
        .arg(args.edits.to_string())
        .arg(args.task_seconds.to_string())
        .args(args.seed.map(|seed| seed.to_string()));
    become_program(&mut torture)
}
