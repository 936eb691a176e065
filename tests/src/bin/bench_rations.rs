//! `bench_rations [--quick]`: measures quiet stores beside stores that burn, prints a table, and writes it to
//! `tests/bench/rations.md`, which a quick run leaves alone. `cargo xtask bench rations` makes a release build of the host
//! and calls it.

use std::time::Duration;

use anyhow::{Result, bail};
use quartermaster_tests::bench::Machine;
use quartermaster_tests::bench::rations;
use quartermaster_tests::paths;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = match arguments.as_slice() {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => bail!("usage: bench_rations [--quick]"),
    };
    let phase = Duration::from_secs(if quick { 5 } else { 60 });
    let table = rations::run(phase, &Machine::this()?).await?;
    if !quick {
        std::fs::write(paths::workspace().join("tests/bench/rations.md"), &table)?;
    }
    println!("\n{table}");
    Ok(())
}
