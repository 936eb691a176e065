//! Seats without guests: who is let in, who has a turn, and what is left when they go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

fn store(number: usize) -> Payer {
    Payer::Store(format!("store-{number}").parse().expect("a store id"))
}

fn turns(turns: usize, runs: usize, memory_bytes: usize) -> Turns {
    Turns::new(Room {
        turns,
        runs,
        memory_bytes,
    })
}

fn enter(turns: &Turns, payer: usize, memory: usize) -> Seat {
    let meter = Arc::new(Meter::new(u64::MAX));
    turns.enter(store(payer), PLAIN, memory, meter)
}

fn has_turn(seat: &mut Seat) -> bool {
    let context = Context::from_waker(Waker::noop());
    seat.poll_turn(&context).is_ready()
}

/// Uses up a slice.
fn pause(seat: &mut Seat) {
    seat.paused(&Context::from_waker(Waker::noop()));
}

/// Begins to wait for the host.
fn wait_for_host(seat: &mut Seat) {
    let meter = Arc::clone(&seat.meter);
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting = std::pin::pin!(meter.waiting(std::future::pending::<()>()));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    pause(seat);
}

#[test]
fn a_turn_goes_to_whoever_waits_after_each_slice_and_stays_if_nobody_does() {
    let turns = turns(1, 10, 10);
    let (mut one, mut other) = (enter(&turns, 1, 1), None);
    for _ in 0..3 {
        assert!(has_turn(&mut one));
        pause(&mut one);
    }
    assert!(has_turn(&mut one));
    let other = other.insert(enter(&turns, 2, 1));
    assert!(!has_turn(other));
    pause(&mut one);
    assert!(has_turn(other) && !has_turn(&mut one));
    pause(other);
    assert!(has_turn(&mut one) && !has_turn(other));
}

#[test]
fn a_run_that_waits_for_the_host_has_no_turn_meanwhile() {
    let turns = turns(1, 10, 10);
    let (mut one, mut other) = (enter(&turns, 1, 1), enter(&turns, 2, 1));
    assert!(has_turn(&mut one) && !has_turn(&mut other));
    wait_for_host(&mut one);
    assert!(has_turn(&mut other));
    assert!(!has_turn(&mut one), "it is back too early");
    drop(other);
    assert!(has_turn(&mut one));
}

#[test]
fn a_run_that_waits_alone_leaves_its_turn_free() {
    let turns = turns(2, 10, 10);
    let mut one = enter(&turns, 1, 1);
    assert!(has_turn(&mut one));
    wait_for_host(&mut one);
    assert_eq!((turns.load().runs, turns.load().turns), (1, 0));
    assert!(has_turn(&mut one));
}

#[test]
fn memory_is_given_by_what_a_run_may_use() {
    let turns = turns(10, 10, 100);
    let (one, other) = (enter(&turns, 1, 60), enter(&turns, 2, 40));
    let mut third = enter(&turns, 3, 1);
    assert_eq!((turns.load().memory_bytes, turns.load().queued), (100, 1));
    assert!(!has_turn(&mut third));
    drop(other);
    assert!(has_turn(&mut third));
    assert_eq!(turns.load().memory_bytes, 61);
    drop((one, third));
    assert_eq!(turns.load(), Load::default());
}

#[test]
fn a_run_larger_than_all_memory_is_let_in_alone() {
    let turns = turns(10, 10, 100);
    let (small, mut large) = (enter(&turns, 1, 1), enter(&turns, 2, 1_000));
    assert!(!has_turn(&mut large));
    drop(small);
    assert!(has_turn(&mut large));
    let mut next = enter(&turns, 3, 1);
    assert!(!has_turn(&mut next));
    drop(large);
    assert!(has_turn(&mut next));
}

#[test]
fn a_large_run_gets_its_room_although_small_ones_keep_coming() {
    let turns = turns(10, 10, 100);
    let mut small: Vec<_> = (0..10).map(|payer| enter(&turns, payer, 10)).collect();
    let mut large = enter(&turns, 99, 80);
    for payer in 10..40 {
        if has_turn(&mut large) {
            return;
        }
        small.push(enter(&turns, payer, 10));
        drop(small.remove(0));
    }
    panic!("thirty others were faster");
}

#[test]
fn a_quiet_store_does_not_wait_behind_the_queue_of_another() {
    let turns = turns(1, 1, 100);
    let mut first = enter(&turns, 0, 1);
    assert!(has_turn(&mut first));
    let queued: Vec<_> = (0..1_000).map(|_| enter(&turns, 0, 1)).collect();
    let mut quiet = enter(&turns, 1, 1);
    drop(first);
    // One of the others was at the door already.
    let mut queued = queued.into_iter();
    assert!(!has_turn(&mut quiet));
    drop(queued.next());
    assert!(has_turn(&mut quiet));
}

#[test]
fn whoever_goes_leaves_nothing_behind_wherever_it_was() {
    let turns = turns(2, 4, 100);
    // Two compute, two wait for a turn, one is at the door, the others are behind it.
    let mut seats: Vec<_> = (0..10).map(|payer| enter(&turns, payer % 3, 1)).collect();
    wait_for_host(&mut seats[0]);
    for place in [9, 4, 3, 0, 2] {
        drop(seats.remove(place));
    }
    assert_eq!((turns.load().runs, turns.load().turns), (4, 2));
    drop(seats);
    assert_eq!(turns.load(), Load::default());
    assert!(turns.lock().guests.is_empty());
}

#[test]
fn whoever_gets_a_turn_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let turns = turns(1, 10, 10);
    let (mut one, mut other) = (enter(&turns, 1, 1), enter(&turns, 2, 1));
    let woken = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(other.poll_turn(&Context::from_waker(&waker)).is_pending());
    pause(&mut one);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(has_turn(&mut other));
}
