//! What a store, or one plugin in it, may use over time. A ration has three tanks: fuel, runs, and commits. They fill at a
//! rate, up to their capacity, and runs empty them. They are written with what runs did; a run that was cut off by a crash
//! has used all that it had. So no crash and no restart fills a tank.

use serde::{Deserialize, Serialize};

use crate::id::PluginName;
use crate::time::Timestamp;

/// Milliseconds in the time that rates are for.
const MINUTE: u64 = 60_000;

/// The largest level: half of what fits, so that no sum of levels overflows.
const LEVEL_MAX: u64 = i64::MAX as u64 / 2;

/// How much a tank holds, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TankSettings {
    /// What it holds when it is full.
    pub capacity: u64,
    /// What flows in within a minute, evenly.
    pub per_minute: u64,
}

/// What may be used over time; none is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RationSettings {
    /// Fuel of runs. A run begins when its whole budget is in the tank, or the tank is full; what it did not use flows
    /// back at its end.
    pub fuel: Option<TankSettings>,
    /// Runs begun, failed ones included.
    pub runs: Option<TankSettings>,
    /// Events committed. A run begins when anything is left, and may overdraw it by what it commits.
    pub commits: Option<TankSettings>,
}

/// One of the things that a ration limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provision {
    /// Fuel of runs.
    Fuel,
    /// Runs begun.
    Runs,
    /// Events committed.
    Commits,
}

impl Provision {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Fuel, Self::Runs, Self::Commits];

    /// A word for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Runs => "runs",
            Self::Commits => "commits",
        }
    }
}

/// What is left of a ration, as it is kept. None is without limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RationRecord {
    /// The plugin that it belongs to, or else the store.
    pub owner: Option<PluginName>,
    /// When that was left.
    pub at: Timestamp,
    /// Of the fuel; negative if it is overdrawn.
    pub fuel: Option<i64>,
    /// Of the runs.
    pub runs: Option<i64>,
    /// Of the commits.
    pub commits: Option<i64>,
}

/// A ration at one moment, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RationStatus {
    /// The fuel.
    pub fuel: Option<TankStatus>,
    /// The runs.
    pub runs: Option<TankStatus>,
    /// The commits.
    pub commits: Option<TankStatus>,
}

/// A tank at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TankStatus {
    /// What is left; negative if it is overdrawn.
    pub left: i64,
    /// What it holds when it is full.
    pub capacity: u64,
    /// What flows in within a minute.
    pub per_minute: u64,
}

/// A run that has to wait until something has flowed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Deferral {
    /// What is missing.
    pub provision: Provision,
    /// When there will be enough of it.
    pub until: Timestamp,
}

/// The right to one run, and the fuel for it. It is used up by settling it; one that is dropped stays charged in full.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a run that does not begin gives its grant back"]
pub(super) struct FuelGrant {
    fuel: u64,
}

impl FuelGrant {
    /// What the run may use.
    pub(super) fn fuel(&self) -> u64 {
        self.fuel
    }
}

/// A ration in use.
#[derive(Debug)]
pub(super) struct Ration {
    fuel: Option<Tank>,
    runs: Option<Tank>,
    commits: Option<Tank>,
    /// Whether the journal does not know how it stands.
    pub(super) dirty: bool,
}

#[derive(Debug)]
struct Tank {
    settings: TankSettings,
    level: i64,
    /// What has flowed in beyond `level`, in parts of `MINUTE`.
    carry: u64,
    at: Timestamp,
}

impl Ration {
    /// The ration as it was left, filled up since; what it says nothing of is full.
    pub(super) fn new(
        settings: RationSettings,
        record: Option<&RationRecord>,
        now: Timestamp,
    ) -> Self {
        let tank = |settings: Option<TankSettings>, left: Option<i64>| {
            let at = record.map_or(now, |record| record.at);
            settings.map(|settings| Tank::new(settings, left, at, now))
        };
        Self {
            fuel: tank(settings.fuel, record.and_then(|it| it.fuel)),
            runs: tank(settings.runs, record.and_then(|it| it.runs)),
            commits: tank(settings.commits, record.and_then(|it| it.commits)),
            dirty: false,
        }
    }

