//! What a task's plugin is handed each time: any value, as JSON. It is kept in the journal and shown to people, so that no
//! secret may stand in it, not even by reference.

use std::sync::Arc;

use figment::value::Value;

use crate::config::document::kind;
use crate::config::fields::{Context, item, join};
use crate::config::problem::Wrong;
use crate::config::secret::is_secret_name;
use crate::store::PAYLOAD_BYTES_MAX;

/// The value at `path` as JSON text. None if anything is wrong with it, which is reported without repeating it.
pub(super) fn payload(value: &Value, path: &str, context: &mut Context<'_>) -> Option<Arc<str>> {
    if !is_harmless(value, path, context) {
        return None;
    }
    let Ok(text) = serde_json::to_string(value) else {
        let wrong = Wrong::expected("what JSON can hold", kind(value));
        context.report(value, path, wrong);
        return None;
    };
    if text.len() > PAYLOAD_BYTES_MAX {
        let expected = format!("a value of at most {PAYLOAD_BYTES_MAX} bytes as JSON");
        let wrong = Wrong::expected(expected, format_args!("{} bytes", text.len()));
        let hint = "what is large belongs in the plugin's config";
        context.report(value, path, wrong.hint(hint));
        return None;
    }
    Some(text.into())
}

/// Whether nothing in it looks like a secret. Every such entry is reported.
fn is_harmless(value: &Value, path: &str, context: &mut Context<'_>) -> bool {
    let mut harmless = true;
    if let Some(table) = value.as_dict() {
        for (name, value) in table {
            let path = join(path, name);
            if is_secret_name(name) {
                let wrong = Wrong::new("it looks like a secret, and payloads are kept and shown");
                let hint = "a secret belongs in the plugin's config, by reference";
                context.report(value, &path, wrong.hint(hint));
                harmless = false;
            } else {
                harmless &= is_harmless(value, &path, context);
            }
        }
    }
    for (index, value) in value.as_array().unwrap_or_default().iter().enumerate() {
        harmless &= is_harmless(value, &item(path, index), context);
    }
    harmless
}
