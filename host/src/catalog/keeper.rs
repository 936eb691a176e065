//! The task that owns the catalog: it looks at the folder, has files loaded one after the other, those that stores want
//! first, and publishes what can run.

mod answers;
mod arrivals;
mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::actor::Clock;
use crate::catalog::choice::Lineup;
use crate::catalog::desk::{CatalogDesk, Order};
use crate::catalog::folder::Folder;
use crate::catalog::loading::{Job, Loaded, Loader};
use crate::catalog::shelf::{Offer, Shelf};
use crate::catalog::versions::Versions;
use crate::catalog::{Compiler, judge, scan, sweep};
use crate::config::Config;
use crate::control::{self, Control};
use crate::id::{PluginDigest, PluginName};
use crate::runtime::Engine;
use crate::telemetry::Metrics;
use crate::time::Timestamp;
use crate::watch::Watch;

/// Between two looks at the folder without a reason: heals what a lost notification hid.
const RESCAN: Duration = Duration::from_secs(5);

/// Before a file is tried again that could not be read, kept or compiled for a reason that may pass.
const FAILED_PAUSE: Duration = Duration::from_secs(30);

/// How long changes that nobody waits for are collected before they are published: thousands of files come at once.
const PUBLISH_DELAY: Duration = Duration::from_millis(250);

/// How long a start waits for plugins. Some Python components that have to be compiled are there by then.
const OPEN_PATIENCE: Duration = Duration::from_secs(120);

/// Versions of a plugin that are kept, besides those that are needed.
const KEPT_MAX: usize = 5;

/// Where the catalog keeps what.
#[derive(Clone, Debug)]
pub struct CatalogConfig {
    /// Compiled plugins.
    pub cache: PathBuf,
    /// The files of the versions that are kept.
    pub versions: PathBuf,
    /// Who compiles.
    pub compiler: Compiler,
}

/// The catalog. It does nothing unless it is run.
pub struct Catalog {
    control: Control,
    clock: Clock,
    metrics: Arc<Metrics>,
    offers: BTreeMap<PluginName, Offer>,
    config: Arc<Config>,
    loader: Loader,
    running: watch::Receiver<Arc<Config>>,
    orders: mpsc::Receiver<Order>,
    shelf: watch::Sender<Arc<Shelf>>,
    watch: Watch,
    folder: Folder,
    /// Why files were refused.
    refused: BTreeMap<OsString, String>,
    surplus: usize,
    /// Files that have settled and were not loaded yet.
    settled: BTreeMap<OsString, Option<scan::Fingerprint>>,
    /// What stores wait for is loaded beside whatever else is: a file that nobody wants may keep the compiler busy for
    /// minutes.
    urgent: JoinSet<(Job, Loaded)>,
    others: JoinSet<(Job, Loaded)>,
    /// Plugins whose file was taken away while we looked. Only a good file brings them back.
    removed: BTreeSet<PluginName>,
    /// When what has changed and nobody waits for is published.
    publish_at: Timestamp,
    /// No look at the folder before, because the last one failed.
    rest_until: Timestamp,
    wake: Arc<Notify>,
    looked: bool,
}

impl Catalog {
    /// Looks at the folder and loads everything that a configured store wants.
    ///
    /// # Errors
    /// What was kept cannot be read.
    pub async fn open(
        config: CatalogConfig,
        engine: Engine,
        control: Control,
        clock: Clock,
        metrics: Arc<Metrics>,
        running: watch::Receiver<Arc<Config>>,
    ) -> Result<(Self, CatalogDesk, watch::Receiver<Arc<Shelf>>), control::Error> {
        let (desk, orders) = CatalogDesk::new();
        let (shelf, shown) = watch::channel(Arc::default());
        if let Err(error) = sweep::sweep(&config.cache) {
            warn!(%error, "the folder of compiled plugins cannot be kept small");
        }
        let in_force = running.borrow().clone();
        let versions = Versions::new(config.versions);
        let mut catalog = Self {
            offers: offers(&control, &versions).await?,
            control,
            clock,
            metrics,
            config: in_force,
            loader: Loader {
                engine,
                compiler: config.compiler,
                cache: config.cache,
                versions,
            },
            running,
            orders,
            shelf,
            watch: Watch::new(RESCAN),
            folder: Folder::default(),
            refused: BTreeMap::new(),
            surplus: 0,
            settled: BTreeMap::new(),
            urgent: JoinSet::new(),
            others: JoinSet::new(),
            removed: BTreeSet::new(),
            publish_at: Timestamp::NEVER,
            rest_until: Timestamp::default(),
            wake: Arc::default(),
            looked: false,
        };
        catalog.take_config().await;
        let loading = async {
            while !catalog.is_ready() {
                catalog.turn().await;
            }
        };
        if tokio::time::timeout(OPEN_PATIENCE, loading).await.is_err() {
            warn!(
                "some plugins are still being loaded; their subscriptions are parked until they are"
            );
        }
        catalog.publish();
        Ok((catalog, desk, shown))
    }

