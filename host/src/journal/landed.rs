//! The table of runs of tasks that were seen in the log and may be yet to come here.

use rusqlite::Connection;

use super::column;
use super::error::Fault;
use crate::sqlite::Checksum;
use crate::stamp::RunId;

/// Remembers `run`.
pub(super) fn put(connection: &Connection, run: &RunId) -> Result<(), Fault> {
    let run = run.to_string();
    let mut statement = connection
        .prepare_cached("REPLACE INTO landed_occurrence (run, checksum) VALUES (?, ?)")?;
    statement.execute((&run, checksum(&run)))?;
    Ok(())
}

/// Forgets `run`, if it was remembered.
pub(super) fn remove(connection: &Connection, run: &RunId) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM landed_occurrence WHERE run = ?")?;
    statement.execute([run.to_string()])?;
    Ok(())
}

/// Every one.
pub(super) fn all(connection: &Connection) -> Result<Vec<RunId>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT run, checksum FROM landed_occurrence ORDER BY run")?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let run = column::text(row, 0)?;
        let stamp = column::to_stamp(run, 0)
            .filter(|_| row.get::<_, i64>(1).ok() == Some(checksum(run)))
            .ok_or_else(|| Fault::corrupt_row(&format!("the landed occurrence {run}")))?;
        runs.push(stamp.run);
    }
    Ok(runs)
}

fn checksum(run: &str) -> i64 {
    Checksum::of("landed_occurrence").text(run).get()
}
