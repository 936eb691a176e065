//! Usage as a table for people, with short numbers and a sum, and as comma-separated values for programs.

use std::io::{self, Write};
use std::time::Duration;

use crate::cli::short::{bytes, fuel, wall};
use crate::cli::table;
use crate::journal::{By, UsageRow};
use crate::store::UsageTotals;
use crate::time::Timestamp;

/// Names of the values, in their order. Programs count on it: more may come at the end, and nothing else changes.
const CSV: &str = "store,plugin,at,run,attempt,ending,runs,failed,fuel,wall_us,memory_peak_bytes,host_calls,host_bytes,\
     drafts,refusals";

/// What is told of every row.
const NUMBERS: [&str; 9] = [
    "RUNS", "FAILED", "FUEL", "WALL", "MEMORY", "CALLS", "BYTES", "DRAFTS", "REFUSED",
];

/// A line for each row, and one for their sum.
pub(super) fn table(rows: &[UsageRow], by: By, out: &mut dyn Write) -> io::Result<()> {
    let names: &[&str] = match by {
        By::Run => &["STORE", "RUN", "ATTEMPT", "ENDED", "ENDING"],
        By::Hour => &["STORE", "PLUGIN", "HOUR"],
        By::Day => &["STORE", "PLUGIN", "DAY"],
        By::Total => &["STORE", "PLUGIN"],
    };
    let heads = names.iter().chain(&NUMBERS).map(|head| (*head).to_owned());
    let mut lines = vec![heads.collect()];
    let mut sum = UsageTotals::default();
    for row in rows {
        sum.add(&row.totals);
        lines.push([keys(row, by), numbers(&row.totals)].concat());
    }
    let mut total = vec![String::new(); names.len()];
    "total".clone_into(&mut total[0]);
    lines.push([total, numbers(&sum)].concat());
    table::print(&lines, out)
}

/// A line of names, and one for each row.
pub(super) fn csv(rows: &[UsageRow], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{CSV}")?;
    for row in rows {
        let (run, totals) = (row.run.as_ref(), &row.totals);
        let numbers = [
            totals.runs,
            totals.failed,
            totals.fuel,
            totals.wall_us,
            totals.memory_peak_bytes,
            totals.host_calls,
            totals.host_bytes,
            totals.drafts,
        ];
        let cells = [
            row.store.to_string(),
            row.plugin.to_string(),
            row.at.map(|at| at.to_string()).unwrap_or_default(),
            run.map(|run| quoted(&run.id)).unwrap_or_default(),
            run.map(|run| run.attempt.to_string()).unwrap_or_default(),
            run.map(|run| run.ending.as_str().to_owned())
                .unwrap_or_default(),
        ];
        let numbers = numbers.iter().map(u64::to_string);
        let cells = cells.into_iter().chain(numbers).chain([refusals(totals)]);
        writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

fn keys(row: &UsageRow, by: By) -> Vec<String> {
    let at = |chars: usize| {
        let text = row.at.as_ref().map(Timestamp::to_string);
        text.map(|text| text.chars().take(chars).collect::<String>())
            .unwrap_or_default()
    };
    let (store, plugin) = (row.store.to_string(), row.plugin.to_string());
    match by {
        By::Run => {
            let run = row.run.as_ref();
            vec![
                store,
                run.map(|run| run.id.clone()).unwrap_or_default(),
                run.map(|run| run.attempt.to_string()).unwrap_or_default(),
                at(23),
                run.map(|run| run.ending.as_str().to_owned())
                    .unwrap_or_default(),
            ]
        }
        By::Hour => vec![store, plugin, at("2026-11-28T12:00".len())],
        By::Day => vec![store, plugin, at("2026-11-28".len())],
        By::Total => vec![store, plugin],
    }
}

fn numbers(totals: &UsageTotals) -> Vec<String> {
    let refusals = match refusals(totals) {
        none if none.is_empty() => "-".to_owned(),
        some => some,
    };
    vec![
        totals.runs.to_string(),
        totals.failed.to_string(),
        fuel(totals.fuel),
        wall(Duration::from_micros(totals.wall_us)),
        bytes(totals.memory_peak_bytes),
        totals.host_calls.to_string(),
        bytes(totals.host_bytes),
        totals.drafts.to_string(),
        refusals,
    ]
}

/// `memory=2 kv-size=1`.
fn refusals(totals: &UsageTotals) -> String {
    let each = totals.refusals.iter();
    let each = each.map(|(limit, times)| format!("{}={times}", limit.as_str()));
    each.collect::<Vec<_>>().join(" ")
}

/// As RFC 4180 has it, where a text may hold what separates.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_comma_is_quoted() {
        assert_eq!(quoted("qm1:echo:e1"), "qm1:echo:e1");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
