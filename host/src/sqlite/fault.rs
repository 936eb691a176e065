//! From what SQLite and the system say to what can be done about it.

use std::io;

use rusqlite::ErrorCode;

/// Why a file cannot be used: one variant for each different reaction. It is not said which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Written by a newer version.
    Newer {
        /// Its version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// An SQLite file of some other program.
    Foreign,
    /// What is on the disk is not what was written.
    Corrupt(String),
    /// The disk is full, read-only or failing, or another program holds the file. It may pass.
    Disk(String),
    /// None of these; most likely a mistake of ours.
    Other(String),
}

impl Fault {
    /// A row whose content does not belong together.
    pub fn corrupt_row(row: &str) -> Self {
        Self::Corrupt(format!("{row} does not match its checksum"))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        let Some(failure) = error.sqlite_error() else {
            return if is_unreadable(&error) {
                Self::Corrupt(reason)
            } else {
                Self::Other(reason)
            };
        };
        // Every statement is a constant that fits the tables of the file's version, and so are the types of what it
        // writes: if SQLite refuses one, the tables are not what they were.
        let refused = failure.extended_code == rusqlite::ffi::SQLITE_ERROR
            || failure.code == ErrorCode::ConstraintViolation;
        let damaged = matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
        ) || failure.extended_code == rusqlite::ffi::SQLITE_IOERR_CORRUPTFS;
        let disk = matches!(
            failure.code,
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
        );
        match (refused || damaged, disk) {
            (true, _) => Self::Corrupt(reason),
            (false, true) => Self::Disk(reason),
            (false, false) => Self::Other(reason),
        }
    }
}

/// Whether the tables or a row are not what they were when they were made: every column is read as what it is declared
/// as.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
