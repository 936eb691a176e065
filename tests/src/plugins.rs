//! What the project's plugins and the tests' guests owe in a log, for the checker. Each answers every chat message of a
//! user unless said otherwise.

use crate::checker::Derivation;
use crate::history::{CHAT, LogEvent};

/// What the guests record their work as.
pub const TASK: &str = "v1.TaskExecuted";

fn once(event: &LogEvent) -> u32 {
    u32::from(event.is_question())
}

fn thrice(event: &LogEvent) -> u32 {
    3 * once(event)
}

/// Says again what the user said.
pub fn echo() -> Derivation {
    Derivation::new("echo", once).answers(|question, answer| {
        let said = question.args["text"].as_str().unwrap_or_default();
        let answered = answer.args["text"].as_str().unwrap_or_default();
        answer.name == CHAT && answer.args["role"] == "assistant" && answered.contains(said)
    })
}

/// Records one task.
pub fn reply() -> Derivation {
    Derivation::new("reply", once).answers(|question, answer| task_for("r", question, answer))
}

/// Records one task with the number of tasks so far, which it keeps in kv.
pub fn counter() -> Derivation {
    Derivation::new("counter", once)
        .answers(|question, answer| task_for("counter", question, answer))
        .counter(|answer| answer.args["result"].as_str()?.parse().ok())
}

/// Creates a todo, completes it, and records a task.
pub fn triple() -> Derivation {
    Derivation::new("triple", thrice).answers(|question, answer| {
        let id = question.args["id"].as_str().unwrap_or_default();
        let todo = format!("triple-todo-{id}");
        match answer.stamp().map(|stamp| stamp.index) {
            Some(0) => answer.name == "v1.TodoCreated" && answer.args["id"] == todo,
            Some(1) => answer.name == "v1.TodoCompleted" && answer.args["id"] == todo,
            Some(_) | None => task_for("triple", question, answer),
        }
    })
}

/// Records one task; those of the guests that do so and misbehave on certain texts.
pub fn recorder(plugin: &'static str) -> Derivation {
    Derivation::new(plugin, once)
}

/// Whether `answer` is the task that a guest records for `question` under its prefix.
fn task_for(prefix: &str, question: &LogEvent, answer: &LogEvent) -> bool {
    let id = question.args["id"].as_str().unwrap_or_default();
    answer.name == TASK && answer.args["id"] == format!("{prefix}-{id}")
}
