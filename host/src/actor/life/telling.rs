//! What operators are told of a store's life, in the log and in numbers.

use tracing::{debug, info, warn};

use super::Life;
use crate::actor::handle::{Face, state_of};
use crate::runtime::NotGranted;
use crate::stamp::Stamp;
use crate::store::{Commit, SessionStatus};

impl Life {
    /// Tells the log when the session becomes another.
    pub(super) fn tell(&mut self, face: &mut Face) {
        let session = self.machine.session_status();
        if self.told.as_ref() == Some(&session) {
            return;
        }
        face.set(state_of(&session));
        let store = &self.spec.id;
        match &session {
            SessionStatus::Connecting => debug!(%store, "connecting"),
            SessionStatus::CatchingUp => debug!(%store, "catching up"),
            SessionStatus::Live => info!(%store, head = %self.machine.head(), "live"),
            SessionStatus::BackingOff { retry_at } => {
                let wait = retry_at.since(self.shared.clock.now());
                let error = self.machine.error().unwrap_or("it has not been tried");
                warn!(%store, error, ?wait, "not connected; tries again");
            }
            SessionStatus::Stopped(reason) => {
                tracing::error!(%store, %reason, "store stopped");
            }
        }
        self.told = Some(session);
    }

    /// Tells what somebody should look at in a commit.
    pub(super) fn tell_commit(&self, commit: &Commit) {
        self.tell_executions(commit);
        for letter in &commit.dead_letters {
            self.shared.metrics.dead_letter(&letter.stamp.run.plugin);
            let (store, attempts) = (&self.spec.id, letter.failures.len());
            let error = letter.failures.last().map(|failure| &*failure.error);
            warn!(%store, stamp = %letter.stamp, attempts, error, "event given up; it is a dead letter");
        }
        for run in &commit.dead_letters_dropped {
            let (store, max) = (&self.spec.id, self.spec.settings.dead_letters_max);
            warn!(%store, %run, max, "dead letter dropped: its plugin has too many newer ones");
        }
        for breaker in &commit.breakers {
            if let Some(until) = breaker.open_until {
                let (store, plugin) = (&self.spec.id, &breaker.plugin);
                warn!(%store, %plugin, failures = breaker.failures, %until, "plugin rests: it fails whatever the event");
            }
        }
    }

    /// A run wanted to commit what it may not; its guest was told at once.
    pub(super) fn tell_not_granted(&self, stamp: &Stamp, refused: &NotGranted) {
        let NotGranted {
            commits,
            name,
            reason,
        } = refused;
        let store = &self.spec.id;
        warn!(%store, %stamp, commits, event = %name, %reason, "commits refused: not granted");
    }
}
