//! From what plugins and the configuration say of tasks to the plans of each store. Plans that are equal are kept once,
//! however many stores have them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::{Arc, Weak};

use super::{Chosen, known};
use crate::config::{Problem, StoreConfig};
use crate::store::{Declared, TaskPlan};

/// The tasks of one plugin in a store.
#[derive(Clone, Debug, Default)]
pub(in crate::supervisor) struct Timetables {
    /// What is planned.
    pub(super) plans: Declared,
    /// Ids that no run may use.
    pub(super) declared: Arc<BTreeSet<Arc<str>>>,
}

/// Every plan of every store, as long as one has it.
#[derive(Default)]
pub(in crate::supervisor) struct Plans {
    /// By a hash of all that is in a plan.
    known: BTreeMap<u64, Vec<Weak<TaskPlan>>>,
    /// How many hashes there may be before those of plans that nobody has any more are dropped.
    swept_at: usize,
}

/// Hashes what is written to it.
struct Hashing(DefaultHasher);

/// Fewer hashes than this are never worth a look.
const SWEPT_AT_MIN: usize = 1024;

/// What is planned for the plugins of `config`, in their order, and what is configured and cannot be planned. `chosen` is
/// what [`super::choose`] said.
pub(in crate::supervisor) fn plan(
    config: &StoreConfig,
    chosen: &[Chosen],
    plans: &mut Plans,
) -> (Vec<Timetables>, Vec<Problem>) {
    let mut unplanned = Vec::new();
    let plugins = config.plugins.iter().zip(chosen);
    let plugins = plugins.map(|(plugin, (_, chosen))| {
        let described = known(chosen).map(|stocked| &*stocked.plugin.description().tasks);
        let planned = plugin.planned(config, described);
        unplanned.extend(planned.unplanned);
        let mut timetables = Timetables {
            plans: Declared::new(),
            declared: Arc::new(planned.declared),
        };
        for (id, plan) in planned.plans {
            match plans.keep(plan, |plan| plugin.check_plan(config, &id, plan)) {
                Ok(plan) => drop(timetables.plans.insert(id, plan)),
                Err(problem) => unplanned.push(problem),
            }
        }
        timetables
    });
    let plugins = plugins.collect();
    (plugins, unplanned)
}

impl Plans {
    /// The plan that is kept and equal to `plan`; one that is new has to pass `check`, which may take a while.
    fn keep<E>(
        &mut self,
        plan: TaskPlan,
        check: impl FnOnce(&TaskPlan) -> Result<(), E>,
    ) -> Result<Arc<TaskPlan>, E> {
        let hash = hash(&plan);
        let same = self.known.get(&hash).into_iter().flatten();
        if let Some(known) = same.filter_map(Weak::upgrade).find(|known| **known == plan) {
            return Ok(known);
        }
        check(&plan)?;
        if self.known.len() >= self.swept_at {
            self.sweep();
        }
        let plan = Arc::new(plan);
        let known = self.known.entry(hash).or_default();
        known.push(Arc::downgrade(&plan));
        Ok(plan)
    }

    /// Forgets plans that no store has any more. It is called again once there are twice as many as now.
    fn sweep(&mut self) {
        self.known.retain(|_, plans| {
            plans.retain(|plan| plan.strong_count() > 0);
            !plans.is_empty()
        });
        self.swept_at = SWEPT_AT_MIN.max(self.known.len() * 2);
    }
}

fn hash(plan: &TaskPlan) -> u64 {
    let mut hashing = Hashing(DefaultHasher::new());
    serde_json::to_writer(&mut hashing, plan).expect("a plan can be written, and a hash takes all");
    hashing.0.finish()
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::calendar::Rhythm;
    use crate::store::{TaskDefaults, TaskWish};

    fn every(seconds: u64) -> TaskPlan {
        let rhythm = Rhythm::Every {
            period: Duration::from_secs(seconds),
            phase: Duration::ZERO,
        };
        let wish = TaskWish {
            rhythm: Some(rhythm),
            ..TaskWish::default()
        };
        wish.plan(&TaskDefaults::default()).expect("a rhythm")
    }

    fn keep(plans: &mut Plans, seconds: u64) -> Arc<TaskPlan> {
        let kept = plans.keep(every(seconds), |_| Ok::<(), ()>(()));
        kept.expect("it passed")
    }

    #[test]
    fn plans_that_are_equal_are_one() {
        let mut plans = Plans::default();
        let (one, same, other) = (
            keep(&mut plans, 60),
            keep(&mut plans, 60),
            keep(&mut plans, 61),
        );
        assert!(Arc::ptr_eq(&one, &same));
        assert_eq!((*one == every(60), *other == every(61)), (true, true));
    }

    #[test]
    fn a_plan_is_checked_once_and_kept_only_if_it_passes() {
        let mut plans = Plans::default();
        assert_eq!(plans.keep(every(60), |_| Err("no")), Err("no"));
        assert!(plans.known.is_empty());
        let kept = keep(&mut plans, 60);
        let again = plans.keep(every(60), |_| Err("checked twice"));
        assert_eq!(again, Ok(kept));
    }

    #[test]
    fn plans_that_no_store_has_any_more_are_forgotten() {
        let mut plans = Plans::default();
        let kept = keep(&mut plans, 1);
        for seconds in 2..10_000 {
            keep(&mut plans, seconds);
        }
        assert!(plans.known.len() <= SWEPT_AT_MIN);
        assert!(Arc::ptr_eq(&kept, &keep(&mut plans, 1)));
    }
}
