//! What can be run at one moment: published whole whenever it changes, and never changed after that. Whoever runs something
//! of it keeps it for as long as that lasts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::choice::{Lineup, name_of};
use crate::catalog::desk::Refused;
use crate::catalog::tally::Tally;
use crate::config::{Config, Lack, PluginConfig};
use crate::id::{PluginDigest, PluginName, StoreId};
use crate::runtime::{Build, Plugin};

/// What can be run at one moment.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    pub(super) offers: BTreeMap<PluginName, Arc<Offer>>,
    pub(super) refused: Arc<[Refused]>,
    /// The configuration that it was published for.
    pub(super) config: Option<Arc<Config>>,
}

/// A version that is loaded.
#[derive(Debug)]
pub struct Stocked {
    /// The plugin, ready to run.
    pub plugin: Plugin,
    /// Which version it is.
    pub build: Arc<Build>,
    /// Where its runs are counted.
    pub tally: Tally,
}

/// Why no version of a plugin works for a store, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Absent {
    /// There is none.
    #[error("{0}")]
    Missing(Arc<str>),
    /// There is one, and it needs more than it is granted in the store.
    #[error("{}", lack.reason)]
    NotGranted {
        /// The version.
        stocked: Arc<Stocked>,
        /// What it lacks.
        lack: Arc<Lack>,
    },
}

/// One plugin on the shelf.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) lineup: Lineup,
    pub(super) stock: BTreeMap<PluginDigest, Arc<Stocked>>,
    /// Kept versions that cannot be loaded, with the reason.
    pub(super) failed: BTreeMap<PluginDigest, Arc<str>>,
    /// Why no version is known, if there is more to say than that.
    pub(super) note: Option<Arc<str>>,
}

impl Shelf {
    /// The version of the plugin that works for a store now.
    ///
    /// # Errors
    /// There is none: its file is not there, was refused or is still looked at, or the version that is pinned is not kept.
    /// Or it needs more than it is granted.
    pub fn choose(&self, store: &StoreId, plugin: &PluginConfig) -> Result<Arc<Stocked>, Absent> {
        match self.offers.get(&plugin.name) {
            Some(offer) => offer.choose(store, plugin),
            None => {
                let unknown = Lineup::new(plugin.name.clone());
                let reason = unknown.choose(store, None);
                let reason = reason.expect_err("nothing is known of it");
                Err(Absent::Missing(reason.into()))
            }
        }
    }

    /// Whether the catalog has brought what this configuration wants, as far as it can.
    pub fn is_for(&self, config: &Arc<Config>) -> bool {
        let known = self.config.as_ref();
        known.is_some_and(|known| Arc::ptr_eq(known, config))
    }

    /// The files that were refused and the plugins that are missing, each with the reason and what goes on instead.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}

impl Offer {
    /// Nothing is known of it yet.
    pub(super) fn new(plugin: PluginName) -> Self {
        Self {
            lineup: Lineup::new(plugin),
            stock: BTreeMap::new(),
            failed: BTreeMap::new(),
            note: None,
        }
    }

    /// The version that works for a store now, if it may.
    pub(super) fn choose(
        &self,
        store: &StoreId,
        plugin: &PluginConfig,
    ) -> Result<Arc<Stocked>, Absent> {
        let stocked = self.stocked(store, plugin.sha256.as_ref());
        let stocked = stocked.map_err(|reason| Absent::Missing(reason.into()))?;
        match plugin.lack(store, stocked.plugin.needs()) {
            None => Ok(stocked),
            Some(lack) => Err(Absent::NotGranted {
                stocked,
                lack: Arc::new(lack),
            }),
        }
    }

    fn stocked(
        &self,
        store: &StoreId,
        configured: Option<&PluginDigest>,
    ) -> Result<Arc<Stocked>, String> {
        if let (None, Some(note)) = (self.lineup.newest(), &self.note) {
            return Err(note.as_ref().to_owned());
        }
        let version = self.lineup.choose(store, configured)?;
        if let Some(stocked) = self.stock.get(&version.sha256) {
            return Ok(Arc::clone(stocked));
        }
        Err(match self.failed.get(&version.sha256) {
            Some(reason) => format!("{} cannot be loaded: {reason}", name_of(version)),
            None => format!("{} is being loaded", name_of(version)),
        })
    }
}
