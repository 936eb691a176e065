//! Model tasks: which a guest declares, which it schedules from its runs, and the oracle's own reckoning of when they are due.

use std::sync::Arc;
use std::time::Duration;

use crate::calendar::{Rhythm, Timetable};
use crate::store::sim::guest::{fingerprint, mix};
use crate::store::{
    Cause, Declared, Missed, Occurrence, Overlap, ScheduleWrite, TaskPlan, TraceNames,
};
use crate::time::Timestamp;

/// The longest jitter of a model task.
pub(super) const JITTER_MAX: Duration = Duration::from_secs(2);

/// The longest period of a model task.
pub(super) const PERIOD_MAX: Duration = Duration::from_secs(60);

/// A pattern that is due every so many seconds, and how many those are.
const PATTERNS: [(&str, u64); 3] = [
    ("*/10 * * * * *", 10),
    ("*/15 * * * * *", 15),
    ("0 * * * * *", 60),
];

/// The tasks of one guest in the world of `seed`.
pub(super) fn declared(plugin: &str, seed: u64, count: usize) -> Declared {
    let mut rng = fastrand::Rng::with_seed(mix(seed, fingerprint(plugin)));
    let plan = |rng: &mut fastrand::Rng| {
        let rhythm = if rng.u8(..4) == 0 {
            let (pattern, _) = PATTERNS[rng.usize(..PATTERNS.len())];
            Rhythm::Cron(pattern.parse().expect("model patterns are well formed"))
        } else {
            let period = rng.u64(3..40) * 1000;
            every(period, rng.u64(..period))
        };
        let jitter = if rng.u8(..3) == 0 { rng.u64(..2000) } else { 0 };
        TaskPlan {
            timetable: Timetable {
                jitter: Duration::from_millis(jitter),
                ..Timetable::new(rhythm)
            },
            ..varied(rng, "null")
        }
    };
    let named = (0..count).map(|number| format!("task-{number}").into());
    named
        .map(|id: Arc<str>| (id, Arc::new(plan(&mut rng))))
        .collect()
}

/// The same tasks after somebody has changed their mind: one is gone, and the others come at other times.
pub(super) fn redeclared(tasks: &Declared) -> Declared {
    let others = tasks.iter().skip(1).map(|(id, plan)| {
        let period = 7_000 + fingerprint(id) % 9_000;
        let timetable = Timetable::new(every(period, 1));
        let plan = TaskPlan {
            timetable,
            ..(**plan).clone()
        };
        (id.clone(), Arc::new(plan))
    });
    others.collect()
}

fn every(period: u64, phase: u64) -> Rhythm {
    Rhythm::Every {
        period: Duration::from_millis(period),
        phase: Duration::from_millis(phase),
    }
}

/// A plan whose policies are any; it is never due.
fn varied(rng: &mut fastrand::Rng, payload: &str) -> TaskPlan {
    let overlaps = [Overlap::Skip, Overlap::Queue, Overlap::Allow];
    let missed = [
        Missed::Skip,
        Missed::Latest,
        Missed::All { max: rng.u32(1..5) },
    ];
    let catch_ups = [500, 5_000, 30_000, 600_000];
    TaskPlan {
        timetable: Timetable::new(Rhythm::At(Timestamp::default())),
        payload: payload.into(),
        overlap: overlaps[rng.usize(..overlaps.len())],
        catch_up: Duration::from_millis(catch_ups[rng.usize(..catch_ups.len())]),
        missed: missed[rng.usize(..missed.len())],
        attempts_max: [None, Some(1), Some(2)][rng.usize(..3)],
        timeout: None,
    }
}

/// What a run that answers `cause` wants of its plugin's own tasks: a pure function, as all that a model guest does.
pub(super) fn wishes(cause: &Cause) -> Vec<ScheduleWrite> {
    let (roll, at) = match cause {
        Cause::Event(event) => (mix(fingerprint(&event.args), 1), cause.time()),
        Cause::Occurrence(it) => (mix(fingerprint(&subject(it)), 1), it.due),
    };
    let mut rng = fastrand::Rng::with_seed(roll);
    let mut put = |task: &str, rhythm: Rhythm, payload: &str| ScheduleWrite {
        task: task.into(),
        plan: Some(Arc::new(TaskPlan {
            timetable: Timetable::new(rhythm),
            ..varied(&mut rng, payload)
        })),
    };
    let later = |wait: u64| Rhythm::At(at + Duration::from_millis(wait));
    let remove = |task: &str| ScheduleWrite {
        task: task.into(),
        plan: None,
    };
    match cause {
        Cause::Event(_) => match roll % 8 {
            0 => vec![put("once", later(1 + roll % 9_000), "0")],
            1 | 2 => vec![put("pulse", every(4_000 + roll % 9_000, roll % 4_000), "0")],
            3 => vec![remove("pulse")],
            4 => vec![put("chain", later(2_000), "3"), remove("once")],
            _ => Vec::new(),
        },
        Cause::Occurrence(it) => match (&*it.task, &*it.payload) {
            ("chain", "3") => vec![put("chain", later(3_000), "2")],
            ("chain", "2") => vec![put("chain", later(5_000), "1")],
            ("pulse", _) if roll.is_multiple_of(6) => vec![remove("pulse")],
            ("pulse", _) if roll.is_multiple_of(5) => vec![put("once", later(1_500), "0")],
            (_, _) => Vec::new(),
        },
    }
}

/// What an occurrence is about: nothing else has this text.
pub(super) fn subject(occurrence: &Occurrence) -> String {
    format!("{}@{}", occurrence.task, occurrence.due.as_millis())
}

/// The names that tell of executions.
pub(super) fn trace_names() -> TraceNames {
    TraceNames {
        started: "run started".into(),
        completed: "run completed".into(),
        failed: "run failed".into(),
    }
}

/// Period and phase of what repeats; none for what is due once.
fn beat(plan: &TaskPlan) -> Option<(u64, u64)> {
    match &plan.timetable.rhythm {
        Rhythm::Cron(cron) => {
            let mut patterns = PATTERNS.iter();
            let found = patterns.find(|(text, _)| *text == cron.as_str());
            Some((found.expect("a model pattern").1 * 1000, 0))
        }
        Rhythm::Every { period, phase } => {
            let millis = |time: &Duration| u64::try_from(time.as_millis()).expect("it is short");
            Some((millis(period), millis(phase)))
        }
        Rhythm::At(_) => None,
    }
}

/// Whether the plan is due then.
pub(super) fn names(plan: &TaskPlan, at: Timestamp) -> bool {
    match (beat(plan), &plan.timetable.rhythm) {
        (Some((period, phase)), _) => at.as_millis() % period == phase,
        (None, Rhythm::At(once)) => *once == at,
        (None, _) => unreachable!("only what is due once has no beat"),
    }
}

/// The last times that the plan names after the first instant and up to the second: at most `max` of them, latest first.
pub(super) fn dues(plan: &TaskPlan, after: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
    let Some((period, phase)) = beat(plan) else {
        let Rhythm::At(once) = plan.timetable.rhythm else {
            unreachable!("only what is due once has no beat")
        };
        return Vec::from_iter((after < once && once <= to).then_some(once));
    };
    let Some(beats) = to.as_millis().checked_sub(phase) else {
        return Vec::new();
    };
    let beats = (0..=beats / period).rev();
    let dues = beats.map(|beat| Timestamp::from_millis(beat * period + phase));
    dues.take_while(|due| *due > after).take(max).collect()
}
