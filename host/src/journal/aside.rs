//! Looks at journals that nobody was given: which there are, and what stands in one. Nothing is claimed, and no file is made
//! or brought to the newest format, so it does not matter whether a server works on the folder.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::Fault;
use super::execution::{self, ExecutionFilter};
use super::meta::Meta;
use super::report::{By, UsageRow};
use super::schema::{self, KEEPS_TASKS, KEEPS_USAGE};
use super::{Error, path_of, task, usage};
use crate::id::StoreId;
use crate::store::{ExecutionRecord, TaskRecord};
use crate::time::Timestamp;

/// Whoever writes holds the file for milliseconds, unless a program hangs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How far the tasks of a store are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenTasks {
    /// The time of the last commit; the beginning of time if there was none.
    pub clock: Timestamp,
    /// Every task, by plugin and id.
    pub tasks: Vec<TaskRecord>,
    /// Executions that are waiting or running, earliest due time first.
    pub executions: Vec<ExecutionRecord>,
}

/// The stores that have a journal in `folder`, by name; also those that are no longer configured. None if there is no such
/// folder. Blocks.
///
/// # Errors
/// The folder cannot be read.
pub fn stores(folder: &Path) -> io::Result<Vec<StoreId>> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut stores = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".db"));
        stores.extend(id.and_then(|id| id.parse().ok()));
    }
    stores.sort();
    Ok(stores)
}

/// As [`super::Journal::usage`], from the file of a store in `folder`. None if it has none; nothing if it is of a format
/// in which usage was not kept. Blocks.
///
/// # Errors
/// The file cannot be read, or is of a newer format.
pub fn usage_of(
    folder: &Path,
    store: &StoreId,
    since: Timestamp,
    by: By,
) -> Result<Option<Vec<UsageRow>>, Error> {
    look(folder, store, |rows, version| match version {
        KEEPS_USAGE.. => usage::report(rows, store, since, by),
        _ => Ok(Vec::new()),
    })
}

/// As [`super::Journal::tasks`], from the file of a store in `folder`. None if it has none; nothing if it is of a format in
/// which tasks were not kept. Blocks.
///
/// # Errors
/// The file cannot be read, or is of a newer format.
pub fn tasks_of(folder: &Path, store: &StoreId) -> Result<Option<Vec<TaskRecord>>, Error> {
    look(folder, store, |rows, version| match version {
        KEEPS_TASKS.. => task::all(rows),
        _ => Ok(Vec::new()),
    })
}

/// As [`super::Journal::executions`], from the file of a store in `folder`. None if it has none; nothing if it is of a format
/// in which tasks were not kept. Blocks.
///
/// # Errors
/// The file cannot be read, or is of a newer format.
pub fn executions_of(
    folder: &Path,
    store: &StoreId,
    filter: &ExecutionFilter,
) -> Result<Option<Vec<ExecutionRecord>>, Error> {
    look(folder, store, |rows, version| match version {
        KEEPS_TASKS.. => execution::list(rows, filter),
        _ => Ok(Vec::new()),
    })
}

/// How far the tasks of a store are, from its file in `folder`. None if it has none; without tasks if it is of a format in
/// which they were not kept. Blocks.
///
/// # Errors
/// The file cannot be read, or is of a newer format.
pub fn open_of(folder: &Path, store: &StoreId) -> Result<Option<OpenTasks>, Error> {
    look(folder, store, |rows, version| {
        let mut found = OpenTasks::default();
        if version > 0 {
            found.clock = Meta::read(rows)?.clock;
        }
        if version >= KEEPS_TASKS {
            found.tasks = task::all(rows)?;
            found.executions = execution::open(rows)?;
        }
        Ok(found)
    })
}

/// Reads the file of a store, whose version is handed over as well. None if there is no file.
fn look<T>(
    folder: &Path,
    store: &StoreId,
    read: impl FnOnce(&Connection, i64) -> Result<T, Fault>,
) -> Result<Option<T>, Error> {
    let path = path_of(folder, store);
    look_at(&path, read).map_err(|fault| fault.at(store, &path))
}

fn look_at<T>(
    path: &Path,
    read: impl FnOnce(&Connection, i64) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    if !path.try_exists()? {
        return Ok(None);
    }
    // Not SQLITE_OPEN_READ_ONLY: a file in WAL mode that nobody has open needs its -shm file made to be read.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", 0)?;
    // One moment, even if somebody writes meanwhile.
    let transaction = connection.transaction()?;
    let version = schema::version(&transaction)?;
    read(&transaction, version).map(Some)
}
