//! One transaction of a log: which pushes are admitted one after the other, and what each pusher is told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::backend::admission;
use crate::backend::file::{Identity, LogFile};
use crate::backend::wire::Refusal;
use crate::backend::writer::Push;
use crate::event::{Event, SeqNum};
use crate::sqlite::Fault;
use crate::time::Timestamp;

/// What came of some pushes.
pub(super) struct Appended {
    /// For each of them, in order.
    pub(super) answers: Vec<Result<(), Refusal>>,
    /// What is in the log now that was not before.
    pub(super) events: Vec<Event>,
    /// The log's last event.
    pub(super) head: SeqNum,
}

/// Appends what is admitted. If it fails, nothing of it is in the log, or the file says otherwise when it is opened again.
pub(super) fn transact(
    file: &LogFile,
    identity: &Identity,
    pushes: &[Push],
) -> Result<Appended, Fault> {
    let created_at = wall_time();
    let mut head = identity.head;
    let mut answers = Vec::with_capacity(pushes.len());
    let mut events = Vec::new();
    for push in pushes {
        let claimed = push.backend_id.as_deref();
        let answer = admission::admit(head, &identity.backend_id, claimed, &push.batch);
        if answer.is_ok() && !push.batch.is_empty() {
            if events.is_empty() {
                file.begin()?;
            }
            for event in &push.batch {
                file.append(event, created_at)?;
                let created_at = Some(created_at);
                events.push(Event {
                    created_at,
                    ..event.clone()
                });
                head = event.seq;
            }
        }
        answers.push(answer);
    }
    if !events.is_empty() {
        file.commit()?;
    }
    Ok(Appended {
        answers,
        events,
        head,
    })
}

/// When an event came in, as its `createdAt` says: a date for people, which no rule depends on.
fn wall_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
