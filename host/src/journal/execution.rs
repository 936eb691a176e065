//! The table of executions: what became of each occurrence of a task. One that is done is never written again, and what is
//! over is kept for a while only. Due times stand in it as signed numbers, so those after the year 292,000,000 come first.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::column;
use super::error::Fault;
use super::task;
use crate::id::PluginName;
use crate::sqlite::{self, Checksum};
use crate::store::{ExecutionRecord, ExecutionState, OccurrenceKind, TaskKey};
use crate::time::Timestamp;

/// Executions of one task that are over and kept: half a year of a daily task, and of one that runs each minute enough to see
/// how it went wrong since the last meal.
pub(super) const KEPT: usize = 200;

/// So many more are let pile up: to find the oldest that is kept means to walk over all of them.
pub(super) const SURPLUS: i64 = 40;

/// How long it is known what a task did that is forgotten: a month, and some days to look at it.
pub(super) const ORPHANS_KEPT: Duration = Duration::from_secs(35 * 86_400);

const COLUMNS: &str = "plugin, task, due, since, state, kind, depth, attempts, failures, started, ended, fuel, drafts, note, \
     checksum";

/// As in the index `open_execution`, to the letter: else SQLite does not see that the index has all that is asked for.
const OPEN: &str = "state IN ('waiting', 'running')";

/// Which executions are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionFilter {
    /// Of this plugin only.
    pub plugin: Option<PluginName>,
    /// Of tasks with this id only.
    pub task: Option<Arc<str>>,
    /// In these states only; none at all is every one.
    pub states: Vec<ExecutionState>,
    /// Due before this instant only.
    pub before: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
}

impl ExecutionFilter {
    /// The latest executions of all tasks of a store.
    pub fn latest(limit: usize) -> Self {
        Self {
            plugin: None,
            task: None,
            states: Vec::new(),
            before: None,
            limit,
        }
    }
}

/// Inserts or replaces a record. If it is over, the oldest of its task may have to go.
///
/// # Errors
/// One that is done stands there already: whoever claims it again would do twice what it did.
pub(super) fn put(connection: &Connection, record: &ExecutionRecord) -> Result<(), Fault> {
    let failures = column::to_json(&record.failures);
    let millis = |at: Option<Timestamp>| at.map(|at| at.as_millis().cast_signed());
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO processed_task_executions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET since = excluded.since, state = excluded.state, kind = excluded.kind,
             depth = excluded.depth, attempts = excluded.attempts, failures = excluded.failures,
             started = excluded.started, ended = excluded.ended, fuel = excluded.fuel, drafts = excluded.drafts,
             note = excluded.note, checksum = excluded.checksum
         WHERE state <> 'done'"
    ))?;
    let written = statement.execute(params![
        record.key.plugin.as_str(),
        &*record.key.task,
        record.due.as_millis().cast_signed(),
        millis(record.since),
        record.state.as_str(),
        record.kind.as_str(),
        record.depth,
        record.attempts,
        failures,
        millis(record.started),
        millis(record.ended),
        record.fuel.cast_signed(),
        record.drafts,
        record.note.as_deref(),
        checksum(record, &failures),
    ])?;
    if written == 0 {
        return Err(already_done(record));
    }
    if record.state.is_open() {
        return Ok(());
    }
    cut_sometimes(connection, &record.key)
}

/// Removes all executions of `plugin`.
pub(super) fn remove_all(connection: &Connection, plugin: &PluginName) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("DELETE FROM processed_task_executions WHERE plugin = ?")?;
    statement.execute([plugin.as_str()])?;
    Ok(())
}

/// Removes what tasks that are forgotten did, once it lies so long behind `clock`: a plugin that never uses an id twice would fill the
/// disk.
pub(super) fn remove_orphans(connection: &Connection, clock: Timestamp) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "DELETE FROM processed_task_executions WHERE due < ? AND NOT {OPEN} AND NOT EXISTS (
             SELECT 1 FROM task WHERE task.plugin = processed_task_executions.plugin
                 AND task.task = processed_task_executions.task)"
    ))?;
    let since = (clock - ORPHANS_KEPT).as_millis();
    statement.execute([i64::try_from(since).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// The one of this due time.
pub(super) fn get(
    connection: &Connection,
    key: &TaskKey,
    due: Timestamp,
) -> Result<Option<ExecutionRecord>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM processed_task_executions WHERE plugin = ? AND task = ? AND due = ?"
    ))?;
    let due = due.as_millis().cast_signed();
    let mut rows = statement.query((key.plugin.as_str(), &*key.task, due))?;
    rows.next()?.map(read).transpose()
}

