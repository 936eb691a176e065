//! Which stores may begin when, after the process has died while stores were beginning. Pure: it is told what is left from
//! the last process and how stores stand, and answers who is on trial, who waits, and who is guilty. It must never condemn a
//! store because somebody kills the process from outside, however often.
//!
//! A store is *on trial* from its beginning until the process has lived for a while with it. Whoever is on trial when the
//! process dies is suspected, and the next process tells the guilty from the others by an experiment:
//!
//! 1. After one death nothing is different. Kills during a start are common, and the next start must not be slow.
//! 2. Who was there at two in a row waits until the process has lived for a while without it. Then suspects begin in groups, a
//!    sixteenth of those who were suspected together, and the next group when the last has proved itself. So a death leaves
//!    a sixteenth of the suspects, and soon one.
//! 3. A store that was alone when the process died begins alone ever after, each time when the process has run for four times
//!    as long. At the third death it is guilty.
//!
//! What kills from outside does not know when a store begins. A process that dies while nobody is on trial clears everybody;
//! to be condemned, a store must be met three times in a row in the few seconds of its trial, at different ages of the process.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control::{Suspicion, Trial, TrialStage};
use crate::id::StoreId;
use crate::time::Timestamp;

/// How long the process must live with a store that has settled, and without suspects before the first of them begins. A
/// guest that kills it with the first event does so within moments.
const QUIET: Duration = Duration::from_secs(3);

/// A trial is never longer, whether or not the store has settled: with a slow disk or backend, all of a large host's
/// stores would be on trial for so long that any kill meets them.
const TRIAL_MAX: Duration = Duration::from_secs(60);

/// How long the process must have run before a store begins that was alone at one death, at two, and at more. The longer,
/// the less likely it is that whoever kills from outside meets it, and the longer all others are served in between.
const ALONE_AFTER: [Duration; 3] = [
    Duration::from_secs(12),
    Duration::from_secs(48),
    Duration::from_secs(48),
];

/// Deaths alone that make a store guilty.
const ALONE_MAX: u32 = 3;

/// Parts into which stores that were suspected together are divided: few deaths for many stores, and not too long until
/// the last part has begun.
const PARTS: u32 = 16;

/// Who is on trial, and who waits.
#[derive(Debug)]
pub(super) struct Trials {
    /// When the process began.
    began: Timestamp,
    /// Stores that something speaks against, and that have not begun.
    suspected: BTreeMap<StoreId, Suspicion>,
    /// On trial.
    open: BTreeMap<StoreId, Open>,
    /// What differs from what was noted last.
    changes: BTreeMap<StoreId, Option<Trial>>,
}

/// One store on trial.
#[derive(Debug)]
struct Open {
    since: Timestamp,
    settled: Option<Timestamp>,
    suspicion: Suspicion,
}

/// How a suspected store begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// Once the process has run for so long.
    after: Duration,
    /// With at most so many others, less one.
    group: usize,
}

/// A store that is not to begin again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guilty {
    pub(super) store: StoreId,
    pub(super) suspicion: Suspicion,
}

impl Suspicion {
    /// What is known after one more death, at which `peers` stores were on trial.
    fn after_death(self, peers: u32, later: bool) -> Self {
        Self {
            deaths: self.deaths.saturating_add(1),
            alone: self.alone.saturating_add(u32::from(later && peers == 1)),
            peers,
        }
    }

    /// How the store begins; at once, with everybody else, if there is none.
    fn turn(self) -> Option<Turn> {
        match (self.alone, self.deaths) {
            (0, 0 | 1) => None,
            (0, _) => Some(Turn {
                after: QUIET,
                group: self.peers.div_ceil(PARTS).max(1) as usize,
            }),
            (alone, _) => {
                let last = ALONE_AFTER.len() - 1;
                Some(Turn {
                    after: ALONE_AFTER[last.min(alone as usize - 1)],
                    group: 1,
                })
            }
        }
    }

    /// What speaks against a guilty store that somebody gives another chance: once more, and it is guilty again.
    fn last_chance() -> Self {
        Self {
            deaths: ALONE_MAX,
            alone: ALONE_MAX - 1,
            peers: 1,
        }
    }
}

impl Trials {
    /// Goes on from what the last process left, for stores that are still configured. Nothing is left by one that ended in
    /// order.
    pub(super) fn after(
        left: BTreeMap<StoreId, Trial>,
        is_configured: impl Fn(&StoreId) -> bool,
        now: Timestamp,
    ) -> (Self, Vec<Guilty>) {
        let goes_on = |trial: &Trial| match trial.stage {
            TrialStage::Waits => false,
            TrialStage::WithHost | TrialStage::Later => true,
        };
        let peers = left.values().filter(|trial| goes_on(trial)).count();
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        let mut trials = Self {
            began: now,
            suspected: BTreeMap::new(),
            open: BTreeMap::new(),
            changes: BTreeMap::new(),
        };
        let mut guilty = Vec::new();
        for (store, trial) in left {
            let suspicion = match trial.stage {
                TrialStage::Waits => trial.suspicion,
                TrialStage::WithHost => trial.suspicion.after_death(peers, false),
                TrialStage::Later => trial.suspicion.after_death(peers, true),
            };
            // Nobody was on trial: something else has killed the process, and perhaps before as well.
            if peers == 0 || !is_configured(&store) {
                trials.changes.insert(store, None);
            } else if goes_on(&trial) && suspicion.alone >= ALONE_MAX {
                trials.changes.insert(store.clone(), None);
                guilty.push(Guilty { store, suspicion });
            } else {
                trials.note_waiting(store, suspicion);
            }
        }
        (trials, guilty)
    }

