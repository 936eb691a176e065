//! Tasks whose times, retries and makeups get into each other's way.

use super::*;
use crate::calendar::{Rhythm, Timetable};

const SECOND: Duration = Duration::from_secs(1);

fn key() -> TaskKey {
    TaskKey {
        plugin: echo(),
        task: "tick".into(),
    }
}

/// Due every ten seconds, and begun up to `jitter` later. An occurrence may begin within five seconds, and then is missed.
fn ticking(jitter: Duration) -> Settings {
    let rhythm = Rhythm::Every {
        period: 10 * SECOND,
        phase: Duration::ZERO,
    };
    let plan = TaskPlan {
        timetable: Timetable {
            jitter,
            ..Timetable::new(rhythm)
        },
        payload: "null".into(),
        overlap: Overlap::Skip,
        catch_up: 5 * SECOND,
        missed: Missed::Skip,
        attempts_max: None,
        timeout: None,
    };
    let mut settings = settings(History::Ignore);
    settings.subscriptions[0]
        .tasks
        .insert("tick".into(), Arc::new(plan));
    settings
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Live at the end of its log at second 1,000.
fn live(settings: Settings) -> Told {
    let mut told = Told::live(settings, snapshot(4), vec![said(4)]);
    told.effects();
    told
}

/// When the runs that are wanted were due.
fn dues(told: &mut Told) -> Vec<Timestamp> {
    let runs = told.runs();
    runs.iter().map(|run| run.cause.time()).collect()
}

fn backfill(due: Timestamp) -> Input {
    Input::Task {
        key: key(),
        order: TaskOrder::Backfill { dues: vec![due] },
    }
}

/// Every record of the occurrence that was written, in order.
fn written(told: &Told, due: Timestamp) -> Vec<ExecutionState> {
    let records = told.commits.iter().flat_map(|commit| &commit.executions);
    let records = records.filter(|it| it.due == due);
    records.map(|it| it.state).collect()
}

#[test]
fn a_retry_that_cannot_begin_wakes_nobody_until_it_can() {
    let mut told = live(ticking(Duration::ZERO));
    told.later(10 * SECOND);
    let run = told.runs().remove(0);
    let error = "not now".into();
    told.finish(&run, RunOutcome::Retry { error });
    told.effects();
    let mut parked = ticking(Duration::ZERO);
    parked.subscriptions[0].available = false;
    let settings = Box::new(parked);
    told.tell(Input::Reconfigure { settings });
    for _ in 0..20 {
        told.effects();
        let until = told.state.poll_timeout();
        assert!(until > told.now, "it wants to be woken at {until} again");
        told.later(until.since(told.now));
    }
}

#[test]
fn what_ended_just_now_is_not_made_up_for_although_the_journal_has_it_open() {
    let mut told = live(ticking(Duration::ZERO));
    told.later(10 * SECOND);
    let run = told.runs().remove(0);
    told.finish(&run, answers(1));
    // The commit is under way.
    told.tell(backfill(at(1_010)));
    told.effects();
    assert_eq!(
        written(&told, at(1_010)).last(),
        Some(&ExecutionState::Done)
    );
    assert!(!told.state.is_restarting());
}

#[test]
fn what_is_about_to_begin_by_itself_is_not_made_up_for() {
    let mut told = live(ticking(4 * SECOND));
    let starts = told.state.tasks.wakes_at();
    assert!(starts > at(1_010), "the jitter of this store is not zero");
    told.later(at(1_010).since(told.now));
    told.tell(backfill(at(1_010)));
    assert_eq!(dues(&mut told), [], "its time has not come");
    told.later(starts.since(told.now));
    assert_eq!(dues(&mut told), [at(1_010)]);
}

#[test]
fn what_was_made_up_for_does_not_come_again_when_the_clock_goes_back() {
    let mut told = live(ticking(Duration::ZERO));
    told.later(60 * SECOND);
    told.effects();
    assert_eq!(written(&told, at(1_030)), [ExecutionState::Missed]);
    told.tell(backfill(at(1_030)));
    told.effects();
    let tasks = told.commits.iter().flat_map(|commit| &commit.tasks);
    let record = tasks.last().expect("the task was written");
    let seen = |due| !record.unseen.iter().any(|it| it.contains(due));
    assert!(seen(at(1_030)), "it runs after all: {:?}", record.unseen);
    assert!(!seen(at(1_020)) && !seen(at(1_040)), "the others never ran");
}

#[test]
fn what_ran_while_the_clock_was_ahead_does_not_come_again_with_what_was_missed_around_it() {
    let mut told = live(ticking(Duration::ZERO));
    // A minute ahead, where one occurrence runs, and right again.
    told.tell(Input::ClockSet { ahead: 60_000 });
    let run = told.runs().remove(0);
    assert_eq!(run.cause.time(), at(1_060));
    told.finish(&run, answers(0));
    told.tell(Input::ClockSet { ahead: 0 });
    // A long sleep passes all of it, and the clock goes back once more.
    told.later(200 * SECOND);
    for run in told.runs() {
        told.finish(&run, answers(0));
    }
    told.effects();
    told.tell(Input::ClockSet { ahead: -170_000 });
    told.effects();
    for _ in 0..8 {
        told.later(10 * SECOND);
        for run in told.runs() {
            told.finish(&run, answers(0));
        }
    }
    let last = |due| written(&told, due).last().copied();
    assert_eq!(
        last(at(1_050)),
        Some(ExecutionState::Done),
        "it never ran before"
    );
    let records = written(&told, at(1_060));
    let done = records.iter().position(|it| *it == ExecutionState::Done);
    assert_eq!(
        done,
        Some(records.len() - 1),
        "it is done once: {records:?}"
    );
}
