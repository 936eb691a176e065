//! Which times of the past are made up for: those of the timetable of which nothing is known, and those that were missed or
//! skipped. What is done, was given up, or goes on is left alone, and so is what the timetable itself is yet to look at.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::journal::Iso;
use crate::store::{ExecutionRecord, ExecutionState, TaskKey, TaskRecord};
use crate::time::Timestamp;

/// Times in one order: as many as a task may have open at once.
const DUES_MAX: usize = 1_000;

/// What is made up for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillShown {
    /// The task.
    #[serde(flatten)]
    pub key: TaskKey,
    /// The times that run, in order.
    pub dues: Vec<DueShown>,
    /// Times that are left out because they are done.
    pub done: usize,
    /// Times that are left out because they were given up after failing.
    pub failed: usize,
    /// Times that are left out because they wait or run.
    pub open: usize,
    /// Times that are left out because the timetable itself is yet to look at them.
    pub ahead: usize,
}

/// A due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueShown {
    /// The instant.
    pub due: Iso,
    /// The same on the wall clock of the task's zone.
    pub wall: String,
}

/// What is to be made up for of a task in a stretch of time, by what is known of its executions.
///
/// # Errors
/// The stretch is none, or is not past, or has too many times; in words for whoever asked.
pub(super) fn plan(
    record: &TaskRecord,
    known: &[ExecutionRecord],
    stretch: Range<Timestamp>,
    now: Timestamp,
) -> Result<BackfillShown, String> {
    let Range { start, end } = stretch;
    if start >= end {
        return Err(format!("the end {end} must be after the begin {start}"));
    }
    if end > now {
        return Err(format!(
            "only what is past can be made up for: the end {end} lies after now, which is {now}"
        ));
    }
    let states: BTreeMap<Timestamp, ExecutionState> = known
        .iter()
        // One that stands for a stretch says of each that it was missed: those run.
        .map(|execution| (execution.due, execution.state))
        .collect();
    let mut shown = BackfillShown {
        key: record.key.clone(),
        dues: Vec::new(),
        done: 0,
        failed: 0,
        open: 0,
        ahead: 0,
    };
    for due in dues(record, start..end)? {
        match states.get(&due) {
            Some(ExecutionState::Done) => shown.done += 1,
            Some(ExecutionState::Failed) => shown.failed += 1,
            Some(ExecutionState::Waiting | ExecutionState::Running) => shown.open += 1,
            Some(ExecutionState::Missed | ExecutionState::Skipped) => shown.add(record, due),
            None if record.is_past(due) => shown.add(record, due),
            None => shown.ahead += 1,
        }
    }
    Ok(shown)
}

/// The times of the timetable in a stretch.
fn dues(record: &TaskRecord, stretch: Range<Timestamp>) -> Result<Vec<Timestamp>, String> {
    let timetable = &record.plan.timetable;
    let mut dues = Vec::new();
    let mut end = stretch.end;
    while let Some(due) = timetable
        .last_before(end)
        .filter(|due| *due >= stretch.start)
    {
        if dues.len() == DUES_MAX {
            let first = timetable.wall(dues[DUES_MAX - 1]);
            return Err(format!(
                "these are more than {DUES_MAX} times; the last {DUES_MAX} begin with {first}: name that as the begin, and \
                 make up for the rest afterwards"
            ));
        }
        dues.push(due);
        end = due;
    }
    dues.reverse();
    Ok(dues)
}

impl BackfillShown {
    fn add(&mut self, record: &TaskRecord, due: Timestamp) {
        self.dues.push(DueShown {
            due: Iso(due),
            wall: record.plan.timetable.wall(due),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::calendar::{Rhythm, Timetable};
    use crate::store::{Missed, OccurrenceKind, Origin, Overlap, Pause, TaskPlan};

    const HOUR: u64 = 3_600_000;

    fn at(hour: u64) -> Timestamp {
        Timestamp::from_millis(hour * HOUR)
    }

    /// Due every hour, and dealt with up to the tenth.
    fn hourly() -> TaskRecord {
        let rhythm = Rhythm::Every {
            period: Duration::from_millis(HOUR),
            phase: Duration::ZERO,
        };
        TaskRecord {
            key: TaskKey {
                plugin: "digest".parse().unwrap(),
                task: "hourly".into(),
            },
            plan: Arc::new(TaskPlan {
                timetable: Timetable::new(rhythm),
                payload: "null".into(),
                overlap: Overlap::Skip,
                catch_up: Duration::from_secs(600),
                missed: Missed::Skip,
                attempts_max: None,
                timeout: None,
            }),
            origin: Origin::Declared,
            passed: at(10),
            ahead: Vec::new(),
            unseen: Vec::new(),
            paused: None,
            gone: false,
        }
    }

    fn execution(hour: u64, state: ExecutionState) -> ExecutionRecord {
        ExecutionRecord {
            key: hourly().key,
            due: at(hour),
            since: None,
            state,
            kind: OccurrenceKind::Timely,
            depth: 0,
            attempts: 0,
            failures: Vec::new(),
            started: None,
            ended: None,
            fuel: 0,
            drafts: 0,
            note: None,
        }
    }

    fn hours(plan: &BackfillShown) -> Vec<u64> {
        let dues = plan.dues.iter();
        dues.map(|it| it.due.0.as_millis() / HOUR).collect()
    }

    #[test]
    fn what_is_done_given_up_or_open_is_left_out_and_what_never_ran_is_made_up_for() {
        let states = ExecutionState::ALL.into_iter().zip(1..);
        let known: Vec<_> = states.map(|(state, hour)| execution(hour, state)).collect();
        let plan = plan(&hourly(), &known, at(1)..at(9), at(20)).unwrap();
        // 5 was missed, 6 was skipped, and of the others nothing is known.
        assert_eq!(hours(&plan), [5, 6, 7, 8]);
        let left_out = (plan.done, plan.failed, plan.open, plan.ahead);
        assert_eq!(left_out, (1, 1, 2, 0));
        assert_eq!(plan.dues[0].wall, "1970-01-01T05:00:00+00:00[UTC]");
    }

    #[test]
    fn what_the_timetable_is_yet_to_look_at_is_left_to_it_unless_the_task_rests() {
        let mut task = hourly();
        let found = plan(&task, &[], at(9)..at(13), at(20)).unwrap();
        assert_eq!((hours(&found), found.ahead), (vec![9, 10], 2));
        task.paused = Some(Pause {
            since: at(10),
            by: "alice".into(),
            note: "".into(),
        });
        let found = plan(&task, &[], at(9)..at(13), at(20)).unwrap();
        assert_eq!((hours(&found), found.ahead), (vec![9, 10, 11, 12], 0));
    }

    #[test]
    fn only_a_stretch_of_the_past_with_a_thousand_times_at_most_is_taken() {
        let task = TaskRecord {
            passed: at(5_000),
            ..hourly()
        };
        let refused = |stretch| plan(&task, &[], stretch, at(5_000)).unwrap_err();
        assert!(refused(at(3)..at(3)).contains("must be after"));
        assert!(refused(at(3)..at(5_001)).contains("only what is past"));
        let many = refused(at(100)..at(1_101));
        assert!(many.contains("begin with 1970-01-05T05:00:00"), "{many}");
        let most = plan(&task, &[], at(101)..at(1_101), at(5_000)).unwrap();
        assert_eq!(most.dues.len(), DUES_MAX);
    }
}
