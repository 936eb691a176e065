//! Stories of users and operators, over real sockets, with the real host, real plugins and real LiveStore peers.

mod access;
mod answers;
mod browser;
mod crashes;
mod differential;
mod grants;
mod guests;
mod hostile;
mod isolation;
mod living;
mod logs;
mod moving;
mod network;
mod past;
mod peers;
mod rations;
mod tanks;
mod task_orders;
mod tasks;
mod terminal;

use quartermaster_tests::history::{CHAT, LogEvent, question};
use serde_json::{Value, json};

/// A user's message, ready to be appended.
fn ask(id: &str) -> (&'static str, Value) {
    (CHAT, question(id, &format!("what about {id}?")))
}

/// A user's message with a certain text, whose id is that text.
fn say(text: &str) -> (&'static str, Value) {
    (CHAT, question(text, text))
}

/// An event that no plugin of the tests cares for.
fn remark(id: &str) -> (&'static str, Value) {
    ("v1.TodoCompleted", json!({ "id": id }))
}

/// The places of the events that plugins wrote.
fn answers_in(log: &[LogEvent]) -> Vec<u64> {
    let answers = log.iter().filter(|event| event.stamp().is_some());
    answers.map(|event| event.seq).collect()
}
