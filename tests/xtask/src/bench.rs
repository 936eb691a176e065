//! `cargo xtask bench`: makes release builds, and measures the host beside the Node peer (`tests/src/bench.rs`).

use std::process::Command;

use anyhow::Result;

use crate::demo::become_program;
use crate::{checkout, peers, plugins};

/// Builds and runs it.
pub(crate) fn run() -> Result<()> {
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
    let mut bench = Command::new(release.join("bench"));
    become_program(bench.env("QM_BIN", release.join("quartermaster")))
}
