//! How time passes in a world: to the next deadline, past it, and on wall clocks that are set.

use std::time::Duration;

use crate::id::PluginName;
use crate::store::sim::host::{Host, Standing};
use crate::store::sim::plan::Plan;
use crate::store::sim::world::World;
use crate::store::{Input, SessionStatus, SubscriptionState};
use crate::time::Timestamp;

/// How far clocks are set: seconds, minutes, an hour, a day and more, a year.
const JUMPS: [u64; 5] = [9_000, 600_000, 3_600_000, 100_000_000, 31_536_000_000];

impl World {
    /// The next moment at which a host wants to look at something.
    pub(super) fn next_deadline(&self) -> Timestamp {
        let deadlines = self.hosts.iter().map(Host::poll_timeout);
        deadlines.fold(Timestamp::NEVER, Ord::min)
    }

    /// Time passes to the next deadline.
    pub(super) fn wait(&mut self) {
        let deadline = self.next_deadline();
        self.pass(self.now.max(deadline));
    }

    /// Time passes, and whoever wanted to look at something is late.
    pub(super) fn doze(&mut self) {
        let longest = [2_000, 20_000, 1_800_000][self.rng.usize(..3)];
        let length = Duration::from_millis(self.rng.u64(1..longest));
        self.tally.add("dozes", 1);
        self.pass(self.now + length);
    }

    fn pass(&mut self, to: Timestamp) {
        for host in &self.hosts {
            self.chronicle.diary.on_wall(host.journal, host.wall(to));
            let hindered = hindrances(host, &self.plan, (self.now, to));
            for (plugin, (from, to)) in hindered {
                let stretch = (host.wall(from), host.wall(to));
                let diary = &mut self.chronicle.diary;
                diary.on_hindered(host.journal, plugin.as_ref(), stretch);
            }
        }
        self.now = to;
        self.note(|| "time passes".to_owned());
        for host in &mut self.hosts {
            host.handle_timeout(self.now);
        }
    }

    /// A host's wall clock is set: anywhere, or right.
    pub(super) fn set_clock(&mut self, host: usize) {
        let jump = JUMPS[self.rng.usize(..JUMPS.len())];
        let jump = self.rng.u64(1..jump).cast_signed();
        let ahead = match self.rng.u8(..3) {
            0 => 0,
            1 => jump,
            _ => -jump,
        };
        self.tally.add("clocks set", 1);
        self.tell_clock(host, ahead);
    }

    /// Every clock shows the true time from now on.
    pub(super) fn set_clocks_right(&mut self) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].ahead != 0 {
                self.tell_clock(host, 0);
            }
        }
    }

    fn tell_clock(&mut self, index: usize, ahead: i64) {
        self.note(|| format!("the clock of host {index} is {ahead} ms ahead now"));
        let host = &mut self.hosts[index];
        let before = host.wall(self.now);
        host.ahead = ahead;
        let after = host.wall(self.now);
        let diary = &mut self.chronicle.diary;
        diary.clocks_jumped = true;
        diary.on_wall(host.journal, after);
        diary.on_hindered(host.journal, None, (before.min(after), before.max(after)));
        host.handle(Input::ClockSet { ahead }, self.now);
    }
}

/// When in a stretch of time a host cannot begin what is due, and for which plugin that is so.
fn hindrances(
    host: &Host,
    plan: &Plan,
    (from, to): (Timestamp, Timestamp),
) -> Vec<(Option<PluginName>, (Timestamp, Timestamp))> {
    let Some(status) = host.status() else {
        return vec![(None, (from, to))];
    };
    let works = host.is_idle() && status.session == SessionStatus::Live && status.outbox == 0;
    if !works {
        return vec![(None, (from, to))];
    }
    let mut hindered = Vec::new();
    let late = host.poll_timeout().max(from);
    if late < to {
        hindered.push((None, (late, to)));
    }
    let plugins = plan.guests.iter().map(|guest| &guest.plugin);
    for plugin in plugins.filter(|it| host.configured[*it] != Standing::Serving) {
        hindered.push((Some(plugin.clone()), (from, to)));
    }
    for subscription in status.subscriptions {
        let free = match subscription.state {
            SubscriptionState::Idle | SubscriptionState::Retrying => true,
            SubscriptionState::Starting
            | SubscriptionState::Running
            | SubscriptionState::Tripped
            | SubscriptionState::Rationed
            | SubscriptionState::Parked => false,
        };
        if !free {
            hindered.push((Some(subscription.plugin), (from, to)));
        }
    }
    hindered
}