    /// Follows every change until `closing` is cancelled.
    pub async fn run(mut self, closing: CancellationToken) {
        while closing.run_until_cancelled(self.turn()).await.is_some() {}
        // A child that compiles is killed with its job.
        self.urgent.shutdown().await;
        self.others.shutdown().await;
    }

    /// Takes in the next thing that happens.
    async fn turn(&mut self) {
        self.start_jobs();
        let look_at = match self.looked {
            true => self.folder.look_at().max(self.rest_until),
            false => self.clock.now(),
        };
        // All are cancel-safe: queues, and signals that are kept until somebody looks.
        tokio::select! {
            _ = self.watch.changed() => self.look().await,
            () = self.clock.sleep_until(look_at) => self.look().await,
            Some(done) = self.urgent.join_next() => self.on_job(done).await,
            Some(done) = self.others.join_next() => self.on_job(done).await,
            () = self.clock.sleep_until(self.publish_at) => self.publish(),
            Some(order) = self.orders.recv() => self.on_order(order).await,
            () = self.wake.notified() => self.judge_all().await,
            Ok(()) = self.running.changed() => {
                self.config = self.running.borrow_and_update().clone();
                self.take_config().await;
            }
        }
    }

    async fn on_job(&mut self, done: Result<(Job, Loaded), JoinError>) {
        match done {
            Ok((job, loaded)) => self.on_loaded(job, loaded).await,
            Err(error) => {
                error!(%error, "loading a plugin failed; its file is read when it changes")
            }
        }
    }

    /// Whether everything that stores want is as far as it can come.
    fn is_ready(&self) -> bool {
        let restless = self.wanted().into_iter().any(|plugin| {
            let file = scan::file_of(&plugin);
            // What cannot be read now may never be: nobody waits for it.
            let tried = self.refused.contains_key(&file);
            !tried && (self.settled.contains_key(&file) || self.folder.is_restless(&file))
        });
        self.looked && !restless && self.urgent.is_empty() && self.missing_stock().is_none()
    }

    /// The plugins that configured stores want.
    fn wanted(&self) -> BTreeSet<PluginName> {
        let plugins = self.config.stores().iter().flat_map(|store| &store.plugins);
        plugins.map(|plugin| plugin.name.clone()).collect()
    }

    /// Takes in what the configuration says now.
    async fn take_config(&mut self) {
        let path = self.config.server().plugins.clone();
        self.watch.set([path]);
        self.looked = false;
        for plugin in self.wanted() {
            let offer = self.offers.entry(plugin.clone());
            offer.or_insert_with(|| Offer::new(plugin));
        }
        let names: Vec<PluginName> = self.offers.keys().cloned().collect();
        for name in names {
            let rollout = self.config.rollout(&name).cloned();
            if let Some(offer) = self.offers.get_mut(&name) {
                offer.lineup.rollout = rollout;
            }
            self.promote_if_for_all(&name).await;
        }
        self.publish();
    }

    async fn look(&mut self) {
        self.looked = true;
        let (path, wanted) = (self.config.server().plugins.clone(), self.wanted());
        let listed = tokio::task::spawn_blocking(move || scan::list(&path, &wanted)).await;
        let listing = match listed.expect("listing does not panic") {
            Ok(listing) => listing,
            Err(error) => {
                warn!(%error, "the plugin folder cannot be listed; it is looked at again");
                self.rest_until = self.clock.now() + RESCAN;
                return;
            }
        };
        let observed = self.folder.observe(&listing.entries, self.clock.now());
        let changed = !observed.gone.is_empty() || self.surplus != listing.surplus;
        self.surplus = listing.surplus;
        for name in observed.gone {
            self.refused.remove(&name);
            self.settled.remove(&name);
            if let Some(offer) = scan::plugin_of(&name)
                .ok()
                .and_then(|it| self.offers.get_mut(&it))
            {
                info!(plugin = %offer.lineup.plugin, "plugin file gone; its subscriptions are parked");
                offer.lineup.present = false;
                self.removed.insert(offer.lineup.plugin.clone());
            }
        }
        self.settled.extend(observed.settled);
        if changed {
            self.publish();
        }
    }

