//! Who is served next: deficit round robin (Shreedhar and Varghese, 1995) over payers, each with a weight, charged by what it
//! was served and not by how often it asked. Whoever was away goes before the others once, as the new flows of fq_codel
//! (RFC 8290) do. Pure: it knows neither threads nor time, only tickets that wait.
//!
//! A payer has *credit*. A turn takes one slice of it in advance; what was really used is settled when the turn ends, so
//! credit may fall below zero. Whoever has none left gets a quantum, which is one slice for each unit of weight, and goes
//! behind the others. So over many rounds each gets as much as its weight says, whatever it costs to serve it once.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;

use crate::id::StoreId;

/// The largest weight. With it, others may wait for so many slices in a row.
const WEIGHT_MAX: u32 = 100;

/// Quanta of credit that a payer can have at once: what it earned while its last turn was under way, and what it is given
/// back if it used little of it.
const QUANTA_MAX: i64 = 2;

/// Slices that a payer can owe. One turn uses more only by an instruction that fills gigabytes; the bound keeps the search
/// short.
const DEBT_SLICES_MAX: i64 = 1_000;

/// Who pays for a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::runtime) enum Payer {
    /// The store that it works for.
    Store(StoreId),
    /// Plugins that are asked what they are, all together.
    Describe,
}

/// One who waits to be served.
pub(super) type Ticket = u64;

/// The payers that have something waiting or under way, those that owe, and those that were served in this round.
pub(super) struct Ring {
    slice: i64,
    payers: HashMap<Payer, Account>,
    /// Payers that were away, first come first served.
    fresh: VecDeque<Payer>,
    /// The others, in the order of the round.
    round: VecDeque<Payer>,
    /// The newest round that somebody has credit of.
    newest_round: u64,
    waiting: usize,
    under_way: usize,
}

struct Account {
    weight: i64,
    credit: i64,
    /// The last round that it has credit of.
    last_round: u64,
    waiting: VecDeque<Ticket>,
    /// Turns that were given and are not settled.
    under_way: usize,
}

/// Whose place in which order.
#[derive(Clone, Copy)]
enum Lane {
    Fresh,
    Round,
}

/// What is to be done with a payer that is looked at.
enum Look {
    /// It is to be served.
    Serve,
    /// All it has is under way, and it may go on when that comes back: it keeps its place.
    Keep,
    /// Its credit is used up.
    Spent,
    /// It has nothing waiting and nothing under way.
    Idle,
}

impl Ring {
    /// A ring whose turns take about `slice` each.
    pub(super) fn new(slice: u64) -> Self {
        Self {
            slice: amount(slice),
            payers: HashMap::new(),
            fresh: VecDeque::new(),
            round: VecDeque::new(),
            newest_round: 0,
            waiting: 0,
            under_way: 0,
        }
    }

    /// Whether somebody waits.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Lets `ticket` wait behind what its payer has waiting already. The newest weight counts. Whoever comes back from a turn
    /// enters before that is settled, so that it does not look as if nobody waited.
    pub(super) fn enter(&mut self, payer: &Payer, weight: NonZeroU32, ticket: Ticket) {
        let weight = i64::from(weight.get().min(WEIGHT_MAX));
        let last_round = self.newest_round;
        let account = self.payers.entry(payer.clone()).or_insert_with(|| {
            self.fresh.push_back(payer.clone());
            Account {
                weight,
                credit: self.slice.saturating_mul(weight),
                last_round,
                waiting: VecDeque::new(),
                under_way: 0,
            }
        });
        account.weight = weight;
        account.waiting.push_back(ticket);
        self.waiting += 1;
    }

    /// Takes a ticket out that waits.
    pub(super) fn leave(&mut self, payer: &Payer, ticket: Ticket) {
        let account = self.account(payer);
        account.waiting.retain(|waiting| *waiting != ticket);
        self.waiting -= 1;
        self.rest();
    }

    /// Whose turn it is; it is under way from now on, until it is settled.
    pub(super) fn next(&mut self) -> Option<Ticket> {
        if self.waiting == 0 {
            return None;
        }
        // Somebody waits, so one of the two finds somebody: credit grows with every look.
        self.search(Lane::Fresh)
            .or_else(|| self.search(Lane::Round))
    }

