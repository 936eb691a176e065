//! `cargo xtask test`: the whole of the project's tests, as CI runs them. Builds what they need first.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{checkout, packages, peers, plugins};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose names contain this
    #[arg(value_name = "NAME")]
    filter: Option<String>,
}

/// The packages that are built together. Not the whole workspace: this xtask wants other features of some dependencies,
/// and wasmtime would be compiled for them once more.
const HOST: [&str; 6] = [
    "--package",
    "quartermaster",
    "--package",
    "quartermaster-tests",
    "--package",
    "quartermaster-hostile",
];

/// What was done and how long it took.
#[derive(Default)]
struct Phases(Vec<(&'static str, Duration)>);

impl Phases {
    fn run(&mut self, name: &'static str, phase: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("== {name}");
        let begin = Instant::now();
        let result = phase();
        self.0.push((name, begin.elapsed()));
        result
    }
}

/// Runs everything; stops at the first phase that fails. The times of all phases are shown either way.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut phases = Phases::default();
    let result = run_phases(&mut phases, args.filter.as_deref());
    eprintln!("== times");
    for (name, took) in &phases.0 {
        eprintln!("{:>7.1} s  {name}", took.as_secs_f64());
    }
    result
}

fn run_phases(phases: &mut Phases, filter: Option<&str>) -> Result<()> {
    phases.run("LiveStore peers", peers::prepare)?;
    phases.run("packages", packages::prepare)?;
    phases.run("plugins", || plugins::run(&plugins::Args::default()))?;
    phases.run("tests of plugins and xtask", || small_tests(filter))?;
    phases.run("build", build)?;
    if has_nextest() {
        // Two runs of one build, so that a mistake in a rule shows before the long stories begin.
        phases.run("unit and module tests", || {
            nextest("not binary(stories)", filter)
        })?;
        phases.run("stories", || nextest("binary(stories)", filter))?;
    } else {
        eprintln!(
            "cargo-nextest is not installed: cargo test runs the same tests, one binary after the other"
        );
        phases.run("unit tests, module tests, stories", || cargo_test(filter))?;
    }
    Ok(())
}

/// Builds the host, the programs of the tests, and all tests, with the features that they have together. `cargo build`
/// would compile wasmtime once more, as it leaves out what only tests add to its dependencies.
pub(crate) fn build() -> Result<()> {
    let arguments = ["test", "--quiet", "--no-run", "--locked"];
    checkout::run(checkout::cargo().args(arguments).args(HOST))
}

/// What a plugin decides by itself is tested as native code, in its own workspace.
fn small_tests(filter: Option<&str>) -> Result<()> {
    let root = checkout::root();
    let mut plugins = checkout::cargo();
    plugins.args(["test", "--quiet", "--locked", "--manifest-path"]);
    plugins.arg(root.join("plugins/Cargo.toml"));
    plugins.arg("--target-dir").arg(root.join("target/guests"));
    checkout::run(plugins.args(filter))?;
    let xtask = ["test", "--quiet", "--locked", "--package", "xtask"];
    checkout::run(checkout::cargo().args(xtask).args(filter))
}

fn has_nextest() -> bool {
    checkout::output_of(checkout::cargo().args(["nextest", "--version"])).is_ok()
}

fn nextest(binaries: &str, filter: Option<&str>) -> Result<()> {
    let mut cargo = checkout::cargo();
    cargo
        .args(["nextest", "run", "--locked", "-E", binaries])
        .args(HOST);
    if filter.is_some() {
        // One of the two runs may hold none of the tests that were asked for.
        cargo.arg("--no-tests=pass");
    }
    checkout::run(without_backtraces(&mut cargo).args(filter))
}

fn cargo_test(filter: Option<&str>) -> Result<()> {
    let mut cargo = checkout::cargo();
    cargo.args(["test", "--locked"]).args(HOST);
    checkout::run(without_backtraces(&mut cargo).args(filter))
}

/// The stories' errors say what happened in words; a backtrace of an async test says nothing.
fn without_backtraces(command: &mut Command) -> &mut Command {
    command.env("RUST_LIB_BACKTRACE", "0")
}
