//! Tasks: what is due, what becomes of it, and what an operator can do about it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::calendar::Rhythm;
use crate::stamp::TraceStep;
use crate::store::{
    ExecutionRecord, ExecutionState, Missed, OccurrenceKind, Origin, Overlap, ScheduleWrite,
    TaskDefaults, TaskKey, TaskOrder, TaskPlan, TaskRecord, TaskWish, TraceNames,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const YEAR_MILLIS: i64 = 365 * 86_400_000;

fn key() -> TaskKey {
    TaskKey {
        plugin: echo(),
        task: "tick".into(),
    }
}

fn at(minute: u64) -> Timestamp {
    Timestamp::from_millis(minute * 60_000)
}

/// Due at every full minute.
fn every_minute() -> TaskPlan {
    let wish = TaskWish {
        rhythm: Some(Rhythm::Every {
            period: MINUTE,
            phase: Duration::ZERO,
        }),
        ..TaskWish::default()
    };
    wish.plan(&TaskDefaults::default()).expect("it says when")
}

fn with_task(change: impl FnOnce(&mut TaskPlan)) -> Settings {
    let mut plan = every_minute();
    change(&mut plan);
    let mut settings = settings(History::Ignore);
    let tasks = &mut settings.subscriptions[0].tasks;
    tasks.insert("tick".into(), Arc::new(plan));
    settings
}

fn traced(mut settings: Settings) -> Settings {
    settings.subscriptions[0].trace = Some(TraceNames {
        started: "started".into(),
        completed: "completed".into(),
        failed: "failed".into(),
    });
    settings
}

/// Live and idle since minute 16.6, with the task.
fn live(settings: Settings) -> Told {
    let mut told = Told::live(settings, snapshot(4), vec![said(4)]);
    assert_eq!(told.runs(), []);
    told
}

impl Told {
    /// Each execution that was written, in order, but for those that were only claimed.
    fn executions(&mut self) -> Vec<(u64, ExecutionState)> {
        // What nobody waits for is written after a while.
        self.later(Duration::from_secs(1));
        self.effects();
        let all = self.commits.iter().flat_map(|commit| &commit.executions);
        all.filter(|it| !it.state.is_open())
            .map(|it| (it.due.as_millis() / 60_000, it.state))
            .collect()
    }

    /// Runs whatever is wanted until the wait is over; answers the minutes that were due.
    fn run_all(&mut self, wait: Duration) -> Vec<u64> {
        self.later(wait);
        let mut dues = Vec::new();
        loop {
            let runs = self.runs();
            if runs.is_empty() {
                return dues;
            }
            for run in runs {
                dues.push(run.now.as_millis() / 60_000);
                self.finish(&run, answers(0));
            }
        }
    }

    fn order(&mut self, order: TaskOrder) {
        self.tell(Input::Task { key: key(), order });
    }

    /// What the journal holds of the tasks, for the next life.
    fn journal(&self, cursor: u64) -> Snapshot {
        let mut tasks: BTreeMap<TaskKey, TaskRecord> = BTreeMap::new();
        let mut executions: BTreeMap<(TaskKey, Timestamp), ExecutionRecord> = BTreeMap::new();
        let mut landed = BTreeSet::new();
        for commit in &self.commits {
            let records = commit.tasks.iter().cloned();
            tasks.extend(records.map(|task| (task.key.clone(), task)));
            tasks.retain(|key, _| !commit.tasks_removed.contains(key));
            let records = commit.executions.iter().cloned();
            executions.extend(records.map(|it| ((it.key.clone(), it.due), it)));
            landed.extend(commit.landed_occurrences.iter().cloned());
            landed.retain(|run| !commit.landed_forgotten.contains(run));
        }
        executions.retain(|_, it| it.state.is_open());
        Snapshot {
            tasks: tasks.into_values().collect(),
            executions: executions.into_values().collect(),
            landed_occurrences: landed.into_iter().collect(),
            clock: self.now,
            ..snapshot(cursor)
        }
    }
}

#[test]
fn a_due_task_is_claimed_before_its_run_and_done_in_one_commit_with_its_effects() {
    let mut told = live(with_task(|_| {}));
    told.later(MINUTE);
    let run = told.runs().remove(0);
    assert_eq!(run.stamp.to_string(), "qm1:echo:t/tick/1020000:0");
    let claim = &told.commits.last().expect("a claim").executions[0];
    assert_eq!((claim.state, claim.attempts), (ExecutionState::Running, 1));
    let Cause::Occurrence(occurrence) = &run.cause else {
        panic!("a task is handed its occurrence")
    };
    assert_eq!((occurrence.due, run.now), (at(17), at(17)));
    assert_eq!(occurrence.kind, OccurrenceKind::Timely);
    assert_eq!(
        run.late,
        Some(Duration::from_secs(40)),
        "the clock was looked at then"
    );
    told.finish(&run, answers(1));
    assert_eq!(
        &*told.push().expect("a push").1[0].1,
        "qm1:echo:t/tick/1020000:0:0/1"
    );
    let commit = told.commits.last().expect("a commit");
    assert_eq!(commit.outbox.len(), 1);
    assert_eq!(told.executions(), [(17, ExecutionState::Done)]);
}

#[test]
fn an_app_is_told_that_an_execution_began_and_that_it_is_done() {
    let mut told = live(traced(with_task(|_| {})));
    told.later(MINUTE);
    let effects = told.effects();
    let pushed = effects.iter().find_map(|effect| {
        let Effect::Push { drafts, .. } = effect else {
            return None;
        };
        Some(drafts[0].session_id.clone())
    });
    assert_eq!(
        pushed.as_deref(),
        Some("qm1:echo:t/tick/1020000/started:0:0/1")
    );
    let run = effects.into_iter().find_map(|effect| {
        let Effect::Run(run) = effect else {
            return None;
        };
        Some(*run)
    });
    let outcome = RunOutcome::Finished {
        drafts: Vec::new(),
        kv: Vec::new(),
        schedule: Vec::new(),
        output: Some("all is well".into()),
    };
    told.finish(&run.expect("a run"), outcome);
    told.effects();
    let completed = &told.commits.last().expect("a commit").outbox[0];
    assert_eq!(completed.stamp.to_string(), "qm1:echo:t/tick/1020000:0");
    assert_eq!(
        &*completed.drafts[0].args,
        "{\"id\":\"echo/tick/1020000\",\"completedAt\":\"1970-01-01T00:17:40.000Z\",\"output\":\"all is well\"}"
    );
}

#[test]
fn an_occurrence_that_another_instance_did_runs_for_its_kv_only() {
    let mut told = live(traced(with_task(|_| {})));
    told.pulled(1, vec![event(5, "answer", "qm1:echo:t/tick/1020000:0:0/1")]);
    let started = "qm1:echo:t/tick/1020000/started:0:0/1";
    told.pulled(1, vec![event(6, "started", started)]);
    told.later(MINUTE);
    let run = told.runs().remove(0);
    let kv = vec![KvWrite {
        key: "count".into(),
        value: None,
    }];
    told.finish(&run, RunOutcome::finished(Vec::new(), kv));
    told.effects();
    assert!(told.commits.iter().all(|commit| commit.outbox.is_empty()));
    let commit = told.commits.last().expect("a commit");
    assert_eq!((commit.kv.len(), commit.landed_forgotten.len()), (1, 2));
}

#[test]
fn a_task_that_fails_is_tried_again_and_then_given_up_which_the_app_is_told() {
    let mut told = live(traced(with_task(|plan| plan.attempts_max = Some(2))));
    for (attempt, wait) in [(1, MINUTE), (2, Duration::from_secs(1))] {
        told.later(wait);
        let run = told.runs().remove(0);
        assert_eq!((run.attempt, run.now), (attempt, at(17)));
        told.finish(&run, RunOutcome::Retry { error: "no".into() });
        assert_eq!(told.runs(), []);
    }
    let commit = told.commits.last().expect("a commit");
    assert_eq!(commit.dead_letters.len(), 1);
    assert_eq!(
        commit.outbox[0].stamp.run,
        key().trace(at(17), TraceStep::Failed)
    );
    assert_eq!(told.executions(), [(17, ExecutionState::Failed)]);
}

#[test]
fn what_was_due_during_an_outage_follows_the_policy_and_is_recorded() {
    let missed = |count: u64| (0..count).map(|it| (17 + it, ExecutionState::Missed));
    for (policy, late) in [
        (Missed::Skip, vec![]),
        (Missed::Latest, vec![66]),
        (Missed::All { max: 3 }, vec![64, 65, 66]),
    ] {
        let mut told = live(with_task(|plan| plan.missed = policy));
        // Until minute 76.6, with a window of ten minutes.
        let ran = told.run_all(HOUR);
        let timely: Vec<u64> = (67..=76).collect();
        assert_eq!(ran, [late.clone(), timely].concat(), "{policy:?}");
        let mut over: Vec<_> = told.executions();
        over.sort_unstable();
        let unrun: Vec<_> = missed(50 - late.len() as u64).collect();
        assert_eq!(over[..unrun.len()], unrun, "{policy:?}");
        assert_eq!(over.len(), 60, "{policy:?}");
        assert_eq!(told.run_all(MINUTE), [77], "{policy:?}");
    }
}

#[test]
fn of_a_year_that_was_missed_only_the_last_times_have_records_of_their_own() {
    let mut told = live(with_task(|plan| plan.missed = Missed::Skip));
    told.run_all(365 * 24 * HOUR);
    let records: Vec<_> = told.commits.iter().flat_map(|it| &it.executions).collect();
    let missed = |it: &&&ExecutionRecord| it.state == ExecutionState::Missed;
    assert_eq!(records.iter().filter(missed).count(), 101);
    let rest = records.iter().find(|it| it.since.is_some());
    assert_eq!(
        rest.map(|it| it.since),
        Some(Some(Timestamp::from_millis(1_000_000)))
    );
}

#[test]
fn what_is_due_while_an_earlier_run_goes_on_follows_the_overlap_policy() {
    for (overlap, after) in [
        (Overlap::Skip, vec![]),
        (Overlap::Queue, vec![18]),
        (Overlap::Allow, vec![18, 19]),
    ] {
        let mut told = live(with_task(|plan| plan.overlap = overlap));
        told.later(MINUTE);
        let run = told.runs().remove(0);
        for _ in 0..2 {
            told.later(MINUTE);
            assert_eq!(told.runs(), [], "one run of a plugin at a time");
        }
        told.finish(&run, answers(0));
        assert_eq!(told.run_all(Duration::ZERO), after, "{overlap:?}");
    }
}

#[test]
fn after_a_crash_the_claimed_occurrence_is_tried_again_and_counted() {
    let mut told = live(with_task(|plan| plan.attempts_max = Some(2)));
    told.later(MINUTE);
    assert_eq!(told.runs().len(), 1);
    let journal = told.journal(4);
    let tasks = journal.tasks.clone();
    let mut told = Told::live(told.state.settings.clone(), journal, vec![said(4)]);
    let run = told.runs().remove(0);
    assert_eq!((run.attempt, run.now), (2, at(17)));
    let journal = Snapshot {
        executions: vec![ExecutionRecord {
            attempts: 2,
            ..told.commits.last().expect("a claim").executions[0].clone()
        }],
        tasks,
        ..snapshot(4)
    };
    let settings = told.state.settings.clone();
    let mut told = Told::live(settings, journal, vec![said(4)]);
    assert_eq!(told.runs(), [], "what kills the process twice is given up");
    assert_eq!(told.executions(), [(17, ExecutionState::Failed)]);
}

#[test]
fn a_new_task_is_due_only_after_it_was_added() {
    let mut told = live(with_task(|_| {}));
    told.later(Duration::from_secs(19));
    assert_eq!(told.runs(), []);
    told.later(Duration::from_secs(1));
    assert_eq!(told.runs().len(), 1);
}

#[test]
fn a_task_that_a_run_schedules_counts_from_the_time_of_its_event() {
    let mut told = live(settings(History::Ignore));
    told.now = at(30);
    let mut said = said(5);
    said.created_at = Some(at(25));
    told.pulled(1, vec![said]);
    let run = told.runs().remove(0);
    let outcome = RunOutcome::Finished {
        drafts: Vec::new(),
        kv: Vec::new(),
        schedule: vec![ScheduleWrite {
            task: "tick".into(),
            plan: Some(Arc::new(every_minute())),
        }],
        output: None,
    };
    told.finish(&run, outcome);
    assert_eq!(told.run_all(Duration::ZERO), [26, 27, 28, 29, 30]);
    let task = &told.commits.iter().flat_map(|it| &it.tasks).last();
    let origin = task.expect("a task").origin;
    assert_eq!(origin, Origin::Scheduled { depth: 1 });

    told.pulled(1, vec![event(6, "say", "static")]);
    let run = told.runs().remove(0);
    let outcome = RunOutcome::Finished {
        drafts: Vec::new(),
        kv: Vec::new(),
        schedule: vec![ScheduleWrite {
            task: "tick".into(),
            plan: None,
        }],
        output: None,
    };
    told.finish(&run, outcome);
    assert_eq!(told.run_all(HOUR), [0; 0]);
}

#[test]
fn a_task_whose_plugin_is_missing_is_missed_when_its_window_closes() {
    let mut settings = with_task(|_| {});
    settings.subscriptions[0].available = false;
    let mut told = live(settings);
    told.later(MINUTE);
    told.later(10 * MINUTE);
    assert_eq!(told.runs(), []);
    assert_eq!(told.executions(), [(17, ExecutionState::Missed)]);
}

#[test]
fn the_tasks_of_a_plugin_that_does_not_say_what_it_wants_stay() {
    let mut told = live(with_task(|_| {}));
    let mut gone = told.state.settings.clone();
    gone.subscriptions[0].available = false;
    gone.subscriptions[0].described = false;
    gone.subscriptions[0].tasks.clear();
    told.tell(Input::Reconfigure {
        settings: Box::new(gone.clone()),
    });
    assert!(told.state.has_task(&key()));
    gone.subscriptions[0].described = true;
    told.tell(Input::Reconfigure {
        settings: Box::new(gone),
    });
    assert!(
        !told.state.has_task(&key()),
        "now it says that it wants none"
    );
}

#[test]
fn a_paused_task_rests_until_it_is_resumed_and_catches_nothing_up() {
    let mut told = live(with_task(|_| {}));
    let (by, note) = ("alice".into(), "moving".into());
    told.order(TaskOrder::Pause { by, note });
    assert_eq!(told.run_all(HOUR), [0; 0]);
    told.order(TaskOrder::Run);
    assert_eq!(told.runs().len(), 1, "somebody wants it now");
    told.order(TaskOrder::Resume);
    assert_eq!(told.run_all(MINUTE), [0; 0], "that run goes on");
}

#[test]
fn what_is_made_up_for_runs_only_after_the_log_was_read_from_its_beginning() {
    let mut told = live(with_task(|_| {}));
    told.order(TaskOrder::Backfill {
        dues: vec![at(3), at(4)],
    });
    let effects = told.effects();
    assert!(effects.contains(&Effect::Restart), "{effects:?}");
    let commit = told.commits.last().expect("a commit");
    assert_eq!(commit.scanned, SeqNum::ROOT);
    let journal = Snapshot {
        scanned: SeqNum::ROOT,
        ..told.journal(4)
    };
    let mut told = Told::new(told.state.settings.clone(), journal);
    told.effects();
    told.tell(Input::Connected {
        generation: GENERATION,
    });
    let done = event(1, "answer", "qm1:echo:t/tick/180000:0:0/1");
    told.pulled(0, vec![done, said(2), said(3), said(4)]);
    told.tell(Input::PullEnded {
        generation: GENERATION,
        request: RequestId(0),
    });
    for minute in [3, 4] {
        let run = told.runs().remove(0);
        assert_eq!(run.now, at(minute));
        told.finish(&run, answers(1));
    }
    told.effects();
    let outbox = told.commits.iter().flat_map(|commit| &commit.outbox);
    let runs: Vec<_> = outbox.map(|entry| entry.stamp.run.clone()).collect();
    assert_eq!(runs, [key().run(at(4))], "the first was done by somebody");
}

#[test]
fn a_wall_clock_that_is_wrong_for_a_while_neither_doubles_nor_loses_anything() {
    let mut told = live(with_task(|_| {}));
    assert_eq!(told.run_all(MINUTE), [17]);
    told.tell(Input::ClockSet { ahead: YEAR_MILLIS });
    let ran = told.run_all(Duration::ZERO);
    assert_eq!(ran.len(), 10, "those of the last ten minutes: no storm");
    told.tell(Input::ClockSet { ahead: 0 });
    assert_eq!(told.run_all(MINUTE), [18], "it goes on where it was");
    assert_eq!(told.run_all(MINUTE), [19]);
    // An hour back: what was done is not done again.
    told.tell(Input::ClockSet { ahead: -3_600_000 });
    assert_eq!(told.run_all(HOUR), [0; 0]);
    assert_eq!(told.run_all(MINUTE), [20]);
    // When that year has come, what was done of it is done.
    let ahead = YEAR_MILLIS - 3_600_000 - 60_000;
    told.tell(Input::ClockSet { ahead });
    told.run_all(Duration::ZERO);
    let mut done = told.executions();
    done.retain(|(_, state)| *state == ExecutionState::Done);
    let count = done.len();
    done.sort_unstable();
    done.dedup();
    assert_eq!(done.len(), count);
}

#[test]
fn events_and_tasks_take_turns() {
    let mut told = live(with_task(|plan| plan.overlap = Overlap::Allow));
    told.now = at(20);
    told.pulled(1, (5..8).map(said).collect());
    let mut order = Vec::new();
    for _ in 0..6 {
        let run = told.runs().remove(0);
        order.push(matches!(run.cause, Cause::Event(_)));
        told.finish(&run, answers(0));
    }
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
}

#[test]
fn what_others_did_of_a_task_that_rests_is_forgotten_after_a_day() {
    let mut told = live(with_task(|_| {}));
    let (by, note) = ("alice".into(), "moving".into());
    told.order(TaskOrder::Pause { by, note });
    told.pulled(1, vec![event(5, "answer", "qm1:echo:t/tick/1020000:0:0/1")]);
    told.executions();
    let journal = told.journal(5);
    assert_eq!(journal.landed_occurrences, [key().run(at(17))]);
    for (wait, remembered) in [(HOUR, 1), (26 * HOUR, 0)] {
        let (settings, now) = (told.state.settings.clone(), told.now + wait);
        let state = StoreState::new(settings, journal.clone(), 7, (now, 0));
        assert_eq!(state.held().landed_occurrences, remembered, "{wait:?}");
    }
}
