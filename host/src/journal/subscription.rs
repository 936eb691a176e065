//! The table of subscriptions.

use rusqlite::{Connection, Row};

use super::column;
use super::error::Fault;
use crate::event::SeqNum;
use crate::id::PluginName;
use crate::sqlite::Checksum;
use crate::store::SubscriptionRecord;

/// Inserts or replaces a record.
pub(super) fn put(connection: &Connection, record: &SubscriptionRecord) -> Result<(), Fault> {
    let failures = column::to_json(&record.failures);
    let mut statement = connection.prepare_cached(
        "REPLACE INTO subscription (plugin, cursor, start, react_from, attempts, failures, checksum)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        record.plugin.as_str(),
        record.cursor.get().cast_signed(),
        record.start.get().cast_signed(),
        record.react_from.get().cast_signed(),
        record.attempts,
        &failures,
        checksum(record, &failures),
    ))?;
    Ok(())
}

/// Removes the record of `plugin`, if there is one.
pub(super) fn remove(connection: &Connection, plugin: &PluginName) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM subscription WHERE plugin = ?")?;
    statement.execute([plugin.as_str()])?;
    Ok(())
}

/// Every record.
pub(super) fn all(connection: &Connection) -> Result<Vec<SubscriptionRecord>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT plugin, cursor, start, react_from, attempts, failures, checksum FROM subscription",
    )?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

fn read(row: &Row<'_>) -> Result<SubscriptionRecord, Fault> {
    let plugin = column::text(row, 0)?;
    let name = || format!("the subscription of {plugin}");
    let seq = |index| column::number(row, index).map(SeqNum::new);
    let failures = column::text(row, 5)?;
    let record = SubscriptionRecord {
        plugin: plugin.parse().map_err(|_| Fault::corrupt_row(&name()))?,
        cursor: seq(1)?,
        start: seq(2)?,
        react_from: seq(3)?,
        attempts: row.get(4)?,
        failures: column::from_json(failures, name)?,
    };
    if row.get::<_, i64>(6)? != checksum(&record, failures) {
        return Err(Fault::corrupt_row(&name()));
    }
    Ok(record)
}

fn checksum(record: &SubscriptionRecord, failures: &str) -> i64 {
    Checksum::of("subscription")
        .text(record.plugin.as_str())
        .number(record.cursor.get())
        .number(record.start.get())
        .number(record.react_from.get())
        .number(record.attempts.into())
        .text(failures)
        .get()
}
