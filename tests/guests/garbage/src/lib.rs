//! Hands the host what it must refuse. The text of a message says what: one of the cases below. Where the host answers
//! the call with an error, the answer is recorded as `v1.TaskExecuted`; where it must trap the guest, no event comes.

mod raw;

use guest::log::Level;
use guest::{
    About, ChatMessage, Description, Event, Failure, OnEvent, Run, TASK_EXECUTED, TODO_COMPLETED,
    TODO_CREATED, kv, log, store,
};

struct Garbage;

impl About for Garbage {
    fn describe() -> Description {
        Description {
            commits: [TODO_CREATED, TASK_EXECUTED].map(str::to_owned).to_vec(),
            ..guest::chat_messages()
        }
    }
}

impl OnEvent for Garbage {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let result = match message.text.as_str() {
            "empty-name" => commit("", "{}"),
            "long-name" => commit(&"n".repeat(257), "{}"),
            "control-name" => commit("v1.Todo\nCreated", "{}"),
            "undeclared-name" => commit(TODO_COMPLETED, r#"{"id":"a"}"#),
            "empty-args" => commit(TODO_CREATED, ""),
            "broken-args" => commit(TODO_CREATED, r#"{"id":"#),
            "two-args" => commit(TODO_CREATED, r#"{"id":"a"} {"id":"b"}"#),
            "deep-args" => commit(TODO_CREATED, &nested(100_000)),
            "large-args" => commit(TODO_CREATED, &format!("\"{}\"", "a".repeat(800_000))),
            "many-events" => return too_many_events(),
            "empty-key" => put("", b""),
            "long-key" => put(&"k".repeat(513), b""),
            "large-value" => put("value", &vec![0; (1 << 20) + 1]),
            "many-values" => put_many(5, 1 << 20),
            "many-keys" => put_many(1_001, 1),
            "long-line" => line(&"l".repeat(100_000)),
            "control-line" => line("one\ntwo\u{1b}[31mred\u{0}"),
            "many-lines" => lines(1_000),
            "long-failure" => return Err(Failure::Reject("f".repeat(1 << 20))),
            "failure-not-utf8" => return Err(Failure::Reject(raw::text_that_is_not_utf8())),
            "name-not-utf8" => raw::commit(&[0xff], b"{}"),
            "args-not-utf8" => raw::commit(TODO_CREATED.as_bytes(), &[b'"', 0xff, b'"']),
            "name-outside-memory" => raw::commit_from_outside_memory(),
            _ => "ok".to_owned(),
        };
        guest::commit_task(&format!("garbage-{}", message.id), &message, &result)
    }
}

/// How the host answered, in words.
fn told<T>(answer: Result<T, impl std::fmt::Display>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

fn commit(name: &str, args: &str) -> String {
    told(store::commit(name, args))
}

fn put(key: &str, value: &[u8]) -> String {
    told(kv::put(key, value))
}

/// Puts values until one is refused.
fn put_many(count: usize, bytes: usize) -> String {
    let value = vec![0; bytes];
    let refusal = (0..count).find_map(|n| kv::put(&format!("key-{n:04}"), &value).err());
    refusal.map_or_else(|| "accepted".to_owned(), |refusal| refusal.to_string())
}

fn line(text: &str) -> String {
    log::log(Level::Info, text);
    "logged".to_owned()
}

fn lines(count: usize) -> String {
    (0..count).for_each(|_| log::log(Level::Info, &"l".repeat(1_000)));
    "logged".to_owned()
}

/// JSON in which `depth` arrays lie in each other.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// Commits one event too many. No room is left for an answer, so the refusal becomes the reason of the failure.
fn too_many_events() -> Result<(), Failure> {
    for n in 0..101 {
        let args = format!(r#"{{"id":"garbage-{n}","text":"one of too many"}}"#);
        store::commit(TODO_CREATED, &args).map_err(guest::refused)?;
    }
    Ok(())
}

guest::export!(Garbage);