    fn note_waiting(&mut self, store: StoreId, suspicion: Suspicion) {
        let stage = TrialStage::Waits;
        let trial = Trial { stage, suspicion };
        self.changes.insert(store.clone(), Some(trial));
        self.suspected.insert(store, suspicion);
    }

    /// What speaks against a store that has to wait for its turn; none if it may begin.
    pub(super) fn held(&self, store: &StoreId) -> Option<Suspicion> {
        let suspicion = self.suspected.get(store).copied();
        suspicion.filter(|suspicion| suspicion.turn().is_some())
    }

    /// Stores that have to wait.
    pub(super) fn held_count(&self) -> usize {
        let turns = self.suspected.values().map(|it| it.turn());
        turns.flatten().count()
    }

    /// Whether the store is on trial.
    pub(super) fn is_open(&self, store: &StoreId) -> bool {
        self.open.contains_key(store)
    }

    /// Whether a store is under so much suspicion that its beginning is an experiment.
    pub(super) fn is_tried(&self, store: &StoreId) -> bool {
        let open = self.open.get(store);
        open.is_some_and(|open| open.suspicion.turn().is_some()) || self.held(store).is_some()
    }

    /// Something speaks against the store that was not noted, because it was guilty once.
    pub(super) fn give_last_chance(&mut self, store: &StoreId) {
        let suspicion = Suspicion::last_chance();
        self.suspected.insert(store.clone(), suspicion);
    }

    /// The store begins.
    pub(super) fn open(&mut self, store: &StoreId, now: Timestamp) {
        let suspicion = self.suspected.remove(store).unwrap_or_default();
        let stage = match now.since(self.began) >= QUIET {
            true => TrialStage::Later,
            false => TrialStage::WithHost,
        };
        let trial = Trial { stage, suspicion };
        self.changes.insert(store.clone(), Some(trial));
        let open = Open {
            since: now,
            settled: None,
            suspicion,
        };
        self.open.insert(store.clone(), open);
    }

    /// Ends the trials of stores that have proved themselves, and of those that have ended. `standing` says since when
    /// a store has been settled, in whatever way. Answers whose trials ended, with what spoke against them.
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        standing: impl Fn(&StoreId) -> Standing,
    ) -> Vec<(StoreId, Suspicion)> {
        let mut over = Vec::new();
        for (store, open) in &mut self.open {
            let is_over = match standing(store) {
                Standing::Gone => true,
                Standing::Settled(since) if open.settled.is_none() && since >= open.since => {
                    open.settled = Some(since);
                    false
                }
                Standing::Settled(_) | Standing::Busy => false,
            };
            let lived = open.settled.is_some_and(|at| now.since(at) >= QUIET);
            if is_over || lived || now.since(open.since) >= TRIAL_MAX {
                over.push((store.clone(), open.suspicion));
            }
        }
        for (store, _) in &over {
            self.open.remove(store);
            self.changes.insert(store.clone(), None);
        }
        over
    }

    /// The stores whose turn it is now, among those that `may_begin`: alike in what speaks against them, the least suspected
    /// first. They are to be opened.
    pub(super) fn next(
        &self,
        now: Timestamp,
        may_begin: impl Fn(&StoreId) -> bool,
    ) -> Vec<StoreId> {
        if !self.open.is_empty() {
            return Vec::new();
        }
        let held = self.suspected.iter().filter(|(id, _)| may_begin(id));
        let held =
            held.filter_map(|(id, it)| Some((it.alone, u32::MAX - it.peers, id, it.turn()?)));
        let mut held: Vec<_> = held.collect();
        held.sort_unstable_by_key(|(alone, order, id, _)| (*alone, *order, *id));
        let Some((alone, order, _, turn)) = held.first().copied() else {
            return Vec::new();
        };
        if now.since(self.began) < turn.after {
            return Vec::new();
        }
        let alike = held.iter().filter(|it| (it.0, it.1) == (alone, order));
        let group = alike.take(turn.group);
        group.map(|(_, _, id, _)| (*id).clone()).collect()
    }

    /// Whether nobody is on trial, and nobody who `may_begin` waits to be.
    pub(super) fn is_over(&self, may_begin: impl Fn(&StoreId) -> bool) -> bool {
        let mut waiting = self.suspected.iter();
        let waits = waiting.any(|(id, it)| it.turn().is_some() && may_begin(id));
        self.open.is_empty() && !waits
    }

    /// What is to be noted before anything else happens.
    pub(super) fn take_changes(&mut self) -> BTreeMap<StoreId, Option<Trial>> {
        std::mem::take(&mut self.changes)
    }
}

/// How a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is beginning.
    Busy,
    /// It is live, or rests, or has failed in an ordinary way, since then.
    Settled(Timestamp),
    /// It has no task.
    Gone,
}
