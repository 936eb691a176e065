//! Counts the messages of users in its kv, and commits the new count in the same run: the two must never differ.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};

struct Counter;

impl About for Counter {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Counter {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let count = guest::count_up("count")?;
        let id = format!("counter-{}", message.id);
        guest::commit_task(&id, &message, &count.to_string())
    }
}

guest::export!(Counter);
