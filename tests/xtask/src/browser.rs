//! Sees to it that there is a browser for the stories that need one: Debian's package `chromium` is installed if it is
//! missing and may be installed. What is there already is left alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checkout;

/// What the program is called, by the system that brings it; `tests/src/browser.rs` looks for the same.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Installs a browser where none is.
pub(crate) fn prepare() -> Result<()> {
    if PROGRAMS.into_iter().any(is_in_path) {
        return Ok(());
    }
    if !is_in_path("apt-get") || !is_root() {
        bail!(
            "the tests need a browser, and none of {} is in PATH: install the package chromium and try again",
            PROGRAMS.join(", ")
        );
    }
    eprintln!("apt-get install chromium");
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", "chromium"])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").args(arguments);
    // It must not ask anything of anybody.
    command.env("DEBIAN_FRONTEND", "noninteractive");
    checkout::run(&mut command)
        .context("cannot install the browser that the tests need: install the package chromium and try again")
}

fn is_root() -> bool {
    checkout::output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |folder: &Path| folder.join(program).is_file();
    std::env::split_paths(&path).any(|folder| is_there(&folder))
}
