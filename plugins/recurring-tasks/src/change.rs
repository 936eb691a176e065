//! What the app's events say of its recurring tasks. Nothing here knows of the host.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::iso_time;
use crate::kept::{Kept, check_id};

const CREATED: &str = "v1.RecurringTaskCreated";
const UPDATED: &str = "v1.RecurringTaskUpdated";
const DELETED: &str = "v1.RecurringTaskDeleted";
const ENABLED: &str = "v1.RecurringTaskEnabled";
const DISABLED: &str = "v1.RecurringTaskDisabled";
const EXECUTE: &str = "v1.RecurringTaskExecute";

/// All that are followed.
pub(crate) const EVENTS: [&str; 6] = [CREATED, UPDATED, DELETED, ENABLED, DISABLED, EXECUTE];

/// What an event says.
#[derive(Debug)]
pub(crate) enum Change {
    Created(Kept),
    Updated {
        id: String,
        updates: Map<String, Value>,
        /// An ISO time; checked where it is used.
        next: Option<String>,
    },
    Deleted {
        id: String,
    },
    Enabled {
        id: String,
        next: Option<String>,
    },
    Disabled {
        id: String,
    },
    /// Run now.
    Execute {
        id: String,
        /// Milliseconds since the Unix epoch.
        triggered_at: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Updated {
    id: String,
    updates: Map<String, Value>,
    next_execution_at: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Enabled {
    id: String,
    next_execution_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Execute {
    task_id: String,
    triggered_at: String,
}

impl Change {
    /// Reads the arguments of the event `name`, or says what is wrong with them.
    pub(crate) fn read(name: &str, args: &str) -> Result<Self, String> {
        let change = match name {
            CREATED => Self::Created(Kept::read(args.as_bytes())?),
            UPDATED => {
                let args: Updated = parse(args)?;
                Self::Updated {
                    id: args.id,
                    updates: args.updates,
                    next: args.next_execution_at,
                }
            }
            DELETED => Self::Deleted {
                id: parse::<Named>(args)?.id,
            },
            ENABLED => {
                let args: Enabled = parse(args)?;
                Self::Enabled {
                    id: args.id,
                    next: args.next_execution_at,
                }
            }
            DISABLED => Self::Disabled {
                id: parse::<Named>(args)?.id,
            },
            EXECUTE => {
                let args: Execute = parse(args)?;
                let triggered_at = iso_time::parse(&args.triggered_at);
                Self::Execute {
                    id: args.task_id,
                    triggered_at: triggered_at.map_err(|error| format!("triggeredAt: {error}"))?,
                }
            }
            other => return Err(format!("{other} is not followed")),
        };
        check_id(change.id())?;
        Ok(change)
    }

    fn id(&self) -> &str {
        match self {
            Self::Created(task) => &task.id,
            Self::Updated { id, .. }
            | Self::Deleted { id }
            | Self::Enabled { id, .. }
            | Self::Disabled { id }
            | Self::Execute { id, .. } => id,
        }
    }
}

fn parse<T: DeserializeOwned>(args: &str) -> Result<T, String> {
    serde_json::from_str(args).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_of_the_app_is_understood_with_all_that_it_may_carry() {
        let created = json!({
            "id": "t1", "name": "News", "description": "what is new", "prompt": "Any news?", "intervalHours": 24,
            "assigneeIds": ["u1"], "enabled": true, "projectId": "p1", "nextExecutionAt": "2026-11-24T08:00:00.000Z",
            "createdAt": "2026-11-23T08:00:00.000Z", "actorId": "u1",
        });
        let read =
            |name: &str, args: Value| Change::read(name, &args.to_string()).expect("it is right");
        let Change::Created(task) = read(CREATED, created) else {
            panic!("another change")
        };
        assert_eq!(
            (task.id.as_str(), task.prompt.as_str()),
            ("t1", "Any news?")
        );

        let updated = json!({ "id": "t1", "updates": { "prompt": "?" }, "updatedAt": "2026-11-23T08:00:00.000Z",
            "nextExecutionAt": "2026-11-24T08:00:00.000Z" });
        let Change::Updated { updates, next, .. } = read(UPDATED, updated) else {
            panic!("another change")
        };
        assert_eq!(
            (updates.len(), next.as_deref()),
            (1, Some("2026-11-24T08:00:00.000Z"))
        );

        let deleted = json!({ "id": "t1", "deletedAt": "2026-11-23T08:00:00.000Z" });
        assert!(matches!(read(DELETED, deleted), Change::Deleted { .. }));
        let enabled = json!({ "id": "t1", "enabledAt": "2026-11-23T08:00:00.000Z", "nextExecutionAt": "2026-11-24T08:00:00.000Z" });
        assert!(matches!(
            read(ENABLED, enabled),
            Change::Enabled { next: Some(_), .. }
        ));
        let disabled = json!({ "id": "t1", "disabledAt": "2026-11-23T08:00:00.000Z" });
        assert!(matches!(read(DISABLED, disabled), Change::Disabled { .. }));
        let execute = json!({ "taskId": "t1", "triggeredAt": "1970-01-01T00:00:01.500Z" });
        let Change::Execute { id, triggered_at } = read(EXECUTE, execute) else {
            panic!("another change")
        };
        assert_eq!((id.as_str(), triggered_at), ("t1", 1_500));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (name, args, words) in [
            (CREATED, "null", "invalid type"),
            (CREATED, r#"{ "id": "t1" }"#, "missing field `prompt`"),
            (
                CREATED,
                r#"{ "id": "", "prompt": "?", "enabled": true }"#,
                "the id has 0 bytes",
            ),
            (
                CREATED,
                r#"{ "id": "t1", "prompt": 7, "enabled": true }"#,
                "expected a string",
            ),
            (UPDATED, r#"{ "id": "t1", "updates": [] }"#, "invalid type"),
            (DELETED, r#"{ "deletedAt": "x" }"#, "missing field `id`"),
            (
                EXECUTE,
                r#"{ "taskId": "t1", "triggeredAt": "soon" }"#,
                "triggeredAt: ",
            ),
            (DISABLED, "{\"id\":\"a\\nb\"}", "control characters"),
        ] {
            let error = Change::read(name, args).expect_err("a refusal");
            assert!(error.contains(words), "{error}, not: {words}");
        }
        let long = format!(r#"{{ "id": "{}" }}"#, "i".repeat(101));
        let error = Change::read(DELETED, &long).expect_err("a refusal");
        assert!(error.contains("101 bytes"), "{error}");
    }
}
