//! Answers every message of a user with three events: all of them come to lie side by side in the log, or none does.

use guest::{
    About, ChatMessage, Description, Event, Failure, OnEvent, Run, TASK_EXECUTED, TODO_COMPLETED,
    TODO_CREATED, store,
};
use serde_json::json;

struct Triple;

impl About for Triple {
    fn describe() -> Description {
        Description {
            commits: ["v1.Todo*", TASK_EXECUTED].map(str::to_owned).to_vec(),
            ..guest::chat_messages()
        }
    }
}

impl OnEvent for Triple {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let todo = format!("triple-todo-{}", message.id);
        let created = json!({ "id": todo, "text": message.text });
        store::commit(TODO_CREATED, &created.to_string()).map_err(guest::refused)?;
        let completed = json!({ "id": todo });
        store::commit(TODO_COMPLETED, &completed.to_string()).map_err(guest::refused)?;
        guest::commit_task(&format!("triple-{}", message.id), &message, "ok")
    }
}

guest::export!(Triple);
