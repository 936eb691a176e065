//! Where things lie in the checkout, and where temporary data goes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// What to do when something that the tests need has not been built.
pub const BUILD_HINT: &str = "run `cargo xtask test`, which builds what the tests need";

/// The checkout's top folder.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The folder of the real LiveStore peers.
pub fn livestore() -> PathBuf {
    workspace().join("tests/livestore")
}

/// The host's binary: `QM_BIN`, or the one that a debug build leaves.
pub fn host_binary() -> Result<PathBuf> {
    let binary = match std::env::var_os("QM_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace().join("target/debug/quartermaster"),
    };
    existing(binary)
}

/// The component of `plugin`: one of the project's own, or a guest made for the tests.
pub fn component(plugin: &str) -> Result<PathBuf> {
    let file = format!("{plugin}.wasm");
    let own = workspace().join("plugins/dist").join(&file);
    if own.is_file() {
        return Ok(own);
    }
    existing(workspace().join("tests/guests/dist").join(&file))
}

/// `path`, if something is there.
pub fn existing(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.exists(), "{} is missing; {BUILD_HINT}", path.display());
    Ok(path)
}

/// A folder on the checkout's own disk that goes away with its value, for what is measured with the disk's syncs in it.
pub fn temporary_on_disk() -> Result<TempDir> {
    let parent = workspace().join("target");
    std::fs::create_dir_all(&parent)?;
    let folder = tempfile::Builder::new()
        .prefix("quartermaster-")
        .tempdir_in(parent);
    folder.context("cannot make a temporary folder in target/")
}

/// A folder that goes away with its value; in memory where the system offers it, so that a disk's sync is no part of
/// what is tested or measured.
pub fn temporary() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("quartermaster-");
    let folder = if memory.is_dir() {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    };
    folder.context("cannot make a temporary folder")
}
