//! The meaning of `tasks` of a store, and of `plugins.<name>.tasks` and `plugins.<name>.trace`.

mod moment;
mod payload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use figment::value::Value;

use super::{HOUR, SECOND, choice, given, switch, text};
use crate::calendar::{Cron, Fold, Gap, Rhythm, Zone};
use crate::config::document::found;
use crate::config::fields::{Context, Fields, join};
use crate::config::keys::{TASK, TASKS, TRACE};
use crate::config::problem::Wrong;
use crate::config::quantity::{count, duration};
use crate::config::tasks::{TaskConfig, TaskConfigs, Tasks, Trace};
use crate::store::{Missed, Overlap, Pattern, PatternError, TaskWish, TraceNames, is_task_id};

use moment::moment;

/// Tasks of one plugin in a store. What is more is no configuration but data, and the plugin can schedule it itself.
const TASKS_MAX: usize = 1_000;
/// Missed occurrences that may run after all.
const MISSED_MAX: u32 = 1_000;
/// The longest period of a task: ten years.
const PERIOD_MAX: u64 = 10 * 365 * 24 * HOUR;

/// The rhythms, of which a task has one.
const RHYTHMS: [&str; 3] = ["cron", "every", "at"];

/// `tasks` of a store.
pub(super) fn defaults(store: &Fields<'_>, context: &mut Context<'_>) -> Tasks {
    let mut tasks = Tasks::default();
    let Some(fields) = store.section("tasks", TASKS, context) else {
        return tasks;
    };
    let said = said(&fields, context);
    let late = |value: &Value| duration(value, SECOND..=24 * HOUR);
    fields.set(&mut tasks.late_after, "late_after", context, late);
    let defaults = Arc::make_mut(&mut tasks.defaults);
    defaults.zone = said.zone.unwrap_or_else(|| defaults.zone.clone());
    defaults.gap = said.gap.unwrap_or(defaults.gap);
    defaults.fold = said.fold.unwrap_or(defaults.fold);
    defaults.jitter = said.jitter.unwrap_or(defaults.jitter);
    defaults.overlap = said.overlap.unwrap_or(defaults.overlap);
    defaults.catch_up = said.catch_up.unwrap_or(defaults.catch_up);
    defaults.missed = said.missed.unwrap_or(defaults.missed);
    defaults.attempts_max = said.attempts_max;
    defaults.timeout = said.timeout;
    tasks
}

/// The keys that a store's defaults and a task have in common.
fn said(fields: &Fields<'_>, context: &mut Context<'_>) -> TaskWish {
    let day = |value: &Value| duration(value, 0..=24 * HOUR);
    let gap = |value: &Value| choice(value, &[("shift", Gap::Shift), ("skip", Gap::Skip)]);
    let fold = |value: &Value| {
        let choices = [
            ("first", Fold::First),
            ("last", Fold::Last),
            ("both", Fold::Both),
        ];
        choice(value, &choices)
    };
    let overlap = |value: &Value| {
        let choices = [
            ("skip", Overlap::Skip),
            ("queue", Overlap::Queue),
            ("allow", Overlap::Allow),
        ];
        choice(value, &choices)
    };
    // For ever would let one occurrence hold up the task, and crash the process again and again.
    let attempts = |value: &Value| count(value, 1..=1_000_000);
    let timeout = |value: &Value| duration(value, 1..=HOUR);
    TaskWish {
        zone: fields.read("time_zone", context, zone),
        gap: fields.read("gap", context, gap),
        fold: fields.read("fold", context, fold),
        jitter: fields.read("jitter", context, day),
        overlap: fields.read("overlap", context, overlap),
        catch_up: fields.read("catch_up", context, day),
        missed: fields.read("missed", context, missed),
        attempts_max: fields.read("attempts", context, attempts),
        timeout: fields.read("timeout", context, timeout),
        ..TaskWish::default()
    }
}

/// `plugins.<name>.tasks`; `plugin` is the table `plugins.<name>`, and `store` what is said of all tasks.
pub(super) fn tasks(plugin: &Fields<'_>, store: &Tasks, context: &mut Context<'_>) -> TaskConfigs {
    let Some(value) = plugin.get("tasks") else {
        return TaskConfigs::default();
    };
    let path = plugin.path("tasks");
    if context.is_default(value)
        && let Some(shared) = context.default_tasks.get(&path)
    {
        return shared.clone();
    }
    let tasks = Arc::new(table(value, &path, store, context));
    if context.store.is_none() {
        context.default_tasks.insert(path, tasks.clone());
    }
    tasks
}

fn table(
    value: &Value,
    path: &str,
    store: &Tasks,
    context: &mut Context<'_>,
) -> BTreeMap<Arc<str>, TaskConfig> {
    let mut tasks = BTreeMap::new();
    let Some(table) = context.table(value, path) else {
        return tasks;
    };
    if table.len() > TASKS_MAX {
        let found = format!("{} of them", table.len());
        let wrong = Wrong::expected(format_args!("at most {TASKS_MAX} tasks"), found);
        let hint = "a plugin can schedule more than that itself";
        context.report(value, path, wrong.hint(hint));
        return tasks;
    }
    for (id, value) in table {
        let path = join(path, id);
        if is_task_id(id) {
            let task = task(value, &path, store, context);
            tasks.extend(task.map(|task| (Arc::from(id.as_str()), task)));
        } else {
            let expected = "a task's id of 1 to 128 bytes without control characters";
            let found = format!("one of {} bytes", id.len());
            context.report(value, &path, Wrong::expected(expected, found));
        }
    }
    tasks
}

