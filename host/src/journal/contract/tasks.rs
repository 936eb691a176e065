//! What a journal must hold about tasks: what is planned, what became of each occurrence, and for how long that is known.

use std::sync::Arc;
use std::time::Duration;

use super::{claim, failure, plugin, store, subscription, write};
use crate::calendar::{Fold, Gap, Rhythm, Timetable, Zone};
use crate::journal::execution::{KEPT, SURPLUS};
use crate::journal::{Error, ExecutionFilter, Journal};
use crate::stamp::RunId;
use crate::store::{
    Commit, ExecutionRecord, ExecutionState, Missed, OccurrenceKind, Origin, Overlap, Pause,
    Stretch, TaskKey, TaskPlan, TaskRecord,
};
use crate::time::Timestamp;

/// 2026-11-28T00:00:00Z.
const MIDNIGHT: u64 = 1_795_824_000_000;

pub(super) async fn check(journal: &Journal) {
    a_store_that_nobody_claimed_has_no_tasks(journal).await;
    what_was_committed_of_tasks_is_loaded(journal).await;
    of_tasks_too_a_later_list_wins_over_an_earlier_one(journal).await;
    a_removed_subscription_takes_its_tasks_along(journal).await;
    a_done_execution_is_never_claimed_again(journal).await;
    a_failed_execution_may_be_tried_again(journal).await;
    only_scheduled_tasks_that_are_wanted_are_told_to_their_plugin(journal).await;
    a_history_comes_newest_first_and_as_it_was_asked_for(journal).await;
    the_latest_executions_of_each_task_are_kept(journal).await;
    a_task_that_comes_and_goes_does_not_keep_more(journal).await;
}

pub(in crate::journal) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(in crate::journal) fn key(name: &str, task: &str) -> TaskKey {
    TaskKey {
        plugin: plugin(name),
        task: task.into(),
    }
}

fn plan(payload: &str) -> Arc<TaskPlan> {
    Arc::new(TaskPlan {
        timetable: Timetable {
            rhythm: Rhythm::Every {
                period: Duration::from_secs(60),
                phase: Duration::from_millis(1),
            },
            zone: Zone::default(),
            gap: Gap::Skip,
            fold: Fold::Both,
            from: Some(at(5)),
            until: None,
            jitter: Duration::from_secs(3),
        },
        payload: payload.into(),
        overlap: Overlap::Queue,
        catch_up: Duration::from_secs(600),
        missed: Missed::All { max: 7 },
        attempts_max: Some(2),
        timeout: None,
    })
}

/// A task with something in each field.
pub(in crate::journal) fn task(name: &str, id: &str) -> TaskRecord {
    let stretch = |after, to| Stretch {
        after: at(after),
        to: at(to),
    };
    TaskRecord {
        key: key(name, id),
        plan: plan("{\"text\":\"zweitens, mit ü\"}"),
        origin: Origin::Scheduled { depth: 3 },
        passed: at(MIDNIGHT),
        ahead: vec![stretch(MIDNIGHT + 5, MIDNIGHT + 9)],
        unseen: vec![stretch(1, 2), stretch(4, 5)],
        paused: Some(Pause {
            since: at(9),
            by: "Ada".into(),
            note: "it said: \"no\"".into(),
        }),
        gone: false,
    }
}

/// An execution with something in each field.
pub(in crate::journal) fn execution(
    name: &str,
    id: &str,
    due: u64,
    state: ExecutionState,
) -> ExecutionRecord {
    ExecutionRecord {
        key: key(name, id),
        due: at(due),
        since: (due % 2 == 1).then(|| at(due - 1)),
        state,
        kind: OccurrenceKind::Late,
        depth: 3,
        attempts: 2,
        failures: vec![failure(1)],
        started: Some(at(due + 1)),
        ended: (!state.is_open()).then(|| at(due + 2)),
        fuel: u64::MAX,
        drafts: 4,
        note: (!state.is_open()).then(|| "as ever".into()),
    }
}

fn landed(name: &str, id: &str, due: u64) -> RunId {
    key(name, id).run(at(due))
}

/// The tasks and due times of what passes `filter`.
async fn listed(journal: &Journal, id: &str, filter: &ExecutionFilter) -> Vec<(String, u64)> {
    let found = journal
        .executions(&store(id), filter.clone())
        .await
        .unwrap();
    found
        .iter()
        .map(|it| (it.key.to_string(), it.due.as_millis()))
        .collect()
}

