//! Who may run, and who may compute. A run first waits at the door until there is room for its instance and for all the
//! memory that it may use; from then on it computes only while it holds a turn, of which there are as many as threads. It
//! gives its turn back whenever it waits for the host, and after each slice of fuel if somebody else waits.
//!
//! Both queues are [`Ring`]s over stores, so a store with a thousand runs stands in nobody's way: at the door each run
//! counts as one, at the turns each slice counts as the fuel that it used.

mod ring;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::runtime::meter::{Meter, Pause, SLICE_FUEL};
use ring::{Ring, Ticket};

pub(super) use ring::Payer;

/// The weight of whoever has none of its own.
pub(super) const PLAIN: NonZeroU32 = NonZeroU32::MIN;

#[allow(
    clippy::disallowed_types,
    reason = "every thread for guests takes and gives turns, for some hundred nanoseconds at a time; a task that owned them \
              would be one more thing to wait for between two slices"
)]
type Lock<T> = std::sync::Mutex<T>;

/// The turns of one engine. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Turns(Arc<Lock<Queues>>);

/// How many may do what at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Runs that compute.
    pub(super) turns: usize,
    /// Runs that have an instance.
    pub(super) runs: usize,
    /// Bytes that all instances together may use.
    pub(super) memory_bytes: usize,
}

/// How many do what now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Runs that wait for room.
    pub queued: usize,
    /// Runs that have an instance.
    pub runs: usize,
    /// Those of them that compute.
    pub turns: usize,
    /// Bytes of memory that they may use together.
    pub memory_bytes: usize,
}

/// One run's place: at the door, in the queue for a turn, or computing. Dropping it gives back all that it has, so it must
/// outlive the run's instance.
pub(super) struct Seat {
    turns: Turns,
    ticket: Ticket,
    /// Whether it is known here that it has a turn. Others give turns, but only the seat itself gives one back.
    has_turn: bool,
    meter: Arc<Meter>,
}

struct Queues {
    room: Room,
    load: Load,
    door: Ring,
    ring: Ring,
    /// The one that the door's ring let through, while there is no room for it. Nobody overtakes it, so that a large run
    /// gets its room too.
    at_door: Option<Ticket>,
    guests: HashMap<Ticket, Guest>,
    last_ticket: Ticket,
}

struct Guest {
    payer: Payer,
    weight: NonZeroU32,
    memory_bytes: usize,
    stage: Stage,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for room.
    Door,
    /// It waits for a turn.
    Ring,
    /// It has a turn.
    Turn,
    /// It has no use for a turn at the moment.
    Away,
}

impl Turns {
    pub(super) fn new(room: Room) -> Self {
        Self(Arc::new(Lock::new(Queues {
            room,
            load: Load::default(),
            door: Ring::new(1),
            ring: Ring::new(SLICE_FUEL),
            at_door: None,
            guests: HashMap::new(),
            last_ticket: 0,
        })))
    }

    /// Queues a run that may use so much memory, at once and not when it is first polled. One that may use more than there
    /// is altogether is let in when no other has an instance.
    pub(super) fn enter(
        &self,
        payer: Payer,
        weight: NonZeroU32,
        memory_bytes: usize,
        meter: Arc<Meter>,
    ) -> Seat {
        let ticket = self.change(|queues, woken| {
            queues.last_ticket += 1;
            let ticket = queues.last_ticket;
            queues.door.enter(&payer, weight, ticket);
            queues.load.queued += 1;
            let guest = Guest {
                payer,
                weight,
                memory_bytes,
                stage: Stage::Door,
                waker: None,
            };
            queues.guests.insert(ticket, guest);
            queues.serve(woken);
            ticket
        });
        Seat {
            turns: self.clone(),
            ticket,
            has_turn: false,
            meter,
        }
    }

    /// How many do what now.
    pub(super) fn load(&self) -> Load {
        self.lock().load
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Nothing in here panics halfway through a change, so what a panic left is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queues, then wakes whom that gave a turn.
    fn change<T>(&self, change: impl FnOnce(&mut Queues, &mut Vec<Waker>) -> T) -> T {
        let mut woken = Vec::new();
        let changed = change(&mut self.lock(), &mut woken);
        for waker in woken {
            waker.wake();
        }
        changed
    }
}

impl Seat {
    /// Waits for a turn.
    pub(super) async fn turn(&mut self) {
        std::future::poll_fn(|context| self.poll_turn(context)).await;
    }

