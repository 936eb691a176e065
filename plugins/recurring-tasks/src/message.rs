//! What a due task says. Nothing here knows of the host.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::iso_time;
use crate::kept::Kept;

/// The plugin's `config` in a store.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) action: Action,
    /// What this app calls the field with the text.
    #[serde(default)]
    text_field: TextField,
    /// The conversation that messages belong to; `{taskId}` stands for the task's id. None if the app has no conversations.
    conversation_id: Option<String>,
}

/// What a due task does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Its prompt is sent as a chat message of a user.
    #[default]
    Chat,
    /// Nothing: there is only the trace that the host leaves.
    None,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TextField {
    #[default]
    Text,
    Message,
}

impl Config {
    /// Reads a config, or says what is wrong with it.
    pub(crate) fn parse(config: &str) -> Result<Self, String> {
        serde_json::from_str(config).map_err(|error| format!("config: {error}"))
    }
}

/// The arguments of the message. `stamp` becomes its id: it is unique in the log, and the same if the run is repeated.
pub(crate) fn of(task: &Kept, config: &Config, stamp: &str, due_ms: u64) -> Value {
    let text_field = match config.text_field {
        TextField::Text => "text",
        TextField::Message => "message",
    };
    let mut message = Map::new();
    let mut say = |field: &str, value: String| message.insert(field.to_owned(), value.into());
    say("id", stamp.to_owned());
    say("role", "user".to_owned());
    say(text_field, task.prompt.clone());
    say("createdAt", iso_time::format(due_ms));
    if let Some(conversation) = &config.conversation_id {
        say("conversationId", conversation.replace("{taskId}", &task.id));
    }
    Value::Object(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STAMP: &str = "qm1:recurring-tasks:t/t1/1700000000123:1";

    fn message(config: Value) -> Value {
        let task = json!({ "id": "t1", "prompt": "Any news?", "enabled": true });
        let task = Kept::read(task.to_string().as_bytes()).expect("it is right");
        let config = Config::parse(&config.to_string()).expect("a good config");
        of(&task, &config, STAMP, 1_700_000_000_123)
    }

    #[test]
    fn a_prompt_is_sent_as_a_message_of_a_user_at_the_time_at_which_it_was_due() {
        assert_eq!(
            message(json!({})),
            json!({ "id": STAMP, "role": "user", "text": "Any news?", "createdAt": "2023-11-14T22:13:20.123Z" })
        );
    }

    #[test]
    fn an_app_may_call_the_text_otherwise_and_have_conversations() {
        let config = json!({ "textField": "message", "conversationId": "task-{taskId}" });
        let message = message(config);
        assert_eq!(message["message"], "Any news?");
        assert_eq!(message["conversationId"], "task-t1");
        assert_eq!(message.get("text"), None);
    }

    #[test]
    fn a_bad_config_is_refused_in_words_and_none_is_a_good_one() {
        assert_eq!(Config::parse("{}").map(|it| it.action), Ok(Action::Chat));
        let none = Config::parse(r#"{ "action": "none" }"#);
        assert_eq!(none.map(|it| it.action), Ok(Action::None));
        for (config, words) in [
            (r#"{ "action": "shout" }"#, "unknown variant `shout`"),
            (r#"{ "acton": "chat" }"#, "unknown field `acton`"),
        ] {
            let error = Config::parse(config).expect_err("a refusal");
            assert!(
                error.starts_with("config: ") && error.contains(words),
                "{error}"
            );
        }
    }
}
