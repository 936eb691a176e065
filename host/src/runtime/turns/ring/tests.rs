//! The ring alone, in worlds made of numbers: payers that always want more, that come and go, that use less or more than
//! they are given.

use proptest::prelude::*;

use super::*;

const SLICE: u64 = 1_000;

fn store(number: usize) -> Payer {
    Payer::Store(format!("store-{number}").parse().expect("a store id"))
}

fn weight(weight: u32) -> NonZeroU32 {
    NonZeroU32::new(weight).expect("a weight")
}

/// Payers that always want more, one run each, and so many turns at once. Tickets are the payers' numbers.
struct World {
    ring: Ring,
    weights: Vec<u32>,
    used: Vec<u64>,
    computing: Vec<Ticket>,
    turns: usize,
}

impl World {
    fn new(weights: &[u32], turns: usize) -> Self {
        let mut world = Self {
            ring: Ring::new(SLICE),
            weights: weights.to_vec(),
            used: vec![0; weights.len()],
            computing: Vec::new(),
            turns,
        };
        (0..weights.len()).for_each(|payer| world.want(payer));
        world
    }

    fn want(&mut self, payer: usize) {
        let weight = weight(self.weights[payer]);
        self.ring.enter(&store(payer), weight, payer as Ticket);
    }

    fn fill(&mut self) {
        while self.computing.len() < self.turns {
            let Some(ticket) = self.ring.next() else {
                return;
            };
            self.computing.push(ticket);
        }
    }

    /// Ends the turn of the one that has computed longest; it may want another.
    fn end(&mut self, used: u64, again: bool) {
        let payer = self.computing.remove(0) as usize;
        if again {
            self.want(payer);
        }
        self.ring.settle(&store(payer), used);
        self.used[payer] += used;
    }

    /// Fuel for each unit of weight: the least and the most that a payer got.
    fn shares(&self) -> (u64, u64) {
        let shares = self.used.iter().zip(&self.weights);
        let shares: Vec<u64> = shares
            .map(|(used, weight)| used / u64::from(*weight))
            .collect();
        let least = shares.iter().min().expect("payers");
        (*least, *shares.iter().max().expect("payers"))
    }
}

#[test]
fn whoever_was_away_goes_before_those_that_always_want_more() {
    let mut world = World::new(&[1; 10], 2);
    for _ in 0..100 {
        world.fill();
        world.end(SLICE, true);
    }
    world.ring.enter(&store(99), weight(1), 99);
    assert_eq!(world.ring.next(), Some(99));
}

#[test]
fn a_heavy_payer_with_one_run_gets_its_share_beside_two_turns() {
    // Two fifths of the machine; one run could have half of it.
    let mut world = World::new(&[2, 1, 1, 1], 2);
    for _ in 0..30_000 {
        world.fill();
        world.end(SLICE + 7, true);
    }
    let (least, most) = world.shares();
    assert!(most - least < 10 * SLICE, "{:?}", world.used);
}

#[test]
fn many_runs_of_one_payer_share_what_it_gets() {
    let mut ring = Ring::new(SLICE);
    // Ten of store 0, one of store 1.
    (0..10).for_each(|ticket| ring.enter(&store(0), weight(1), ticket));
    ring.enter(&store(1), weight(1), 10);
    let mut served = [0; 11];
    for _ in 0..2_000 {
        let ticket = ring.next().expect("somebody waits");
        let payer = store(usize::from(ticket == 10));
        ring.enter(&payer, weight(1), ticket);
        ring.settle(&payer, SLICE);
        served[ticket as usize] += 1;
    }
    assert_eq!(served[10], 1_000);
    assert_eq!(served[..10], [100; 10]);
}

#[test]
fn nothing_is_kept_of_who_went_when_nobody_waits() {
    let mut ring = Ring::new(SLICE);
    for ticket in 0..1_000 {
        ring.enter(&store(ticket), weight(1), ticket as Ticket);
    }
    for ticket in 0..500 {
        assert_eq!(ring.next(), Some(ticket));
        ring.settle(&store(ticket as usize), 5 * SLICE);
    }
    for ticket in 500..1_000 {
        ring.leave(&store(ticket), ticket as Ticket);
    }
    assert!(ring.payers.is_empty() && ring.fresh.is_empty() && ring.round.is_empty());
}

