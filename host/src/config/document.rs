//! TOML text as figment's values, and beside them the line of every entry, which figment does not keep. What cannot be
//! read is a problem with its line; a text with any such problem gives nothing, because what follows a broken line
//! means little.

use std::collections::BTreeMap;
use std::sync::Arc;

use figment::value::{Dict, Value};
use toml::de::{DeTable, DeValue};

use crate::config::fields::{item, join};
use crate::config::problem::{Place, Problem, Wrong};

/// The line of every entry, by its path.
pub(super) type Lines = BTreeMap<String, usize>;

/// What stands in a file. No `Debug`: it may hold a secret.
#[derive(Default)]
pub(super) struct Document {
    /// Its path, as it was opened.
    pub(super) file: Arc<str>,
    /// Its content. Dates are text here: nothing in the configuration is one.
    pub(super) table: Dict,
    /// Where each entry's key is; for an entry of a list, where it is itself.
    pub(super) lines: Lines,
}

/// Turns spans into lines, and collects what no value can hold.
#[derive(Default)]
struct Converter {
    /// The offsets at which lines end.
    line_ends: Vec<usize>,
    lines: Lines,
    wrong: Vec<(usize, Wrong)>,
}

/// Reads a whole file.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Document, Vec<Problem>> {
    let mut converter = Converter {
        line_ends: text.match_indices('\n').map(|(offset, _)| offset).collect(),
        ..Converter::default()
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = converter.line(error.span().unwrap_or_default().start);
        let wrong = Wrong::new(format!("not valid TOML: {}", error.message()));
        converter.wrong.push((line, wrong));
    }
    let file = Arc::clone(file);
    let mut table = Dict::new();
    if converter.wrong.is_empty() {
        table = converter.table("", document.into_inner());
    }
    let Converter { lines, wrong, .. } = converter;
    match wrong.is_empty() {
        true => Ok(Document { file, table, lines }),
        false => Err(wrong
            .into_iter()
            .map(|(line, wrong)| wrong.at(Place::in_file(&file, Some(line)), None, None))
            .collect()),
    }
}

/// Reads one value, as it could stand behind a `=`.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?.into_inner();
    let mut converter = Converter::default();
    let value = converter.value(String::new(), 0, value)?;
    converter.wrong.is_empty().then_some(value)
}

impl Converter {
    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    /// A table whose own path is `path`. The parser bounds the depth.
    fn table(&mut self, path: &str, table: DeTable<'_>) -> Dict {
        let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<_>)| {
            let start = key.span().start;
            let key = String::from(key.into_inner());
            let value = self.value(join(path, &key), start, value.into_inner())?;
            Some((key, value))
        };
        table.into_iter().filter_map(entry).collect()
    }

    /// A value; none if it is a number that does not fit.
    fn value(&mut self, path: String, start: usize, value: DeValue<'_>) -> Option<Value> {
        let line = self.line(start);
        let converted = match value {
            DeValue::String(text) => text.into_owned().into(),
            DeValue::Boolean(boolean) => boolean.into(),
            DeValue::Datetime(datetime) => datetime.to_string().into(),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(integer) => integer.into(),
                    Err(_) => return self.refuse(line, "an integer of at most 64 bits"),
                }
            }
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(float) if float.is_finite() => float.into(),
                Ok(_) | Err(_) => return self.refuse(line, "a finite number"),
            },
            DeValue::Array(items) => {
                let value = |(index, value): (usize, toml::Spanned<_>)| {
                    let start = value.span().start;
                    self.value(item(&path, index), start, value.into_inner())
                };
                let items = items.into_iter().enumerate().filter_map(value);
                items.collect::<Vec<_>>().into()
            }
            DeValue::Table(table) => self.table(&path, table).into(),
        };
        self.lines.insert(path, line);
        Some(converted)
    }

    fn refuse(&mut self, line: usize, expected: &str) -> Option<Value> {
        let wrong = Wrong::expected(expected, "one that is not");
        self.wrong.push((line, wrong));
        None
    }
}

/// What a value is, for a message: short values of a harmless kind are repeated.
pub(super) fn found(value: &Value) -> String {
    // Enough to recognize it.
    const LONGEST: usize = 60;
    match value {
        Value::String(_, text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            format!("{start:?}…")
        }
        Value::String(_, text) => format!("{text:?}"),
        Value::Num(_, number) => match (number.to_i128(), number.to_f64()) {
            (Some(integer), _) => integer.to_string(),
            (None, float) => float.unwrap_or_default().to_string(),
        },
        Value::Bool(_, boolean) => boolean.to_string(),
        Value::Char(..) | Value::Empty(..) | Value::Array(..) | Value::Dict(..) => {
            kind(value).to_owned()
        }
    }
}

/// What a value is, without its content.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text",
        Value::Num(_, number) if number.to_f64().is_some() => "a fraction",
        Value::Num(..) => "an integer",
        Value::Bool(..) => "a boolean",
        Value::Empty(..) => "nothing",
        Value::Array(..) => "a list",
        Value::Dict(..) => "a table",
    }
}
