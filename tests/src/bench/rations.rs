//! What stores feel of each other: quiet ones alone and beside those that burn all they can get, as a table.

use std::time::Duration;

use anyhow::Result;

use super::Machine;
use crate::rations::{self, Plan, Report};

/// Stores with a message a second, and stores that burn.
const QUIET: usize = 30;
const BURNERS: usize = 10;

/// Measures everything, for `phase` alone and as long beside the burners, and answers the table as Markdown.
pub async fn run(phase: Duration, machine: &Machine) -> Result<String> {
    let plan = Plan {
        quiet: QUIET,
        burners: BURNERS,
        phase,
    };
    Ok(markdown(&rations::run(plan).await?, machine))
}

fn markdown(report: &Report, machine: &Machine) -> String {
    let mut text = format!(
        "# What stores feel of each other\n\n\
         Written by `cargo xtask bench rations`, with the users on the same cores. {QUIET} quiet stores get one message a \
         second each; {BURNERS} others have a plugin that computes all it can get; \
         every fifth of them has twice the weight.\n\n\
         {} cores · {}\n\n\
         | answers of a quiet store | median | 99th percentile | slowest |\n|---|---:|---:|---:|\n",
        machine.cores,
        machine.versions.join(" · ")
    );
    for (name, times) in [
        ("alone", report.alone),
        ("beside the burners", report.beside),
    ] {
        let [median, p99, slowest] =
            times.map(|time| format!("{:.1} ms", time.as_secs_f64() * 1000.0));
        text += &format!("| {name} | {median} | {p99} | {slowest} |\n");
    }
    let (least, most) = report.shares();
    let difference = 100.0 * (most as f64 / least.max(1) as f64 - 1.0);
    let cpu = report.cpu_percent;
    text += "\n| burners | |\n|---|---:|\n";
    text += &format!("| runs of the one that got least, for its weight | {least} |\n");
    text += &format!("| runs of the one that got most, for its weight | {most} |\n");
    text += &format!("| difference | {difference:.1} % |\n");
    text += &format!("| processor time of the host | {cpu} % of one core |\n");
    text
}
