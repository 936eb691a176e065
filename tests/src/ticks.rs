//! What the guest `clockwork` and the host's trace leave in a log, read back by occurrences.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::history::LogEvent;

/// What the guest commits of each occurrence.
pub const TICKED: &str = "v1.Ticked";

/// Seconds in Unix time.
pub type Second = u64;

/// A time as apps write it: `2026-11-23T11:06:33.000Z`. Source of the arithmetic: Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `civil_from_days`.
pub fn iso(unix: Second) -> String {
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// How often each occurrence of a task had its effect, by the time at which it was due, in milliseconds.
pub fn ticks(log: &[LogEvent], task: &str) -> Result<BTreeMap<u64, usize>> {
    let mut counts = BTreeMap::new();
    for event in log.iter().filter(|event| event.name == TICKED) {
        if event.args["task"] == task {
            let due = event.args["due"].as_u64().context("a tick without due")?;
            *counts.entry(due).or_default() += 1;
        }
    }
    Ok(counts)
}

/// That each full second after `after`, up to `to`, had exactly one effect, and that no other had more.
pub fn ensure_each_second_once(
    log: &[LogEvent],
    task: &str,
    (after, to): (Second, Second),
) -> Result<()> {
    let ticks = ticks(log, task)?;
    for (due, count) in &ticks {
        ensure!(*count == 1, "due {due} had {count} effects");
    }
    for second in after + 1..=to {
        ensure!(
            ticks.contains_key(&(second * 1000)),
            "due {second} had no effect: {ticks:?}"
        );
    }
    Ok(())
}

/// That each execution that was told to be done was told to have begun, and both once.
pub fn ensure_traced(log: &[LogEvent]) -> Result<()> {
    let ids = |name: &str| -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for event in log.iter().filter(|event| event.name == name) {
            let id = event.args["id"].as_str().context("a trace without id")?;
            *counts.entry(id.to_owned()).or_default() += 1;
        }
        Ok(counts)
    };
    let (started, completed) = (
        ids("v1.TaskExecutionStarted")?,
        ids("v1.TaskExecutionCompleted")?,
    );
    for (id, count) in started.iter().chain(&completed) {
        ensure!(*count == 1, "{id} was told {count} times");
    }
    for id in completed.keys() {
        ensure!(
            started.contains_key(id),
            "{id} was never told to have begun"
        );
    }
    Ok(())
}
