//! The table of drafts on their way into the log.

use rusqlite::{Connection, Row};

use super::column;
use super::error::Fault;
use crate::sqlite::Checksum;
use crate::stamp::RunId;
use crate::store::OutboxEntry;

/// Inserts or replaces an entry.
pub(super) fn put(connection: &Connection, entry: &OutboxEntry) -> Result<(), Fault> {
    let run = entry.stamp.run.to_string();
    let drafts = column::to_json(&entry.drafts);
    let mut statement = connection.prepare_cached(
        "REPLACE INTO outbox (run, position, depth, drafts, parked, checksum) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        &run,
        entry.order.cast_signed(),
        entry.stamp.depth,
        &drafts,
        entry.parked.as_deref(),
        checksum(entry, &run, &drafts),
    ))?;
    Ok(())
}

/// Removes the entry of `run`, if there is one.
pub(super) fn remove(connection: &Connection, run: &RunId) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM outbox WHERE run = ?")?;
    statement.execute([run.to_string()])?;
    Ok(())
}

/// Every entry, by `order`.
pub(super) fn all(connection: &Connection) -> Result<Vec<OutboxEntry>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT run, position, depth, drafts, parked, checksum FROM outbox")?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(row)?);
    }
    entries.sort_by_key(|entry| entry.order);
    Ok(entries)
}

fn read(row: &Row<'_>) -> Result<OutboxEntry, Fault> {
    let run = column::text(row, 0)?;
    let name = || format!("the outbox entry of {run}");
    let drafts = column::text(row, 3)?;
    let entry = OutboxEntry {
        order: column::number(row, 1)?,
        stamp: column::to_stamp(run, row.get(2)?).ok_or_else(|| Fault::corrupt_row(&name()))?,
        drafts: column::from_json(drafts, name)?,
        parked: row.get::<_, Option<String>>(4)?.map(Into::into),
    };
    if row.get::<_, i64>(5)? != checksum(&entry, run, drafts) {
        return Err(Fault::corrupt_row(&name()));
    }
    Ok(entry)
}

fn checksum(entry: &OutboxEntry, run: &str, drafts: &str) -> i64 {
    Checksum::of("outbox")
        .text(run)
        .number(entry.order)
        .number(entry.stamp.depth.into())
        .text(drafts)
        .optional(entry.parked.as_deref())
        .get()
}
