//! How far this life has read the log without a gap. The backend's chunks overtake each other, repeat, and get lost: an
//! event is taken only if its parent is the head; what lies ahead waits in a bounded stash.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::event::{Event, SeqNum};

/// Taken events whose fingerprints are kept, to notice another event in the same place. More than the repeats that a
/// lively backend sends at once; a fork further back shows at the next restart only if it changed the chain.
const FINGERPRINTS_MAX: usize = 64;

/// The head and what lies just around it.
#[derive(Debug)]
pub(super) struct Scan {
    head: SeqNum,
    /// Events ahead of the head, by parent.
    stash: BTreeMap<SeqNum, Event>,
    stash_max: usize,
    taken: VecDeque<(SeqNum, u64)>,
}

/// What an event is to the scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The next one.
    Next,
    /// Already taken.
    Old,
    /// Its parent has not been seen yet.
    Ahead,
    /// It contradicts what was taken, or itself.
    Fork,
}

impl Scan {
    pub(super) fn new(head: SeqNum, stash_max: usize) -> Self {
        Self {
            head,
            stash: BTreeMap::new(),
            stash_max,
            taken: VecDeque::new(),
        }
    }

    /// The last event taken in an unbroken chain: what a push may have as its parent.
    pub(super) fn head(&self) -> SeqNum {
        self.head
    }

    /// Events that wait for their parent.
    pub(super) fn stashed(&self) -> usize {
        self.stash.len()
    }

    /// The first event that waits for its parent.
    pub(super) fn first_stashed(&self) -> Option<SeqNum> {
        self.stash.values().next().map(|event| event.seq)
    }

    /// Where `event` belongs.
    pub(super) fn place(&self, event: &Event) -> Place {
        if event.parent >= event.seq {
            return Place::Fork;
        }
        if event.seq <= self.head {
            let known = self.taken.iter().find(|(seq, _)| *seq == event.seq);
            let differs = known.is_some_and(|(_, taken)| *taken != fingerprint(event));
            return if differs { Place::Fork } else { Place::Old };
        }
        if event.parent == self.head {
            return Place::Next;
        }
        if event.parent < self.head {
            Place::Fork
        } else {
            Place::Ahead
        }
    }

    /// Moves the head to `event`, whose stamp was looked at before.
    pub(super) fn advance(&mut self, event: &Event) {
        self.head = event.seq;
        if self.taken.len() == FINGERPRINTS_MAX {
            self.taken.pop_front();
        }
        self.taken.push_back((event.seq, fingerprint(event)));
    }

    /// Moves the head to a place that was not scanned: a fault that only a test plants.
    pub(super) fn jump(&mut self, head: SeqNum) {
        self.head = head;
    }

    /// Keeps an event that is ahead. When there is no room, the furthest goes: it will be pulled again.
    pub(super) fn stash(&mut self, event: Event) {
        self.stash.insert(event.parent, event);
        if self.stash.len() > self.stash_max {
            self.stash.pop_last();
        }
    }

    /// The stashed event that is next now.
    pub(super) fn unstash(&mut self) -> Option<Event> {
        // What the head has passed came by another way.
        while self
            .stash
            .first_key_value()
            .is_some_and(|(parent, _)| *parent < self.head)
        {
            self.stash.pop_first();
        }
        self.stash.remove(&self.head)
    }

    /// Forgets what was ahead: it came over a connection that is gone.
    pub(super) fn clear_stash(&mut self) {
        self.stash.clear();
    }
}

fn fingerprint(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (
        &event.parent,
        &event.name,
        &event.args,
        &event.client_id,
        &event.session_id,
    )
        .hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, parent: u64, args: &str) -> Event {
        Event {
            seq: SeqNum::new(seq),
            parent: SeqNum::new(parent),
            name: "n".into(),
            args: args.into(),
            client_id: "c".into(),
            session_id: "s".into(),
            created_at: None,
        }
    }

    #[test]
    fn an_event_is_next_only_if_its_parent_is_the_head() {
        let mut scan = Scan::new(SeqNum::new(4), 8);
        assert_eq!(scan.place(&event(6, 5, "")), Place::Ahead);
        assert_eq!(scan.place(&event(5, 4, "")), Place::Next);
        scan.advance(&event(5, 4, ""));
        assert_eq!(scan.place(&event(5, 4, "")), Place::Old);
        assert_eq!(
            scan.place(&event(5, 4, "other")),
            Place::Fork,
            "another event in the same place"
        );
        assert_eq!(
            scan.place(&event(7, 4, "")),
            Place::Fork,
            "it follows what the head has passed"
        );
        assert_eq!(
            scan.place(&event(8, 8, "")),
            Place::Fork,
            "its parent is not before it"
        );
        assert_eq!(
            scan.place(&event(9, 5, "")),
            Place::Next,
            "numbers need not be contiguous"
        );
    }

    #[test]
    fn a_full_stash_forgets_the_furthest() {
        let mut scan = Scan::new(SeqNum::ROOT, 2);
        for seq in [5, 3, 4] {
            scan.stash(event(seq, seq - 1, ""));
        }
        assert_eq!(
            (scan.stashed(), scan.first_stashed()),
            (2, Some(SeqNum::new(3)))
        );
        scan.jump(SeqNum::new(2));
        assert_eq!(scan.unstash().map(|event| event.seq), Some(SeqNum::new(3)));
        scan.jump(SeqNum::new(4));
        assert_eq!(scan.unstash(), None);
        assert_eq!(scan.stashed(), 0);
    }
}