    /// Begins to load what stores wait for, and beside it something that nobody waits for.
    fn start_jobs(&mut self) {
        if self.urgent.is_empty()
            && let Some(job) = self.next_urgent()
        {
            self.urgent.spawn(self.loader.clone().done(job));
        }
        // What stores wait for has its own turn above: nobody would wait for it here.
        if self.others.is_empty()
            && let Some(name) = self.next_unwanted()
            && let Some(print) = self.settled.remove(&name)
        {
            let job = self.file_job(name, print);
            self.others.spawn(self.loader.clone().done(job));
        }
    }

    fn next_unwanted(&self) -> Option<OsString> {
        if self.settled.is_empty() {
            return None;
        }
        let wanted: BTreeSet<OsString> = self.wanted().iter().map(scan::file_of).collect();
        let mut names = self.settled.keys();
        names.find(|name| !wanted.contains(*name)).cloned()
    }

    fn next_urgent(&mut self) -> Option<Job> {
        let files = self
            .wanted()
            .into_iter()
            .map(|plugin| scan::file_of(&plugin));
        for name in files {
            if let Some(print) = self.settled.remove(&name) {
                return Some(self.file_job(name, print));
            }
        }
        let (plugin, sha256) = self.missing_stock()?;
        Some(Job::Kept { plugin, sha256 })
    }

    fn file_job(&self, name: OsString, print: Option<scan::Fingerprint>) -> Job {
        Job::File {
            folder: self.config.server().plugins.clone(),
            name,
            print,
        }
    }

    /// A version that some store should have and that is not loaded.
    fn missing_stock(&self) -> Option<(PluginName, PluginDigest)> {
        for store in self.config.stores() {
            for plugin in &store.plugins {
                let Some(offer) = self.offers.get(&plugin.name) else {
                    continue;
                };
                let chosen = offer.lineup.choose(&store.id, plugin.sha256.as_ref());
                let stable = offer.lineup.stable();
                // What is gone back to must be at hand, or stores would wait for it.
                let before = judge::on_probation(&offer.lineup, self.clock.now()).map(|it| it.1);
                for version in chosen.into_iter().chain(stable).chain(before) {
                    let sha256 = &version.sha256;
                    let known =
                        offer.stock.contains_key(sha256) || offer.failed.contains_key(sha256);
                    if !known {
                        return Some((plugin.name.clone(), sha256.clone()));
                    }
                }
            }
        }
        None
    }

    /// Loads a kept version at once, so that whoever is to use it next need not wait.
    async fn bring(&mut self, plugin: &PluginName, sha256: &PluginDigest) -> Result<(), String> {
        let stocked = |offer: &Offer| offer.stock.contains_key(sha256);
        if self.offers.get(plugin).is_some_and(stocked) || !self.wanted().contains(plugin) {
            return Ok(());
        }
        let job = Job::Kept {
            plugin: plugin.clone(),
            sha256: sha256.clone(),
        };
        match self.loader.load(&job).await {
            Loaded::Plugin(loaded) => {
                self.stock(plugin, loaded);
                Ok(())
            }
            Loaded::Refused(reason) | Loaded::Failed(reason) => Err(reason),
            Loaded::Again => Err("it is being changed".to_owned()),
        }
    }
}

/// What was known of plugins before this start.
async fn offers(
    control: &Control,
    files: &Versions,
) -> Result<BTreeMap<PluginName, Offer>, control::Error> {
    let kept = files.list().unwrap_or_else(|error| {
        warn!(%error, "the kept versions of plugins cannot be listed");
        BTreeMap::new()
    });
    let mut offers: BTreeMap<PluginName, Offer> = BTreeMap::new();
    let mut of = |plugin: &PluginName, change: &mut dyn FnMut(&mut Lineup)| {
        let offer = offers.entry(plugin.clone());
        change(&mut offer.or_insert_with(|| Offer::new(plugin.clone())).lineup);
    };
    for version in control.versions().await? {
        let file = kept
            .get(&version.plugin)
            .and_then(|files| files.get(&version.sha256));
        // That a version was withdrawn is remembered in any case: its file may be in the folder.
        let lost = file.is_none_or(|file| file.size_bytes != version.size_bytes);
        if lost && !version.withdrawn {
            let (plugin, sha256) = (&version.plugin, &version.sha256);
            warn!(%plugin, sha256 = sha256.short(), "the file of a kept version is gone or damaged; it is forgotten");
            control.forget_version(plugin, sha256).await?;
            continue;
        }
        of(&version.plugin.clone(), &mut |lineup| {
            lineup.put(version.clone())
        });
    }
    for pin in control.pins().await? {
        of(&pin.plugin.clone(), &mut |lineup| {
            lineup.put_pin(pin.store.as_ref(), Some(pin.clone()));
        });
    }
    Ok(offers)
}
