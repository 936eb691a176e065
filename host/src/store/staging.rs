//! What is decided and not yet in the journal. At most one commit is in flight; all that happens meanwhile goes into the
//! next one, so that a busy store writes many runs at a time.

use crate::store::Commit;
use crate::time::Timestamp;

/// The next commit, and how far the earlier ones have come.
#[derive(Debug)]
pub(super) struct Staging {
    /// The next commit, but for what is written from the state as it then is: subscriptions, scan, clock.
    pub(super) next: Commit,
    /// When it must be written; never if there is nothing to write.
    flush_at: Timestamp,
    /// Commits sent to the journal.
    started: u64,
    /// Commits that the journal has confirmed.
    done: u64,
}

/// Which commit holds a thing: it is durable when that many commits are confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommitNumber(u64);

impl Staging {
    pub(super) fn new() -> Self {
        Self {
            next: Commit::default(),
            flush_at: Timestamp::NEVER,
            started: 0,
            done: 0,
        }
    }

    /// Asks for a write at `at` at the latest, and says which commit that will be.
    pub(super) fn write_by(&mut self, at: Timestamp) -> CommitNumber {
        self.flush_at = self.flush_at.min(at);
        self.next_number()
    }

    /// Which commit holds what is decided now.
    pub(super) fn next_number(&self) -> CommitNumber {
        CommitNumber(self.started + 1)
    }

    /// Writes what waits, if anything does, at `at` at the latest.
    pub(super) fn hasten(&mut self, at: Timestamp) {
        if self.flush_at != Timestamp::NEVER {
            self.flush_at = self.flush_at.min(at);
        }
    }

    /// Whether what `number` holds is in the journal.
    pub(super) fn is_done(&self, number: CommitNumber) -> bool {
        number.0 <= self.done
    }

    /// Whether nothing is waiting to be written or being written.
    pub(super) fn is_clean(&self) -> bool {
        self.flush_at == Timestamp::NEVER && !self.in_flight()
    }

    /// When `take` will have something.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        if self.in_flight() {
            Timestamp::NEVER
        } else {
            self.flush_at
        }
    }

    /// The commit to write now, if it is time.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Commit> {
        if self.poll_timeout() > now {
            return None;
        }
        self.flush_at = Timestamp::NEVER;
        self.started += 1;
        Some(std::mem::take(&mut self.next))
    }

    /// The commit in flight is in the journal.
    pub(super) fn confirm(&mut self) {
        assert!(
            self.in_flight(),
            "the journal confirmed a commit that was not sent"
        );
        self.done = self.started;
    }

    fn in_flight(&self) -> bool {
        self.done < self.started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_during_a_commit_goes_into_the_next_one() {
        let now = Timestamp::from_millis(1);
        let mut staging = Staging::new();
        assert_eq!(staging.take(now), None);
        let first = staging.write_by(now);
        assert!(staging.take(now).is_some());
        let second = staging.write_by(now);
        assert!(
            second > first && staging.take(now).is_none(),
            "one commit at a time"
        );
        staging.confirm();
        assert!(staging.is_done(first) && !staging.is_done(second));
        assert!(staging.take(now).is_some());
        staging.confirm();
        assert!(staging.is_done(second) && staging.is_clean());
    }
}
