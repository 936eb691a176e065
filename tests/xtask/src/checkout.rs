//! Where things lie in the checkout that this xtask was built from, and how it calls programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2);
    root.expect("xtask lies two folders below the root")
        .to_owned()
}

/// `path` as a reader of the output would name it: from the root of the checkout, if it lies there.
pub(crate) fn shown(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The cargo that runs this xtask.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Runs `command`, its output where ours goes. Fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", program(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", program(command));
    }
    Ok(())
}

/// Runs `command` and gives what it wrote to its standard output. Fails if it does, with what it wrote to its
/// standard error.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output: Output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program(command)))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            program(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} wrote something that is not text", program(command)))
}

fn program(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string()
}
