//! `bench_living [--quick]`: measures changes on a running host, prints a table, and writes it to
//! `tests/bench/living.md`, which a quick run leaves alone. `cargo xtask bench living` makes a release build of the host
//! and calls it.

use anyhow::{Result, bail};
use quartermaster_tests::bench::Machine;
use quartermaster_tests::bench::living::{self, Plan};
use quartermaster_tests::paths;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = match arguments.as_slice() {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => bail!("usage: bench_living [--quick]"),
    };
    let plan = if quick { Plan::quick() } else { Plan::full() };
    let table = living::run(plan, &Machine::this()?).await?;
    if !quick {
        std::fs::write(paths::workspace().join("tests/bench/living.md"), &table)?;
    }
    println!("\n{table}");
    Ok(())
}
