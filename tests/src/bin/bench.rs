//! `bench`: measures the host beside the Node peer, prints a table, and writes it to `tests/bench/results.md`.
//! `cargo xtask bench` makes a release build of the host and calls it.

use anyhow::Result;
use quartermaster_tests::bench::{Kind, Machine, markdown, measure};
use quartermaster_tests::paths;

#[tokio::main]
async fn main() -> Result<()> {
    let machine = Machine::this()?;
    let host = measure(Kind::Host).await?;
    let peer = measure(Kind::Peer).await?;
    let table = markdown(&machine, &host, &peer);
    let file = paths::workspace().join("tests/bench/results.md");
    std::fs::write(&file, &table)?;
    println!("\n{table}");
    Ok(())
}
