//! Has tasks. Each occurrence is recorded as `v1.Ticked`, and counted in kv in the same run; a payload can make it misbehave.
//! One task is described: `daily`, at eight. Others come and go with events: `v1.Plan` puts one, `v1.Unplan` removes it, and
//! `v1.ListPlans` is answered with all there are, as `v1.Plans`.

mod plan;

use exports::quartermaster::plugin::about::{self, Description, History};
use exports::quartermaster::plugin::on_event::{self, Event, Failure, Run};
use exports::quartermaster::plugin::on_task::{self, Occurrence};
use quartermaster::plugin::types::{Mode, OccurrenceKind, Rhythm};
use quartermaster::plugin::{kv, schedule, store};
use serde_json::{Value, json};
use std::hint::black_box;

wit_bindgen::generate!({ path: "../../../wit", world: "event-and-task-plugin" });

const PLAN: &str = "v1.Plan";
const UNPLAN: &str = "v1.Unplan";
const LIST_PLANS: &str = "v1.ListPlans";
const PLANS: &str = "v1.Plans";
const TICKED: &str = "v1.Ticked";

/// Questions to the journal that a sleepy run asks: half of the usual fuel, and most of a second.
const SLEEPY_READS: u32 = 5_000;

struct Clockwork;

impl about::Guest for Clockwork {
    fn describe() -> Description {
        Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            events: [PLAN, UNPLAN, LIST_PLANS].map(str::to_owned).to_vec(),
            commits: [PLANS, TICKED].map(str::to_owned).to_vec(),
            own_events: false,
            history: History::Project,
            tasks: vec![plan::task(
                "daily",
                Rhythm::Cron("0 8 * * *".to_owned()),
                "null",
            )],
        }
    }
}

impl on_event::Guest for Clockwork {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        match event.name.as_str() {
            PLAN => {
                schedule::put(&plan::of(&event.args).map_err(Failure::Reject)?).map_err(refused)
            }
            UNPLAN => {
                let id = plan::id_of(&event.args).map_err(Failure::Reject)?;
                schedule::remove(&id).map_err(refused)
            }
            LIST_PLANS if run.mode == Mode::Reacting => {
                let tasks = schedule::list().map_err(refused)?;
                let told: Vec<Value> = tasks.iter().map(plan::told).collect();
                commit(PLANS, &json!({ "tasks": told }))
            }
            _ => Ok(()),
        }
    }
}

impl on_task::Guest for Clockwork {
    fn on_task(run: Run, occurrence: Occurrence) -> Result<Option<String>, Failure> {
        let payload: Value = serde_json::from_str(&occurrence.payload).map_err(refused)?;
        if payload == "silent" {
            return Ok(None);
        }
        // Before it misbehaves, so that it can be seen that a failure leaves nothing behind.
        tick(&run, &occurrence, &payload)?;
        let count = count(&occurrence.task)?;
        match payload.as_str() {
            Some("fail") => return Err(Failure::Retry("it was told to fail".to_owned())),
            Some("reject") => return Err(Failure::Reject("it was told to refuse".to_owned())),
            Some("spin") => spin(),
            Some("sleepy") => {
                for _ in 0..SLEEPY_READS {
                    kv::get("nothing").map_err(refused)?;
                }
            }
            Some("chain") => {
                let due = occurrence.due_ms + 1_000;
                let id = format!("{}/{due}", occurrence.task);
                let next = plan::task(&id, Rhythm::At(due), "\"chained\"");
                schedule::put(&next).map_err(refused)?;
            }
            _ => {}
        }
        Ok(Some(format!("tick {count} of {}", occurrence.task)))
    }
}

/// Commits what it was handed.
fn tick(run: &Run, occurrence: &Occurrence, payload: &Value) -> Result<(), Failure> {
    let kind = match occurrence.kind {
        OccurrenceKind::Timely => "timely",
        OccurrenceKind::Late => "late",
        OccurrenceKind::Manual => "manual",
        OccurrenceKind::Backfill => "backfill",
    };
    let args = json!({
        "task": occurrence.task,
        "due": occurrence.due_ms,
        "wall": occurrence.wall,
        "kind": kind,
        "attempt": run.attempt,
        "payload": payload,
    });
    commit(TICKED, &args)
}

/// Adds 1 to the ticks of a task, and gives the sum.
fn count(task: &str) -> Result<u64, Failure> {
    let key = format!("ticks/{task}");
    let known = match kv::get(&key).map_err(refused)? {
        Some(bytes) => String::from_utf8(bytes).map_err(refused)?,
        None => "0".to_owned(),
    };
    let count = known.parse::<u64>().map_err(refused)? + 1;
    kv::put(&key, count.to_string().as_bytes()).map_err(refused)?;
    Ok(count)
}

/// Burns all fuel that there is.
fn spin() -> ! {
    let mut sum = 0_u64;
    loop {
        sum = black_box(sum.wrapping_mul(31) ^ 7);
    }
}

fn commit(name: &str, args: &Value) -> Result<(), Failure> {
    store::commit(name, &args.to_string()).map_err(refused)
}

/// A refusal that this guest did not expect.
fn refused(refusal: impl std::fmt::Display) -> Failure {
    Failure::Reject(format!("refused: {refusal}"))
}

export!(Clockwork);
