//! Answers every message of a user with its own version. Tests make other versions of it by putting other letters in
//! the place of the eight zeros, in the finished component; one whose letters begin with `bad` fails whatever it is asked.

use std::hint::black_box;

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};

/// Kept in one piece: nothing may be concluded from it while it is compiled.
static VERSION: &str = "version-00000000";

fn version() -> &'static str {
    black_box(VERSION)
}

struct Versioned;

impl About for Versioned {
    fn describe() -> Description {
        Description {
            version: version().to_owned(),
            ..guest::chat_messages()
        }
    }
}

impl OnEvent for Versioned {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        if version().starts_with("version-bad") {
            return Err(Failure::Retry(format!("{} fails", version())));
        }
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        guest::commit_task(&format!("v-{}", message.id), &message, version())
    }
}

guest::export!(Versioned);