    /// Takes other sizes and rates. What is left stays, but for what no longer fits.
    pub(super) fn adopt(&mut self, settings: RationSettings, now: Timestamp) {
        let tank = |tank: &mut Option<Tank>, settings: Option<TankSettings>| {
            let left = tank.as_mut().map(|tank| {
                tank.fill(now);
                tank.level
            });
            *tank = settings.map(|settings| Tank::new(settings, left, now, now));
        };
        tank(&mut self.fuel, settings.fuel);
        tank(&mut self.runs, settings.runs);
        tank(&mut self.commits, settings.commits);
        self.dirty = true;
    }

    /// What keeps a run with this budget from beginning, if anything does.
    pub(super) fn deferral(&mut self, budget: u64, now: Timestamp) -> Option<Deferral> {
        let waits = [
            (Provision::Fuel, &mut self.fuel, budget),
            (Provision::Runs, &mut self.runs, 1),
            (Provision::Commits, &mut self.commits, 1),
        ];
        let waits = waits.into_iter().filter_map(|(provision, tank, need)| {
            let until = tank.as_mut()?.wait(need, now)?;
            Some(Deferral { provision, until })
        });
        waits.max_by_key(|deferral| deferral.until)
    }

    /// Takes what a run may use. The caller has asked for a [`deferral`](Self::deferral).
    pub(super) fn begin(&mut self, budget: u64) {
        take(&mut self.fuel, budget);
        take(&mut self.runs, 1);
        self.dirty = true;
    }

    /// A run that had `budget` has used `fuel` and commits `drafts` events.
    pub(super) fn settle(&mut self, budget: u64, fuel: u64, drafts: usize) {
        if let Some(tank) = &mut self.fuel {
            tank.put_back(budget.saturating_sub(fuel));
        }
        take(&mut self.commits, drafts as u64);
        self.dirty = true;
    }

    /// What is to be written.
    pub(super) fn record(&mut self, owner: Option<PluginName>, now: Timestamp) -> RationRecord {
        let left = |tank: &mut Option<Tank>| {
            let tank = tank.as_mut()?;
            tank.fill(now);
            Some(tank.level)
        };
        RationRecord {
            owner,
            at: now,
            fuel: left(&mut self.fuel),
            runs: left(&mut self.runs),
            commits: left(&mut self.commits),
        }
    }

    /// Whether it limits anything.
    pub(super) fn limits_anything(&self) -> bool {
        self.fuel.is_some() || self.runs.is_some() || self.commits.is_some()
    }

    pub(super) fn status(&self) -> RationStatus {
        let status = |tank: &Option<Tank>| {
            tank.as_ref().map(|tank| TankStatus {
                left: tank.level,
                capacity: tank.settings.capacity,
                per_minute: tank.settings.per_minute,
            })
        };
        RationStatus {
            fuel: status(&self.fuel),
            runs: status(&self.runs),
            commits: status(&self.commits),
        }
    }
}

/// Grants of both a store and a plugin in it.
impl FuelGrant {
    /// Takes a run's budget from both rations.
    pub(super) fn take(budget: u64, store: &mut Ration, plugin: &mut Ration) -> Self {
        store.begin(budget);
        plugin.begin(budget);
        Self { fuel: budget }
    }

    /// Charges what the run has used, and gives back the rest.
    pub(super) fn settle(self, fuel: u64, drafts: usize, store: &mut Ration, plugin: &mut Ration) {
        store.settle(self.fuel, fuel, drafts);
        plugin.settle(self.fuel, fuel, drafts);
    }
}

fn take(tank: &mut Option<Tank>, amount: u64) {
    if let Some(tank) = tank {
        tank.level = tank.level.saturating_sub(signed(amount));
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount.min(LEVEL_MAX)).expect("half of what fits does fit")
}

impl Tank {
    fn new(settings: TankSettings, left: Option<i64>, at: Timestamp, now: Timestamp) -> Self {
        let capacity = signed(settings.capacity);
        let mut tank = Self {
            settings,
            level: left.unwrap_or(capacity).min(capacity),
            carry: 0,
            at,
        };
        tank.fill(now);
        tank
    }

    /// Lets in what has come since the last time. A clock that was set back brings nothing, and is followed.
    fn fill(&mut self, now: Timestamp) {
        let capacity = signed(self.settings.capacity);
        let elapsed = now.as_millis().saturating_sub(self.at.as_millis());
        self.at = now;
        let inflow =
            u128::from(self.settings.per_minute) * u128::from(elapsed) + u128::from(self.carry);
        let whole = u64::try_from(inflow / u128::from(MINUTE)).unwrap_or(u64::MAX);
        self.carry = u64::try_from(inflow % u128::from(MINUTE)).expect("a rest is small");
        self.put_back(whole);
        if self.level == capacity {
            self.carry = 0;
        }
    }

