//! `quartermaster process-tasks`: one pass over all stores, for platforms that start a program every few minutes.

mod preview;
mod print;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tracing::warn;

use crate::cli::store::duration;
use crate::cli::{EXIT_CONFIG, EXIT_SOME_FAILED, arenas, stores, table};
use crate::config::{Loaded, Location, Source};
use crate::host::once;
use crate::id::StoreId;
use crate::journal;
use crate::telemetry::{self, LogFormat, Metrics};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster process-tasks                           every store, for at most 4 minutes
  quartermaster process-tasks --store shop --timeout 30s
  quartermaster process-tasks --dry-run                 what would run now, by the journals
  */5 * * * *  quartermaster --config /etc/quartermaster process-tasks --json

Each store catches up with its log, answers what is new, runs the tasks that are due or were missed within their windows, and waits until
its log has taken what they committed. The data folder has to be kept from one pass to the next: a task is due only after \
the first pass that knew it. Beside a running server, or another pass, on the same data folder this does nothing: they do \
the work. With a data folder of its own it works beside them, and nothing happens twice.

Exit codes: 0 if every store is through (a task that failed is told, and is no failure of this), 75 if some stores are not, \
78 if the configuration cannot be used.";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this store; may be repeated
    #[arg(long = "store", value_name = "ID")]
    stores: Vec<StoreId>,
    /// How long the pass may take; what is not done by then is left for the next one
    #[arg(long, value_name = "DURATION", default_value = "4m", value_parser = duration)]
    timeout: Duration,
    /// Only show what would run now, by what the journals know: nothing is connected or written
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t, env = "QM_LOG_FORMAT")]
    log_format: LogFormat,
}

/// Makes one pass.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    dotenv: &Path,
) -> anyhow::Result<ExitCode> {
    let source = Source::new(location.clone(), dotenv.to_owned());
    let mut loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(refused) => {
            eprintln!("quartermaster: {refused}");
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    keep_only(&mut loaded, &arguments.stores)?;
    if arguments.dry_run {
        return preview::run(&loaded.config, arguments.json, &mut io::stdout().lock());
    }
    telemetry::init(arguments.log_format)?;
    arenas::bound();
    for problem in &loaded.problems {
        warn!(
            store = problem.store.as_deref(),
            "{problem}; this store does not run"
        );
    }
    let problems = loaded.problems.len();
    let metrics = Arc::new(Metrics::default());
    let pass = match once::run(source, loaded, metrics, arguments.timeout) {
        Ok(pass) => pass,
        Err(error) if is_busy(&error) => {
            eprintln!(
                "another process works on the data folder, a server or another pass; it runs what is due"
            );
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error),
    };
    let out = &mut io::stdout().lock();
    if arguments.json {
        table::print_json(&pass, out)?;
    } else {
        print::pass(&pass, out)?;
    }
    let through = problems == 0 && pass.stores.iter().all(|passed| passed.served);
    Ok(match through {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_SOME_FAILED),
    })
}

fn is_busy(error: &anyhow::Error) -> bool {
    let found = error.downcast_ref::<journal::Error>();
    found.is_some_and(|error| matches!(error, journal::Error::Locked { .. }))
}

/// Leaves only the stores that were asked for; all if none were.
fn keep_only(loaded: &mut Loaded, wanted: &[StoreId]) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let broken = |id: &StoreId| {
        let problems = loaded.problems.iter();
        let mut stores = problems.filter_map(|problem| problem.store.as_deref());
        stores.any(|store| store == id.as_str())
    };
    let configured = loaded.config.stores().iter();
    let names: Vec<&str> = configured.map(|store| store.id.as_str()).collect();
    for id in wanted {
        if !names.contains(&id.as_str()) && !broken(id) {
            let near = stores::near(id.as_str(), &names);
            match near.is_empty() {
                true => {
                    bail!("no store {id} is configured; `quartermaster check` lists those that are")
                }
                false => bail!(
                    "no store {id} is configured; did you mean {}?",
                    near.join(" or ")
                ),
            }
        }
    }
    loaded
        .config
        .keep_stores(|store| wanted.contains(&store.id));
    loaded.problems.retain(|problem| {
        let named = |store: &str| wanted.iter().any(|id| id.as_str() == store);
        problem.store.as_deref().is_none_or(named)
    });
    Ok(())
}
