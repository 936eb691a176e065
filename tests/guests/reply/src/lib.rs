//! Answers every message of a user with one `v1.TaskExecuted`, as the Node server does that the host is measured
//! against.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};

struct Reply;

impl About for Reply {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Reply {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        guest::commit_task(&format!("r-{}", message.id), &message, "ok")
    }
}

guest::export!(Reply);