/// `plugins.<name>.tasks.<id>`.
fn task(value: &Value, path: &str, store: &Tasks, context: &mut Context<'_>) -> Option<TaskConfig> {
    let fields = Fields::new(context.table(value, path)?, path, TASK, context);
    refuse_two_rhythms(&fields, context);
    let mut task = TaskConfig {
        given: given(value, path, false, context),
        enabled: true,
        said: said(&fields, context),
        at: fields.read("at", context, moment),
        from: fields.read("from", context, moment),
        until: fields.read("until", context, moment),
    };
    fields.set(&mut task.enabled, "enabled", context, switch);
    let cron = fields.read("cron", context, cron).map(Rhythm::Cron);
    task.said.rhythm = cron.or_else(|| every(&fields, context));
    if let Some(value) = fields.get("payload") {
        task.said.payload = payload::payload(value, &fields.path("payload"), context);
    }
    // With what its plugin says of it, it is looked at again.
    let wish = task.over(&TaskWish::default(), &store.defaults);
    let plan = wish.plan(&store.defaults);
    if let Some(Err(wrong)) = plan.map(|plan| plan.timetable.check()) {
        context.report(value, path, Wrong::new(wrong.to_string()));
    }
    Some(task)
}

fn refuse_two_rhythms(fields: &Fields<'_>, context: &mut Context<'_>) {
    let rhythms = RHYTHMS
        .into_iter()
        .filter_map(|name| Some((name, fields.get(name)?)));
    if let [(first, _), (second, value), ..] = rhythms.collect::<Vec<_>>()[..] {
        let wrong = Wrong::new(format!("{first} says already when the task is due"));
        let hint = "a task has one of cron, every and at";
        context.report(value, &fields.path(second), wrong.hint(hint));
    }
}

/// `every`, and the `phase` that goes with it; none if either is wrong.
fn every(fields: &Fields<'_>, context: &mut Context<'_>) -> Option<Rhythm> {
    let duration = |value: &Value, least| duration(value, least..=PERIOD_MAX);
    let period = fields.read("every", context, |value| duration(value, SECOND));
    let Some(value) = fields.get("phase") else {
        let phase = Duration::ZERO;
        return period.map(|period| Rhythm::Every { period, phase });
    };
    let phase = fields.read("phase", context, |value| duration(value, 0))?;
    let wrong = match (fields.get("every"), period) {
        (None, _) => Wrong::new("it goes with every, which is not said here"),
        (Some(_), None) => return None,
        (Some(_), Some(period)) if phase < period => return Some(Rhythm::Every { period, phase }),
        (Some(_), Some(_)) => Wrong::expected("a duration shorter than every", found(value)),
    };
    context.report(value, &fields.path("phase"), wrong);
    None
}

fn cron(value: &Value) -> Result<Cron, Wrong> {
    let pattern = text(value, "a cron pattern such as \"0 8 * * 1-5\"")?;
    let cron = pattern.parse::<Cron>();
    cron.map_err(|error| Wrong::new(error.to_string()))
}

fn zone(value: &Value) -> Result<Zone, Wrong> {
    let name = text(value, "a time zone such as \"Europe/Berlin\"")?;
    let zone = name.parse::<Zone>();
    zone.map_err(|error| Wrong::new(error.to_string()))
}

/// What becomes of occurrences that were missed: a word, or how many of them run.
fn missed(value: &Value) -> Result<Missed, Wrong> {
    let wrong = || {
        let expected = "\"skip\", \"latest\", \"all\" or a table such as { all = 20 }";
        Wrong::expected(expected, found(value))
    };
    if let Some(table) = value.as_dict() {
        let all = table.get("all").filter(|_| table.len() == 1);
        let max = count(all.ok_or_else(wrong)?, 1..=MISSED_MAX)?;
        return Ok(Missed::All { max });
    }
    match value.as_str() {
        Some("skip") => Ok(Missed::Skip),
        Some("latest") => Ok(Missed::Latest),
        // Four days of a task each hour, an hour and a half of one each minute.
        Some("all") => Ok(Missed::All { max: 100 }),
        Some(_) | None => Err(wrong()),
    }
}

/// `plugins.<name>.trace`; `plugin` is the table `plugins.<name>`.
pub(super) fn trace(plugin: &Fields<'_>, context: &mut Context<'_>) -> Trace {
    let Some(value) = plugin.get("trace") else {
        return Trace::default();
    };
    let path = plugin.path("trace");
    match (value.to_bool(), value.as_dict()) {
        (Some(true), _) => Trace::On(Trace::usual()),
        (Some(false), _) => Trace::Off,
        (None, Some(table)) => {
            let fields = Fields::new(table, &path, TRACE, context);
            let mut names: TraceNames = Trace::usual();
            fields.set(&mut names.started, "started", context, event_name);
            fields.set(&mut names.completed, "completed", context, event_name);
            fields.set(&mut names.failed, "failed", context, event_name);
            Trace::On(names)
        }
        (None, None) => {
            let expected =
                "true, false or a table such as { started = \"v1.TaskExecutionStarted\" }";
            context.report(value, &path, Wrong::expected(expected, found(value)));
            Trace::default()
        }
    }
}

fn event_name(value: &Value) -> Result<Arc<str>, Wrong> {
    let expected = "an event name such as \"v1.TaskExecutionStarted\"";
    let name = text(value, expected)?;
    let pattern = name.parse::<Pattern>();
    pattern.map_err(|error: PatternError| Wrong::new(error.to_string()))?;
    match name.contains('*') {
        true => Err(Wrong::expected(expected, "one that stands for many")),
        false => Ok(name.into()),
    }
}
