//! `quartermaster serve`: runs the host until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;

use tracing::{info, warn};

use crate::cli::{EXIT_CONFIG, arenas};
use crate::config::{self, Environment, Location};
use crate::host;
use crate::telemetry::{self, LogFormat, Metrics};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster serve
  quartermaster --config /etc/quartermaster serve --log-format json
  QM_LOG=debug quartermaster serve

SIGTERM and SIGINT stop it in order; a second one stops it at once. Nothing is lost either way.";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t, env = "QM_LOG_FORMAT")]
    log_format: LogFormat,
}

/// Serves; 78 if the configuration cannot be used at all. A store with a mistake in its part stops alone.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    telemetry::init(arguments.log_format)?;
    arenas::bound();
    let loaded = match config::load(location, environment) {
        Ok(loaded) => loaded,
        Err(refused) => {
            eprintln!("quartermaster: {refused}");
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    for note in &loaded.notes {
        info!("{note}");
    }
    for problem in &loaded.problems {
        warn!(
            store = problem.store.as_deref(),
            "{problem}; this store does not run"
        );
    }
    host::run(
        &loaded.config,
        &loaded.problems,
        Arc::new(Metrics::default()),
    )?;
    Ok(ExitCode::SUCCESS)
}
