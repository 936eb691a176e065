//! The event bodies that some subscription has yet to see: one unbroken piece of the log. It is bounded: the scan goes
//! on without it when it is full, and what it missed is pulled again once there is room.

use std::collections::VecDeque;

use crate::event::{Event, SeqNum};
use crate::store::Limits;

/// Bodies from just after `floor` up to `fill`.
#[derive(Debug)]
pub(super) struct Window {
    events: VecDeque<Event>,
    bytes: usize,
    /// The last event that was kept or passed over; the next body must have it as its parent.
    fill: SeqNum,
    /// Nobody needs a body up to here.
    floor: SeqNum,
    events_max: usize,
    bytes_max: usize,
}

impl Window {
    pub(super) fn new(fill: SeqNum, limits: &Limits) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            fill,
            floor: fill,
            events_max: limits.window_events_max,
            bytes_max: limits.window_bytes_max,
        }
    }

    /// The last event that was kept or passed over.
    pub(super) fn fill(&self) -> SeqNum {
        self.fill
    }

    /// Bodies held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether another chunk may be let in. A chunk is let in whole.
    pub(super) fn has_room(&self) -> bool {
        self.events.len() < self.events_max && self.bytes < self.bytes_max
    }

    /// Whether so little is left that it pays to pull what was missed.
    pub(super) fn is_low(&self) -> bool {
        self.events.len() <= self.events_max / 2 && self.bytes <= self.bytes_max / 2
    }

    /// Takes the body in if it is the next one, and somebody needs it.
    pub(super) fn offer(&mut self, event: &Event, room: bool) {
        if event.parent != self.fill {
            return;
        }
        if event.seq > self.floor {
            if !room {
                return;
            }
            self.bytes += event.size_bytes();
            self.events.push_back(event.clone());
        }
        self.fill = event.seq;
    }

    /// Forgets the bodies up to `floor`, which nobody needs any more.
    pub(super) fn trim(&mut self, floor: SeqNum) {
        self.floor = floor;
        while self.events.front().is_some_and(|event| event.seq <= floor) {
            let gone = self.events.pop_front().expect("it was there a line before");
            self.bytes -= gone.size_bytes();
        }
        if self.events.is_empty() {
            // A burst's buffer must not stay with a store that is idle for the rest of the day.
            self.events.shrink_to(0);
        }
    }

    /// Moves on to `head` without the bodies between, when nobody needs them.
    pub(super) fn skip_to(&mut self, head: SeqNum) {
        debug_assert!(
            self.events.is_empty(),
            "bodies that somebody needs are never skipped"
        );
        self.fill = self.fill.max(head);
    }

    /// The first body after `cursor`.
    pub(super) fn after(&self, cursor: SeqNum) -> Option<&Event> {
        let index = self.events.partition_point(|event| event.seq <= cursor);
        self.events.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64) -> Event {
        let text: std::sync::Arc<str> = "x".into();
        Event {
            seq: SeqNum::new(seq),
            parent: SeqNum::new(seq - 1),
            name: text.clone(),
            args: text.clone(),
            client_id: text.clone(),
            session_id: text,
            created_at: None,
        }
    }

    #[test]
    fn a_body_past_the_capacity_is_taken_when_it_comes_again() {
        let limits = Limits {
            window_events_max: 2,
            ..Limits::default()
        };
        let mut window = Window::new(SeqNum::ROOT, &limits);
        for seq in 1..=4 {
            let room = window.has_room();
            window.offer(&event(seq), room);
        }
        assert_eq!((window.len(), window.fill()), (2, SeqNum::new(2)));
        window.trim(SeqNum::new(2));
        for seq in 1..=4 {
            let room = window.has_room();
            window.offer(&event(seq), room);
        }
        assert_eq!((window.len(), window.fill()), (2, SeqNum::new(4)));
        assert_eq!(
            window.after(SeqNum::new(3)).map(|event| event.seq),
            Some(SeqNum::new(4))
        );
    }

    #[test]
    fn a_body_that_nobody_needs_is_passed_over() {
        let mut window = Window::new(SeqNum::ROOT, &Limits::default());
        window.trim(SeqNum::new(2));
        for seq in 1..=3 {
            window.offer(&event(seq), true);
        }
        assert_eq!((window.len(), window.fill()), (1, SeqNum::new(3)));
    }
}
