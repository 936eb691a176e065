//! What becomes of a file once it was loaded, or was not: a new version, or a reason.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::{Catalog, FAILED_PAUSE, PUBLISH_DELAY};
use crate::catalog::loading::{Job, Loaded};
use crate::catalog::scan;
use crate::catalog::shelf::{Offer, Stocked};
use crate::catalog::tally::Tally;
use crate::control::Version;
use crate::id::PluginName;
use crate::runtime::Plugin;

impl Catalog {
    pub(super) async fn on_loaded(&mut self, job: Job, loaded: Loaded) {
        if let Job::File { name, .. } = &job
            && !self.folder.has(name)
        {
            // It is gone again: what it was counts no more.
            return;
        }
        let waited_for = match &job {
            Job::File { name, .. } => {
                scan::plugin_of(name).is_ok_and(|plugin| self.wanted().contains(&plugin))
            }
            Job::Kept { .. } => true,
        };
        match (job, loaded) {
            (Job::File { name, .. }, Loaded::Plugin(plugin)) => {
                self.refused.remove(&name);
                self.take_in(plugin).await;
            }
            (Job::File { name, .. }, Loaded::Again) => {
                let now = self.clock.now();
                self.folder
                    .read_again(&name, now + Duration::from_millis(100));
                return;
            }
            (Job::File { name, .. }, Loaded::Refused(reason)) => self.refuse(name, reason),
            (Job::File { name, .. }, Loaded::Failed(reason)) => {
                let now = self.clock.now();
                self.folder.read_again(&name, now + FAILED_PAUSE);
                self.refuse(name, reason);
            }
            (Job::Kept { plugin, .. }, Loaded::Plugin(loaded)) => self.stock(&plugin, loaded),
            (Job::Kept { plugin, sha256 }, Loaded::Refused(reason) | Loaded::Failed(reason)) => {
                warn!(%plugin, sha256 = sha256.short(), %reason, "a kept version cannot be loaded");
                if let Some(offer) = self.offers.get_mut(&plugin) {
                    offer.failed.insert(sha256, reason.into());
                }
            }
            (Job::Kept { .. }, Loaded::Again) => return,
        }
        match waited_for {
            true => self.publish(),
            false => self.publish_at = self.publish_at.min(self.clock.now() + PUBLISH_DELAY),
        }
    }

    fn refuse(&mut self, name: OsString, reason: String) {
        self.metrics.plugin_loaded(false);
        warn!(file = %name.display(), %reason, "plugin refused");
        if let Some(offer) = scan::plugin_of(&name)
            .ok()
            .and_then(|it| self.offers.get_mut(&it))
        {
            // A file that was taken away was taken away on purpose: what is no good does not bring it back.
            offer.lineup.present = !self.removed.contains(&offer.lineup.plugin);
            offer.note = Some(reason.as_str().into());
        }
        self.refused.insert(name, reason);
    }

    /// A file of the folder is good: it is the newest version of its plugin.
    async fn take_in(&mut self, plugin: Plugin) {
        let (name, build) = (plugin.name().clone(), plugin.build().clone());
        let now = self.clock.now();
        let offer = self.offers.entry(name.clone());
        let offer = offer.or_insert_with(|| Offer::new(name.clone()));
        offer.lineup.present = true;
        offer.note = None;
        self.removed.remove(&name);
        offer.failed.remove(&build.sha256);
        let known = offer.lineup.version(&build.sha256).cloned();
        let is_newest = offer
            .lineup
            .newest()
            .is_some_and(|it| it.sha256 == build.sha256);
        if !is_newest {
            let seen_at = offer.lineup.later_than_all(now);
            let version = match known {
                Some(known) => Version { seen_at, ..known },
                None => Version {
                    plugin: name.clone(),
                    sha256: build.sha256.clone(),
                    version: build.version.clone(),
                    size_bytes: plugin.size_bytes() as u64,
                    seen_at,
                    promoted_at: None,
                    withdrawn: false,
                    act: None,
                },
            };
            if let Err(error) = self.control.put_version(&version).await {
                warn!(plugin = %name, %error, "a new version cannot be written down; it is looked at again");
                self.folder
                    .read_again(&scan::file_of(&name), now + FAILED_PAUSE);
                return;
            }
            offer.lineup.put(version);
            let (version, sha256) = (&build.version, build.sha256.short());
            info!(plugin = %name, %version, sha256, "plugin loaded");
            self.metrics.plugin_loaded(true);
        }
        self.stock(&name, plugin);
        self.promote_if_for_all(&name).await;
        self.prune(&name).await;
    }

    /// Has a version ready to run, if a store may want it.
    pub(super) fn stock(&mut self, name: &PluginName, plugin: Plugin) {
        if !self.wanted().contains(name) {
            return;
        }
        let Some(offer) = self.offers.get_mut(name) else {
            return;
        };
        let build = plugin.build().clone();
        let stocked = || Stocked {
            build: build.clone(),
            plugin,
            tally: Tally::new(self.wake.clone()),
        };
        let sha256 = build.sha256.clone();
        offer
            .stock
            .entry(sha256)
            .or_insert_with(|| Arc::new(stocked()));
    }
}
