//! Tasks as events tell them: `{ "id", "cron" | "everyMs" | "atMs", "phaseMs"?, "timeZone"?, "payload"? }`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::quartermaster::plugin::types::{Interval, Rhythm, Task};

/// The arguments of `v1.Plan`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Plan {
    id: String,
    cron: Option<String>,
    every_ms: Option<u64>,
    #[serde(default)]
    phase_ms: u64,
    at_ms: Option<u64>,
    time_zone: Option<String>,
    #[serde(default)]
    payload: Value,
}

/// The arguments of `v1.Unplan`.
#[derive(Deserialize)]
struct Unplan {
    id: String,
}

/// A task of which nothing is said but when it is due.
pub(crate) fn task(id: &str, rhythm: Rhythm, payload: &str) -> Task {
    Task {
        id: id.to_owned(),
        rhythm,
        time_zone: None,
        gap: None,
        fold: None,
        starts_ms: None,
        until_ms: None,
        jitter_ms: None,
        overlap: None,
        catch_up_ms: None,
        missed: None,
        attempts: None,
        timeout_ms: None,
        payload: payload.to_owned(),
    }
}

/// The task that the arguments of `v1.Plan` say.
pub(crate) fn of(args: &str) -> Result<Task, String> {
    let plan: Plan = serde_json::from_str(args).map_err(|error| error.to_string())?;
    let rhythm = match (plan.cron, plan.every_ms, plan.at_ms) {
        (Some(pattern), None, None) => Rhythm::Cron(pattern),
        (None, Some(period_ms), None) => Rhythm::Every(Interval {
            period_ms,
            phase_ms: plan.phase_ms,
        }),
        (None, None, Some(at)) => Rhythm::At(at),
        _ => return Err("expected one of cron, everyMs and atMs".to_owned()),
    };
    Ok(Task {
        time_zone: plan.time_zone,
        ..task(&plan.id, rhythm, &plan.payload.to_string())
    })
}

/// The id that the arguments of `v1.Unplan` say.
pub(crate) fn id_of(args: &str) -> Result<String, String> {
    let unplan: Unplan = serde_json::from_str(args).map_err(|error| error.to_string())?;
    Ok(unplan.id)
}

/// A task as `v1.Plans` tells it: as it was planned, with the zone that it has.
pub(crate) fn told(task: &Task) -> Value {
    let payload: Value = serde_json::from_str(&task.payload).unwrap_or_default();
    let mut told = json!({ "id": task.id, "timeZone": task.time_zone, "payload": payload });
    match &task.rhythm {
        Rhythm::Cron(pattern) => told["cron"] = pattern.as_str().into(),
        Rhythm::Every(interval) => {
            told["everyMs"] = interval.period_ms.into();
            told["phaseMs"] = interval.phase_ms.into();
        }
        Rhythm::At(at) => told["atMs"] = (*at).into(),
    }
    told
}
