//! Traps on some messages, after it has committed: `poison` in every attempt, `poison 2` in the first two. Answers all
//! others.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};

struct Poison;

impl About for Poison {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Poison {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        guest::commit_task(&format!("poison-{}", message.id), &message, "ok")?;
        let traps = match message.text.as_str() {
            "poison" => true,
            text => {
                guest::number_after("poison ", text).is_some_and(|n| u64::from(run.attempt) <= n)
            }
        };
        assert!(!traps, "this message is poison");
        Ok(())
    }
}

guest::export!(Poison);
