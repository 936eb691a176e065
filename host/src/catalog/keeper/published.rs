//! What the catalog shows: which versions are for every store, which are kept, what can run, and what is wrong.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;

use tracing::warn;

use super::{Catalog, KEPT_MAX};
use crate::catalog::choice::name_of;
use crate::catalog::desk::Refused;
use crate::catalog::shelf::Shelf;
use crate::catalog::{judge, scan};
use crate::control::Version;
use crate::id::{PluginDigest, PluginName};
use crate::time::Timestamp;

impl Catalog {
    /// Forgets the oldest versions that nobody needs.
    pub(super) async fn prune(&mut self, name: &PluginName) {
        let needed = self.needed(name);
        let Some(offer) = self.offers.get_mut(name) else {
            return;
        };
        let old: Vec<PluginDigest> = offer
            .lineup
            .versions
            .iter()
            .skip(KEPT_MAX)
            .map(|it| it.sha256.clone())
            .collect();
        for sha256 in old.into_iter().filter(|sha256| !needed.contains(sha256)) {
            let forgotten = self.control.forget_version(name, &sha256).await;
            if let Err(error) = forgotten {
                warn!(plugin = %name, %error, "an old version cannot be forgotten");
                return;
            }
            self.loader.versions.forget(name, &sha256).ok();
            offer.lineup.versions.retain(|it| it.sha256 != sha256);
        }
        let versions = &offer.lineup.versions;
        offer
            .stock
            .retain(|sha256, _| versions.iter().any(|it| it.sha256 == *sha256));
    }

    /// The versions that something refers to.
    pub(super) fn needed(&self, name: &PluginName) -> BTreeSet<PluginDigest> {
        let stores = self.config.stores().iter().flat_map(|store| &store.plugins);
        let configured = stores.filter(|plugin| plugin.name == *name);
        let mut needed: BTreeSet<PluginDigest> =
            configured.filter_map(|it| it.sha256.clone()).collect();
        if let Some(offer) = self.offers.get(name) {
            needed.extend(offer.lineup.pins.iter().map(|pin| pin.sha256.clone()));
            needed.extend(offer.lineup.stable().map(|it| it.sha256.clone()));
        }
        needed
    }

    /// Shows what can run now.
    pub(super) fn publish(&mut self) {
        let refused = self.told();
        self.metrics.plugins_refused(refused.len());
        let now = self.clock.now();
        for offer in self.offers.values() {
            let judged = judge::on_probation(&offer.lineup, now).map(|(newest, _)| &newest.sha256);
            for (sha256, stocked) in &offer.stock {
                stocked.tally.set_judged(Some(sha256) == judged);
            }
        }
        let offers = self.offers.iter();
        let brought = self.missing_stock().is_none();
        let shelf = Shelf {
            offers: offers
                .map(|(name, offer)| (name.clone(), Arc::new(offer.clone())))
                .collect(),
            refused: refused.into(),
            config: brought.then(|| self.config.clone()),
        };
        self.shelf.send_replace(Arc::new(shelf));
        self.publish_at = Timestamp::NEVER;
    }

    /// What is wrong, with what goes on instead.
    pub(super) fn told(&self) -> Vec<Refused> {
        let folder = &self.config.server().plugins;
        let before = |name: &OsString| {
            let plugin = scan::plugin_of(name).ok()?;
            let lineup = &self.offers.get(&plugin)?.lineup;
            lineup.present.then(|| lineup.current().map(name_of))?
        };
        let mut told: Vec<Refused> = Vec::new();
        for (name, reason) in &self.refused {
            let reason = match before(name) {
                Some(before) => format!("{reason}; {before} goes on"),
                None => reason.clone(),
            };
            let path = folder.join(name);
            told.push(Refused { path, reason });
        }
        for plugin in self.wanted() {
            let file = scan::file_of(&plugin);
            if !self.folder.has(&file) {
                let reason = "it is configured for a store, and not there; the store keeps its place in the log for it \
                              until the file is there"
                    .to_owned();
                let path = folder.join(file);
                told.push(Refused { path, reason });
            }
        }
        if self.surplus > 0 {
            let reason = format!(
                "{} files more than are looked at; remove some",
                self.surplus
            );
            let path = folder.clone();
            told.push(Refused { path, reason });
        }
        told
    }

    /// Without a rollout, the newest version is for every store at once; and so is the first one ever.
    pub(super) async fn promote_if_for_all(&mut self, plugin: &PluginName) {
        let now = self.clock.now();
        let Some(offer) = self.offers.get_mut(plugin) else {
            return;
        };
        let lineup = &offer.lineup;
        let for_all = lineup.rollout.is_none() || lineup.stable().is_none();
        let newest = lineup
            .newest()
            .filter(|newest| !newest.withdrawn && for_all);
        let stable = lineup.stable().map(|stable| &stable.sha256);
        let Some(newest) = newest.filter(|newest| stable != Some(&newest.sha256)) else {
            return;
        };
        let promoted = Version {
            promoted_at: Some(lineup.later_than_all(now)),
            ..newest.clone()
        };
        match self.control.put_version(&promoted).await {
            Ok(()) => offer.lineup.put(promoted),
            Err(error) => warn!(%plugin, %error, "a new version cannot be written down"),
        }
    }
}
