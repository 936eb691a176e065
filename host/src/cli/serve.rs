//! `quartermaster serve`: runs the host until it is told to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tracing::{info, warn};

use crate::cli::{EXIT_CONFIG, arenas};
use crate::config::{Changes, Location, Source};
use crate::host;
use crate::http::Demo;
use crate::telemetry::{self, LogFormat, Metrics};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster serve
  quartermaster --config /etc/quartermaster serve --log-format json
  QM_LOG=debug quartermaster serve

Edits of the configuration and files in the plugin folder count at once; nothing has to be restarted. SIGHUP has the
configuration read again. SIGTERM and SIGINT stop the server in order; a second one stops it at once. Nothing is lost
either way.";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t, env = "QM_LOG_FORMAT")]
    log_format: LogFormat,

    /// Show a chat page under /demo/, for trying out stores that sync with this host
    #[arg(long)]
    demo: bool,

    /// Folder of another page to show there
    #[arg(long, value_name = "DIR", requires = "demo")]
    demo_page: Option<PathBuf>,
}

impl Arguments {
    fn demo(&self) -> anyhow::Result<Option<Demo>> {
        let Some(folder) = &self.demo_page else {
            return Ok(self.demo.then(Demo::built_in));
        };
        let demo = Demo::in_folder(folder)
            .with_context(|| format!("--demo-page: no index.html in {}", folder.display()))?;
        Ok(Some(demo))
    }
}

/// Serves; 78 if the configuration cannot be used at all. A store with a mistake in its part stops alone.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    dotenv: &Path,
) -> anyhow::Result<ExitCode> {
    let demo = arguments.demo()?;
    telemetry::init(arguments.log_format)?;
    arenas::bound();
    raise_file_limit();
    let source = Source::new(location.clone(), dotenv.to_owned());
    // Before it is read, so that an edit during the start is noticed.
    let changes = Changes::new(source.clone());
    let loaded = match source.load() {
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
        (source, changes),
        loaded,
        Arc::new(Metrics::default()),
        demo,
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Raises the soft limit on open files as far as the system lets anybody: systems begin with 1024, for the sake of programs
/// of the last century, and every client and every open log takes one to three.
fn raise_file_limit() {
    const WANTED: u64 = 1 << 16;
    match rlimit::increase_nofile_limit(WANTED) {
        Ok(limit) if limit < WANTED => info!(
            limit,
            "open files are limited; raise the hard limit to serve more clients"
        ),
        Ok(_) => {}
        Err(error) => warn!(%error, "the limit on open files stays as it is"),
    }
}
