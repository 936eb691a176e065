//! `torture <kills> <log kills> <swaps> <edits> <task seconds> [<seed>]`: the crash stories at length. `cargo xtask torture` builds what it needs and
//! calls it.

use anyhow::{Context, Result};
use quartermaster_tests::living::{self, Plan};
use quartermaster_tests::torture;

/// Stores whose tasks are due each second.
const TASK_STORES: usize = 200;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = || -> Result<u32> {
        let argument = arguments.next();
        let argument = argument.context(
            "usage: torture <kills> <log kills> <swaps> <edits> <task seconds> [<seed>]",
        )?;
        Ok(argument.parse()?)
    };
    let (kills, log_kills) = (number()?, number()?);
    let (swaps, edits, task_seconds) = (number()?, number()?, number()?);
    let seed = match arguments.next() {
        Some(seed) => seed.parse()?,
        None => fastrand::u64(..),
    };
    println!(
        "{kills} kills, {log_kills} kills of embedded stores, {swaps} swaps, {edits} edits, {task_seconds} s of tasks, seed {seed}"
    );
    if kills > 0 {
        let report = torture::run(kills, seed).await?;
        println!("every promise was kept: {report:?}");
    }
    if log_kills > 0 {
        let report = torture::logs::run(log_kills, seed).await?;
        println!("every acked event is in its log: {report:?}");
    }
    if task_seconds > 0 {
        let report = torture::tasks::run(TASK_STORES, task_seconds.into(), seed).await?;
        println!("every occurrence has its one effect: {report:?}");
    }
    if swaps + edits > 0 {
        let kills = (swaps + edits) / 50;
        let plan = Plan {
            swaps,
            edits,
            kills,
            seed,
        };
        let report = living::run(plan).await?;
        println!("every message has its one answer: {report:?}");
    }
    Ok(())
}
