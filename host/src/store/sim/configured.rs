//! What a host is told of its store: settings, and the tasks that are among them.

use std::time::Duration;

use crate::store::sim::chronicle::Chronicle;
use crate::store::sim::host::{Host, Pace, Standing};
use crate::store::sim::journal::Journal;
use crate::store::sim::plan::Plan;
use crate::store::{RationSettings, Retry, Settings, TaskKey, Timing};
use crate::time::Timestamp;

impl Host {
    /// Notes which tasks its guests have, and from when on by its clock.
    pub(super) fn note_tasks(
        &self,
        plan: &Plan,
        journals: &[Journal],
        chronicle: &mut Chronicle,
        now: Timestamp,
    ) {
        let wall = self.wall(now);
        let wanted = self.wanted(plan).into_iter();
        let content = &journals[self.journal].content;
        chronicle.diary.on_wall(self.journal, wall);
        chronicle
            .diary
            .on_declared(self.journal, wanted, content, wall);
    }

    /// The tasks that its settings declare.
    pub(super) fn wanted(&self, plan: &Plan) -> Vec<TaskKey> {
        let subscriptions = self.settings(plan).subscriptions.into_iter();
        let wanted = subscriptions.flat_map(|it| {
            let plugin = it.plugin;
            it.tasks.into_keys().map(move |task| TaskKey {
                plugin: plugin.clone(),
                task,
            })
        });
        wanted.collect()
    }

    /// What its machine is told.
    pub(super) fn settings(&self, plan: &Plan) -> Settings {
        let configured =
            plan.guests
                .iter()
                .filter_map(|guest| match self.configured[&guest.plugin] {
                    Standing::Removed => None,
                    standing @ (Standing::Serving | Standing::Missing | Standing::Barred) => {
                        Some(guest.settings(standing, self.wide, self.retimed))
                    }
                });
        let mut limits = plan.limits.clone();
        if self.cramped {
            limits.window_events_max = limits.window_events_max.div_ceil(2);
        }
        Settings {
            client_id: format!("quartermaster-{}", self.renames).into(),
            subscriptions: configured.collect(),
            on_reset: plan.on_reset,
            limits,
            timing: self.pace.of(&plan.timing),
            ration: self.ration(plan),
            runs_max: plan.runs_max,
            dead_letters_max: usize::MAX,
            spread: 0,
        }
    }

    pub(super) fn ration(&self, plan: &Plan) -> RationSettings {
        let RationSettings {
            mut fuel,
            runs,
            commits,
        } = plan.ration;
        if self.meagre
            && let Some(tank) = &mut fuel
        {
            tank.capacity = tank.capacity.div_ceil(2);
        }
        RationSettings {
            fuel,
            runs,
            commits,
        }
    }
}

impl Pace {
    fn of(self, timing: &Timing) -> Timing {
        let wait = |planned: Duration| match self {
            Self::Planned => planned,
            Self::Hasty => planned / 4,
            Self::Slow => planned * 4,
        };
        let retry = |planned: Retry| Retry {
            first: wait(planned.first),
            longest: wait(planned.longest),
            ..planned
        };
        Timing {
            check_period: wait(timing.check_period),
            pull_timeout: wait(timing.pull_timeout),
            push_timeout: wait(timing.push_timeout),
            connect_timeout: wait(timing.connect_timeout),
            gap_timeout: wait(timing.gap_timeout),
            flush_delay: wait(timing.flush_delay),
            reconnect: retry(timing.reconnect),
            run: retry(timing.run),
            push: retry(timing.push),
            breaker: timing.breaker,
        }
    }
}
