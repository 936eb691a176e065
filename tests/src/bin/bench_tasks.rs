//! `bench_tasks [--quick]`: measures how late tasks begin, prints a table, and writes it to
//! `tests/bench/tasks.md`, which a quick run leaves alone. `cargo xtask bench tasks` makes a release build of the host
//! and calls it.

use anyhow::{Result, bail};
use quartermaster_tests::bench::Machine;
use quartermaster_tests::bench::tasks;
use quartermaster_tests::paths;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = match arguments.as_slice() {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => bail!("usage: bench_tasks [--quick]"),
    };
    let stores = if quick { 500 } else { 10_000 };
    let table = tasks::run(stores, &Machine::this()?).await?;
    if !quick {
        std::fs::write(paths::workspace().join("tests/bench/tasks.md"), &table)?;
    }
    println!("\n{table}");
    Ok(())
}
