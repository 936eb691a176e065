//! `cargo xtask check`: what a reviewer should not have to look for. Runs every part even if one fails, and names those
//! that did.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::checkout;

/// Crates of which older versions must not come back, not even by a downgrade of the lock file, and why.
const FLOORS: [Floor; 1] = [Floor {
    name: "wasmtime",
    version: (48, 0, 8),
    reason: "48.0.0 to 48.0.3 let a guest out of its sandbox, and limits on handles begin with 48.0.8",
}];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Check only these; everything otherwise
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// rustfmt has nothing to say
    Fmt,
    /// clippy has nothing to say
    Clippy,
    /// rustdoc has nothing to say
    Doc,
    /// The tree keeps its own rules (host/tests/tidy.rs)
    Tidy,
    /// No crate is older than it may be
    Floors,
    /// Licenses, sources and known holes (deny.toml)
    Deny,
}

/// An oldest version.
struct Floor {
    name: &'static str,
    version: (u64, u64, u64),
    reason: &'static str,
}

/// Runs all parts, or those named.
pub(crate) fn run(args: &Args) -> Result<()> {
    let all = [
        Part::Fmt,
        Part::Clippy,
        Part::Doc,
        Part::Tidy,
        Part::Floors,
        Part::Deny,
    ];
    let parts = if args.parts.is_empty() {
        &all[..]
    } else {
        &args.parts
    };
    let mut failed = Vec::new();
    for &part in parts {
        eprintln!("== {part:?}");
        if let Err(error) = check(part) {
            eprintln!("{error:#}");
            failed.push(format!("{part:?}").to_lowercase());
        }
    }
    ensure!(failed.is_empty(), "not clean: {}", failed.join(", "));
    Ok(())
}

fn check(part: Part) -> Result<()> {
    match part {
        Part::Fmt => each_workspace(|cargo| cargo.args(["fmt", "--all", "--check"])),
        Part::Clippy => each_workspace(|cargo| {
            cargo.args([
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])
        }),
        Part::Doc => {
            let arguments = ["doc", "--locked", "--workspace", "--no-deps"];
            checkout::run(
                checkout::cargo()
                    .args(arguments)
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        }
        Part::Tidy => {
            let arguments = [
                "test",
                "--locked",
                "--package",
                "quartermaster",
                "--test",
                "tidy",
            ];
            checkout::run(checkout::cargo().args(arguments))
        }
        Part::Floors => check_floors(),
        Part::Deny => check_deny(),
    }
}

/// The host's workspace, the two of the guests, which are compiled for another target, and the one for fuzzing, which is
/// compiled with a sanitizer.
fn each_workspace(arguments: impl Fn(&mut Command) -> &mut Command) -> Result<()> {
    let root = checkout::root();
    for folder in [
        root.clone(),
        root.join("plugins"),
        root.join("tests/guests"),
        root.join("tests/fuzz"),
    ] {
        let mut cargo = checkout::cargo();
        checkout::run(arguments(cargo.current_dir(&folder)))
            .with_context(|| format!("in {}", folder.display()))?;
    }
    Ok(())
}

fn check_floors() -> Result<()> {
    let lock: PathBuf = checkout::root().join("Cargo.lock");
    let lock = fs::read_to_string(lock).context("cannot read Cargo.lock")?;
    for floor in &FLOORS {
        let versions = locked_versions(&lock, floor.name);
        ensure!(!versions.is_empty(), "{} is not in Cargo.lock", floor.name);
        for version in versions {
            let parsed = parse_version(version);
            let parsed = parsed.with_context(|| format!("cannot read the version {version:?}"))?;
            ensure!(
                parsed >= floor.version,
                "{} {version} is too old, at least {:?} is needed: {}",
                floor.name,
                floor.version,
                floor.reason
            );
        }
    }
    Ok(())
}

/// Every version of a crate that a lock file holds.
fn locked_versions<'a>(lock: &'a str, name: &str) -> Vec<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let packages = lock
        .split("[[package]]")
        .filter(|package| package.lines().any(|l| l == wanted));
    let version = |package: &'a str| {
        let value = package
            .lines()
            .find_map(|line| line.strip_prefix("version = \""));
        value.and_then(|value| value.strip_suffix('"'))
    };
    packages.filter_map(version).collect()
}

/// The three numbers of a release.
fn parse_version(version: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = version.split('.').map(str::parse);
    let parsed = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    numbers.next().is_none().then_some(parsed)
}

fn check_deny() -> Result<()> {
    let installed = || checkout::output_of(checkout::cargo().args(["deny", "--version"])).is_ok();
    if !installed() {
        eprintln!("cargo-deny is not installed: installing it");
        let install = checkout::run(checkout::cargo().args(["install", "--locked", "cargo-deny"]));
        if let Err(error) = install {
            bail!("cargo-deny is needed for this part and could not be installed: {error:#}");
        }
    }
    checkout::run(checkout::cargo().args(["deny", "--workspace", "check"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"wasmtime\"\nversion = \"48.0.9\"\n\n[[package]]\nname = \
                        \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"wasmtime\"\nversion = \"48.0.3\"\n";

    #[test]
    fn every_version_of_a_crate_is_found_and_no_other_crates() {
        assert_eq!(locked_versions(LOCK, "wasmtime"), ["48.0.9", "48.0.3"]);
        assert!(locked_versions(LOCK, "wasm").is_empty());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse_version("48.0.10") > parse_version("48.0.8"));
        assert!(parse_version("48.0.3") < Some(FLOORS[0].version));
        assert_eq!(parse_version("48.0"), None);
        assert_eq!(parse_version("48.0.8-beta"), None);
    }
}