fn of_task(name: &str, id: &str) -> ExecutionFilter {
    ExecutionFilter {
        plugin: Some(plugin(name)),
        task: Some(id.into()),
        ..ExecutionFilter::latest(usize::MAX)
    }
}

fn ended(executions: Vec<ExecutionRecord>) -> Commit {
    Commit {
        executions,
        ..Commit::default()
    }
}

async fn a_store_that_nobody_claimed_has_no_tasks(journal: &Journal) {
    let (id, echo) = (store("unclaimed"), plugin("echo"));
    assert_eq!(journal.tasks(&id).await, Ok(Vec::new()));
    assert_eq!(journal.scheduled(&id, &echo).await, Ok(Vec::new()));
    let found = journal.execution(&id, &key("echo", "a"), at(1)).await;
    assert_eq!(found, Ok(None));
    let found = journal.executions(&id, ExecutionFilter::latest(9)).await;
    assert_eq!(found, Ok(Vec::new()));
}

async fn what_was_committed_of_tasks_is_loaded(journal: &Journal) {
    let mut lease = claim(journal, "tasks").await;
    let tasks = vec![
        task("count", ""),
        task("echo", "a: b/c %ü"),
        TaskRecord {
            origin: Origin::Declared,
            passed: Timestamp::NEVER,
            ahead: Vec::new(),
            unseen: Vec::new(),
            paused: None,
            gone: true,
            ..task("echo", "b")
        },
    ];
    let executions: Vec<_> = ExecutionState::ALL
        .into_iter()
        .zip(MIDNIGHT..)
        .map(|(state, due)| execution("echo", "b", due, state))
        .collect();
    let commit = Commit {
        tasks: tasks.iter().rev().cloned().collect(),
        executions: executions.clone(),
        landed_occurrences: vec![landed("echo", "a: b/c %ü", u64::MAX), landed("echo", "", 1)],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    // What a later commit does not mention stays.
    write(journal, &mut lease, Commit::default()).await.unwrap();
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.tasks, tasks);
    assert_eq!(loaded.executions, executions[..2], "the others are over");
    let mut runs = loaded.landed_occurrences;
    runs.sort();
    assert_eq!(
        runs,
        [landed("echo", "", 1), landed("echo", "a: b/c %ü", u64::MAX)]
    );
    let id = store("tasks");
    assert_eq!(journal.tasks(&id).await, Ok(tasks));
    for record in executions {
        let found = journal.execution(&id, &record.key, record.due).await;
        assert_eq!(found, Ok(Some(record)));
    }
    let never = journal.execution(&id, &key("echo", "b"), at(1)).await;
    assert_eq!(never, Ok(None));
    journal.release(lease).await.unwrap();
}

async fn of_tasks_too_a_later_list_wins_over_an_earlier_one(journal: &Journal) {
    let mut lease = claim(journal, "task-lists").await;
    let paused = |id| TaskRecord {
        paused: None,
        ..task("echo", id)
    };
    let waiting = execution("echo", "b", 7, ExecutionState::Waiting);
    let running = execution("echo", "b", 7, ExecutionState::Running);
    let commit = Commit {
        subscriptions_removed: vec![plugin("echo")],
        tasks: vec![task("echo", "a"), task("echo", "b"), paused("a")],
        tasks_removed: vec![key("echo", "b"), key("echo", "never")],
        executions: vec![waiting, running.clone()],
        landed_occurrences: vec![landed("echo", "a", 1), landed("echo", "a", 2)],
        landed_forgotten: vec![landed("echo", "a", 1), landed("echo", "a", 3)],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.tasks, [paused("a")]);
    assert_eq!(
        loaded.executions,
        [running],
        "those of a removed task stay, as they came last"
    );
    assert_eq!(loaded.landed_occurrences, [landed("echo", "a", 2)]);
    journal.release(lease).await.unwrap();
}

