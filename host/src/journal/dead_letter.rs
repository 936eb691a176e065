//! The table of triggers that were given up.

use rusqlite::{Connection, Row};

use super::column;
use super::error::Fault;
use crate::id::PluginName;
use crate::sqlite::Checksum;
use crate::stamp::RunId;
use crate::store::{DeadLetter, Landed};
use crate::time::Timestamp;

const COLUMNS: &str = "run, depth, mode, landed, event, failures, at, checksum";

/// Inserts or replaces a letter.
pub(super) fn put(connection: &Connection, letter: &DeadLetter) -> Result<(), Fault> {
    let content = Content {
        run: &letter.stamp.run.to_string(),
        mode: &column::to_json(&letter.mode),
        event: &column::to_json(&letter.cause),
        failures: &column::to_json(&letter.failures),
    };
    let mut statement = connection.prepare_cached(&format!(
        "REPLACE INTO dead_letter ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    ))?;
    statement.execute((
        content.run,
        letter.stamp.depth,
        content.mode,
        from_landed(letter.landed),
        content.event,
        content.failures,
        letter.at.as_millis().cast_signed(),
        content.checksum(letter),
    ))?;
    Ok(())
}

/// Marks the letter of `run`, if there is one: its drafts are in the log.
pub(super) fn set_landed(connection: &Connection, run: &RunId) -> Result<(), Fault> {
    let Some(letter) = get(connection, run)? else {
        return Ok(());
    };
    let landed = Landed::Yes;
    put(connection, &DeadLetter { landed, ..letter })
}

/// Removes the letter of `run`, if there is one.
pub(super) fn remove(connection: &Connection, run: &RunId) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM dead_letter WHERE run = ?")?;
    statement.execute([run.to_string()])?;
    Ok(())
}

/// Removes all letters of `plugin`.
pub(super) fn remove_all(connection: &Connection, plugin: &PluginName) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("DELETE FROM dead_letter WHERE run >= ? AND run < ?")?;
    // `;` follows `:` in ASCII, and neither is in a plugin's name: between the two lie its runs and no others.
    statement.execute([format!("qm1:{plugin}:"), format!("qm1:{plugin};")])?;
    Ok(())
}

/// The letter of `run`.
pub(super) fn get(connection: &Connection, run: &RunId) -> Result<Option<DeadLetter>, Fault> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM dead_letter WHERE run = ?"))?;
    let mut rows = statement.query([run.to_string()])?;
    rows.next()?.map(read).transpose()
}

/// At most `limit` letters that follow `after`, in the order of their runs' names.
pub(super) fn list(
    connection: &Connection,
    after: Option<&RunId>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Fault> {
    // The name of every run is greater than the empty text.
    let after = after.map(RunId::to_string).unwrap_or_default();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM dead_letter WHERE run > ? ORDER BY run"
    ))?;
    let mut rows = statement.query([after])?;
    let mut letters = Vec::new();
    while letters.len() < limit {
        let Some(row) = rows.next()? else { break };
        letters.push(read(row)?);
    }
    Ok(letters)
}

/// Which runs are dead, and which of those have landed. Reads and checks every letter, but holds only one.
pub(super) fn runs(connection: &Connection) -> Result<Vec<(RunId, Landed)>, Fault> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM dead_letter ORDER BY run"))?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let letter = read(row)?;
        runs.push((letter.stamp.run, letter.landed));
    }
    Ok(runs)
}

/// The columns that are text.
struct Content<'a> {
    run: &'a str,
    mode: &'a str,
    event: &'a str,
    failures: &'a str,
}

impl Content<'_> {
    fn checksum(&self, letter: &DeadLetter) -> i64 {
        Checksum::of("dead_letter")
            .text(self.run)
            .number(letter.stamp.depth.into())
            .text(self.mode)
            .number(from_landed(letter.landed).cast_unsigned())
            .text(self.event)
            .text(self.failures)
            .number(letter.at.as_millis())
            .get()
    }
}

fn read(row: &Row<'_>) -> Result<DeadLetter, Fault> {
    let content = Content {
        run: column::text(row, 0)?,
        mode: column::text(row, 2)?,
        event: column::text(row, 4)?,
        failures: column::text(row, 5)?,
    };
    let name = || format!("the dead letter of {}", content.run);
    let corrupt = || Fault::corrupt_row(&name());
    let letter = DeadLetter {
        stamp: column::to_stamp(content.run, row.get(1)?).ok_or_else(corrupt)?,
        mode: column::from_json(content.mode, name)?,
        landed: to_landed(row.get(3)?).ok_or_else(corrupt)?,
        cause: column::from_json(content.event, name)?,
        failures: column::from_json(content.failures, name)?,
        at: Timestamp::from_millis(column::number(row, 6)?),
    };
    if row.get::<_, i64>(7)? != content.checksum(&letter) {
        return Err(corrupt());
    }
    Ok(letter)
}

fn from_landed(landed: Landed) -> i64 {
    match landed {
        Landed::No => 0,
        Landed::Yes => 1,
    }
}

fn to_landed(number: i64) -> Option<Landed> {
    match number {
        0 => Some(Landed::No),
        1 => Some(Landed::Yes),
        _ => None,
    }
}
