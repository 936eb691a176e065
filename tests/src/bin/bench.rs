//! `bench`: measures the host beside the Node peer, prints a table, and writes it to `tests/bench/results.md`.
//! `cargo xtask bench` makes a release build of the host and calls it.

use std::process::Command;

use anyhow::{Context, Result};
use quartermaster_tests::bench::{Kind, Machine, markdown, measure};
use quartermaster_tests::paths;

#[tokio::main]
async fn main() -> Result<()> {
    let machine = Machine {
        cores: std::thread::available_parallelism()?.get(),
        versions: vec![
            version_of("rustc")?,
            format!("node {}", version_of("node")?),
            "@livestore/sync-cf 0.4.0 in workerd".to_owned(),
        ],
    };
    let host = measure(Kind::Host).await?;
    let peer = measure(Kind::Peer).await?;
    let table = markdown(&machine, &host, &peer);
    let file = paths::workspace().join("tests/bench/results.md");
    std::fs::write(&file, &table)?;
    println!("\n{table}");
    Ok(())
}

/// The first two words, at most, of what a program says about its version; the rest is a build's date and hash.
fn version_of(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" "))
}
