//! An occurrence that is due and not over, between its record and its run.

use super::Open;
use crate::store::subscription::Attempts;
use crate::store::{ExecutionRecord, ExecutionState, OccurrenceKind, TaskKey};
use crate::time::Timestamp;

impl Open {
    pub(in crate::store) fn new(kind: OccurrenceKind, depth: u32) -> Self {
        Self {
            kind,
            depth,
            attempts: Attempts::default(),
            retry_at: None,
            running: false,
            started: None,
            fuel: 0,
            dirty: true,
        }
    }

    /// The occurrence as the journal has it: every attempt that was counted may have begun.
    pub(super) fn of(record: ExecutionRecord) -> Self {
        Self {
            kind: record.kind,
            depth: record.depth,
            attempts: Attempts::counted(record.attempts, record.failures),
            retry_at: None,
            running: false,
            started: record.started,
            fuel: record.fuel,
            dirty: false,
        }
    }

    pub(in crate::store) fn record(&self, key: &TaskKey, due: Timestamp) -> ExecutionRecord {
        let began = self.attempts.reserved > 0 || self.started.is_some();
        ExecutionRecord {
            key: key.clone(),
            due,
            since: None,
            state: if began {
                ExecutionState::Running
            } else {
                ExecutionState::Waiting
            },
            kind: self.kind,
            depth: self.depth,
            attempts: self.attempts.reserved,
            failures: self.attempts.failures.clone(),
            started: self.started,
            ended: None,
            fuel: self.fuel,
            drafts: 0,
            note: None,
        }
    }

    /// Whether no attempt has begun.
    pub(super) fn waits(&self) -> bool {
        self.started.is_none()
    }

    /// Whether it is there by the timetable and not because somebody wanted it.
    pub(super) fn is_regular(&self) -> bool {
        match self.kind {
            OccurrenceKind::Timely | OccurrenceKind::Late => true,
            OccurrenceKind::Manual | OccurrenceKind::Backfill => false,
        }
    }
}
