//! `torture <kills> [<seed>]`: the crash story at length. `cargo xtask torture` builds what it needs and calls it.

use anyhow::{Context, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let kills = arguments
        .next()
        .context("usage: torture <kills> [<seed>]")?
        .parse()?;
    let seed = match arguments.next() {
        Some(seed) => seed.parse()?,
        None => fastrand::u64(..),
    };
    println!("{kills} kills, seed {seed}");
    let report = quartermaster_tests::torture::run(kills, seed).await?;
    println!("every promise was kept: {report:?}");
    Ok(())
}
