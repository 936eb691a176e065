//! The whole host: what is made in which order, and what is stopped in which order.

pub mod once;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::actor::{Clock, Shared, watch_wall};
use crate::backend::{Backend, BackendConfig};
use crate::catalog::{Catalog, CatalogConfig, CatalogDesk, Compiler, Shelf};
use crate::config::{Changes, Config, Guests, Loaded, Server, Source};
use crate::control::Control;
use crate::http::control::Orders;
use crate::http::sync::Endpoint;
use crate::http::{self, Demo, Site};
use crate::journal::{Journal, JournalConfig};
use crate::runtime::{Engine, EngineSettings};
use crate::supervisor::{Desk, Parts, Roster, Supervisor, addresses};
use crate::telemetry::Metrics;

/// Stores that open a socket at the same time: enough to start a thousand in seconds, few enough that a backend which
/// comes back is not run over.
const OPENINGS_MAX: usize = 64;

/// Polls of runs after which a thread for guests looks at its timers: often enough that they are late by some milliseconds at
/// most, and seldom enough that short runs do not pay a system call each.
const GUEST_EVENT_INTERVAL: u32 = 4;

/// Serves what was loaded from the source until SIGTERM or SIGINT, and follows every change of it meanwhile; with `demo`,
/// there is a chat page.
pub fn run(
    (source, changes): (Source, Changes),
    loaded: Loaded,
    metrics: Arc<Metrics>,
    demo: Option<Demo>,
) -> anyhow::Result<()> {
    let house = House::open(loaded.config.server(), metrics)?;
    house.live(async |host| host.serve((source, changes), loaded, demo).await)
}

/// The threads, the files, and whoever works with them.
struct House {
    main: Runtime,
    guests: Runtime,
    host: Host,
    /// Looks at the wall clock, for as long as it is polled.
    watch_wall: BoxFuture<'static, ()>,
}

/// What is made before anything is served.
struct Host {
    control: Control,
    backend: Backend,
    shared: Shared,
    engine: Engine,
}

impl House {
    /// Takes the data folder and starts the threads.
    fn open(server: &Server, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let data = &server.data;
        let settings = engine_settings(data, server.guests)?;
        // Guests compute; everything that must answer at once lives on the other runtime.
        let guests = guest_runtime(settings.threads)?;
        let main = runtime("main", Builder::new_multi_thread().enable_all())?;
        let engine = Engine::new(settings)?;
        let journal = Journal::open(&JournalConfig::new(data.join("journals")))?;
        let backend = Backend::open(&BackendConfig::new(data.join("logs")))?;
        let clock = Clock::start();
        let (wall, watch_wall) = watch_wall(clock);
        let host = Host {
            control: Control::open(&data.join("control.db"))?,
            backend,
            shared: Shared {
                journal,
                guests: guests.handle().clone(),
                openings: Arc::new(Semaphore::new(OPENINGS_MAX)),
                clock,
                wall,
                metrics,
            },
            engine,
        };
        Ok(Self {
            main,
            guests,
            host,
            watch_wall: watch_wall.boxed(),
        })
    }

    /// Has `life` work with all of it, and closes it behind it.
    fn live<T>(self, life: impl AsyncFnOnce(Host) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let journal = self.host.shared.journal.clone();
        let backend = self.host.backend.clone();
        let lived = self.main.block_on(async {
            tokio::select! {
                lived = life(self.host) => lived,
                () = self.watch_wall => unreachable!("it never ends"),
            }
        });
        self.main.block_on(backend.shutdown());
        self.main.block_on(journal.shutdown());
        self.guests.shutdown_background();
        lived
    }
}

