//! What `echo` answers. Nothing here knows of the host: text and numbers in, JSON out.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::iso_time::iso_time;

/// The plugin's `config` in a store.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Stands before every answer, with a space, if it is there.
    greeting: Option<String>,
    /// The answer; `{text}` stands for what the user said.
    #[serde(default = "default_reply")]
    reply: String,
}

fn default_reply() -> String {
    "You said: {text}".to_owned()
}

impl Config {
    /// Reads a config, or says what is wrong with it.
    pub(crate) fn parse(config: &str) -> Result<Self, String> {
        serde_json::from_str(config).map_err(|error| format!("config: {error}"))
    }
}

/// A chat message of a user.
pub(crate) struct Question {
    text: String,
    /// What this app calls the field with the text.
    text_field: &'static str,
    conversation: Option<Value>,
    asked_at: Option<Value>,
}

impl Question {
    /// Reads an event's arguments. None if they are not a message, or not a user's.
    pub(crate) fn of(args: &str) -> Option<Self> {
        let args: Value = serde_json::from_str(args).ok()?;
        if args.get("role")? != "user" {
            return None;
        }
        let text_field = ["text", "message"]
            .into_iter()
            .find(|name| args[*name].is_string())?;
        Some(Self {
            text: args[text_field].as_str()?.to_owned(),
            text_field,
            conversation: args.get("conversationId").cloned(),
            asked_at: args.get("createdAt").cloned(),
        })
    }
}

/// The arguments of the answer, in the shape of the question.
///
/// `stamp` becomes its id: it is unique in the log, and the same if the run is repeated. `now_ms` is the time of the
/// run, 0 if nobody knows it: then the answer carries the time of the question.
pub(crate) fn answer(question: &Question, config: &Config, stamp: &str, now_ms: u64) -> Value {
    let mut answer = Map::new();
    answer.insert("id".to_owned(), stamp.into());
    answer.insert("role".to_owned(), "assistant".into());
    answer.insert(
        question.text_field.to_owned(),
        wording(question, config).into(),
    );
    if let Some(conversation) = &question.conversation {
        answer.insert("conversationId".to_owned(), conversation.clone());
    }
    if let Some(asked_at) = &question.asked_at {
        answer.insert("createdAt".to_owned(), answered_at(asked_at, now_ms));
    }
    Value::Object(answer)
}

fn wording(question: &Question, config: &Config) -> String {
    let reply = config.reply.replace("{text}", &question.text);
    match &config.greeting {
        Some(greeting) => format!("{greeting} {reply}"),
        None => reply,
    }
}

/// `now_ms`, written as the app writes the time of the question.
fn answered_at(asked_at: &Value, now_ms: u64) -> Value {
    match asked_at {
        Value::String(_) if now_ms > 0 => iso_time(now_ms).into(),
        Value::Number(_) if now_ms > 0 => now_ms.into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STAMP: &str = "qm1:echo:e42:1";
    const NOW_MS: u64 = 1_700_000_000_123;

    fn answered(question: &Value, config: &Value) -> Value {
        let question = Question::of(&question.to_string()).expect("a user's message");
        let config = Config::parse(&config.to_string()).expect("a good config");
        answer(&question, &config, STAMP, NOW_MS)
    }

    #[test]
    fn an_answer_has_the_shape_of_its_question_and_nothing_else() {
        let question =
            json!({ "id": "m1", "text": "hello", "role": "user", "mood": "fine", "draft": true });
        assert_eq!(
            answered(&question, &json!({})),
            json!({ "id": STAMP, "text": "You said: hello", "role": "assistant" })
        );
    }

    #[test]
    fn the_text_the_conversation_and_an_iso_time_are_kept_under_their_names() {
        let question = json!({
            "id": "m1", "message": "hello", "role": "user", "conversationId": "c1",
            "createdAt": "2023-11-14T22:13:00.000Z",
        });
        assert_eq!(
            answered(&question, &json!({})),
            json!({
                "id": STAMP, "message": "You said: hello", "role": "assistant", "conversationId": "c1",
                "createdAt": "2023-11-14T22:13:20.123Z",
            })
        );
    }

    #[test]
    fn a_time_in_numbers_is_answered_in_numbers() {
        let question = json!({ "id": "m1", "text": "hello", "role": "user", "createdAt": 17 });
        assert_eq!(answered(&question, &json!({}))["createdAt"], NOW_MS);
    }

    #[test]
    fn the_time_of_the_question_stands_in_for_an_unknown_time() {
        let question = r#"{ "text": "hello", "role": "user", "createdAt": 17 }"#;
        let question = Question::of(question).expect("a user's message");
        let config = Config::parse("{}").expect("a good config");
        assert_eq!(answer(&question, &config, STAMP, 0)["createdAt"], 17);
    }

    #[test]
    fn the_wording_comes_from_the_config() {
        let question = json!({ "id": "m1", "text": "hello", "role": "user" });
        let text = |config: Value| answered(&question, &config)["text"].clone();
        assert_eq!(text(json!({ "greeting": "Hi!" })), "Hi! You said: hello");
        assert_eq!(text(json!({ "reply": "{text}? {text}!" })), "hello? hello!");
    }

    #[test]
    fn a_bad_config_is_refused_in_words() {
        let refusal = |config: &str| Config::parse(config).err().expect("a bad config");
        assert!(refusal(r#"{ "greting": "Hi!" }"#).starts_with("config: unknown field `greting`"));
        assert!(refusal(r#"{ "greeting": 1 }"#).starts_with("config: invalid type: integer `1`"));
    }

    #[test]
    fn what_is_no_message_of_a_user_is_passed_over() {
        for args in [
            r#"{ "id": "m1", "text": "hello", "role": "assistant" }"#,
            r#"{ "id": "m1", "text": "hello" }"#,
            r#"{ "id": "m1", "role": "user" }"#,
            r#"{ "id": "m1", "role": "user", "text": 7 }"#,
            r#"["user"]"#,
            "null",
        ] {
            assert!(Question::of(args).is_none(), "{args}");
        }
    }
}