#[test]
fn little_is_kept_of_who_went_while_others_wait() {
    // Two that always want more, and a thousand that come once each.
    let mut world = World::new(&[1, 1], 1);
    for guest in 2..1_002 {
        world.ring.enter(&store(guest), weight(1), guest as Ticket);
        world.weights.push(1);
        world.used.push(0);
        for _ in 0..3 {
            world.fill();
            let stays = world.computing[0] < 2;
            world.end(SLICE, stays);
        }
        assert!(world.ring.payers.len() < 10);
    }
}

#[test]
fn a_debt_is_paid_before_anything_else_is_served() {
    let mut world = World::new(&[1, 1], 1);
    world.fill();
    let debtor = world.computing[0];
    let other = 1 - debtor;
    // One instruction that filled a large memory.
    world.end(50 * SLICE, false);
    for _ in 0..25 {
        world.fill();
        assert_eq!(world.computing, [other]);
        world.end(SLICE, true);
    }
    // Back again: the rest of the debt is still there.
    world.want(debtor as usize);
    let mut turns = 25;
    loop {
        world.fill();
        if world.computing == [debtor] {
            break;
        }
        world.end(SLICE, true);
        turns += 1;
    }
    assert!((48..=51).contains(&turns), "{turns}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn all_that_always_want_more_get_as_their_weights_say(
        weights in prop::collection::vec(1_u32..=5, 2..12),
        turns in 1_usize..=3,
        uses in prop::collection::vec(0_u64..=2 * SLICE, 199),
    ) {
        // A single run uses one thread at a time, so it cannot have more than one thread's share.
        let heaviest = *weights.iter().max().expect("weights") as usize;
        let all: usize = weights.iter().map(|weight| *weight as usize).sum();
        prop_assume!(2 * heaviest * turns <= all);
        let mut world = World::new(&weights, turns);
        for used in uses.iter().cycle().take(5_000) {
            world.fill();
            world.end(*used, true);
        }
        let (least, most) = world.shares();
        prop_assert!(most - least <= 12 * SLICE, "{:?} for {:?}", world.used, weights);
    }

    #[test]
    fn whoever_comes_and_goes_gets_no_more_than_who_stays(
        burst in 1_u64..=3 * SLICE,
        pause in 0_usize..5,
        others in 1_usize..6,
    ) {
        let mut world = World::new(&vec![1; others + 1], 1);
        let mut away = None;
        for _ in 0..5_000 {
            away = match away {
                Some(0) => { world.want(0); None }
                Some(turns) => Some(turns - 1),
                None => None,
            };
            world.fill();
            match world.computing[0] {
                0 => {
                    world.end(burst, false);
                    away = Some(pause);
                }
                _ => world.end(SLICE, true),
            }
        }
        let stays = world.used[1..].iter().min().expect("others");
        prop_assert!(world.used[0] <= stays + stays / 20 + 10 * SLICE, "{:?}", world.used);
    }

    #[test]
    fn every_ticket_is_served_once_unless_it_left(
        steps in prop::collection::vec((0_u8..4, 0_usize..6, 0_u64..3 * SLICE, 1_u32..=100), 1..400),
    ) {
        let mut ring = Ring::new(SLICE);
        let (mut waiting, mut computing) = (Vec::new(), Vec::new());
        for (ticket, (step, payer, used, heavy)) in steps.into_iter().enumerate() {
            let ticket = ticket as Ticket;
            match step {
                0 | 1 => {
                    ring.enter(&store(payer), weight(heavy), ticket);
                    waiting.push((ticket, payer));
                }
                2 => {
                    let next = ring.next();
                    prop_assert_eq!(next.is_some(), !waiting.is_empty());
                    if let Some(next) = next {
                        let place = waiting.iter().position(|(it, _)| *it == next);
                        computing.push(waiting.remove(place.expect("one that waits")));
                    }
                }
                _ if payer % 2 == 0 && !waiting.is_empty() => {
                    let (ticket, payer) = waiting.remove(payer % waiting.len());
                    ring.leave(&store(payer), ticket);
                }
                _ if !computing.is_empty() => {
                    let (_, payer) = computing.remove(payer % computing.len());
                    ring.settle(&store(payer), used);
                }
                _ => {}
            }
            prop_assert_eq!(ring.has_waiting(), !waiting.is_empty());
        }
        while let Some(next) = ring.next() {
            let place = waiting.iter().position(|(it, _)| *it == next);
            let (_, payer) = waiting.remove(place.expect("one that waits"));
            ring.settle(&store(payer), SLICE);
        }
        prop_assert!(waiting.is_empty());
    }
}
