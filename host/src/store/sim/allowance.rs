//! The oracle's own account of a journal's ration: what has flowed in by the clock, less the budgets of runs in flight and
//! what runs that ended have used. A run that was killed has used all that it had. The machine may believe that less is
//! left, but never more.

use std::collections::BTreeSet;

use crate::stamp::RunId;
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::{RunRequest, TankSettings};
use crate::time::Timestamp;

/// What runs on one journal may use.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    /// In parts of a minute's sixty thousandth, so that nothing is rounded.
    left: i128,
    at: Timestamp,
    in_flight: BTreeSet<(RunId, u32)>,
}

impl Allowance {
    /// A full tank.
    pub(super) fn full(tank: TankSettings, now: Timestamp) -> Self {
        Self {
            left: parts(tank.capacity),
            at: now,
            in_flight: BTreeSet::new(),
        }
    }

    fn fill(&mut self, tank: TankSettings, now: Timestamp) {
        let elapsed = now.since(self.at).as_millis();
        let inflow =
            i128::from(tank.per_minute) * i128::try_from(elapsed).expect("a world is short");
        self.left = (self.left + inflow).min(parts(tank.capacity));
        self.at = self.at.max(now);
    }

    /// A run begins that was decided on at `now`: its whole budget must be there, or else a full tank.
    pub(super) fn begin(
        &mut self,
        tank: TankSettings,
        request: &RunRequest,
        now: Timestamp,
    ) -> Result<(), Violation> {
        self.fill(tank, now);
        if self.left < parts(request.fuel.min(tank.capacity)) {
            let text = format!(
                "{} begins with {} fuel, and the tank has {}",
                request.stamp,
                request.fuel,
                self.left / parts(1)
            );
            return Err(Violation::new(Rule::Ration, text));
        }
        self.left -= parts(request.fuel);
        self.in_flight.insert(key(request));
        Ok(())
    }

    /// A run that began here has used `fuel`.
    pub(super) fn end(&mut self, request: &RunRequest, fuel: u64) {
        if self.in_flight.remove(&key(request)) {
            self.left += parts(request.fuel - fuel);
        }
    }
}

fn parts(fuel: u64) -> i128 {
    i128::from(fuel) * 60_000
}

fn key(request: &RunRequest) -> (RunId, u32) {
    (request.stamp.run.clone(), request.attempt)
}
