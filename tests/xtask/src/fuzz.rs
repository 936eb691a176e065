//! Throws frames at the embedded backend's decoder (`tests/fuzz/`): part of `cargo xtask torture`. What it learns stays in
//! `target/fuzz`; a frame that breaks something is kept in `tests/fuzz/artifacts`, and its path is the last thing said.

use std::fs;

use anyhow::{Context, Result};

use crate::checkout;

/// The longest frame that is tried. Real ones go to 900,000 bytes; what is special about a frame shows in short ones,
/// and many more of those fit into a minute.
const FRAME_BYTES_MAX: u32 = 64 * 1024;

/// The most that one allocation may hold. Events take some times the room of the shortest text that says them, and a list
/// doubles as it grows: 256 bytes for each of the frame are never needed.
const ALLOCATION_MEGABYTES_MAX: u32 = 16;

/// The most that the process may hold. Most of it is the sanitizer's: it keeps what was freed, to see who still uses it.
const MEMORY_MEGABYTES_MAX: u32 = 1024;

/// Fuzzes for this long. Fails on a panic, an error in memory, or too much of it.
pub(crate) fn run(seconds: u32) -> Result<()> {
    ensure_cargo_fuzz()?;
    let root = checkout::root();
    let corpus = root.join("target/fuzz/corpus");
    fs::create_dir_all(&corpus).context("cannot make target/fuzz/corpus")?;
    let mut fuzz = checkout::cargo();
    fuzz.current_dir(&root)
        // Sanitizers are not stable yet. This lets the compiler that everything else is built with have them.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", "--fuzz-dir", "tests/fuzz"])
        .args(["--target-dir", "target/fuzz", "frames"])
        .args(["target/fuzz/corpus", "tests/fuzz/seeds/frames", "--"])
        .arg("-dict=tests/fuzz/frames.dict")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={FRAME_BYTES_MAX}"))
        .arg(format!("-malloc_limit_mb={ALLOCATION_MEGABYTES_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MEGABYTES_MAX}"))
        .arg("-print_final_stats=1");
    checkout::run(&mut fuzz).context("fuzzing the frame decoder found something, or did not run")
}

fn ensure_cargo_fuzz() -> Result<()> {
    if checkout::output_of(checkout::cargo().args(["fuzz", "--version"])).is_ok() {
        return Ok(());
    }
    eprintln!("cargo-fuzz is not installed: installing it");
    checkout::run(checkout::cargo().args(["install", "--locked", "cargo-fuzz"]))
        .context("cargo-fuzz could not be installed; --fuzz-seconds 0 goes without")
}
