//! What was measured, side by side.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{BURST_MESSAGES, IDLE, LATENCY_MESSAGES, MANY, Measured};

/// What it was measured on, as far as it matters.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores that everything shared.
    pub cores: usize,
    /// Versions: the compiler's, Node's, the backend's.
    pub versions: Vec<String>,
}

impl Machine {
    /// The one that this runs on.
    pub fn this() -> Result<Self> {
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            versions: vec![
                version_of("rustc")?,
                format!("node {}", version_of("node")?),
                "@livestore/sync-cf 0.4.0 in workerd".to_owned(),
            ],
        })
    }
}

/// The first two words, at most, of what a program says about its version; the rest is a build's date and hash.
fn version_of(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    let text = String::from_utf8(output.stdout)?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

/// One line of the table.
struct Row {
    name: String,
    host: f64,
    peer: f64,
    unit: &'static str,
    /// Whether more of it is better.
    more_is_better: bool,
}

/// The table as Markdown, with what it takes to read it.
pub fn markdown(machine: &Machine, host: &Measured, peer: &Measured) -> String {
    let mut text = String::from(
        "# Quartermaster beside a Node process with one LiveStore store for each workspace\n\n\
         Written by `cargo xtask bench`: both on the same real backend, under the same load, one after the other, with \
         the users and the backend on the same cores.\n\n",
    );
    text += &format!(
        "{} cores · {}\n\n",
        machine.cores,
        machine.versions.join(" · ")
    );
    text.push_str("| | Quartermaster | Node peer | better by |\n|---|---:|---:|---:|\n");
    for row in rows(host, peer) {
        let ratio = if row.more_is_better {
            row.host / row.peer
        } else {
            row.peer / row.host
        };
        text += &format!(
            "| {} | {} {unit} | {} {unit} | {}× |\n",
            row.name,
            rounded(row.host),
            rounded(row.peer),
            rounded(ratio),
            unit = row.unit,
        );
    }
    text += "\n| | lost | doubled |\n|---|---:|---:|\n";
    for (name, measured) in [("Quartermaster", host), ("Node peer", peer)] {
        let loads = || measured.latency.iter().chain(&measured.burst);
        let sent: usize = loads().map(|load| load.sent).sum();
        let lost: usize = loads().map(|load| load.lost()).sum();
        let doubled: usize = loads().map(|load| load.doubled).sum();
        text += &format!("| {name} | {lost} of {sent} | {doubled} |\n");
    }
    text += &format!(
        "\nLatency: from the moment a user sends a message until the answer is seen, one message in flight in each \
         store, {} messages in one store, {} in each of {MANY}. Reactions: {} messages at once in one store, {} in each \
         of {MANY}, divided by the time until the last answer; an answer that takes longer than 20 s counts as lost. \
         Memory: resident, at rest, {IDLE} stores against one. Ready: from the start of the process until every store is \
         caught up.\n",
        LATENCY_MESSAGES[0], LATENCY_MESSAGES[1], BURST_MESSAGES[0], BURST_MESSAGES[1],
    );
    text
}

fn rows(host: &Measured, peer: &Measured) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |name: String, unit, more_is_better, of: &dyn Fn(&Measured) -> f64| {
        rows.push(Row {
            name,
            host: of(host),
            peer: of(peer),
            unit,
            more_is_better,
        });
    };
    for (place, stores) in [1, MANY].into_iter().enumerate() {
        let stores = if stores == 1 {
            "1 store".to_owned()
        } else {
            format!("{stores} stores")
        };
        row(format!("latency p50, {stores}"), "ms", false, &|m| {
            millis(m.latency[place].percentile(50))
        });
        row(format!("latency p99, {stores}"), "ms", false, &|m| {
            millis(m.latency[place].percentile(99))
        });
        row(format!("reactions, {stores}"), "/s", true, &|m| {
            m.burst[place].per_second()
        });
        row(format!("start to ready, {stores}"), "ms", false, &|m| {
            millis(m.ready[place])
        });
    }
    row("memory with one store".to_owned(), "MiB", false, &|m| {
        m.memory_one as f64 / 1024.0 / 1024.0
    });
    row(
        "memory for each idle store".to_owned(),
        "KiB",
        false,
        &|m| m.memory_per_store as f64 / 1024.0,
    );
    rows
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Three digits or so.
pub(super) fn rounded(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Load;

    #[test]
    fn the_table_shows_ratios_in_the_right_direction_and_what_was_lost() {
        let load = |sent, millis: &[u64], seconds| Load {
            sent,
            latencies: millis.iter().copied().map(Duration::from_millis).collect(),
            took: Duration::from_secs(seconds),
            doubled: 0,
        };
        let measured = |millis: u64, seconds| Measured {
            latency: [load(4, &[millis; 4], 1), load(4, &[millis; 3], 1)],
            burst: [
                load(4, &[millis; 4], seconds),
                load(4, &[millis; 4], seconds),
            ],
            ..Measured::default()
        };
        let machine = Machine {
            cores: 2,
            versions: vec!["node 20".to_owned()],
        };
        let text = markdown(&machine, &measured(10, 1), &measured(40, 8));
        for line in [
            "2 cores · node 20",
            "| latency p50, 1 store | 10.0 ms | 40.0 ms | 4.00× |",
            "| reactions, 1 store | 4.00 /s | 0.50 /s | 8.00× |",
            "| Node peer | 1 of 16 | 0 |",
        ] {
            assert!(text.contains(line), "no {line:?} in:\n{text}");
        }
    }
}
