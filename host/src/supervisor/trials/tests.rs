//! Hosts that die again and again, in simulated time: of a store, or because somebody kills them.

use super::*;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// A host over many lives. What it notes is all that one life knows of the last.
struct World {
    random: fastrand::Rng,
    stores: Vec<StoreId>,
    /// How long after its beginning each of these kills the process.
    deadly: BTreeMap<StoreId, Duration>,
    noted: BTreeMap<StoreId, Trial>,
    quarantined: BTreeMap<StoreId, Suspicion>,
    now: Timestamp,
}

/// How a life ended.
#[derive(Debug, PartialEq, Eq)]
enum Death {
    /// By this store.
    Store(StoreId),
    /// From outside.
    Kill,
    /// Not at all: every store has proved itself.
    Lives,
}

fn id(number: usize) -> StoreId {
    format!("store-{number:05}").parse().unwrap()
}

impl World {
    fn new(stores: usize, seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            stores: (0..stores).map(id).collect(),
            deadly: BTreeMap::new(),
            noted: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            now: Timestamp::from_millis(1_000_000),
        }
    }

    fn with_deadly(mut self, numbers: &[usize], after: Duration) -> Self {
        self.deadly = numbers.iter().map(|it| (id(*it), after)).collect();
        self
    }

    fn note(&mut self, trials: &mut Trials) {
        for (store, trial) in trials.take_changes() {
            match trial {
                Some(trial) => drop(self.noted.insert(store, trial)),
                None => drop(self.noted.remove(&store)),
            }
        }
    }

    /// One life, killed when it is as old as `killed_at` says.
    fn live(&mut self, killed_at: Option<Duration>) -> Death {
        let began = self.now;
        let left = self.noted.clone();
        let (mut trials, guilty) = Trials::after(left, |_| true, began);
        for guilty in guilty {
            let again = self.quarantined.insert(guilty.store, guilty.suspicion);
            assert_eq!(again, None, "a store at rest was on trial");
        }
        let mut begun = BTreeMap::new();
        for store in &self.stores {
            if !self.quarantined.contains_key(store) && trials.held(store).is_none() {
                trials.open(store, began);
                begun.insert(store.clone(), (began, self.random.u64(20..1500)));
            }
        }
        self.note(&mut trials);
        loop {
            self.now = self.now + LOOK;
            let now = self.now;
            let mut deadly = self.deadly.iter();
            let killer = deadly.find(|(store, after)| {
                let began = begun.get(*store);
                began.is_some_and(|(began, _)| now.since(*began) >= **after)
            });
            if let Some((store, _)) = killer {
                return Death::Store(store.clone());
            }
            if killed_at.is_some_and(|at| now.since(began) >= at) {
                return Death::Kill;
            }
            trials.look(now, |store| match begun.get(store) {
                None => Standing::Gone,
                Some((began, millis)) => {
                    let settled = *began + Duration::from_millis(*millis);
                    match settled <= now {
                        true => Standing::Settled(settled),
                        false => Standing::Busy,
                    }
                }
            });
            for store in trials.next(now, |_| true) {
                trials.open(&store, now);
                begun.insert(store, (now, self.random.u64(20..1500)));
            }
            self.note(&mut trials);
            if trials.is_over(|_| true) && killed_at.is_none() {
                return Death::Lives;
            }
        }
    }

    /// How often the process dies until every store that lets it live is well. All deadly ones are in quarantine then, and
    /// no others.
    #[track_caller]
    fn deaths_until_well(&mut self) -> usize {
        for deaths in 0..500 {
            if self.live(None) == Death::Lives {
                assert!(
                    self.quarantined.keys().eq(self.deadly.keys()),
                    "guilty: {:?}, condemned: {:?}",
                    self.deadly.keys(),
                    self.quarantined
                );
                return deaths;
            }
        }
        panic!("the process dies for ever; noted: {:?}", self.noted);
    }
}

/// How many stores would wait in the next life.
fn held(world: &World) -> usize {
    let (trials, _) = Trials::after(world.noted.clone(), |_| true, world.now);
    trials.held_count()
}

#[test]
fn a_store_that_kills_the_process_when_it_begins_is_found_among_many() {
    let afters = [1, 700, 2900].map(Duration::from_millis);
    for (stores, afters, most) in [
        (1, &afters[..], 5),
        (2, &afters[..], 5),
        (20, &afters[..], 6),
        (300, &afters[..], 7),
        (10_000, &afters[1..2], 8),
    ] {
        for after in afters {
            let guilty = stores * 2 / 3;
            let mut world = World::new(stores, 1).with_deadly(&[guilty], *after);
            let began = world.now;
            let deaths = world.deaths_until_well();
            let took = world.now.since(began);
            assert!(deaths <= most, "{deaths} deaths of {stores} stores");
            assert!(took < Duration::from_secs(400), "{took:?} for {stores}");
        }
    }
}

#[test]
fn several_guilty_stores_are_found() {
    for guilty in [&[0, 1][..], &[0, 19], &[3, 4, 5, 17]] {
        let mut world = World::new(20, 2).with_deadly(guilty, Duration::from_millis(300));
        let deaths = world.deaths_until_well();
        assert!(deaths <= 2 + 4 * guilty.len(), "{deaths} for {guilty:?}");
    }
    let all: Vec<usize> = (0..5).collect();
    let mut world = World::new(5, 3).with_deadly(&all, Duration::from_millis(300));
    world.deaths_until_well();
}

