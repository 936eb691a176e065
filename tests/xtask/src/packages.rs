//! Sees to it that what the stories need of the system is there: a browser, and libfaketime for wall clocks that are set. Debian's
//! packages are installed if they are missing and may be installed. What is there already is left alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checkout;

/// What the browser is called, by the system that brings it; `tests/src/browser.rs` looks for the same.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Where libfaketime is, below a folder for libraries; `tests/src/faketime.rs` looks for the same.
const FAKETIME: &str = "faketime/libfaketimeMT.so.1";

/// Installs what is missing.
pub(crate) fn prepare() -> Result<()> {
    let mut missing = Vec::new();
    if !BROWSERS.into_iter().any(is_in_path) {
        missing.push("chromium");
    }
    if !has_faketime() {
        missing.push("libfaketime");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" and ");
    if !is_in_path("apt-get") || !is_root() {
        bail!("the tests need {names}: install the packages of these names and try again");
    }
    eprintln!("apt-get install {}", missing.join(" "));
    apt_get(&["update"], &names)?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    apt_get(&install, &names)
}

fn apt_get(arguments: &[&str], names: &str) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").args(arguments);
    // It must not ask anything of anybody.
    command.env("DEBIAN_FRONTEND", "noninteractive");
    checkout::run(&mut command).with_context(|| {
        format!("cannot install {names}, which the tests need: install it and try again")
    })
}

fn has_faketime() -> bool {
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let triples = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders = folders.into_iter().chain(triples.map(|entry| entry.path()));
    folders.any(|folder| folder.join(FAKETIME).is_file())
}

fn is_root() -> bool {
    checkout::output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |folder: &Path| folder.join(program).is_file();
    std::env::split_paths(&path).any(|folder| is_there(&folder))
}