async fn a_removed_subscription_takes_its_tasks_along(journal: &Journal) {
    let mut lease = claim(journal, "task-removed").await;
    let all = ["ech", "echo", "echo-2"];
    let both = |name| {
        [ExecutionState::Done, ExecutionState::Waiting]
            .into_iter()
            .zip(1..)
            .map(move |(state, due)| execution(name, "a", due, state))
    };
    let commit = Commit {
        subscriptions: vec![subscription("echo", 1)],
        tasks: all.map(|name| task(name, "a")).into(),
        executions: all.into_iter().flat_map(both).collect(),
        landed_occurrences: vec![landed("echo", "a", 3)],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let commit = Commit {
        subscriptions_removed: vec![plugin("echo")],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.tasks, [task("ech", "a"), task("echo-2", "a")]);
    assert_eq!(loaded.landed_occurrences, [landed("echo", "a", 3)]);
    let left = listed(journal, "task-removed", &ExecutionFilter::latest(9)).await;
    let left: Vec<_> = left.iter().map(|(task, due)| (&**task, *due)).collect();
    let others = [("echo-2/a", 2), ("ech/a", 2), ("echo-2/a", 1), ("ech/a", 1)];
    assert_eq!(left, others);
    // Who comes back begins anew, with due times that another life had done.
    let again = ended(vec![execution("echo", "a", 1, ExecutionState::Done)]);
    write(journal, &mut lease, again).await.unwrap();
    journal.release(lease).await.unwrap();
}

async fn a_done_execution_is_never_claimed_again(journal: &Journal) {
    let mut lease = claim(journal, "claims").await;
    let done = execution("echo", "a", MIDNIGHT, ExecutionState::Done);
    write(journal, &mut lease, ended(vec![done.clone()]))
        .await
        .unwrap();
    for state in ExecutionState::ALL {
        let again = Commit {
            tasks: vec![task("echo", "a")],
            ..ended(vec![execution("echo", "a", MIDNIGHT, state)])
        };
        let refused = write(journal, &mut lease, again).await;
        let Err(Error::Other { reason, .. }) = refused else {
            panic!("{state:?}: {refused:?}");
        };
        let named = "the execution of echo/a that was due at 2026-11-28T00:00:00.000Z is done";
        assert!(reason.contains(named), "{reason}");
        // The next life finds what was there, and nothing of the commit.
        lease = claim(journal, "claims").await;
        assert_eq!(journal.load(&lease).await.unwrap().tasks, []);
        let found = journal
            .execution(&store("claims"), &done.key, done.due)
            .await;
        assert_eq!(found, Ok(Some(done.clone())));
    }
    journal.release(lease).await.unwrap();
}

async fn a_failed_execution_may_be_tried_again(journal: &Journal) {
    let mut lease = claim(journal, "retried").await;
    for state in [
        ExecutionState::Missed,
        ExecutionState::Waiting,
        ExecutionState::Running,
        ExecutionState::Failed,
        ExecutionState::Running,
        ExecutionState::Done,
    ] {
        let record = execution("echo", "a", 5, state);
        write(journal, &mut lease, ended(vec![record.clone()]))
            .await
            .unwrap();
        let open: &[_] = if state.is_open() {
            std::slice::from_ref(&record)
        } else {
            &[]
        };
        assert_eq!(journal.load(&lease).await.unwrap().executions, open);
    }
    journal.release(lease).await.unwrap();
}

async fn only_scheduled_tasks_that_are_wanted_are_told_to_their_plugin(journal: &Journal) {
    let mut lease = claim(journal, "scheduled").await;
    let gone = TaskRecord {
        gone: true,
        ..task("echo", "b")
    };
    let declared = TaskRecord {
        origin: Origin::Declared,
        ..task("echo", "c")
    };
    let tasks = vec![task("echo", "ü"), task("echo", "a"), task("count", "a")];
    let commit = Commit {
        tasks: [tasks, vec![gone, declared]].concat(),
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let told = journal
        .scheduled(&store("scheduled"), &plugin("echo"))
        .await;
    let plan = task("echo", "a").plan;
    let expected = vec![("a".into(), plan.clone()), ("ü".into(), plan)];
    assert_eq!(told, Ok(expected));
    journal.release(lease).await.unwrap();
}

async fn a_history_comes_newest_first_and_as_it_was_asked_for(journal: &Journal) {
    use ExecutionState::{Done, Failed, Running, Waiting};
    let mut lease = claim(journal, "history").await;
    let rows = [
        ("count", "a", 2, Done),
        ("echo", "a", 1, Done),
        ("echo", "a", 2, Failed),
        ("echo", "a", 4, Running),
        ("echo", "b", 3, Waiting),
        ("echo", "b", 5, Waiting),
    ];
    let rows = rows.map(|(name, id, due, state)| execution(name, id, due, state));
    write(journal, &mut lease, ended(rows.to_vec()))
        .await
        .unwrap();
    let filters = [None, Some("echo")].into_iter().flat_map(|name| {
        [None, Some("a")].into_iter().flat_map(move |id| {
            let states = [
                vec![],
                vec![Waiting, Running],
                vec![Waiting],
                vec![Done],
                vec![Done, Running],
            ];
            states.into_iter().flat_map(move |states| {
                [None, Some(4)]
                    .into_iter()
                    .map(move |before: Option<u64>| ExecutionFilter {
                        plugin: name.map(plugin),
                        task: id.map(Into::into),
                        states: states.clone(),
                        before: before.map(at),
                        limit: usize::MAX,
                    })
            })
        })
    });
    let mut asked = 0;
    for mut filter in filters {
        let mut expected: Vec<_> = rows
            .iter()
            .filter(|it| {
                filter
                    .plugin
                    .as_ref()
                    .is_none_or(|name| it.key.plugin == *name)
            })
            .filter(|it| filter.task.as_ref().is_none_or(|id| it.key.task == *id))
            .filter(|it| filter.states.is_empty() || filter.states.contains(&it.state))
            .filter(|it| filter.before.is_none_or(|before| it.due < before))
            .cloned()
            .collect();
        expected.sort_by(|a, b| (b.due, &b.key).cmp(&(a.due, &a.key)));
        for limit in [usize::MAX, 2, 0] {
            filter.limit = limit;
            expected.truncate(limit);
            let found = journal.executions(&store("history"), filter.clone()).await;
            assert_eq!(found, Ok(expected.clone()), "{filter:?}");
            asked += 1;
        }
    }
    assert_eq!(asked, 2 * 2 * 5 * 2 * 3);
    journal.release(lease).await.unwrap();
}

async fn the_latest_executions_of_each_task_are_kept(journal: &Journal) {
    use ExecutionState::{Done, Waiting};
    let mut lease = claim(journal, "kept-executions").await;
    let commit = Commit {
        tasks: vec![task("echo", "a"), task("echo", "b")],
        executions: vec![
            execution("echo", "a", 1, Waiting),
            execution("echo", "b", 1, Done),
            execution("count", "a", 1, Done),
        ],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let surplus = SURPLUS.unsigned_abs();
    let all = 10..1_010;
    let mut cuts = 0;
    let mut known = 0;
    for due in all.clone() {
        let commit = Commit {
            // A task goes on meanwhile, and that does not count anew.
            tasks: vec![task("echo", "a")],
            ..ended(vec![execution("echo", "a", due, Done)])
        };
        write(journal, &mut lease, commit).await.unwrap();
        let now = listed(journal, "kept-executions", &of_task("echo", "a")).await;
        assert!(
            now.len() <= KEPT + SURPLUS as usize,
            "{} at {due}",
            now.len()
        );
        cuts += u64::from(now.len() < known);
        known = now.len();
        let newest: Vec<u64> = now.iter().map(|it| it.1).take(KEPT).collect();
        let expected: Vec<u64> = (10..=due).rev().take(KEPT).collect();
        assert_eq!(newest[..expected.len()], expected, "a late one is lost");
        assert_eq!(now.last().unwrap().1, 1, "one that is open is lost");
    }
    let most = (all.end - all.start) / surplus;
    assert!((most / 2..=most).contains(&cuts), "it was cut {cuts} times");
    // One that is made up for long after its time is older than all that are kept.
    for due in 2..10 {
        let late = ended(vec![execution("echo", "a", due, Done)]);
        write(journal, &mut lease, late).await.unwrap();
    }
    assert!(journal.load(&lease).await.is_ok());
    for name in ["echo", "count"] {
        let id = if name == "echo" { "b" } else { "a" };
        let other = listed(journal, "kept-executions", &of_task(name, id)).await;
        assert_eq!(other.len(), 1, "another task's history was cut");
    }
    journal.release(lease).await.unwrap();
}

async fn a_task_that_comes_and_goes_does_not_keep_more(journal: &Journal) {
    let mut lease = claim(journal, "comes-and-goes").await;
    for due in 0..600 {
        let mut commit = ended(vec![execution("echo", "a", due, ExecutionState::Missed)]);
        match due % 30 {
            0 => commit.tasks.push(task("echo", "a")),
            20 => commit.tasks_removed.push(key("echo", "a")),
            _ => {}
        }
        write(journal, &mut lease, commit).await.unwrap();
        let now = listed(journal, "comes-and-goes", &of_task("echo", "a")).await;
        assert!(
            now.len() <= KEPT + SURPLUS as usize,
            "{} at {due}",
            now.len()
        );
        assert!(now.len() >= KEPT.min(usize::try_from(due).unwrap()));
    }
    journal.release(lease).await.unwrap();
}
