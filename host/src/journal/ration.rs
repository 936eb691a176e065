//! The tables of what is left of rations, and of breakers whose plugins failed last.

use rusqlite::{Connection, Row};

use super::column;
use super::error::Fault;
use crate::id::PluginName;
use crate::sqlite::Checksum;
use crate::store::{BreakerRecord, RationRecord};
use crate::time::Timestamp;

/// The owner of the store's own ration. No plugin has this name.
const STORE: &str = "";

/// Inserts or replaces what is left of a ration.
pub(super) fn put(connection: &Connection, record: &RationRecord) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "REPLACE INTO ration (owner, at, fuel, runs, commits, checksum) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        owner(record),
        record.at.as_millis().cast_signed(),
        record.fuel,
        record.runs,
        record.commits,
        checksum(record),
    ))?;
    Ok(())
}

/// Inserts or replaces a breaker; removes one whose plugin no longer fails.
pub(super) fn put_breaker(connection: &Connection, record: &BreakerRecord) -> Result<(), Fault> {
    if record.failures == 0 {
        let mut statement = connection.prepare_cached("DELETE FROM breaker WHERE plugin = ?")?;
        statement.execute([record.plugin.as_str()])?;
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "REPLACE INTO breaker (plugin, failures, open_until, build, checksum) VALUES (?, ?, ?, ?, ?)",
    )?;
    statement.execute((
        record.plugin.as_str(),
        record.failures,
        record.open_until.map(|at| at.as_millis().cast_signed()),
        record.build.as_deref(),
        breaker_checksum(record),
    ))?;
    Ok(())
}

/// Removes the ration and the breaker of `plugin`.
pub(super) fn remove_all(connection: &Connection, plugin: &PluginName) -> Result<(), Fault> {
    for statement in [
        "DELETE FROM ration WHERE owner = ?",
        "DELETE FROM breaker WHERE plugin = ?",
    ] {
        connection
            .prepare_cached(statement)?
            .execute([plugin.as_str()])?;
    }
    Ok(())
}

/// What is left of every ration.
pub(super) fn all(connection: &Connection) -> Result<Vec<RationRecord>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT owner, at, fuel, runs, commits, checksum FROM ration")?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

/// Every breaker.
pub(super) fn breakers(connection: &Connection) -> Result<Vec<BreakerRecord>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT plugin, failures, open_until, build, checksum FROM breaker")?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read_breaker(row)?);
    }
    Ok(records)
}

fn read(row: &Row<'_>) -> Result<RationRecord, Fault> {
    let owner = column::text(row, 0)?;
    let corrupt = || Fault::corrupt_row(&format!("the ration of {owner:?}"));
    let owner_named = match owner {
        STORE => None,
        plugin => Some(plugin.parse().map_err(|_| corrupt())?),
    };
    let record = RationRecord {
        owner: owner_named,
        at: Timestamp::from_millis(column::number(row, 1)?),
        fuel: row.get(2)?,
        runs: row.get(3)?,
        commits: row.get(4)?,
    };
    if row.get::<_, i64>(5)? != checksum(&record) {
        return Err(corrupt());
    }
    Ok(record)
}

fn read_breaker(row: &Row<'_>) -> Result<BreakerRecord, Fault> {
    let plugin = column::text(row, 0)?;
    let corrupt = || Fault::corrupt_row(&format!("the breaker of {plugin:?}"));
    let until: Option<i64> = row.get(2)?;
    let build: Option<String> = row.get(3)?;
    let record = BreakerRecord {
        plugin: plugin.parse().map_err(|_| corrupt())?,
        failures: row.get(1)?,
        open_until: until.map(|at| Timestamp::from_millis(at.cast_unsigned())),
        build: build.map(Into::into),
    };
    if row.get::<_, i64>(4)? != breaker_checksum(&record) {
        return Err(corrupt());
    }
    Ok(record)
}

fn owner(record: &RationRecord) -> &str {
    record.owner.as_ref().map_or(STORE, PluginName::as_str)
}

fn checksum(record: &RationRecord) -> i64 {
    let left = |left: Option<i64>| left.map(|left| left.to_string());
    Checksum::of("ration")
        .text(owner(record))
        .number(record.at.as_millis())
        .optional(left(record.fuel).as_deref())
        .optional(left(record.runs).as_deref())
        .optional(left(record.commits).as_deref())
        .get()
}

fn breaker_checksum(record: &BreakerRecord) -> i64 {
    let until = record.open_until.map(|at| at.as_millis().to_string());
    Checksum::of("breaker")
        .text(record.plugin.as_str())
        .number(record.failures.into())
        .optional(until.as_deref())
        .optional(record.build.as_deref())
        .get()
}
