//! What a life tells of limits that its runs met: the refusals of each run, and waits for a ration or for a breaker's end.

use std::collections::BTreeSet;

use tracing::warn;

use crate::actor::life::Life;
use crate::id::PluginName;
use crate::stamp::Stamp;
use crate::store::{Provision, Refusals};

/// What a store's runs wait for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// Whose ration is short of what.
    rations: BTreeSet<(Option<PluginName>, Provision)>,
    /// Plugins that rest after failures.
    breakers: BTreeSet<PluginName>,
}

impl Life {
    /// A line for the operator about a run that was refused something, however often.
    pub(super) fn tell_refusals(&self, stamp: &Stamp, refusals: &Refusals) {
        let plugin = &stamp.run.plugin;
        for refusal in refusals.iter() {
            let metrics = &self.shared.metrics;
            metrics.refused(plugin, refusal.limit, refusal.times);
        }
        // The first is what the guest met first, which explains the others.
        let Some(first) = refusals.iter().next() else {
            return;
        };
        let (store, limit) = (&self.spec.id, first.limit.as_str());
        let (asked, max, times) = (first.asked, first.max, first.times);
        let others: Vec<_> = refusals
            .iter()
            .skip(1)
            .map(|it| it.limit.as_str())
            .collect();
        let others = others.join(" ");
        warn!(%store, %plugin, %stamp, limit, asked, max, times, others, "a limit was met");
    }

    /// Counts what began to wait since the last time. Hardly ever anything waits, and then it is two empty sets.
    pub(super) fn count_waits(&mut self) {
        let deferrals = self.machine.deferrals();
        let now = Waits {
            rations: deferrals
                .map(|(plugin, provision)| (plugin.cloned(), provision))
                .collect(),
            breakers: self.machine.open_breakers().cloned().collect(),
        };
        if now == self.waits {
            return;
        }
        let metrics = &self.shared.metrics;
        for (plugin, provision) in now.rations.difference(&self.waits.rations) {
            metrics.deferred(*provision, plugin.is_some());
        }
        for plugin in now.breakers.difference(&self.waits.breakers) {
            metrics.breaker_opened(plugin);
        }
        self.waits = now;
    }
}
