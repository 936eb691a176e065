//! What two backends may say differently and mean the same: the log's id, times, the words of an error, the shape of
//! the tree around an interruption, how a number is spelled.

use serde_json::{Map, Number, Value, json};

/// A frame, or a list of them, without what is each backend's own.
pub(super) fn normal(frame: &Value, backend_id: &str) -> Value {
    match frame {
        Value::Array(items) => items.iter().map(|item| normal(item, backend_id)).collect(),
        Value::Object(fields) => normal_object(fields, backend_id),
        Value::String(text) if text == backend_id => json!("<the log's id>"),
        Value::Number(number) => normal_number(number),
        Value::String(_) | Value::Bool(_) | Value::Null => frame.clone(),
    }
}

fn normal_object(fields: &Map<String, Value>, backend_id: &str) -> Value {
    let tag = fields.get("_tag").and_then(Value::as_str);
    if let Some("Sequential" | "Parallel") = tag {
        return normal_tree(fields, backend_id);
    }
    let mut normalized = Map::new();
    for (key, value) in fields {
        let value = match (tag, key.as_str()) {
            (Some("Defect" | "Die"), "defect") | (Some("UnknownError"), "cause") => {
                json!("<words>")
            }
            (Some("UnknownError"), "payload" | "note") | (Some("Interrupt"), "fiberId") => continue,
            (_, "createdAt") => normal_time(value),
            _ => normal(value, backend_id),
        };
        normalized.insert(key.clone(), value);
    }
    Value::Object(normalized)
}

/// The original nests causes as deep as its fibers were. The leaves are what they say, each once.
fn normal_tree(fields: &Map<String, Value>, backend_id: &str) -> Value {
    let mut leaves = Vec::new();
    let mut pending: Vec<&Value> = fields
        .get("left")
        .into_iter()
        .chain(fields.get("right"))
        .collect();
    while let Some(cause) = pending.pop() {
        match cause["_tag"].as_str() {
            Some("Empty") => {}
            Some("Sequential" | "Parallel") => pending.extend([&cause["left"], &cause["right"]]),
            _ => {
                let leaf = normal(cause, backend_id);
                if !leaves.contains(&leaf) {
                    leaves.push(leaf);
                }
            }
        }
    }
    match <[Value; 1]>::try_from(leaves) {
        Ok([leaf]) => leaf,
        Err(leaves) => Value::Array(leaves),
    }
}

/// One time is as good as another, as long as it is one: `2026-11-23T11:06:33.359Z`.
fn normal_time(value: &Value) -> Value {
    let digits = value.as_str().map(|text| {
        let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
        text.chars().map(digit).collect::<String>()
    });
    match digits.as_deref() {
        Some("0000-00-00T00:00:00.000Z") => json!("<a time>"),
        _ => value.clone(),
    }
}

/// A number as JavaScript holds it.
fn normal_number(number: &Number) -> Value {
    let value = number.as_f64().unwrap_or(f64::NAN);
    // Minus zero is zero.
    json!(if value == 0.0 { 0.0 } else { value })
}

/// What is no JSON for us (too deep, half a surrogate pair) is compared as text.
pub(super) fn normal_text(text: &str, backend_id: &str) -> Value {
    const TIME: &str = r#""createdAt":""#;
    let mut text = text.replace(backend_id, "<the log's id>");
    let starts: Vec<usize> = text
        .match_indices(TIME)
        .map(|(at, _)| at + TIME.len())
        .collect();
    for start in starts {
        let end = start + "2026-11-23T11:06:33.359Z".len();
        if text.is_char_boundary(end) {
            text.replace_range(start..end, "<a time, 24 bytes long> ");
        }
    }
    Value::String(text)
}