#[test]
fn stores_that_nothing_speaks_against_never_wait() {
    let mut world = World::new(20, 4).with_deadly(&[7], Duration::from_millis(300));
    world.live(None);
    assert_eq!(held(&world), 0, "once is nothing");
    world.live(None);
    assert_eq!(held(&world), 20, "everybody was there twice");
    world.live(None);
    assert!(
        held(&world) > 1,
        "those after the guilty one have not begun"
    );
    assert_eq!(world.noted.get(&id(0)), None, "it has proved itself");
}

/// Kills at ages that `age` chooses; who was condemned.
fn killed(
    stores: usize,
    kills: usize,
    seed: u64,
    age: impl Fn(&mut fastrand::Rng) -> u64,
) -> BTreeMap<StoreId, Suspicion> {
    let mut world = World::new(stores, seed);
    for _ in 0..kills {
        let age = age(&mut world.random);
        let death = world.live(Some(Duration::from_millis(age)));
        assert_eq!(death, Death::Kill);
    }
    world.quarantined
}

#[test]
fn kills_from_outside_at_one_age_condemn_nobody_however_often() {
    for stores in [1, 2, 20] {
        for age in (250..70_000).step_by(1250) {
            let condemned = killed(stores, 20, age, |_| age);
            assert_eq!(condemned, BTreeMap::new(), "{stores} killed after {age} ms");
        }
    }
}

#[test]
fn kills_from_outside_while_stores_begin_condemn_nobody() {
    for seed in 0..5 {
        let condemned = killed(20, 1000, seed, |random| random.u64(0..3000));
        assert_eq!(condemned, BTreeMap::new(), "seed {seed}");
    }
}

#[test]
fn kills_from_outside_at_random_ages_condemn_nobody() {
    for longest in [6_000, 12_000, 25_000, 50_000, 100_000] {
        for (seed, stores) in [(0, 1), (1, 20), (2, 1), (3, 20)] {
            let condemned = killed(stores, 200, seed, |random| random.u64(0..longest));
            let told = format!("seed {seed}, {stores} stores, ages up to {longest} ms");
            assert_eq!(condemned, BTreeMap::new(), "{told}");
        }
    }
}

#[test]
fn a_kill_while_nobody_is_on_trial_clears_everybody() {
    let mut world = World::new(20, 5);
    for _ in 0..2 {
        world.live(Some(Duration::from_millis(500)));
    }
    assert_eq!(world.noted.len(), 20);
    assert_eq!(held(&world), 20);
    // It is killed before the first begins.
    world.live(Some(Duration::from_secs(1)));
    assert_eq!(held(&world), 0);
}

#[test]
fn a_store_that_is_the_only_one_is_not_blamed_for_a_death_soon_after_the_start() {
    let mut world = World::new(1, 7);
    world.live(Some(Duration::from_millis(500)));
    assert_eq!(held(&world), 0);
    world.live(Some(Duration::from_millis(500)));
    let suspicion = world.noted[&id(0)].suspicion.after_death(1, false);
    assert_eq!(suspicion.alone, 0);
    assert_eq!(suspicion.turn().map(|turn| turn.after), Some(QUIET));
}

#[test]
fn a_guilty_store_that_is_given_another_chance_is_condemned_at_the_next_death_or_forgotten() {
    let (store, now) = (id(1), Timestamp::from_millis(5_000_000));
    for dies in [true, false] {
        let (mut trials, _) = Trials::after(BTreeMap::new(), |_| true, now);
        let later = now + Duration::from_secs(100);
        trials.give_last_chance(&store);
        assert!(trials.held(&store).is_some(), "it would wait");
        trials.open(&store, later);
        assert!(trials.held(&store).is_none() && trials.is_tried(&store));
        let mut noted = trials.take_changes();
        if !dies {
            assert_eq!(trials.look(later, |_| Standing::Settled(later)), []);
            let after = later + QUIET;
            let over = trials.look(after, |_| Standing::Settled(later));
            assert_eq!(over, [(store.clone(), Suspicion::last_chance())]);
            noted.extend(trials.take_changes());
        }
        let left = noted.into_iter().filter_map(|(id, it)| Some((id, it?)));
        let (_, guilty) = Trials::after(left.collect(), |_| true, later);
        assert_eq!(guilty.len(), usize::from(dies));
    }
}

#[test]
fn a_store_that_had_settled_before_it_began_has_not_proved_itself() {
    let (store, now) = (id(1), Timestamp::from_millis(5_000_000));
    let (mut trials, _) = Trials::after(BTreeMap::new(), |_| true, now);
    trials.open(&store, now + QUIET);
    let long_after = now + QUIET + QUIET + QUIET;
    assert_eq!(trials.look(long_after, |_| Standing::Settled(now)), []);
    assert_eq!(
        trials
            .look(now + QUIET + TRIAL_MAX, |_| Standing::Busy)
            .len(),
        1
    );
}

#[test]
fn a_store_that_is_no_longer_configured_is_forgotten() {
    let mut world = World::new(3, 6).with_deadly(&[0], Duration::from_millis(300));
    for _ in 0..3 {
        world.live(None);
    }
    let is_configured = |store: &StoreId| *store != id(0);
    let (mut trials, guilty) = Trials::after(world.noted.clone(), is_configured, world.now);
    assert_eq!((guilty, trials.held(&id(0))), (Vec::new(), None));
    assert_eq!(trials.take_changes().get(&id(0)), Some(&None));
}