    /// Waits for a turn; ready at once if there is one already.
    pub(super) fn poll_turn(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.has_turn {
            return Poll::Ready(());
        }
        let ticket = self.ticket;
        let (has_turn, _old) = self.turns.change(|queues, woken| {
            if queues.guest(ticket).stage == Stage::Away {
                queues.wants_turn(ticket);
                queues.serve(woken);
            }
            queues.guest(ticket).awaits_turn(context.waker())
        });
        self.has_turn = has_turn;
        match has_turn {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// The run has paused: gives its turn to whoever is next, unless it could go on and nobody else waits.
    pub(super) fn paused(&mut self, context: &Context<'_>) {
        let (pause, used) = self.meter.paused();
        let waits_for_host = pause == Pause::Host;
        let ticket = self.ticket;
        let (has_turn, _old) = self.turns.change(|queues, woken| {
            if !waits_for_host && !queues.ring.has_waiting() {
                // What nobody else wants is not charged.
                return (true, None);
            }
            queues.end_turn(ticket, used, !waits_for_host);
            queues.serve(woken);
            if waits_for_host {
                return (false, None);
            }
            queues.guest(ticket).awaits_turn(context.waker())
        });
        self.has_turn = has_turn;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (ticket, used) = (self.ticket, self.meter.untold());
        self.turns.change(|queues, woken| {
            queues.leave(ticket, used);
            queues.serve(woken);
        });
    }
}

impl Queues {
    fn guest(&mut self, ticket: Ticket) -> &mut Guest {
        let guest = self.guests.get_mut(&ticket);
        guest.expect("a ticket is known as long as its seat is there")
    }

    /// Lets in whom there is room for, and gives out the turns that are free.
    fn serve(&mut self, woken: &mut Vec<Waker>) {
        while let Some(ticket) = self.next_at_door() {
            self.load.queued -= 1;
            self.load.runs += 1;
            self.load.memory_bytes += self.guest(ticket).memory_bytes;
            self.wants_turn(ticket);
        }
        while self.load.turns < self.room.turns {
            let Some(ticket) = self.ring.next() else {
                return;
            };
            self.load.turns += 1;
            let guest = self.guest(ticket);
            guest.stage = Stage::Turn;
            woken.extend(guest.waker.take());
        }
    }

    /// The next one that there is room for.
    fn next_at_door(&mut self) -> Option<Ticket> {
        let waits = self.at_door.take();
        let ticket = waits.or_else(|| self.door.next())?;
        let guest = self.guest(ticket);
        let (memory, payer) = (guest.memory_bytes, guest.payer.clone());
        let bytes = self.load.memory_bytes.saturating_add(memory);
        let fits = self.load.runs < self.room.runs && bytes <= self.room.memory_bytes;
        if fits || self.load.runs == 0 {
            self.door.settle(&payer, 1);
            return Some(ticket);
        }
        self.at_door = Some(ticket);
        None
    }

    fn wants_turn(&mut self, ticket: Ticket) {
        let guest = self.guest(ticket);
        guest.stage = Stage::Ring;
        let (payer, weight) = (guest.payer.clone(), guest.weight);
        self.ring.enter(&payer, weight, ticket);
    }

    fn end_turn(&mut self, ticket: Ticket, used: u64, wants_another: bool) {
        let guest = self.guest(ticket);
        guest.stage = Stage::Away;
        let payer = guest.payer.clone();
        if wants_another {
            self.wants_turn(ticket);
        }
        self.ring.settle(&payer, used);
        self.load.turns -= 1;
    }

    /// Takes out a guest, wherever it is.
    fn leave(&mut self, ticket: Ticket, used: u64) {
        let guest = self.guests.remove(&ticket);
        let guest = guest.expect("a seat is dropped once");
        match guest.stage {
            Stage::Door => {
                self.load.queued -= 1;
                match self.at_door.take_if(|it| *it == ticket) {
                    Some(_) => self.door.settle(&guest.payer, 1),
                    None => self.door.leave(&guest.payer, ticket),
                }
                return;
            }
            Stage::Ring => self.ring.leave(&guest.payer, ticket),
            Stage::Turn => {
                self.ring.settle(&guest.payer, used);
                self.load.turns -= 1;
            }
            Stage::Away => {}
        }
        self.load.runs -= 1;
        self.load.memory_bytes -= guest.memory_bytes;
    }
}

impl Guest {
    /// Whether it has a turn; if not, `waker` is woken when it gets one. Also what was to be woken so far: to drop a waker
    /// may drop a whole run with its seat, so whoever holds the lock must not.
    fn awaits_turn(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        let has_turn = self.stage == Stage::Turn;
        let waker = (!has_turn).then(|| waker.clone());
        (has_turn, std::mem::replace(&mut self.waker, waker))
    }
}

#[cfg(test)]
mod tests;