    /// Ends a turn that used `used`.
    pub(super) fn settle(&mut self, payer: &Payer, used: u64) {
        let (slice, idle) = (self.slice, self.waiting == 0);
        let account = self.account(payer);
        account.under_way -= 1;
        let quantum = slice.saturating_mul(account.weight);
        let credit = account.credit.saturating_add(slice);
        let least = match idle {
            // Nobody waits for the debt to be paid.
            true => 0,
            false => slice.saturating_mul(-DEBT_SLICES_MAX),
        };
        account.credit = credit
            .saturating_sub(amount(used))
            .clamp(least, quantum.saturating_mul(QUANTA_MAX));
        self.under_way -= 1;
        self.rest();
    }

    fn account(&mut self, payer: &Payer) -> &mut Account {
        let account = self.payers.get_mut(payer);
        account.expect("who waits or has a turn is known")
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Payer> {
        match lane {
            Lane::Fresh => &mut self.fresh,
            Lane::Round => &mut self.round,
        }
    }

    /// Serves the first of a lane that can be served. Whoever has no credit left gets some and moves on.
    fn search(&mut self, lane: Lane) -> Option<Ticket> {
        let mut kept = 0;
        while let Some(payer) = self.lane(lane).get(kept).cloned() {
            self.catch_up(&payer);
            match self.account(&payer).look() {
                Look::Serve => return Some(self.serve(&payer)),
                Look::Keep => kept += 1,
                Look::Spent => {
                    self.refill(&payer);
                    self.move_back(lane, kept);
                }
                Look::Idle => match lane {
                    // It came, was served and went: it is not fresh again before the round has come past it.
                    Lane::Fresh => self.move_back(lane, kept),
                    Lane::Round if self.account(&payer).credit < 0 => {
                        self.refill(&payer);
                        self.move_back(lane, kept);
                    }
                    Lane::Round => {
                        self.round.remove(kept);
                        self.payers.remove(&payer);
                    }
                },
            }
        }
        None
    }

    fn serve(&mut self, payer: &Payer) -> Ticket {
        let slice = self.slice;
        let account = self.account(payer);
        account.credit -= slice;
        account.under_way += 1;
        let ticket = account.waiting.pop_front();
        self.waiting -= 1;
        self.under_way += 1;
        ticket.expect("only who has something waiting is served")
    }

    /// Gives a payer its quantum of the next round.
    fn refill(&mut self, payer: &Payer) {
        let slice = self.slice;
        let account = self.account(payer);
        account.refill(slice, 1);
        let round = account.last_round;
        self.newest_round = self.newest_round.max(round);
    }

    /// Gives a payer the quanta of rounds that went past it while all it had was under way. One round apart is usual: some
    /// have had their turn in it, and others have not.
    fn catch_up(&mut self, payer: &Payer) {
        let (slice, newest) = (self.slice, self.newest_round);
        let account = self.account(payer);
        let missed = newest.saturating_sub(account.last_round + 1);
        account.refill(slice, missed);
    }

    fn move_back(&mut self, lane: Lane, place: usize) {
        let moved = self.lane(lane).remove(place);
        self.round.extend(moved);
    }

    /// If nobody waits, all rounds go past at once: only who has something under way is still known.
    fn rest(&mut self) {
        if self.waiting > 0 || self.payers.len() <= self.under_way {
            return;
        }
        let payers = &mut self.payers;
        let mut remains = |payer: &Payer| match payers.get(payer) {
            Some(account) if account.under_way > 0 => true,
            Some(_) | None => {
                payers.remove(payer);
                false
            }
        };
        self.fresh.retain(&mut remains);
        self.round.retain(&mut remains);
    }
}

impl Account {
    fn refill(&mut self, slice: i64, rounds: u64) {
        let quantum = slice.saturating_mul(self.weight);
        let credit = quantum.saturating_mul(amount(rounds));
        let credit = self.credit.saturating_add(credit);
        self.credit = credit.min(quantum.saturating_mul(QUANTA_MAX));
        self.last_round += rounds;
    }

    fn look(&self) -> Look {
        match (self.waiting.is_empty(), self.under_way) {
            (true, 0) => Look::Idle,
            (_, _) if self.credit <= 0 => Look::Spent,
            (true, _) => Look::Keep,
            (false, _) => Look::Serve,
        }
    }
}

fn amount(used: u64) -> i64 {
    i64::try_from(used).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
