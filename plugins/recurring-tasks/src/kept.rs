//! What is known of one of the app's tasks, kept as JSON in kv, and the schedule that follows from it. Nothing here calls the
//! host.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::iso_time;
use crate::quartermaster::plugin::types::{Interval, Rhythm, Task};

/// Bytes of an app's id: a task of the host may have 128 in its id, and a run now needs some of them.
const ID_BYTES_MAX: usize = 100;
/// Bytes of a task as JSON. A prompt of this size would fill a fourth of what a run may commit.
const KEPT_BYTES_MAX: usize = 160_000;
/// What an update may change.
const UPDATABLE: [&str; 6] = [
    "name",
    "prompt",
    "intervalHours",
    "enabled",
    "cron",
    "timeZone",
];
/// The shortest and the longest interval: a second, below which the host has no rhythm, and ten years.
const INTERVAL_MS: std::ops::RangeInclusive<f64> = 1_000.0..=315_360_000_000.0;
/// How long somebody who wanted a run now waits for it, should the host be down: a day.
const NOW_CATCH_UP_MS: u64 = 86_400_000;

/// One of the app's tasks. What else the app says of it is not needed here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) prompt: String,
    enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_hours: Option<f64>,
    /// An ISO time: when it is due for the first time, and then every interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_execution_at: Option<String>,
    /// Instead of an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    /// Whose wall clock the pattern means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
}

/// Where a task is kept.
pub(crate) fn key(id: &str) -> String {
    format!("task/{id}")
}

/// Whether the host can have a task of this id.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    if !(1..=ID_BYTES_MAX).contains(&id.len()) {
        let length = id.len();
        return Err(format!(
            "the id has {length} bytes; 1 to {ID_BYTES_MAX} are allowed"
        ));
    }
    if id.chars().any(char::is_control) {
        return Err(format!("the id {id:?} has control characters"));
    }
    Ok(())
}

/// The app's task that an occurrence with this payload is of.
pub(crate) fn id_in(payload: &str) -> Result<String, String> {
    let payload: Value = serde_json::from_str(payload).map_err(|error| error.to_string())?;
    match payload["task"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => {
            Err("the payload has to name one of the app's tasks: { \"task\": \"<id>\" }".to_owned())
        }
    }
}

