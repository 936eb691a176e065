//! What people, and the numbers, order about versions: written down first, then done.

use std::collections::BTreeSet;

use tracing::{error, info, warn};

use super::Catalog;

use crate::act::Act;
use crate::catalog::choice::name_of;
use crate::catalog::desk::{
    CatalogReport, Choice, NotGrantedReport, Order, OrderError, PinReport, PluginReport,
    VersionReport, VersionState,
};
use crate::catalog::judge;
use crate::catalog::orders::{Around, Change};
use crate::catalog::shelf::{Absent, Offer};
use crate::config::Rollout;
use crate::control::{Alert, Version};
use crate::id::{PluginDigest, PluginName, StoreId};

/// Who withdraws a version that fails.
const OURSELVES: &str = "quartermaster";

impl Catalog {
    pub(super) async fn on_order(&mut self, order: Order) {
        // Whoever asked may have stopped waiting.
        match order {
            Order::List(answer) => drop(answer.send(self.report())),
            Order::Choose {
                plugin,
                choice,
                act,
                answer,
            } => drop(answer.send(self.choose(&plugin, &choice, &act).await)),
        }
    }

    async fn choose(
        &mut self,
        plugin: &PluginName,
        choice: &Choice,
        act: &Act,
    ) -> Result<PluginReport, OrderError> {
        let Some(offer) = self.offers.get(plugin) else {
            return Err(OrderError::Unknown(format!("there is no plugin {plugin}")));
        };
        let kept: BTreeSet<PluginDigest> = offer
            .lineup
            .versions
            .iter()
            .map(|it| it.sha256.clone())
            .collect();
        let around = Around {
            lineup: &offer.lineup,
            kept: &kept,
            stores: &self.stores_of(plugin),
            act,
        };
        let changes = around.decide(choice)?;
        for change in &changes {
            let target = match change {
                Change::Version(version) if !version.withdrawn => &version.sha256,
                Change::Pin(pin) => &pin.sha256,
                Change::Version(_) | Change::Unpin(_) => continue,
            };
            self.bring(plugin, target)
                .await
                .map_err(OrderError::Impossible)?;
        }
        for change in changes {
            self.follow(plugin, change, act).await?;
        }
        info!(%plugin, ?choice, by = %act.by, why = %act.why, "ordered by hand");
        self.publish();
        let offer = self.offers.get(plugin).expect("it was there before");
        Ok(self.report_of(plugin, offer))
    }

    async fn follow(
        &mut self,
        plugin: &PluginName,
        change: Change,
        act: &Act,
    ) -> Result<(), OrderError> {
        let failed = |error: crate::control::Error| OrderError::Failed(error.to_string());
        let control = self.control.clone();
        let Some(offer) = self.offers.get_mut(plugin) else {
            return Ok(());
        };
        match change {
            Change::Version(version) => {
                control.put_version(&version).await.map_err(failed)?;
                offer.lineup.put(version);
            }
            Change::Pin(pin) => {
                let store = pin.store.clone();
                let written = control.set_pin(plugin, store.as_ref(), Some(pin.clone()));
                written.await.map_err(failed)?;
                offer.lineup.put_pin(store.as_ref(), Some(pin));
            }
            Change::Unpin(store) => {
                let lifted = control.lift_pin(plugin, store.as_ref(), act);
                lifted.await.map_err(failed)?;
                offer.lineup.put_pin(store.as_ref(), None);
            }
        }
        Ok(())
    }

