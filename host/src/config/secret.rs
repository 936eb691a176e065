//! Secrets stand in the configuration by reference: `"env:NAME"` or `"file:/path"`. They are fetched when it is loaded,
//! and kept where no debug output reaches them. What looks like one and stands there in clear is refused.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use figment::value::Value;

use crate::config::document::kind;
use crate::config::fields::{Context, item, join};
use crate::config::files;
use crate::config::problem::Wrong;
use crate::config::seen::Seen;

/// JSON that may hold secrets. `Debug` does not show it, and there is no `Display`.
#[derive(Clone, PartialEq)]
pub struct Hidden(Arc<serde_json::Value>);

impl Hidden {
    /// Hides `value`.
    pub fn new(value: serde_json::Value) -> Self {
        Self(Arc::new(value))
    }

    /// The value, for the one who hands it on.
    pub fn expose(&self) -> &serde_json::Value {
        &self.0
    }

    /// The value if it is a text, for the one who hands it on; else nothing.
    pub fn expose_text(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The table at `path` as JSON with every reference replaced by what it refers to. None if anything in it is wrong; all
/// of it is then reported.
pub(super) fn resolve(table: &Value, path: &str, context: &mut Context<'_>) -> Option<Hidden> {
    context.table(table, path)?;
    json(table, path, false, context).map(Hidden::new)
}

/// What the text at `path` refers to; it must be a reference. None if anything is wrong with it, which is reported.
pub(super) fn reference(value: &Value, path: &str, context: &mut Context<'_>) -> Option<Hidden> {
    let expected = "a reference such as \"env:NAME\" or \"file:/path\"";
    let Some(text) = value.as_str() else {
        context.report(value, path, Wrong::expected(expected, kind(value)));
        return None;
    };
    let resolved = resolve_text(text, true, context);
    resolved
        .map_err(|wrong| context.report(value, path, wrong))
        .ok()
        .map(|text| Hidden::new(serde_json::Value::String(text)))
}

/// `secret` says whether a key above means that the value is one.
fn json(
    value: &Value,
    path: &str,
    secret: bool,
    context: &mut Context<'_>,
) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(_, text) => {
            let text = resolve_text(text, secret, context)
                .map_err(|wrong| context.report(value, path, wrong))
                .ok()?;
            serde_json::Value::String(text)
        }
        Value::Array(_, items) => {
            // Every item is visited, so that every mistake is told.
            let items: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, value)| json(value, &item(path, index), secret, context))
                .collect();
            serde_json::Value::Array(items.into_iter().collect::<Option<_>>()?)
        }
        Value::Dict(_, table) => {
            let entries: Vec<_> = table
                .iter()
                .map(|(name, value)| {
                    let secret = secret || is_secret_name(name);
                    let value = json(value, &join(path, name), secret, context)?;
                    Some((name.clone(), value))
                })
                .collect();
            serde_json::Value::Object(entries.into_iter().collect::<Option<_>>()?)
        }
        Value::Num(..) | Value::Bool(..) | Value::Char(..) | Value::Empty(..) => {
            serde_json::to_value(value).expect("JSON has numbers and booleans")
        }
    })
}

/// The text itself, or what it refers to.
fn resolve_text(text: &str, secret: bool, context: &mut Context<'_>) -> Result<String, Wrong> {
    if let Some(name) = text.strip_prefix("env:") {
        return from_variable(name, context);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return from_file(path, context);
    }
    if secret {
        return Err(Wrong::new("a secret stands here in clear").hint(
            "put it into an environment variable and write \"env:NAME\", or into a file and write \"file:/path\"",
        ));
    }
    Ok(text.to_owned())
}

fn from_variable(name: &str, context: &Context<'_>) -> Result<String, Wrong> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(Wrong::new(
            "expected env: and the name of an environment variable, such as \"env:SHOP_TOKEN\"",
        ));
    }
    let Some(variable) = context.environment.get(name) else {
        let wrong = Wrong::new(format!("environment variable {name} is not set"));
        return Err(wrong.hint("set it for this process or in .env"));
    };
    match variable.text.as_deref() {
        Some("") => Err(Wrong::new(format!("environment variable {name} is empty"))),
        Some(text) => Ok(text.to_owned()),
        None => Err(Wrong::new(format!(
            "environment variable {name} is not UTF-8"
        ))),
    }
}

fn from_file(path: &str, context: &mut Context<'_>) -> Result<String, Wrong> {
    if !Path::new(path).is_absolute() {
        return Err(Wrong::new(
            "expected file: and an absolute path, such as \"file:/run/secrets/shop\"",
        ));
    }
    // Looked at before it is read, so that what comes between is noticed. The first of many readings is kept.
    let seen = || Seen::of(Path::new(path));
    context.files.entry(path.into()).or_insert_with(seen);
    let text = files::read(Path::new(path), &path.into())
        .map_err(|problem| Wrong::new(format!("{path}: {}", problem.message)))?;
    // Editors and `echo` end a file with a line break that belongs to no secret.
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Wrong::new(format!("{path} is empty"))),
        secret => Ok(secret.to_owned()),
    }
}

/// Whether a key by this name holds a secret: `authToken`, `API_KEY`, `db-password`.
pub(super) fn is_secret_name(name: &str) -> bool {
    const ENDINGS: [&str; 12] = [
        "token",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "apikey",
        "privatekey",
        "secretkey",
        "accesskey",
        "credential",
        "authorization",
        "jwt",
    ];
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let singular = letters.strip_suffix('s').unwrap_or(&letters);
    letters == "auth" || ENDINGS.iter().any(|ending| singular.ends_with(ending))
}
