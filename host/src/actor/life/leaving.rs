//! Why a life of a store ends although nothing failed: another configuration, a pause, a drain, a stop. What runs is
//! finished first, but not waited for without end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::info;

use super::Life;
use crate::actor::{End, StoreSpec, end_of};
use crate::store::Input;
use crate::time::Timestamp;

/// How long a change of the configuration, or a pause, waits for what runs: some times what a healthy run takes. What
/// takes longer is cut off, and tried again.
const CHANGE_GRACE: Duration = Duration::from_secs(10);

/// An end that waits for what runs, but not for ever.
pub(super) struct Leaving {
    towards: Towards,
    /// When it waits no longer.
    deadline: Timestamp,
}

/// What comes after that.
pub(super) enum Towards {
    /// Another life, or a rest, as the newest configuration says.
    Change,
    /// A rest, if all that was committed is in the log by then.
    Drained(oneshot::Sender<Result<(), String>>),
    /// Nothing.
    Stop,
}

impl Towards {
    /// What goes before what.
    fn rank(&self) -> u8 {
        match self {
            Self::Change => 0,
            Self::Drained(_) => 1,
            Self::Stop => 2,
        }
    }
}

impl Life {
    /// Puts the journal aside, so that the next life begins with a fresh one.
    pub(super) async fn start_over(&mut self) -> End {
        if let Some(written) = self.commit.take() {
            // It is archived with the rest; whether it succeeded makes no difference any more.
            written.await.ok();
        }
        let lease = self.lease.take().expect("it is given back at the end only");
        match self.shared.journal.archive(lease).await {
            Ok(path) => {
                info!(store = %self.spec.id, path = %path.display(), "archived the journal");
                End::StartedOver
            }
            Err(error) => end_of(error),
        }
    }

    /// Takes another configuration: what runs goes on with what it began with.
    pub(super) fn reconfigure(&mut self, spec: Arc<StoreSpec>, now: Timestamp) {
        let old = std::mem::replace(&mut self.spec, spec);
        let new = &*self.spec;
        if new.rest.is_some() {
            self.leave_by(Towards::Change, now + CHANGE_GRACE);
            self.machine.handle(Input::Drain, now);
            return;
        }
        if new.source != old.source || new.durability != old.durability {
            self.machine.handle(Input::Renew, now);
        } else {
            let settings = Box::new(new.settings.clone());
            self.machine.handle(Input::Reconfigure { settings }, now);
        }
        if self.machine.is_restarting() {
            self.leave_by(Towards::Change, now + CHANGE_GRACE);
        }
    }

    /// Notes why this life ends. A stop goes before a drain, and that before a change; whoever asked for a drain that
    /// comes to nothing is told.
    pub(super) fn leave_by(&mut self, towards: Towards, deadline: Timestamp) {
        let new = Leaving { towards, deadline };
        let (mut kept, dropped) = match self.leaving.take() {
            Some(old) if old.towards.rank() >= new.towards.rank() => (old, Some(new)),
            old => (new, old),
        };
        if let Some(dropped) = dropped {
            if dropped.towards.rank() == kept.towards.rank() {
                kept.deadline = kept.deadline.min(dropped.deadline);
            }
            if let Towards::Drained(answer) = dropped.towards {
                let reason = "something else was wished meanwhile";
                answer.send(Err(reason.to_owned())).ok();
            }
        }
        self.leaving = Some(kept);
    }

    pub(super) fn patience_ends(&self) -> Timestamp {
        self.leaving
            .as_ref()
            .map_or(Timestamp::NEVER, |leaving| leaving.deadline)
    }

    /// The end that this life was waiting for: `finished`, or because it has waited long enough.
    pub(super) fn leave(&mut self, finished: bool) -> End {
        let Some(leaving) = self.leaving.take() else {
            return End::Stopped;
        };
        match leaving.towards {
            Towards::Change => End::Again,
            Towards::Stop => End::Stopped,
            Towards::Drained(answer) => {
                let status = self.machine.status();
                let done = finished && status.outbox == 0;
                let waiting = format!(
                    "{} runs go on, and what {} have committed is not in the log yet; the store goes on as before",
                    status.runs, status.outbox
                );
                let told = answer.send(if done { Ok(()) } else { Err(waiting) });
                // Nobody would record it, if whoever asked is gone.
                if done && told.is_ok() {
                    End::Drained
                } else {
                    End::Again
                }
            }
        }
    }
}
