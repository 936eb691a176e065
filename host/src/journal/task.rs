//! The table of tasks. Beside each stands how much its history has grown since it was last cut; see `execution`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::column;
use super::error::Fault;
use crate::id::PluginName;
use crate::sqlite::Checksum;
use crate::store::{Origin, TaskKey, TaskRecord};
use crate::time::Timestamp;

const COLUMNS: &str = "plugin, task, plan, origin, passed, ahead, unseen, paused, gone, checksum";

/// Inserts or replaces a record. A new one has `grown` as the table's default has it: an earlier task of this name may have
/// left a history.
pub(super) fn put(connection: &Connection, record: &TaskRecord) -> Result<(), Fault> {
    let content = Content {
        plugin: record.key.plugin.as_str(),
        task: &record.key.task,
        plan: &column::to_json(&*record.plan),
        origin: &column::to_json(&record.origin),
        ahead: &column::to_json(&record.ahead),
        unseen: &column::to_json(&record.unseen),
        paused: record.paused.as_ref().map(column::to_json),
    };
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO task ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET plan = excluded.plan, origin = excluded.origin, passed = excluded.passed,
             ahead = excluded.ahead, unseen = excluded.unseen, paused = excluded.paused, gone = excluded.gone,
             checksum = excluded.checksum"
    ))?;
    statement.execute(params![
        content.plugin,
        content.task,
        content.plan,
        content.origin,
        record.passed.as_millis().cast_signed(),
        content.ahead,
        content.unseen,
        content.paused,
        record.gone,
        content.checksum(record),
    ])?;
    Ok(())
}

/// Removes the record of `key`, if there is one.
pub(super) fn remove(connection: &Connection, key: &TaskKey) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("DELETE FROM task WHERE plugin = ? AND task = ?")?;
    statement.execute((key.plugin.as_str(), &*key.task))?;
    Ok(())
}

/// Removes all tasks of `plugin`.
pub(super) fn remove_all(connection: &Connection, plugin: &PluginName) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM task WHERE plugin = ?")?;
    statement.execute([plugin.as_str()])?;
    Ok(())
}

/// Every record, by plugin and id.
pub(super) fn all(connection: &Connection) -> Result<Vec<TaskRecord>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM task ORDER BY plugin, task");
    let mut statement = connection.prepare_cached(&sql)?;
    read_all(statement.query([])?)
}

/// The tasks of `plugin` that runs of it wanted and nobody has removed, by id.
pub(super) fn scheduled(
    connection: &Connection,
    plugin: &PluginName,
) -> Result<Vec<TaskRecord>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM task WHERE plugin = ? ORDER BY task");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut records = read_all(statement.query([plugin.as_str()])?)?;
    records.retain(|record| match record.origin {
        Origin::Declared => false,
        Origin::Scheduled { .. } => !record.gone,
    });
    Ok(records)
}

/// Counts one more row in the history of `key`; answers how many have come since it was last cut, or none if there is no
/// such task.
pub(super) fn grow(connection: &Connection, key: &TaskKey) -> Result<Option<i64>, Fault> {
    // `min`, because it is in no checksum: whatever stands there, it may not overflow.
    let mut statement = connection.prepare_cached(
        "UPDATE task SET grown = min(grown, 1000) + 1 WHERE plugin = ? AND task = ? RETURNING grown",
    )?;
    let grown = statement.query_row((key.plugin.as_str(), &*key.task), |row| row.get(0));
    Ok(grown.optional()?)
}

/// Notes that the history of `key` was cut.
pub(super) fn set_cut(connection: &Connection, key: &TaskKey) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("UPDATE task SET grown = 0 WHERE plugin = ? AND task = ?")?;
    statement.execute((key.plugin.as_str(), &*key.task))?;
    Ok(())
}

/// The columns that are text.
struct Content<'a> {
    plugin: &'a str,
    task: &'a str,
    plan: &'a str,
    origin: &'a str,
    ahead: &'a str,
    unseen: &'a str,
    paused: Option<String>,
}

impl Content<'_> {
    /// Without `grown`: a wrong number there cuts a history too early or too late by a few rows, and is then right again.
    fn checksum(&self, record: &TaskRecord) -> i64 {
        Checksum::of("task")
            .text(self.plugin)
            .text(self.task)
            .text(self.plan)
            .text(self.origin)
            .number(record.passed.as_millis())
            .text(self.ahead)
            .text(self.unseen)
            .optional(self.paused.as_deref())
            .number(record.gone.into())
            .get()
    }
}

fn read_all(mut rows: rusqlite::Rows<'_>) -> Result<Vec<TaskRecord>, Fault> {
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

fn read(row: &Row<'_>) -> Result<TaskRecord, Fault> {
    let content = Content {
        plugin: column::text(row, 0)?,
        task: column::text(row, 1)?,
        plan: column::text(row, 2)?,
        origin: column::text(row, 3)?,
        ahead: column::text(row, 5)?,
        unseen: column::text(row, 6)?,
        paused: row.get(7)?,
    };
    let name = || format!("the task {}/{}", content.plugin, content.task);
    let corrupt = || Fault::corrupt_row(&name());
    let paused = content.paused.as_deref();
    let record = TaskRecord {
        key: TaskKey {
            plugin: content.plugin.parse().map_err(|_| corrupt())?,
            task: content.task.into(),
        },
        plan: column::from_json(content.plan, name)?,
        origin: column::from_json(content.origin, name)?,
        passed: Timestamp::from_millis(column::number(row, 4)?),
        ahead: column::from_json(content.ahead, name)?,
        unseen: column::from_json(content.unseen, name)?,
        paused: paused
            .map(|json| column::from_json(json, name))
            .transpose()?,
        gone: match row.get(8)? {
            0 => false,
            1 => true,
            _ => return Err(corrupt()),
        },
    };
    if row.get::<_, i64>(9)? != content.checksum(&record) {
        return Err(corrupt());
    }
    Ok(record)
}
