//! What stands in columns: text, `u64` as the same 64 bits, JSON, and the name of a run.

use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Fault;
use crate::stamp::{DraftStamp, Stamp};

/// A column of text, as it lies in SQLite's memory.
pub(super) fn text<'a>(row: &'a Row<'_>, index: usize) -> Result<&'a str, Fault> {
    Ok(row
        .get_ref(index)?
        .as_str()
        .map_err(rusqlite::Error::from)?)
}

/// A column that holds the 64 bits of a `u64`.
pub(super) fn number(row: &Row<'_>, index: usize) -> Result<u64, Fault> {
    Ok(row.get::<_, i64>(index)?.cast_unsigned())
}

/// `value` as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("the journal's types have no map keys but text, and nothing else can fail")
}

/// The value behind `json`; `row` names the row if it is not one.
pub(super) fn from_json<T: DeserializeOwned>(
    json: &str,
    row: impl Fn() -> String,
) -> Result<T, Fault> {
    serde_json::from_str(json)
        .map_err(|error| Fault::corrupt(format!("{} cannot be read: {error}", row())))
}

/// The stamp of a run as it stands in a row; `None` if that is not a run's name.
pub(super) fn to_stamp(run: &str, depth: u32) -> Option<Stamp> {
    DraftStamp::parse(&format!("{run}:{depth}:0/1")).map(|parsed| parsed.stamp)
}
