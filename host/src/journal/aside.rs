//! Looks at journals that nobody was given: which there are, and what stands in one. Nothing is claimed, and no file is made
//! or brought to the newest format, so it does not matter whether a server works on the folder.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::Fault;
use super::report::{By, UsageRow};
use super::{Error, path_of, schema, usage};
use crate::id::StoreId;
use crate::time::Timestamp;

/// Whoever writes holds the file for milliseconds, unless a program hangs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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
    let path = path_of(folder, store);
    read(&path, store, since, by).map_err(|fault| fault.at(store, &path))
}

fn read(
    path: &Path,
    store: &StoreId,
    since: Timestamp,
    by: By,
) -> Result<Option<Vec<UsageRow>>, Fault> {
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
    if !schema::keeps_usage(&transaction)? {
        return Ok(Some(Vec::new()));
    }
    usage::report(&transaction, store, since, by).map(Some)
}
