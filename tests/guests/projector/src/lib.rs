//! Wants the past: counts the messages that were there before it, and answers each new one with the number of messages
//! so far.

use guest::{About, ChatMessage, Description, Event, Failure, History, Mode, OnEvent, Run};

struct Projector;

impl About for Projector {
    fn describe() -> Description {
        Description {
            history: History::Project,
            ..guest::chat_messages()
        }
    }
}

impl OnEvent for Projector {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let count = guest::count_up("messages")?;
        match run.mode {
            Mode::Projecting => Ok(()),
            Mode::Reacting => {
                let id = format!("projector-{}", message.id);
                guest::commit_task(&id, &message, &count.to_string())
            }
        }
    }
}

guest::export!(Projector);
