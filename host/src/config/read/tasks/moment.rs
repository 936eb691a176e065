//! Times as operators write them: with a distance from UTC, or on a wall clock.

use figment::value::Value;

use crate::config::document::found;
use crate::config::problem::Wrong;
use crate::config::tasks::{Moment, MomentError, YEARS};

/// A time of TOML's, or the same in quotes; a date alone is its midnight.
pub(super) fn moment(value: &Value) -> Result<Moment, Wrong> {
    let read = value.as_str().map_or(Err(MomentError::Form), str::parse);
    read.map_err(|error| {
        let expected = match error {
            MomentError::Form => {
                "a time such as \"2026-12-24T18:00\" in the task's time zone, or with \"Z\" or \"+01:00\" behind it"
                    .to_owned()
            }
            MomentError::Years => {
                let (first, last) = (YEARS.start, YEARS.end - 1);
                format!("a time in the years {first} to {last}")
            }
        };
        Wrong::expected(expected, found(value))
    })
}
