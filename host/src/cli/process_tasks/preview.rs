//! What a pass would run now, by what the journals know: tasks of plugins that were never run here, and what is new in the logs, do
//! not show.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::actor::wall;
use crate::cli::{EXIT_SOME_FAILED, table};
use crate::config::Config;
use crate::id::StoreId;
use crate::journal;
use crate::store::{TaskKey, TaskRecord};
use crate::supervisor::spread;
use crate::time::Timestamp;

/// Occurrences of a task that are shown; of a longer list, people read the beginning and the number.
const SHOWN_MAX: usize = 100;

#[derive(Serialize)]
struct Due {
    store: StoreId,
    task: String,
    due: Timestamp,
    wall: String,
    /// `due`, `missed` if its window is over, or `open` if it has begun or waits.
    what: &'static str,
}

/// Prints what is due.
pub(super) fn run(config: &Config, json: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let folder = config.server().data.join("journals");
    let now = wall();
    let (mut dues, mut unreadable) = (Vec::new(), false);
    for store in config.stores().iter().map(|store| &store.id) {
        match journal::open_of(&folder, store) {
            Ok(Some(found)) => {
                for record in &found.executions {
                    let task = found.tasks.iter().find(|task| task.key == record.key);
                    let wall = task.map(|task| task.plan.timetable.wall(record.due));
                    let wall = wall.unwrap_or_else(|| record.due.to_string());
                    dues.push(due(store, &record.key, record.due, wall, "open"));
                }
                for task in &found.tasks {
                    add_due(store, task, now, &mut dues);
                }
            }
            Ok(None) => eprintln!("{store}: never run here; its tasks begin with the first pass"),
            Err(error) => {
                unreadable = true;
                eprintln!("{error}");
            }
        }
    }
    print(&dues, json, out)?;
    Ok(match unreadable {
        true => ExitCode::from(EXIT_SOME_FAILED),
        false => ExitCode::SUCCESS,
    })
}

fn due(store: &StoreId, key: &TaskKey, due: Timestamp, wall: String, what: &'static str) -> Due {
    Due {
        store: store.clone(),
        task: key.to_string(),
        due,
        wall,
        what,
    }
}

/// Adds what of a task is due and has no record yet.
fn add_due(store: &StoreId, task: &TaskRecord, now: Timestamp, dues: &mut Vec<Due>) {
    if task.gone || task.paused.is_some() {
        return;
    }
    let timetable = &task.plan.timetable;
    // Its starts in this store are so much later than its times.
    let now = now - task.plan.delay(&task.key, spread(store));
    let mut after = task.passed;
    for _ in 0..SHOWN_MAX {
        let Some(at) = timetable.next_after(after).filter(|at| *at <= now) else {
            return;
        };
        let what = match at + task.plan.catch_up < now {
            true => "missed",
            false => "due",
        };
        dues.push(due(store, &task.key, at, timetable.wall(at), what));
        after = at;
    }
}

fn print(dues: &[Due], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return table::print_json(&dues, out);
    }
    if dues.is_empty() {
        return writeln!(out, "nothing is due by what the journals know");
    }
    let row = |due: &Due| {
        vec![
            due.store.to_string(),
            due.task.clone(),
            due.wall.clone(),
            due.what.to_owned(),
        ]
    };
    let head = ["store", "task", "due", ""].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(dues.iter().map(row)).collect();
    table::print(&rows, out)
}
