//! Plugins that are parked because they lack a grant: told once for each change, and counted.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::Supervisor;
use super::spec::Chosen;
use crate::catalog::Absent;
use crate::config::Lack;
use crate::id::{PluginName, StoreId};
use crate::store::Grants;

/// What plugins lack, by where they work.
pub(super) type Lacks = BTreeMap<(StoreId, PluginName), Grants>;

/// Changes that are told one by one; one edit of what holds for all stores may cause thousands.
const TOLD_MAX: usize = 20;

impl Supervisor {
    /// Tells what plugins lack since the last time, and what they lack no more.
    pub(super) fn tell_lacks(&mut self) {
        let mut lacks = Lacks::new();
        let mut told = 0;
        for (store, running) in &self.stores {
            for (plugin, lack) in running.chosen.iter().filter_map(lack_of) {
                let key = (store.clone(), plugin.clone());
                if self.lacks.get(&key) != Some(&lack.missing) {
                    told += 1;
                    if told <= TOLD_MAX {
                        let reason = &lack.reason;
                        warn!(%store, %plugin, %reason, "plugin does not start: it lacks a grant");
                    }
                }
                lacks.insert(key, lack.missing.clone());
            }
        }
        if told > TOLD_MAX {
            let more = told - TOLD_MAX;
            warn!(more, "more plugins do not start: they lack grants");
        }
        // Also one that was taken out: whoever waits for it need not any more.
        let mended = self.lacks.keys().filter(|key| !lacks.contains_key(key));
        for (store, plugin) in mended.take(TOLD_MAX) {
            info!(%store, %plugin, "plugin lacks no grant any more");
        }
        let metrics = &self.parts.shared.metrics;
        metrics.subscriptions_not_granted(lacks.len());
        self.lacks = lacks;
    }
}

fn lack_of((plugin, chosen): &Chosen) -> Option<(&PluginName, &Lack)> {
    match chosen {
        Err(Absent::NotGranted { lack, .. }) => Some((plugin, lack)),
        Ok(_) | Err(Absent::Missing(_)) => None,
    }
}