impl Kept {
    /// Reads a task as the app creates it, and as it is kept.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        if json.len() > KEPT_BYTES_MAX {
            let length = json.len();
            return Err(format!(
                "the task has {length} bytes; at most {KEPT_BYTES_MAX} are kept"
            ));
        }
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has texts and numbers only")
    }

    pub(crate) fn key(&self) -> String {
        key(&self.id)
    }

    /// With what an update says; null takes a field away.
    pub(crate) fn updated(
        &self,
        updates: &Map<String, Value>,
        next: Option<String>,
    ) -> Result<Self, String> {
        let mut fields = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for field in UPDATABLE {
            if let Some(value) = updates.get(field) {
                fields[field] = value.clone();
            }
        }
        if let Some(next) = next {
            fields["nextExecutionAt"] = next.into();
        }
        Self::read(fields.to_string().as_bytes())
    }

    /// Enabled, and due next at an ISO time if one is given.
    pub(crate) fn enabled(self, next: Option<String>) -> Result<Self, String> {
        Ok(Self {
            enabled: true,
            next_execution_at: next.or(self.next_execution_at),
            ..self
        })
    }

    pub(crate) fn disabled(self) -> Self {
        Self {
            enabled: false,
            ..self
        }
    }

    /// The task as the host has to have it; none while it is disabled, or what is wrong with it.
    pub(crate) fn planned(&self) -> Result<Option<Task>, String> {
        let next = self.next_execution_at.as_deref().map(iso_time::parse);
        let next = next
            .transpose()
            .map_err(|error| format!("nextExecutionAt: {error}"))?;
        let (rhythm, starts_ms) = match (&self.cron, next) {
            (Some(pattern), _) => (Rhythm::Cron(pattern.clone()), None),
            (None, Some(next)) => {
                let period_ms = self.period_ms()?;
                let phase_ms = next % period_ms;
                (
                    Rhythm::Every(Interval {
                        period_ms,
                        phase_ms,
                    }),
                    Some(next),
                )
            }
            (None, None) => return Err("it has neither nextExecutionAt nor cron".to_owned()),
        };
        let planned = Task {
            time_zone: self.time_zone.clone(),
            starts_ms,
            ..self.task(self.id.clone(), rhythm)
        };
        Ok(self.enabled.then_some(planned))
    }

    /// One run now: as the event in place `seq` wanted it, at a time that its run has for the present. The place makes it one
    /// task for each such event, on every host.
    pub(crate) fn now(&self, seq: u64, now_ms: u64) -> Task {
        let id = format!("{}/now/{seq}", self.id);
        Task {
            catch_up_ms: Some(NOW_CATCH_UP_MS),
            // The host counts what a run schedules from the time of its event on.
            ..self.task(id, Rhythm::At(now_ms + 1))
        }
    }

    fn period_ms(&self) -> Result<u64, String> {
        let hours = self
            .interval_hours
            .ok_or("it has neither intervalHours nor cron")?;
        let period_ms = (hours * 3_600_000.0).round();
        if !INTERVAL_MS.contains(&period_ms) {
            return Err(format!(
                "intervalHours is {hours}; a second to ten years are allowed"
            ));
        }
        Ok(period_ms as u64)
    }

    fn task(&self, id: String, rhythm: Rhythm) -> Task {
        Task {
            id,
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
            payload: json!({ "task": self.id }).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every two hours from half past ten.
    fn kept(change: Value) -> Result<Kept, String> {
        let mut task = json!({
            "id": "t1", "name": "News", "prompt": "Any news?", "intervalHours": 2, "enabled": true,
            "nextExecutionAt": "1970-01-01T10:30:00.000Z", "createdAt": "1970-01-01T00:00:00.000Z",
        });
        for (field, value) in change.as_object().expect("fields") {
            task[field] = value.clone();
        }
        Kept::read(task.to_string().as_bytes())
    }

    fn planned(change: Value) -> Result<Option<Task>, String> {
        kept(change).and_then(|task| task.planned())
    }

    fn every(task: &Task) -> (u64, u64) {
        match &task.rhythm {
            Rhythm::Every(interval) => (interval.period_ms, interval.phase_ms),
            other => panic!("{other:?}"),
        }
    }

    const HOUR: u64 = 3_600_000;

    #[test]
    fn an_interval_begins_with_the_next_execution_and_goes_on_from_there() {
        let task = planned(json!({}))
            .expect("it is right")
            .expect("it is enabled");
        assert_eq!(every(&task), (2 * HOUR, HOUR / 2));
        assert_eq!(task.starts_ms, Some(21 * HOUR / 2));
        assert_eq!(
            (task.id.as_str(), task.payload.as_str()),
            ("t1", r#"{"task":"t1"}"#)
        );
        assert_eq!(id_in(&task.payload).as_deref(), Ok("t1"));
    }

    #[test]
    fn a_pattern_comes_before_an_interval() {
        let change =
            json!({ "cron": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "nextExecutionAt": null });
        let task = planned(change)
            .expect("it is right")
            .expect("it is enabled");
        assert!(matches!(task.rhythm, Rhythm::Cron(pattern) if pattern == "0 8 * * 1-5"));
        assert_eq!(
            (task.time_zone.as_deref(), task.starts_ms),
            (Some("Europe/Berlin"), None)
        );
    }

    #[test]
    fn a_disabled_task_has_no_place_in_the_schedule_until_it_is_enabled() {
        let task = kept(json!({ "enabled": false })).expect("it is right");
        assert!(task.planned().expect("it is right").is_none());
        let next = "1970-01-01T11:00:00Z".to_owned();
        let task = task.enabled(Some(next)).expect("it is right");
        let plan = task.planned().expect("it is right").expect("it is enabled");
        assert_eq!(
            (every(&plan), plan.starts_ms),
            ((2 * HOUR, HOUR), Some(11 * HOUR))
        );
        assert!(task.disabled().planned().expect("it is right").is_none());
    }

    #[test]
    fn an_update_changes_what_it_names_and_null_takes_away() {
        let task =
            kept(json!({ "cron": "0 8 * * *", "timeZone": "Europe/Berlin" })).expect("it is right");
        let updates = json!({ "prompt": "And now?", "cron": null, "intervalHours": 0.5, "id": "t2", "mood": "fine" });
        let next = Some("1970-01-01T10:15:00.000Z".to_owned());
        let updated = task
            .updated(updates.as_object().expect("fields"), next)
            .expect("it is right");
        assert_eq!(
            (updated.id.as_str(), updated.prompt.as_str()),
            ("t1", "And now?")
        );
        assert_eq!(updated.name.as_deref(), Some("News"));
        let plan = updated
            .planned()
            .expect("it is right")
            .expect("it is enabled");
        assert_eq!(every(&plan), (HOUR / 2, HOUR / 4));

        let bad = json!({ "prompt": null });
        let refused = task.updated(bad.as_object().expect("fields"), None);
        assert!(refused.is_err(), "a task without a prompt");
    }

    #[test]
    fn what_is_kept_is_read_again_as_it_was() {
        for change in [
            json!({}),
            json!({ "cron": "0 8 * * *", "timeZone": "UTC", "name": null }),
        ] {
            let task = kept(change).expect("it is right");
            assert_eq!(Kept::read(task.to_json().as_bytes()), Ok(task));
        }
    }

    #[test]
    fn a_run_now_is_one_for_each_event_and_names_its_task() {
        let task = kept(json!({ "enabled": false }))
            .expect("it is right")
            .now(42, 1_000);
        assert_eq!(
            (task.id.as_str(), task.payload.as_str()),
            ("t1/now/42", r#"{"task":"t1"}"#)
        );
        assert!(matches!(task.rhythm, Rhythm::At(1_001)));
    }

    #[test]
    fn what_cannot_be_scheduled_is_refused_in_words() {
        for (change, words) in [
            (json!({ "intervalHours": 0 }), "intervalHours is 0"),
            (json!({ "intervalHours": -1 }), "intervalHours is -1"),
            (json!({ "intervalHours": 1e300 }), "a second to ten years"),
            (json!({ "intervalHours": 0.0001 }), "a second to ten years"),
            (
                json!({ "intervalHours": null }),
                "neither intervalHours nor cron",
            ),
            (json!({ "intervalHours": "2" }), "invalid type"),
            (
                json!({ "nextExecutionAt": null }),
                "neither nextExecutionAt nor cron",
            ),
            (
                json!({ "nextExecutionAt": "tomorrow" }),
                "nextExecutionAt: ",
            ),
            (json!({ "nextExecutionAt": 7 }), "invalid type"),
            (json!({ "enabled": null }), "invalid type"),
            (json!({ "prompt": "p".repeat(KEPT_BYTES_MAX) }), "bytes"),
        ] {
            let error = planned(change).expect_err("a refusal");
            assert!(error.contains(words), "{error}, not: {words}");
        }
    }

    #[test]
    fn a_payload_that_names_no_task_is_refused() {
        for payload in ["null", "7", "{}", r#"{"task":7}"#, "{"] {
            assert!(id_in(payload).is_err(), "{payload}");
        }
    }
}