/// Those that pass `filter`, latest due time first.
pub(super) fn list(
    connection: &Connection,
    filter: &ExecutionFilter,
) -> Result<Vec<ExecutionRecord>, Fault> {
    let (sql, values) = select(filter);
    // Not cached: it has many forms, and each is asked for by people.
    let mut statement = connection.prepare(&sql)?;
    read_all(statement.query(params_from_iter(values))?)
}

/// What is said to SQLite, so that it walks along an index from the latest due time on, and stops when it has enough. By
/// itself it would rather read all rows of a plugin, and sort them.
fn select(filter: &ExecutionFilter) -> (String, Vec<Value>) {
    let states = &filter.states;
    let only_open = !states.is_empty() && states.iter().all(|state| state.is_open());
    let one_task = filter.plugin.is_some() && filter.task.is_some();
    let index = match (only_open, one_task) {
        (true, _) => "INDEXED BY open_execution",
        (false, true) => "",
        (false, false) => "INDEXED BY execution_due",
    };
    let mut sql = format!("SELECT {COLUMNS} FROM processed_task_executions {index} WHERE true");
    let mut values = Vec::new();
    if let Some(plugin) = &filter.plugin {
        sql += " AND plugin = ?";
        values.push(Value::from(plugin.as_str().to_owned()));
    }
    if let Some(task) = &filter.task {
        sql += " AND task = ?";
        values.push(Value::from(task.to_string()));
    }
    if let Some(before) = filter.before {
        sql += " AND due < ?";
        let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
        values.push(Value::from(before));
    }
    if only_open {
        sql += &format!(" AND {OPEN}");
    }
    if !states.is_empty() {
        let words = states.iter().map(|state| format!("'{}'", state.as_str()));
        let words: Vec<_> = words.collect();
        sql += &format!(" AND state IN ({})", words.join(", "));
    }
    sql += " ORDER BY due DESC, plugin DESC, task DESC LIMIT ?";
    values.push(Value::from(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    (sql, values)
}

/// Those that are waiting or running, by the index alone.
pub(super) fn open(connection: &Connection) -> Result<Vec<ExecutionRecord>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM processed_task_executions INDEXED BY open_execution WHERE {OPEN} ORDER BY due"
    ))?;
    read_all(statement.query([])?)
}

/// Checks every row and both indexes, and answers the rows that are waiting or running.
pub(super) fn verify(connection: &Connection) -> Result<Vec<ExecutionRecord>, Fault> {
    // The check of the whole file leaves out whether an index has what its table has: a history would have holes.
    let sql = "PRAGMA integrity_check('processed_task_executions')";
    let report: String = connection.query_row(sql, [], |row| row.get(0))?;
    if report != "ok" {
        return Err(Fault::corrupt(report));
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM processed_task_executions ORDER BY plugin, task, due"
    ))?;
    let mut rows = statement.query([])?;
    let mut open = Vec::new();
    while let Some(row) = rows.next()? {
        let record = read(row)?;
        if record.state.is_open() {
            open.push(record);
        }
    }
    Ok(open)
}

/// Forgets the oldest executions of a task that are over, if enough of them have come since the last time.
fn cut_sometimes(connection: &Connection, key: &TaskKey) -> Result<(), Fault> {
    let grown = task::grow(connection, key)?;
    // A task that is forgotten has no count, and seldom something that is not over.
    if grown.is_some_and(|grown| (0..SURPLUS).contains(&grown)) {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(&format!(
        "DELETE FROM processed_task_executions WHERE plugin = ?1 AND task = ?2 AND NOT {OPEN} AND due <= (
             SELECT due FROM processed_task_executions WHERE plugin = ?1 AND task = ?2 AND NOT {OPEN}
             ORDER BY due DESC LIMIT 1 OFFSET {KEPT})"
    ))?;
    statement.execute((key.plugin.as_str(), &*key.task))?;
    task::set_cut(connection, key)
}

