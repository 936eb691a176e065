//! What a change of the settings means to a store that lives. Most of it is taken in place, and neither the connection nor
//! a run notices. What would set a cursor behind the scan, or a bound under what is held, begins again from the journal.

use crate::store::machine::StoreState;
use crate::store::sabotage::Sabotage;
use crate::store::session::Session;
use crate::store::subscription::{Start, Subscription};
use crate::store::{Settings, SubscriptionSettings};
use crate::time::Timestamp;

impl StoreState {
    /// The settings are these now.
    pub(super) fn on_reconfigure(&mut self, settings: Settings, now: Timestamp) {
        // The life after a restart begins with the newest settings anyway.
        if self.settings == settings || self.is_restarting() {
            return;
        }
        if self.needs_restart(&settings) {
            self.on_renew();
        } else {
            self.adopt(settings, now);
        }
    }

    /// Begins again from the journal. A store that drains ends all the same.
    pub(super) fn on_renew(&mut self) {
        if !self.draining {
            self.restart();
        }
    }

    fn needs_restart(&self, settings: &Settings) -> bool {
        // Whoever changes the settings of a stopped store has looked at it.
        let stopped = matches!(self.session, Session::Stopped(_));
        let others = settings.subscriptions.len() != self.subscriptions.len();
        let restarts = |subscription: &Subscription| {
            let new = named(settings, subscription);
            new.is_none_or(|new| self.restarts_for(subscription, new))
        };
        stopped
            || others
            || settings.limits != self.settings.limits
            || self.subscriptions.iter().any(restarts)
    }

    /// Whether the change makes a subscription need what this life may have passed: bodies, and stamps of its triggers.
    fn restarts_for(&self, subscription: &Subscription, new: &SubscriptionSettings) -> bool {
        let old = &subscription.settings;
        let unparked = new.available && !old.available;
        // A start is fixed when a life first catches up, which this one may have done before there was anything to fix.
        let begins_elsewhere = new.described
            && subscription.start == Start::Open
            && (new.history != old.history || !old.described);
        begins_elsewhere || (unparked && !self.breaks(Sabotage::UnparkWithoutRestart))
    }

    /// Takes the settings in place.
    fn adopt(&mut self, settings: Settings, now: Timestamp) {
        for subscription in &mut self.subscriptions {
            let new = named(&settings, subscription).expect("others would need a restart");
            if new.ration != subscription.settings.ration {
                subscription.ration.adopt(new.ration, now);
            }
            subscription.breaker.serve(new.build.as_ref());
            subscription.breaker.adopt(&settings.timing.breaker, now);
            subscription.settings = new.clone();
            subscription.rest_if_parked();
        }
        if settings.ration != self.settings.ration {
            self.ration.adopt(settings.ration, now);
        }
        self.settings = settings;
        self.shorten_waits(now);
        self.declare_tasks(now);
    }

    /// No wait that began under other timing lasts longer than it would if it began now.
    fn shorten_waits(&mut self, now: Timestamp) {
        let timing = &self.settings.timing;
        self.staging.hasten(now + timing.flush_delay);
        for subscription in &mut self.subscriptions {
            subscription.retry_by(now, timing.run);
        }
        match &mut self.session {
            Session::Offline { retry_at } => {
                let longest = timing.reconnect.delay(self.connect_failures, 0);
                shorten(retry_at, now + longest);
            }
            Session::Connecting { deadline, .. } => {
                shorten(deadline, now + timing.connect_timeout);
            }
            Session::Open(open) => {
                let checks = open.check.iter_mut().map(|check| &mut check.deadline);
                let refills = open.refill.iter_mut().map(|refill| &mut refill.deadline);
                for deadline in checks.chain(refills) {
                    shorten(deadline, now + timing.pull_timeout);
                }
                shorten(&mut open.check_at, now + timing.check_period);
                if let Some(gap_at) = &mut open.gap_at {
                    shorten(gap_at, now + timing.gap_timeout);
                }
            }
            Session::Stopped(_) => {}
        }
        for push in &mut self.pushing.in_flight {
            shorten(&mut push.deadline, now + timing.push_timeout);
        }
        if let Some(awaited) = &mut self.pushing.awaited {
            shorten(&mut awaited.until, now + timing.gap_timeout);
        }
        if let Some(not_before) = &mut self.pushing.not_before {
            let longest = timing.push.longest.max(timing.gap_timeout);
            shorten(not_before, now + longest);
        }
    }
}

/// What `settings` say about the subscription's plugin.
fn named<'a>(
    settings: &'a Settings,
    subscription: &Subscription,
) -> Option<&'a SubscriptionSettings> {
    let mut all = settings.subscriptions.iter();
    all.find(|it| it.plugin == subscription.settings.plugin)
}

/// Brings a deadline forward. One that never comes waits for something else, and still does.
fn shorten(deadline: &mut Timestamp, at: Timestamp) {
    if *deadline != Timestamp::NEVER {
        *deadline = at.min(*deadline);
    }
}
