//! Who may run by their rations, and what that costs. A run's whole budget is charged before it begins, and what it did
//! not use is given back at its end. After a crash, a run that may have been cut off is charged in full.

use crate::id::PluginName;
use crate::store::machine::StoreState;
use crate::store::ration::FuelGrant;
use crate::store::sabotage::Sabotage;
use crate::store::{Commit, Provision, RunEnd, RunOutcome};
use crate::time::Timestamp;

impl StoreState {
    /// What runs wait for at the moment: whose ration is short of it, which is the store's own if it is no plugin's.
    pub fn deferrals(&self) -> impl Iterator<Item = (Option<&PluginName>, Provision)> {
        let of_plugins = self.subscriptions.iter().filter_map(|subscription| {
            let deferred = subscription.deferred?;
            Some((Some(&subscription.settings.plugin), deferred.provision))
        });
        let of_store = self.deferred.iter().map(|it| (None, it.provision));
        of_store.chain(of_plugins)
    }

    /// The plugins whose breakers are open: each rests after many failures in a row.
    pub fn open_breakers(&self) -> impl Iterator<Item = &PluginName> {
        let open = self.subscriptions.iter();
        open.filter(|subscription| subscription.breaker.open_until().is_some())
            .map(|subscription| &subscription.settings.plugin)
    }

    /// What was put off is looked at anew.
    pub(super) fn forget_deferrals(&mut self, now: Timestamp) {
        self.deferred = None;
        for subscription in &mut self.subscriptions {
            subscription.deferred = None;
            subscription.breaker.wake(now);
        }
    }

    /// Whether the next run of a subscription has to wait for a ration, its own or the store's; notes which.
    pub(super) fn defers(&mut self, index: usize, now: Timestamp) -> bool {
        let subscription = &mut self.subscriptions[index];
        let budget = subscription.settings.fuel_per_run;
        subscription.deferred = subscription.ration.deferral(budget, now);
        if subscription.deferred.is_none() {
            self.deferred = self.ration.deferral(budget, now);
        }
        subscription.deferred.is_some() || self.deferred.is_some()
    }

    /// Takes what a run of the subscription may use.
    pub(super) fn grant(&mut self, index: usize) -> FuelGrant {
        let subscription = &mut self.subscriptions[index];
        let budget = subscription.settings.fuel_per_run;
        FuelGrant::take(budget, &mut self.ration, &mut subscription.ration)
    }

    /// Charges a run that ended, and counts for its breaker how it did. What a guest refuses on purpose says nothing about
    /// the guest.
    pub(super) fn charge(&mut self, index: usize, grant: FuelGrant, end: &RunEnd, now: Timestamp) {
        let jitter = self.rng.u64(..);
        let subscription = &mut self.subscriptions[index];
        let drafts = match &end.outcome {
            RunOutcome::Finished { drafts, .. } => {
                subscription.breaker.on_success();
                drafts.len()
            }
            RunOutcome::Retry { .. } => {
                let breaker = &self.settings.timing.breaker;
                subscription.breaker.on_failure(breaker, jitter, now);
                0
            }
            RunOutcome::Reject { .. } => 0,
        };
        let fuel = end.usage.fuel;
        grant.settle(fuel, drafts, &mut self.ration, &mut subscription.ration);
    }

    /// Charges the runs that the life before may have begun and not ended: each has used all that it had. An attempt
    /// is counted in the journal before it begins, and its failure after.
    pub(super) fn charge_lost_runs(&mut self) {
        if self.breaks(Sabotage::LostRunsUncharged) {
            return;
        }
        for subscription in &mut self.subscriptions {
            let tasks = self.tasks.busy_of(&subscription.settings.plugin);
            let open = tasks.flat_map(|(_, task)| task.open.values());
            let lost = open
                .filter(|open| open.attempts.may_have_been_lost())
                .count();
            let event = usize::from(subscription.attempts.may_have_been_lost());
            for _ in 0..lost + event {
                let budget = subscription.settings.fuel_per_run;
                // It is never settled.
                drop(FuelGrant::take(
                    budget,
                    &mut self.ration,
                    &mut subscription.ration,
                ));
            }
        }
    }

    /// When a run may begin that waits for a ration or for the end of a breaker's rest.
    pub(super) fn poll_runs(&self) -> Timestamp {
        if self.is_ending() || !self.is_live() {
            return Timestamp::NEVER;
        }
        let waits = self.subscriptions.iter().flat_map(|subscription| {
            let deferred = subscription.deferred.map(|it| it.until);
            let rests = subscription.breaker.open_until();
            deferred.into_iter().chain(rests)
        });
        let deferred = self.deferred.map(|it| it.until);
        waits.chain(deferred).fold(Timestamp::NEVER, Ord::min)
    }

    /// Adds what is left of the rations, and how the breakers stand, to a commit.
    pub(super) fn write_rations(&mut self, commit: &mut Commit, now: Timestamp) {
        for subscription in &mut self.subscriptions {
            let plugin = &subscription.settings.plugin;
            if subscription.breaker.dirty {
                subscription.breaker.dirty = false;
                commit
                    .breakers
                    .push(subscription.breaker.record(plugin.clone()));
            }
            let ration = &mut subscription.ration;
            if ration.dirty && ration.limits_anything() {
                let owner = Some(plugin.clone());
                commit.rations.push(ration.record(owner, now));
            }
            ration.dirty = false;
        }
        if self.ration.dirty && self.ration.limits_anything() {
            let record = self.ration.record(None, now);
            commit.rations.push(record);
        }
        self.ration.dirty = false;
    }
}