    fn put_back(&mut self, amount: u64) {
        let capacity = signed(self.settings.capacity);
        self.level = self.level.saturating_add(signed(amount)).min(capacity);
    }

    /// Until when `need` is not there; none if it is. Of a tank that is too small for it, all is needed.
    fn wait(&mut self, need: u64, now: Timestamp) -> Option<Timestamp> {
        self.fill(now);
        let need = signed(need.min(self.settings.capacity));
        if self.level >= need {
            return None;
        }
        let missing =
            u128::from(need.abs_diff(self.level)) * u128::from(MINUTE) - u128::from(self.carry);
        let millis = missing.div_ceil(u128::from(self.settings.per_minute.max(1)));
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let until = now.as_millis().saturating_add(millis);
        Some(Timestamp::from_millis(until))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn fuel(capacity: u64, per_minute: u64) -> RationSettings {
        RationSettings {
            fuel: Some(TankSettings {
                capacity,
                per_minute,
            }),
            ..RationSettings::default()
        }
    }

    fn left(ration: &Ration) -> Option<i64> {
        ration.status().fuel.map(|tank| tank.left)
    }

    #[test]
    fn a_run_waits_until_its_whole_budget_has_flowed_in() {
        let mut ration = Ration::new(fuel(100, 60), None, at(0));
        assert_eq!(ration.deferral(100, at(0)), None, "a new tank is full");
        ration.begin(100);
        ration.settle(100, 70, 0);
        assert_eq!(left(&ration), Some(30), "what was not used flows back");
        let deferral = ration.deferral(50, at(0));
        let until = at(20_000);
        let provision = Provision::Fuel;
        assert_eq!(deferral, Some(Deferral { provision, until }));
        assert_eq!(ration.deferral(50, until), None);
        assert_eq!(
            ration.deferral(50, at(0)),
            None,
            "a clock set back takes nothing away"
        );
        assert!(ration.deferral(51, at(1_000)).is_none(), "and is followed");
    }

    #[test]
    fn a_tank_that_is_too_small_for_a_run_is_emptied_whole() {
        let mut ration = Ration::new(fuel(10, 10), None, at(0));
        assert_eq!(ration.deferral(100, at(0)), None);
        ration.begin(100);
        ration.settle(100, 100, 0);
        assert_eq!(left(&ration), Some(-90));
        let until = ration.deferral(100, at(0)).map(|it| it.until);
        assert_eq!(until, Some(at(10 * MINUTE)));
    }

    #[test]
    fn runs_and_commits_are_counted_too() {
        let tank = Some(TankSettings {
            capacity: 2,
            per_minute: 2,
        });
        let settings = RationSettings {
            fuel: None,
            runs: tank,
            commits: tank,
        };
        let mut ration = Ration::new(settings, None, at(0));
        ration.begin(5);
        ration.settle(5, 5, 7);
        let deferral = ration.deferral(5, at(0)).unwrap();
        let expected = Deferral {
            provision: Provision::Commits,
            until: at(3 * MINUTE),
        };
        assert_eq!(deferral, expected, "six too many, at two a minute");
        assert_eq!(ration.deferral(5, deferral.until), None);
    }

    #[test]
    fn a_restart_finds_what_was_left_and_what_has_flowed_in_since() {
        let mut ration = Ration::new(fuel(100, 60), None, at(0));
        ration.begin(40);
        let record = ration.record(None, at(0));
        assert_eq!(record.fuel, Some(60));
        let next = Ration::new(fuel(100, 60), Some(&record), at(30_000));
        assert_eq!(left(&next), Some(90));
        let much_later = Ration::new(fuel(100, 60), Some(&record), at(u64::MAX));
        assert_eq!(left(&much_later), Some(100));
        let later = Ration::new(fuel(80, 60), Some(&record), at(0));
        assert_eq!(left(&later), Some(60));
        let smaller = Ration::new(fuel(50, 60), Some(&record), at(0));
        assert_eq!(left(&smaller), Some(50), "what no longer fits is gone");
    }

    #[test]
    fn a_change_neither_fills_a_tank_nor_empties_it() {
        let mut ration = Ration::new(fuel(100, 60), None, at(0));
        ration.begin(90);
        ration.adopt(fuel(1_000, 1), at(0));
        assert_eq!(left(&ration), Some(10));
        ration.adopt(fuel(5, 1), at(0));
        assert_eq!(left(&ration), Some(5));
        ration.adopt(RationSettings::default(), at(0));
        assert_eq!(ration.deferral(u64::MAX, at(0)), None);
        assert!(!ration.limits_anything());
    }

    /// What happens to a tank.
    #[derive(Clone, Debug)]
    enum Step {
        /// A run, if it may begin, that uses so many percent of its budget.
        Run {
            budget: u64,
            used: u64,
        },
        /// The clock goes on, or is set back.
        Clock {
            millis: i64,
        },
        /// The process is killed while a run has used all that it was granted.
        Kill {
            budget: u64,
        },
        /// An orderly restart.
        Restart,
        Resize {
            capacity: u64,
            per_minute: u64,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1..500_u64, 0..=100_u64).prop_map(|(budget, used)| Step::Run { budget, used }),
            4 => (0..120_000_i64).prop_map(|millis| Step::Clock { millis }),
            1 => (-600_000..0_i64).prop_map(|millis| Step::Clock { millis }),
            2 => (1..500_u64).prop_map(|budget| Step::Kill { budget }),
            2 => Just(Step::Restart),
            1 => (1..1_000_u64, 1..2_000_u64)
                .prop_map(|(capacity, per_minute)| Step::Resize { capacity, per_minute }),
        ];
        vec(step, 1..60)
    }

