//! A case: what is sent on which connection, and what is waited for. Waiting never decides what is compared: all frames
//! that came are.

use crate::differential::Difference;
use crate::differential::frames::{NONE, events, http_push};

/// A short script on a store of its own.
pub struct Case {
    /// What it is about, unique among all.
    pub name: String,
    /// On purpose the host answers differently here.
    pub differs: Option<Difference>,
    pub(super) steps: Vec<Step>,
}

pub(super) enum Step {
    /// A text frame on this connection, which is opened if need be.
    Send { on: usize, frame: String },
    /// Reads this connection until it has brought so much.
    Take { on: usize, until: Until },
    /// From now on this connection acks nothing by itself.
    StopAcks { on: usize },
    /// One call over HTTP.
    Post { body: String },
    /// The same, of which only the success matters: what the store holds when the case begins.
    Seed { body: String },
    /// A WebSocket is asked for with this query; only the answer's status matters.
    Upgrade { query: String },
    /// A plain GET with this query; only the answer's status matters.
    Get { query: String },
}

/// Counted from the connection's beginning.
#[derive(Clone, Debug)]
pub(super) enum Until {
    Exits(String, usize),
    Chunks(String, usize),
    Events(String, usize),
    Defects(usize),
    Pongs(usize),
}

impl Case {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            differs: None,
            steps: Vec::new(),
        }
    }

    pub(super) fn differs(mut self, difference: Difference) -> Self {
        self.differs = Some(difference);
        self
    }

    pub(super) fn differs_if(self, condition: bool, difference: Difference) -> Self {
        if condition {
            self.differs(difference)
        } else {
            self
        }
    }

    /// Begins with so many events in the log.
    pub(super) fn seeded(mut self, count: u64) -> Self {
        let mut first = 1;
        while first <= count {
            let batch = (count - first + 1).min(100);
            let body = http_push(&events(first, batch), NONE);
            self.steps.push(Step::Seed { body });
            first += batch;
        }
        self
    }

    /// Begins with these events in the log.
    pub(super) fn seeded_with(mut self, events: &str) -> Self {
        let body = http_push(events, NONE);
        self.steps.push(Step::Seed { body });
        self
    }

    pub(super) fn send(mut self, on: usize, frame: impl Into<String>) -> Self {
        let frame = frame.into();
        self.steps.push(Step::Send { on, frame });
        self
    }

    /// Sends a request, and reads to its end.
    pub(super) fn call(self, on: usize, id: &str, frame: impl Into<String>) -> Self {
        self.send(on, frame).exits(on, id, 1)
    }

    pub(super) fn stop_acks(mut self, on: usize) -> Self {
        self.steps.push(Step::StopAcks { on });
        self
    }

    pub(super) fn exits(self, on: usize, id: &str, total: usize) -> Self {
        self.take(on, Until::Exits(id.to_owned(), total))
    }

    pub(super) fn chunks(self, on: usize, id: &str, total: usize) -> Self {
        self.take(on, Until::Chunks(id.to_owned(), total))
    }

    pub(super) fn events(self, on: usize, id: &str, total: usize) -> Self {
        self.take(on, Until::Events(id.to_owned(), total))
    }

    pub(super) fn defects(self, on: usize, total: usize) -> Self {
        self.take(on, Until::Defects(total))
    }

    pub(super) fn pongs(self, on: usize, total: usize) -> Self {
        self.take(on, Until::Pongs(total))
    }

    fn take(mut self, on: usize, until: Until) -> Self {
        self.steps.push(Step::Take { on, until });
        self
    }

    pub(super) fn post(mut self, body: impl Into<String>) -> Self {
        let body = body.into();
        self.steps.push(Step::Post { body });
        self
    }

    pub(super) fn upgrade(mut self, query: &str) -> Self {
        let query = query.to_owned();
        self.steps.push(Step::Upgrade { query });
        self
    }

    pub(super) fn get(mut self, query: &str) -> Self {
        let query = query.to_owned();
        self.steps.push(Step::Get { query });
        self
    }
}
