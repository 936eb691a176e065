//! The whole host: what is made in which order, and what is stopped in which order.

mod serving;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::actor::{Clock, Shared};
use crate::backend::{Backend, BackendConfig};
use crate::catalog::Catalog;
use crate::config::{Config, Problem};
use crate::http::{self, Broken, Demo, Kind, Site};
use crate::journal::{Journal, JournalConfig};
use crate::runtime::{Engine, EngineSettings};
use crate::supervisor::Supervisor;
use crate::telemetry::Metrics;

/// Stores that open a socket at the same time: enough to start a thousand in seconds, few enough that a backend which
/// comes back is not run over.
const OPENINGS_MAX: usize = 64;

/// Serves until SIGTERM or SIGINT.
///
/// `problems` are those of single stores, which are shown wherever an operator looks; with `demo`, there is a chat page.
pub fn run(
    config: &Config,
    problems: &[Problem],
    metrics: Arc<Metrics>,
    demo: Option<Demo>,
) -> anyhow::Result<()> {
    let server = config.server();
    let data = &server.data;
    // Guests compute; everything that must answer at once lives on the other runtime.
    let guests = runtime("guest")?;
    let main = runtime("main")?;
    let engine = Engine::new(EngineSettings {
        cache: Some(absolute(&data.join("cache"))?),
        ..EngineSettings::default()
    })?;
    let journal = Journal::open(&JournalConfig::new(data.join("journals")))?;
    let backend = Backend::open(&BackendConfig::new(data.join("logs")))?;
    let shared = Shared {
        journal: journal.clone(),
        guests: guests.handle().clone(),
        openings: Arc::new(Semaphore::new(OPENINGS_MAX)),
        clock: Clock::start(),
        metrics: metrics.clone(),
    };
    let served = main.block_on(serve(
        config, problems, metrics, demo, &engine, &backend, &shared,
    ));
    main.block_on(backend.shutdown());
    main.block_on(journal.shutdown());
    guests.shutdown_background();
    served
}

async fn serve(
    config: &Config,
    problems: &[Problem],
    metrics: Arc<Metrics>,
    demo: Option<Demo>,
    engine: &Engine,
    backend: &Backend,
    shared: &Shared,
) -> anyhow::Result<()> {
    let server = config.server();
    let mut stop = Stop::new()?;
    let listener = TcpListener::bind(server.listen)
        .await
        .with_context(|| format!("server.listen: cannot listen on {}", server.listen))?;
    let mut catalog = Catalog::load(engine, &server.plugins).await;
    let wanted = config.stores().iter().flat_map(|store| &store.plugins);
    catalog.note_missing(&server.plugins, wanted.map(|plugin| &plugin.name));
    let (supervisor, unusable) =
        Supervisor::start(server, config.stores(), &catalog, backend, shared);
    let sync = serving::endpoint(config, backend, shared.clock, metrics.clone())?;
    let sync = Arc::new(sync);
    let site = Site {
        stores: supervisor.handles(),
        broken: broken(problems, &unusable, &catalog),
        metrics,
        sync: sync.clone(),
    };
    let closing = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let address = listener.local_addr()?;
    let pages = pages(site, demo, address);
    tasks.spawn(http::serve(listener, pages, closing.clone()));
    info!(%address, "serving");

    let signal = stop.wait().await;
    let grace = server.shutdown_grace;
    info!(signal, ?grace, "stopping");
    let finished = tokio::select! {
        finished = supervisor.stop(grace) => finished,
        // A second signal from somebody who cannot wait.
        _ = stop.wait() => false,
    };
    sync.close().await;
    closing.cancel();
    while tasks.join_next().await.is_some() {}
    if finished {
        info!("stopped");
    } else {
        warn!(
            "stopped before everything was finished; it goes on from the journals at the next start"
        );
    }
    Ok(())
}

/// All that is answered over HTTP.
fn pages(site: Site, demo: Option<Demo>, address: SocketAddr) -> Router {
    let pages = http::router(site);
    let Some(demo) = demo else {
        return pages;
    };
    info!(page = format!("http://{address}/demo/"), "in demo mode");
    pages.merge(demo.router())
}

/// What could not be started, and why.
fn broken(
    problems: &[Problem],
    unusable: &[(crate::id::StoreId, String)],
    catalog: &Catalog,
) -> Arc<[Broken]> {
    let store = |id: &str, reason: String| Broken {
        id: id.into(),
        kind: Kind::Store,
        reason: reason.into(),
    };
    let misconfigured = problems.iter().filter_map(|problem| {
        let id = problem.store.as_deref()?;
        Some(store(id, problem.to_string()))
    });
    let refused = catalog.refused().iter().map(|refused| Broken {
        id: refused.path.display().to_string().into(),
        kind: Kind::Plugin,
        reason: refused.reason.as_str().into(),
    });
    let unusable = unusable
        .iter()
        .map(|(id, reason)| store(id.as_str(), reason.clone()));
    misconfigured.chain(unusable).chain(refused).collect()
}

fn runtime(name: &str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name(name)
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the {name} threads"))
}

/// wasmtime wants its cache folder by its full name.
fn absolute(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    std::fs::create_dir_all(folder)
        .and_then(|()| folder.canonicalize())
        .with_context(|| format!("server.data: cannot use {}", folder.display()))
}

/// The signals that end the process.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one, and says which it was.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