impl Host {
    async fn serve(
        self,
        source: (Source, Changes),
        loaded: Loaded,
        demo: Option<Demo>,
    ) -> anyhow::Result<()> {
        let mut stop = Stop::new()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let server = loaded.config.server().clone();
        let listener = TcpListener::bind(server.listen)
            .await
            .with_context(|| format!("server.listen: cannot listen on {}", server.listen))?;
        let socket = server.data.join(http::control::SOCKET);
        let control = http::control::bind(&socket)
            .with_context(|| format!("server.data: cannot listen on {}", socket.display()))?;
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (running, config) = watch::channel(Arc::new(loaded.config.clone()));
        let (catalog, catalog_desk, shelf) = self.catalog(&server.data, config.clone()).await?;
        tasks.spawn(catalog.run(closing.clone()));
        let sync = Arc::new(self.endpoint(&server));
        let parts = self.parts(source, running, shelf, sync.clone());
        let (mut supervisor, desk, roster) = Supervisor::start(parts, loaded).await?;
        let orders = self.orders(roster.clone(), desk, catalog_desk);
        tasks.spawn(http::control::serve(control, orders, closing.clone()));
        let site = Site {
            roster,
            metrics: self.shared.metrics.clone(),
            sync: sync.clone(),
        };
        let address = listener.local_addr()?;
        let pages = pages(site, demo, address);
        tasks.spawn(http::serve(listener, pages, closing.clone()));
        info!(%address, "serving");

        let signal = tokio::select! {
            signal = stop.wait() => signal,
            never = supervisor.run(&mut hangup) => match never {},
        };
        let grace = config.borrow().server().shutdown_grace;
        info!(signal, ?grace, "stopping");
        let finished = tokio::select! {
            finished = supervisor.stop(grace) => finished,
            // A second signal from somebody who cannot wait.
            _ = stop.wait() => false,
        };
        sync.close().await;
        closing.cancel();
        while tasks.join_next().await.is_some() {}
        // Whoever finds it later would wonder why nobody answers.
        std::fs::remove_file(&socket).ok();
        tell_end(finished);
        Ok(())
    }

    /// Who carries out what is ordered.
    fn orders(
        &self,
        roster: watch::Receiver<Arc<Roster>>,
        desk: Desk,
        catalog: CatalogDesk,
    ) -> Orders {
        Orders {
            roster,
            desk,
            catalog,
            control: self.control.clone(),
            journal: self.shared.journal.clone(),
            clock: self.shared.clock,
        }
    }

    /// Where apps reach the logs that are kept here; none of them yet.
    fn endpoint(&self, server: &Server) -> Endpoint {
        let metrics = self.shared.metrics.clone();
        Endpoint::new(addresses(server), self.shared.clock, metrics)
    }

    /// What the supervisor works with.
    fn parts(
        &self,
        (source, changes): (Source, Changes),
        running: watch::Sender<Arc<Config>>,
        shelf: watch::Receiver<Arc<Shelf>>,
        endpoint: Arc<Endpoint>,
    ) -> Parts {
        Parts {
            source,
            changes,
            running,
            shelf,
            control: self.control.clone(),
            backend: self.backend.clone(),
            endpoint,
            shared: self.shared.clone(),
        }
    }

    /// The catalog, with everything that configured stores want loaded.
    async fn catalog(
        &self,
        data: &Path,
        config: watch::Receiver<Arc<Config>>,
    ) -> anyhow::Result<(Catalog, CatalogDesk, watch::Receiver<Arc<Shelf>>)> {
        // Not by its name: it may be another version by now, which keeps compiled plugins under other names.
        let program = PathBuf::from("/proc/self/exe");
        let settings = CatalogConfig {
            cache: absolute(&data.join("cache"))?,
            versions: absolute(&data.join("plugins"))?,
            compiler: Compiler::Child { program },
        };
        let (engine, control) = (self.engine.clone(), self.control.clone());
        let (clock, metrics) = (self.shared.clock, self.shared.metrics.clone());
        let catalog = Catalog::open(settings, engine, control, clock, metrics, config).await?;
        Ok(catalog)
    }
}

fn tell_end(finished: bool) {
    if finished {
        info!("stopped");
    } else {
        warn!(
            "stopped before everything was finished; it goes on from the journals at the next start"
        );
    }
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

fn engine_settings(data: &Path, guests: Guests) -> anyhow::Result<EngineSettings> {
    let defaults = EngineSettings::default();
    Ok(EngineSettings {
        cache: Some(absolute(&data.join("cache"))?),
        instances_max: guests.runs,
        // What does not fit into an address is no limit.
        memory_bytes_max: usize::try_from(guests.memory).unwrap_or(usize::MAX),
        stack_bytes: usize::try_from(guests.stack).unwrap_or(usize::MAX),
        threads: guests.threads.unwrap_or(defaults.threads),
    })
}

/// The threads that guests compute on. Each poll of a run takes up to a millisecond, so what comes from outside, a new run,
/// an answer of the journal or a timer, is looked for after every one of them and not after tokio's usual 31 or 61.
fn guest_runtime(threads: NonZeroU32) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder
        .enable_all()
        .worker_threads(threads.get() as usize)
        .global_queue_interval(1)
        .event_interval(GUEST_EVENT_INTERVAL);
    runtime("guest", &mut builder)
}

fn runtime(name: &str, builder: &mut Builder) -> anyhow::Result<Runtime> {
    builder
        .thread_name(name)
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
