//! TOML text as a tree in which every entry knows its line. What cannot be read is a problem with its line; a text
//! with any such problem gives no tree at all, because what follows a broken line means little.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::config::problem::{Place, Problem, Wrong};

/// A value and where it was written. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    /// Where its key is; for an entry of a list, where it is itself.
    pub(super) place: Place,
    /// The value.
    pub(super) value: Value,
}

/// A value. Dates are text here: nothing in the configuration is one.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
}

/// A table, sorted by key.
pub(super) type Table = BTreeMap<String, Node>;

/// Turns spans into places, and collects what no `Value` can hold.
struct Converter<'a> {
    origin: Origin<'a>,
    problems: Vec<Problem>,
}

/// What is being converted.
enum Origin<'a> {
    /// A file, and the offsets at which its lines end.
    File {
        file: &'a Arc<str>,
        line_ends: Vec<usize>,
    },
    /// A value from somewhere else: all of it is in one place.
    Place(&'a Place),
}

/// Reads a whole file.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Table, Vec<Problem>> {
    let line_ends = text.match_indices('\n').map(|(offset, _)| offset).collect();
    let mut converter = Converter {
        origin: Origin::File { file, line_ends },
        problems: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = converter.origin.place(error.span().unwrap_or_default());
        let message = format!("not valid TOML: {}", error.message());
        converter
            .problems
            .push(Wrong::new(message).at(place, None, None));
    }
    if !converter.problems.is_empty() {
        return Err(converter.problems);
    }
    let table = converter.table(document.into_inner());
    match converter.problems.is_empty() {
        true => Ok(table),
        false => Err(converter.problems),
    }
}

/// Reads one value, as it could stand behind a `=`.
pub(super) fn parse_value(place: &Place, text: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?.into_inner();
    let mut converter = Converter {
        origin: Origin::Place(place),
        problems: Vec::new(),
    };
    let value = converter.value(place, value)?;
    converter.problems.is_empty().then_some(value)
}

impl Converter<'_> {
    /// A table with its keys' places. The parser bounds the depth.
    fn table(&mut self, table: DeTable<'_>) -> Table {
        let mut converted = Table::new();
        for (key, value) in table {
            let place = self.origin.place(key.span());
            if let Some(value) = self.value(&place, value.into_inner()) {
                converted.insert(key.into_inner().into_owned(), Node { place, value });
            }
        }
        converted
    }

    /// A value; none if it is a number that does not fit.
    fn value(&mut self, place: &Place, value: DeValue<'_>) -> Option<Value> {
        Some(match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Boolean(boolean) => Value::Boolean(boolean),
            DeValue::Datetime(datetime) => Value::Text(datetime.to_string()),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(integer) => Value::Integer(integer),
                    Err(_) => return self.refuse(place, "an integer of at most 64 bits"),
                }
            }
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(float) if float.is_finite() => Value::Float(float),
                Ok(_) | Err(_) => return self.refuse(place, "a finite number"),
            },
            DeValue::Array(items) => Value::List(
                items
                    .into_iter()
                    .filter_map(|item| {
                        let place = self.origin.place(item.span());
                        let value = self.value(&place, item.into_inner())?;
                        Some(Node { place, value })
                    })
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table)),
        })
    }

    fn refuse(&mut self, place: &Place, expected: &str) -> Option<Value> {
        let wrong = Wrong::expected(expected, "one that is not");
        self.problems.push(wrong.at(place.clone(), None, None));
        None
    }
}

impl Origin<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        match self {
            Self::File { file, line_ends } => Place::File {
                file: Arc::clone(file),
                line: Some(1 + line_ends.partition_point(|end| *end < span.start)),
            },
            Self::Place(place) => (*place).clone(),
        }
    }
}

impl Node {
    /// What it is, for a message: short values of a harmless kind are repeated.
    pub(super) fn found(&self) -> String {
        // Enough to recognize it.
        const LONGEST: usize = 60;
        match &self.value {
            Value::Text(text) if text.chars().count() > LONGEST => {
                let start: String = text.chars().take(LONGEST).collect();
                format!("{start:?}…")
            }
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(integer) => integer.to_string(),
            Value::Float(float) => float.to_string(),
            Value::Boolean(boolean) => boolean.to_string(),
            Value::List(_) | Value::Table(_) => self.kind().to_owned(),
        }
    }

    /// What it is, without its content.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "a text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a fraction",
            Value::Boolean(_) => "a boolean",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}
