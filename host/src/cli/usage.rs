//! `quartermaster usage`: who used how much. The running server is asked; where none runs, its journals are read.

mod print;
mod since;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::actor::wall;
use crate::cli::control::{Client, Error, Running};
use crate::cli::{stores, table};
use crate::config::{Environment, Location};
use crate::id::StoreId;
use crate::journal::{self, By, UsageReport};
use crate::time::Timestamp;
use since::Since;

pub(super) use since::ago;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster usage                                   the last 24 hours: every plugin of every store
  quartermaster usage --store shop --since 7d --by day  a week of one store, day by day
  quartermaster usage --store shop --by run             its last runs: how each ended, and what it was refused
  quartermaster usage --since 2026-11-01 --csv          a month as a table for another program
  quartermaster usage --json | jq '.usage[] | select(.refusals != {})'

Times are UTC, and begin with a whole hour. Kept are the last 1,000 runs of a store, hours for 35 days, and days for 400: \
what lies further back than 35 days begins with a whole day. Wall time is that of all runs together, waiting included; memory \
is the most that one run had. Fuel is about one for each WebAssembly instruction.";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this store; may be repeated
    #[arg(long = "store", value_name = "ID")]
    stores: Vec<StoreId>,
    /// From when on: a duration such as 90m, 24h or 7d before now, a day, or a time such as 2026-11-01T06:00:00Z
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    since: Since,
    /// What a row is about
    #[arg(long, value_name = "WHAT", default_value = "total")]
    by: By,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values: plain numbers below a line of names
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    running: Running,
}

impl ValueEnum for By {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
    }
}

/// Asks and prints.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let since = arguments.since.before(wall());
    let work = async |client: &Client| {
        let report = collect(client, &arguments.stores, since, arguments.by).await?;
        arguments.print(&report, since, out)
    };
    arguments.running.ask(location, environment, work)
}

impl Arguments {
    fn print(
        &self,
        report: &UsageReport,
        since: Timestamp,
        out: &mut dyn Write,
    ) -> anyhow::Result<ExitCode> {
        for problem in &report.problems {
            eprintln!("{problem}; what this store used is left out");
        }
        match (self.json, self.csv) {
            (true, _) => table::print_json(report, out)?,
            (false, true) => print::csv(&report.usage, out)?,
            (false, false) if report.usage.is_empty() => {
                writeln!(out, "nothing has run since {since}")?;
            }
            (false, false) => print::table(&report.usage, self.by, out)?,
        }
        Ok(match report.problems.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

/// What was used, from the server that runs, or else from the files that it left.
async fn collect(
    client: &Client,
    stores: &[StoreId],
    since: Timestamp,
    by: By,
) -> anyhow::Result<UsageReport> {
    match ask(client, stores, since, by).await {
        Ok(report) => Ok(report),
        Err(Error::NoServer { data }) if data.join("journals").is_dir() => {
            read(&data.join("journals"), stores, since, by)
        }
        Err(error) => Err(error.into()),
    }
}

async fn ask(
    client: &Client,
    stores: &[StoreId],
    since: Timestamp,
    by: By,
) -> Result<UsageReport, Error> {
    let query = format!("since={}&by={}", since.as_millis(), by.as_str());
    if stores.is_empty() {
        return client.get(&format!("/api/v1/usage?{query}")).await;
    }
    let mut all = UsageReport::default();
    for store in stores {
        let path = format!("/api/v1/stores/{store}/usage?{query}");
        let report: UsageReport = match client.get(&path).await {
            Ok(report) => report,
            Err(error) => return Err(super::store::suggest(error, store, client).await),
        };
        all.usage.extend(report.usage);
        all.problems.extend(report.problems);
    }
    Ok(all)
}

/// Reads the journals in `folder`, on which nobody works.
fn read(
    folder: &Path,
    stores: &[StoreId],
    since: Timestamp,
    by: By,
) -> anyhow::Result<UsageReport> {
    let there = journal::stores(folder);
    let there = there.with_context(|| format!("cannot read {}", folder.display()))?;
    let mut report = UsageReport::default();
    for store in if stores.is_empty() { &there } else { stores } {
        match journal::usage_of(folder, store, since, by) {
            Ok(Some(rows)) => report.usage.extend(rows),
            Ok(None) => bail!("{}", unknown(store, &there, folder)),
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    Ok(report)
}

/// That no store of this name has a journal in the folder, and which was probably meant.
pub(super) fn unknown(store: &StoreId, there: &[StoreId], folder: &Path) -> String {
    let names: Vec<&str> = there.iter().map(StoreId::as_str).collect();
    let near = stores::near(store.as_str(), &names);
    let way_out = match near.is_empty() {
        true => "a store has one once it has run".to_owned(),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    let folder = folder.display();
    format!("no store {store} has a journal in {folder}; {way_out}")
}

#[cfg(test)]
mod tests;
