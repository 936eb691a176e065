//! Asks for another attempt: `retry 3` fails the first three times, `reject` for good. All other messages fail twice.
//! What a failed attempt wrote must be gone: the answer says which attempt it was, and how many attempts the kv
//! remembers, this one included.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};

struct Retry;

impl About for Retry {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Retry {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let traces = guest::count_up("attempts")?;
        if message.text == "reject" {
            return Err(Failure::Reject("the message says so".to_owned()));
        }
        let failures = guest::number_after("retry ", &message.text).unwrap_or(2);
        if u64::from(run.attempt) <= failures {
            return Err(Failure::Retry(format!(
                "attempt {} of a planned failure",
                run.attempt
            )));
        }
        let result = format!("attempt {}, traces {traces}", run.attempt);
        guest::commit_task(&format!("retry-{}", message.id), &message, &result)
    }
}

guest::export!(Retry);
