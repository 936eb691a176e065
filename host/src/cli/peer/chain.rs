//! What comes from a log, put into its order: an event is taken only after its parent, what is old is dropped, what is
//! ahead waits for the gap to close. Backends' broadcasts overtake pages, come twice and get lost.

use std::collections::BTreeMap;

use crate::event::{Event, SeqNum};

/// Events kept that came before their parent. The furthest is dropped beyond it; a pull brings it again.
const STASH_EVENTS_MAX: usize = 256;

/// How far the log was read without a gap.
#[derive(Debug, Default)]
pub(super) struct Chain {
    head: SeqNum,
    /// By parent.
    stash: BTreeMap<SeqNum, Event>,
}

/// The log contradicts itself: an event's parent is not the event before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} says that it follows event {parent}, but the log goes on after event {head}")]
pub(super) struct Broken {
    seq: SeqNum,
    parent: SeqNum,
    head: SeqNum,
}

impl Chain {
    /// A chain whose next event is the one after `head`.
    pub(super) fn after(head: SeqNum) -> Self {
        Self {
            head,
            stash: BTreeMap::new(),
        }
    }

    /// The last event taken.
    pub(super) fn head(&self) -> SeqNum {
        self.head
    }

    /// Whether later events are known than those that can be taken.
    pub(super) fn has_gap(&self) -> bool {
        !self.stash.is_empty()
    }

    /// Forgets what was ahead: it came over a connection that is gone.
    pub(super) fn forget_ahead(&mut self) {
        self.stash.clear();
    }

    /// Moves on to `head`, whose events are known already: they are our own.
    pub(super) fn advance(&mut self, head: SeqNum) {
        self.head = self.head.max(head);
        self.stash.retain(|parent, _| *parent >= self.head);
    }

    /// Takes what has its turn, and answers it in order.
    ///
    /// # Errors
    /// [`Broken`] where no order is possible.
    pub(super) fn offer(&mut self, events: Vec<Event>) -> Result<Vec<Event>, Broken> {
        let mut taken = Vec::new();
        for event in events {
            if event.seq <= self.head {
                continue;
            }
            if event.parent < self.head || event.parent >= event.seq {
                return Err(Broken {
                    seq: event.seq,
                    parent: event.parent,
                    head: self.head,
                });
            }
            self.stash.insert(event.parent, event);
            while let Some(event) = self.stash.remove(&self.head) {
                self.head = event.seq;
                taken.push(event);
            }
            if self.stash.len() > STASH_EVENTS_MAX {
                self.stash.pop_last();
            }
        }
        // What the head has passed came by another way.
        self.stash.retain(|parent, _| *parent >= self.head);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(seq: u64, parent: u64) -> Event {
        Event {
            seq: SeqNum::new(seq),
            parent: SeqNum::new(parent),
            name: "n".into(),
            args: "null".into(),
            client_id: "c".into(),
            session_id: "s".into(),
            created_at: None,
        }
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.seq.get()).collect()
    }

    #[test]
    fn what_is_ahead_waits_and_what_is_old_is_dropped() {
        let mut chain = Chain::after(SeqNum::new(2));
        let taken = chain
            .offer(vec![event(5, 4), event(2, 1), event(3, 2)])
            .unwrap();
        assert_eq!(numbers(&taken), [3]);
        assert!(chain.has_gap());
        let taken = chain.offer(vec![event(4, 3)]).unwrap();
        assert_eq!(numbers(&taken), [4, 5]);
        assert!(!chain.has_gap());
        assert_eq!(chain.offer(vec![event(4, 3)]), Ok(Vec::new()));
    }

    #[test]
    fn an_event_that_follows_what_was_passed_is_refused() {
        let mut chain = Chain::after(SeqNum::new(4));
        assert!(chain.offer(vec![event(6, 3)]).is_err());
        assert!(chain.offer(vec![event(7, 7)]).is_err());
        assert_eq!(chain.head(), SeqNum::new(4));
    }

    #[test]
    fn our_own_events_need_not_come_back() {
        let mut chain = Chain::after(SeqNum::ROOT);
        assert_eq!(chain.offer(vec![event(3, 2)]), Ok(Vec::new()));
        chain.advance(SeqNum::new(3));
        assert!(!chain.has_gap());
        assert_eq!(numbers(&chain.offer(vec![event(4, 3)]).unwrap()), [4]);
    }

    proptest! {
        #[test]
        fn any_order_with_any_repeats_gives_the_log(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            repeats in prop::collection::vec(1..=40_u64, 0..40),
        ) {
            let mut chain = Chain::after(SeqNum::ROOT);
            let mut taken = Vec::new();
            for seq in repeats.iter().chain(&order) {
                taken.extend(chain.offer(vec![event(*seq, seq - 1)]).unwrap());
            }
            prop_assert_eq!(numbers(&taken), (1..=40).collect::<Vec<_>>());
        }
    }
}
