//! `bench_backend [--quick]`: measures the embedded backend beside the original one, prints a table, and writes it to
//! `tests/bench/backend.md`, which a quick run leaves alone. `cargo xtask bench backend` makes a release build of the
//! host and calls it.

use anyhow::{Result, bail};
use quartermaster_tests::bench::Machine;
use quartermaster_tests::bench::backend::{self, Plan};
use quartermaster_tests::paths;

// One thread: the clients have one core at most, and the server has another.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = match arguments.as_slice() {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => bail!("usage: bench_backend [--quick]"),
    };
    let plan = if quick { Plan::quick() } else { Plan::full() };
    let table = backend::run(plan, &Machine::this()?).await?;
    if !quick {
        std::fs::write(paths::workspace().join("tests/bench/backend.md"), &table)?;
    }
    println!("\n{table}");
    Ok(())
}