    /// The model: everything that was ever used stays within what the tank held at first and all that flowed in since,
    /// whatever was lost, restarted or resized, but for what one run may overdraw a tank that is smaller than its budget.
    fn live(steps: Vec<Step>) {
        let (mut capacity, mut per_minute) = (1_000_u64, 600_u64);
        let mut now = 10_000_000_u64;
        let mut ration = Ration::new(fuel(capacity, per_minute), None, at(now));
        let mut written = ration.record(None, at(now));
        let (mut used, mut overdraft) = (0_u64, 0_u64);
        let mut inflow = u128::from(capacity) * u128::from(MINUTE);
        let mut latest = now;
        for step in steps {
            match step {
                Step::Run {
                    budget,
                    used: percent,
                } => {
                    if ration.deferral(budget, at(now)).is_none() {
                        ration.begin(budget);
                        let fuel = budget * percent / 100;
                        used += fuel;
                        overdraft = overdraft.max(budget.saturating_sub(capacity));
                        ration.settle(budget, fuel, 0);
                        written = ration.record(None, at(now));
                    }
                }
                Step::Clock { millis } => {
                    now = now.saturating_add_signed(millis);
                    let elapsed = now.saturating_sub(latest);
                    // A clock that was set back and goes on again may count that time twice at most.
                    let counted = if millis > 0 {
                        u64::try_from(millis).unwrap()
                    } else {
                        0
                    };
                    inflow += u128::from(counted.max(elapsed)) * u128::from(per_minute);
                    latest = latest.max(now);
                }
                Step::Kill { budget } => {
                    if ration.deferral(budget, at(now)).is_none() {
                        used += budget;
                        overdraft = overdraft.max(budget.saturating_sub(capacity));
                        // The next life charges it, for it cannot know how far it came.
                        ration = Ration::new(fuel(capacity, per_minute), Some(&written), at(now));
                        ration.begin(budget);
                        written = ration.record(None, at(now));
                    }
                }
                Step::Restart => {
                    written = ration.record(None, at(now));
                    ration = Ration::new(fuel(capacity, per_minute), Some(&written), at(now));
                }
                Step::Resize {
                    capacity: new,
                    per_minute: rate,
                } => {
                    (capacity, per_minute) = (new, rate);
                    ration.adopt(fuel(capacity, per_minute), at(now));
                    written = ration.record(None, at(now));
                }
            }
            let left = left(&ration).unwrap();
            assert!(
                left <= i64::try_from(capacity).unwrap(),
                "{left} in a tank of {capacity}"
            );
            let allowed = inflow / u128::from(MINUTE) + u128::from(overdraft);
            assert!(
                u128::from(used) <= allowed,
                "used {used}, allowed {allowed}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_crash_restart_resize_or_clock_gives_more_than_flows_in(steps in steps()) {
            live(steps);
        }
    }
}