fn already_done(record: &ExecutionRecord) -> Fault {
    let (key, due) = (&record.key, record.due);
    sqlite::Fault::Other(format!(
        "the execution of {key} that was due at {due} is done, and was to be written again as {}; nothing was written; this \
         is a mistake of quartermaster, please report it",
        record.state.as_str()
    ))
    .into()
}

fn read_all(mut rows: rusqlite::Rows<'_>) -> Result<Vec<ExecutionRecord>, Fault> {
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

fn read(row: &Row<'_>) -> Result<ExecutionRecord, Fault> {
    let (plugin, task) = (column::text(row, 0)?, column::text(row, 1)?);
    let due = Timestamp::from_millis(column::number(row, 2)?);
    let name = || format!("the execution of {plugin}/{task} that was due at {due}");
    let corrupt = || Fault::corrupt_row(&name());
    let time = |index| -> Result<_, Fault> {
        let millis: Option<i64> = row.get(index)?;
        Ok(millis.map(|millis| Timestamp::from_millis(millis.cast_unsigned())))
    };
    let (state, kind) = (column::text(row, 4)?, column::text(row, 5)?);
    let mut states = ExecutionState::ALL.into_iter();
    let mut kinds = OccurrenceKind::ALL.into_iter();
    let failures = column::text(row, 8)?;
    let note: Option<String> = row.get(13)?;
    let record = ExecutionRecord {
        key: TaskKey {
            plugin: plugin.parse().map_err(|_| corrupt())?,
            task: task.into(),
        },
        due,
        since: time(3)?,
        state: states.find(|it| it.as_str() == state).ok_or_else(corrupt)?,
        kind: kinds.find(|it| it.as_str() == kind).ok_or_else(corrupt)?,
        depth: row.get(6)?,
        attempts: row.get(7)?,
        failures: column::from_json(failures, name)?,
        started: time(9)?,
        ended: time(10)?,
        fuel: column::number(row, 11)?,
        drafts: row.get(12)?,
        note: note.map(Into::into),
    };
    if row.get::<_, i64>(14)? != checksum(&record, failures) {
        return Err(corrupt());
    }
    Ok(record)
}

fn checksum(record: &ExecutionRecord, failures: &str) -> i64 {
    let checksum = Checksum::of("processed_task_executions")
        .text(record.key.plugin.as_str())
        .text(&record.key.task)
        .number(record.due.as_millis())
        .text(record.state.as_str())
        .text(record.kind.as_str())
        .number(record.depth.into())
        .number(record.attempts.into())
        .text(failures)
        .number(record.fuel)
        .number(record.drafts.into())
        .optional(record.note.as_deref());
    let times = [record.since, record.started, record.ended];
    let times = times.map(|at| at.map(|at| at.as_millis().to_string()));
    times
        .iter()
        .fold(checksum, |checksum, at| checksum.optional(at.as_deref()))
        .get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::schema;

    /// What SQLite says that it will do.
    fn plan_of(connection: &Connection, filter: &ExecutionFilter) -> String {
        let (sql, values) = select(filter);
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get(3));
        let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
        steps.join("; ")
    }

    #[test]
    fn a_history_is_read_along_an_index_and_never_sorted_as_a_whole() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let plugin = || Some("echo".parse().unwrap());
        let states = |states: &[ExecutionState]| states.to_vec();
        for (plugin, task, states, way) in [
            (None, None, states(&[]), "execution_due"),
            (plugin(), None, states(&[]), "execution_due"),
            (None, Some("a".into()), states(&[]), "execution_due"),
            (
                None,
                None,
                states(&[ExecutionState::Done, ExecutionState::Waiting]),
                "execution_due",
            ),
            (
                plugin(),
                Some("a".into()),
                states(&[ExecutionState::Failed]),
                "PRIMARY KEY (plugin=? AND task=?",
            ),
            (
                None,
                None,
                states(&[ExecutionState::Running]),
                "open_execution",
            ),
        ] {
            for before in [None, Some(Timestamp::NEVER)] {
                let filter = ExecutionFilter {
                    plugin: plugin.clone(),
                    task: task.clone(),
                    states: states.clone(),
                    before,
                    limit: 10,
                };
                let plan = plan_of(&connection, &filter);
                assert!(plan.contains(way), "{filter:?}: {plan}");
                // The right part is only what was due at one and the same time.
                let sorted = plan.contains("TEMP B-TREE FOR ORDER BY");
                assert!(!sorted, "{filter:?}: {plan}");
            }
        }
    }
}