    /// Withdraws the new versions that fail.
    pub(super) async fn judge_all(&mut self) {
        let now = self.clock.now();
        let rule = self.config.server().rollback;
        let mut verdicts = Vec::new();
        for (name, offer) in &self.offers {
            let counts = |sha256: &PluginDigest| {
                let stocked = offer.stock.get(sha256);
                stocked
                    .map(|stocked| stocked.tally.counts())
                    .unwrap_or_default()
            };
            let verdict = judge::judge(&offer.lineup, counts, &rule, now);
            verdicts.extend(verdict.map(|verdict| (name.clone(), verdict)));
        }
        for (plugin, verdict) in verdicts {
            let Some(failing) = self.offers[&plugin]
                .lineup
                .version(&verdict.sha256)
                .cloned()
            else {
                continue;
            };
            let act = Act {
                by: OURSELVES.into(),
                why: verdict.why.as_str().into(),
                at: now,
            };
            let withdrawn = Version {
                withdrawn: true,
                act: Some(act.clone()),
                ..failing
            };
            error!(%plugin, why = %verdict.why, "{} is taken back", name_of(&withdrawn));
            // If it cannot be written down it is done all the same: the version fails, whatever the disk does.
            if let Err(error) = self.control.put_version(&withdrawn).await {
                warn!(%plugin, %error, "that a version was taken back cannot be written down");
            }
            let alert = Alert {
                at: now,
                kind: "plugin-rolled-back".into(),
                subject: plugin.as_str().into(),
                text: verdict.why.as_str().into(),
            };
            if let Err(error) = self.control.alert(&alert).await {
                warn!(%plugin, %error, "an alert cannot be written down");
            }
            self.metrics.plugin_rolled_back();
            if let Some(offer) = self.offers.get_mut(&plugin) {
                offer.lineup.put(withdrawn);
            }
            self.publish();
        }
    }

    fn stores_of(&self, plugin: &PluginName) -> BTreeSet<StoreId> {
        let stores = self.config.stores().iter();
        let uses = stores.filter(|store| store.plugins.iter().any(|it| it.name == *plugin));
        uses.map(|store| store.id.clone()).collect()
    }

    fn report(&self) -> CatalogReport {
        let offers = self.offers.iter();
        CatalogReport {
            plugins: offers
                .map(|(name, offer)| self.report_of(name, offer))
                .collect(),
            refused: self.told(),
        }
    }

    fn report_of(&self, name: &PluginName, offer: &Offer) -> PluginReport {
        let lineup = &offer.lineup;
        let mut chosen: Vec<&PluginDigest> = Vec::new();
        for store in self.config.stores() {
            for plugin in store.plugins.iter().filter(|plugin| plugin.name == *name) {
                let version = lineup.choose(&store.id, plugin.sha256.as_ref());
                chosen.extend(version.ok().map(|version| &version.sha256));
            }
        }
        let stable = lineup.stable().map(|it| &it.sha256);
        let newest = lineup.newest().map(|it| &it.sha256);
        let report = |version: &Version| {
            let sha256 = &version.sha256;
            let counts = offer
                .stock
                .get(sha256)
                .map(|it| it.tally.counts())
                .unwrap_or_default();
            VersionReport {
                sha256: sha256.clone(),
                version: version.version.to_string(),
                size_bytes: version.size_bytes,
                seen_at: version.seen_at,
                state: match version.withdrawn {
                    true => VersionState::Withdrawn,
                    false if stable == Some(sha256) => VersionState::Stable,
                    false if newest == Some(sha256) => VersionState::Candidate,
                    false => VersionState::Kept,
                },
                stores: chosen.iter().filter(|it| **it == sha256).count(),
                runs: counts.runs,
                failures: counts.failures,
                act: version.act.clone(),
            }
        };
        let pin = |pin: &crate::control::Pin| PinReport {
            store: pin.store.clone(),
            sha256: pin.sha256.clone(),
            act: pin.act.clone(),
        };
        PluginReport {
            name: name.clone(),
            present: lineup.present,
            stores: self.stores_of(name).len(),
            rollout: lineup.rollout.as_ref().map(shown),
            versions: lineup.versions.iter().map(report).collect(),
            pins: lineup.pins.iter().map(pin).collect(),
            not_granted: self.not_granted(name, offer),
        }
    }

    /// The stores in which the plugin lacks a grant.
    fn not_granted(&self, name: &PluginName, offer: &Offer) -> Option<NotGrantedReport> {
        let mut found: Option<NotGrantedReport> = None;
        for store in self.config.stores() {
            for plugin in store.plugins.iter().filter(|plugin| plugin.name == *name) {
                let Err(Absent::NotGranted { lack, .. }) = offer.choose(&store.id, plugin) else {
                    continue;
                };
                let new = || NotGrantedReport {
                    stores: 0,
                    reason: lack.reason.clone(),
                };
                found.get_or_insert_with(new).stores += 1;
            }
        }
        found
    }
}

fn shown(rollout: &Rollout) -> String {
    match rollout {
        Rollout::Percent(percent) => format!("{percent}%"),
        Rollout::Stores(stores) => {
            let stores: Vec<&str> = stores.iter().map(StoreId::as_str).collect();
            stores.join(", ")
        }
    }
}
