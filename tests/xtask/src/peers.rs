//! Prepares the real LiveStore peers in `tests/livestore`: npm brings the packages at their locked versions, the backend
//! is bundled for workerd, and the chat page for browsers. What is there already is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::checkout;

/// The oldest Node that LiveStore's packages run on.
const NODE_MAJOR_MIN: u32 = 20;

/// What npm bundles by one of its scripts.
struct Bundle {
    script: &'static str,
    sources: &'static [&'static str],
    /// The file that is written last.
    made: &'static str,
}

const BACKEND: Bundle = Bundle {
    script: "build",
    sources: &[
        "backend/build.mjs",
        "backend/worker.ts",
        "backend/config.capnp",
        "package-lock.json",
        "backend-dev22/package-lock.json",
    ],
    made: "dist/dev22/config.capnp",
};

const PAGE: Bundle = Bundle {
    script: "page",
    sources: &[
        "page/build.mjs",
        "page/page.mjs",
        "page/worker.mjs",
        "client/schema.mjs",
        "package-lock.json",
        "../../host/src/http/demo/index.html",
    ],
    made: "dist/page/index.html",
};

/// Installs and bundles what is missing or older than its sources.
pub(crate) fn prepare() -> Result<()> {
    check_node()?;
    install(&folder())?;
    install(&folder().join("backend-dev22"))?;
    bundle(&BACKEND)?;
    bundle(&PAGE)
}

/// The same for the chat page alone; gives the folder that it lies in.
pub(crate) fn prepare_page() -> Result<PathBuf> {
    check_node()?;
    install(&folder())?;
    bundle(&PAGE)?;
    let page = folder().join(PAGE.made);
    Ok(page.parent().unwrap_or(&page).to_owned())
}

fn folder() -> PathBuf {
    checkout::root().join("tests/livestore")
}

fn bundle(bundle: &Bundle) -> Result<()> {
    let folder = folder();
    let sources: Vec<PathBuf> = bundle.sources.iter().map(|it| folder.join(it)).collect();
    let made = folder.join(bundle.made);
    if is_up_to_date(&made, &sources)? {
        return Ok(());
    }
    let (shown, script) = (checkout::shown(&folder), bundle.script);
    eprintln!("{shown}: npm run {script}");
    checkout::run(npm(&folder).args(["run", "--silent", script]))?;
    // A copied file keeps no date of its own on every system; the next run looks at it.
    let made = fs::File::options().write(true).open(made)?;
    made.set_modified(SystemTime::now())?;
    Ok(())
}

/// Fails with what to do if Node or npm is missing or too old: without them nothing real of LiveStore's runs.
fn check_node() -> Result<()> {
    let version = checkout::output_of(Command::new("node").arg("--version")).context(
        "the real LiveStore peers need Node.js 20 or later with npm: install it and try again",
    )?;
    let major =
        node_major(&version).with_context(|| format!("node says its version is {version:?}"))?;
    ensure!(
        major >= NODE_MAJOR_MIN,
        "Node.js {NODE_MAJOR_MIN} or later is needed; this is {}",
        version.trim()
    );
    checkout::output_of(Command::new("npm").arg("--version"))
        .context("the real LiveStore peers need npm beside Node.js: install it and try again")?;
    Ok(())
}

fn node_major(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn install(folder: &Path) -> Result<()> {
    // npm writes this file when it is done.
    let done = folder.join("node_modules/.package-lock.json");
    let sources = ["package.json", "package-lock.json"].map(|source| folder.join(source));
    if is_up_to_date(&done, &sources)? {
        return Ok(());
    }
    let shown = checkout::shown(folder);
    eprintln!("{shown}: npm install");
    // Not `npm ci`: it refuses lock files that name other platforms' optional packages only in part.
    let arguments = [
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ];
    checkout::run(npm(folder).args(arguments))
        .with_context(|| format!("{shown}: npm install failed"))?;
    fs::File::options()
        .write(true)
        .open(&done)?
        .set_modified(SystemTime::now())?;
    Ok(())
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}

/// Whether `made` exists and is no older than any of its sources.
fn is_up_to_date(made: &Path, sources: &[PathBuf]) -> Result<bool> {
    let Ok(made) = modified(made) else {
        return Ok(false);
    };
    for source in sources {
        if modified(source)? > made {
            return Ok(false);
        }
    }
    Ok(true)
}

fn modified(path: &Path) -> Result<SystemTime> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.with_context(|| format!("cannot read {}", checkout::shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_version_is_read_as_it_says_it() {
        assert_eq!(node_major("v20.20.2\n"), Some(20));
        assert_eq!(node_major("v8.0.0"), Some(8));
        assert_eq!(node_major("something else"), None);
    }
}
