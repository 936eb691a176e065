//! What the test guests share: the bindings, and the events of the demo schema (`tests/livestore`), so that a real
//! LiveStore client can materialize what they commit.
//!
//! Most of them react to `v1.ChatMessageSent` of a user and record what they did as `v1.TaskExecuted`. Ids follow from
//! the ids of the messages: a checker sees which answer belongs to which question.

use serde::Deserialize;
use serde_json::json;

pub use crate::exports::quartermaster::plugin::about::{Description, Guest as About, History};
pub use crate::exports::quartermaster::plugin::on_event::{Event, Failure, Guest as OnEvent, Run};
pub use crate::quartermaster::plugin::types::Mode;
pub use crate::quartermaster::plugin::{kv, log, store};

wit_bindgen::generate!({
    path: "../../../wit",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "guest",
});

pub const CHAT_MESSAGE_SENT: &str = "v1.ChatMessageSent";
pub const TASK_EXECUTED: &str = "v1.TaskExecuted";
pub const TODO_CREATED: &str = "v1.TodoCreated";
pub const TODO_COMPLETED: &str = "v1.TodoCompleted";

/// A chat message, as the demo schema encodes it.
#[derive(Deserialize)]
pub struct ChatMessage {
    pub id: String,
    pub text: String,
    pub role: String,
}

impl ChatMessage {
    /// The message of a user that `event` is, if it is one.
    pub fn of_user(event: &Event) -> Option<Self> {
        if event.name != CHAT_MESSAGE_SENT {
            return None;
        }
        let message: Self = serde_json::from_str(&event.args).ok()?;
        (message.role == "user").then_some(message)
    }
}

/// Wants chat messages from now on, and none of its own events; commits tasks.
pub fn chat_messages() -> Description {
    Description {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        events: vec![CHAT_MESSAGE_SENT.to_owned()],
        commits: vec![TASK_EXECUTED.to_owned()],
        own_events: false,
        history: History::Ignore,
        tasks: Vec::new(),
    }
}

/// Commits `v1.TaskExecuted` with `id`, the text of `message` as its task, and `result`.
pub fn commit_task(id: &str, message: &ChatMessage, result: &str) -> Result<(), Failure> {
    let args = json!({ "id": id, "task": message.text, "result": result });
    store::commit(TASK_EXECUTED, &args.to_string()).map_err(refused)
}

/// A refusal that this guest did not expect.
pub fn refused(refusal: impl std::fmt::Display) -> Failure {
    Failure::Reject(format!("refused: {refusal}"))
}

/// Reads the number at `key`: 0 if there is none.
pub fn number_at(key: &str) -> Result<u64, Failure> {
    let Some(bytes) = kv::get(key).map_err(refused)? else {
        return Ok(0);
    };
    let text = String::from_utf8(bytes).map_err(refused)?;
    text.parse().map_err(refused)
}

/// Adds 1 to the number at `key`, and gives the sum.
pub fn count_up(key: &str) -> Result<u64, Failure> {
    let sum = number_at(key)? + 1;
    kv::put(key, sum.to_string().as_bytes()).map_err(refused)?;
    Ok(sum)
}

/// The number after `word` in a message such as `spin 20`, if the message starts with that word.
pub fn number_after(word: &str, text: &str) -> Option<u64> {
    text.strip_prefix(word)?.trim().parse().ok()
}
