//! Why the journal did not do what it was asked: one variant for each different reaction of the caller, and the way
//! from what SQLite says to one of them.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::id::StoreId;

/// Why a verb of the journal failed. Nothing was written if it was a commit, and its lease is spent: claim again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The folder is in use. Reaction: do not start.
    #[error(
        "journal folder {folder}: another process works on it; stop that one first, or give this one its own folder",
        folder = .folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The lease is not the latest, or its last commit is not the journal's last. Reaction: drop everything that was
    /// decided under it and begin again from the journal.
    #[error(
        "journal of store {store}: the lease was lost to a later claim, or the file was replaced"
    )]
    Fenced {
        /// The store.
        store: StoreId,
    },
    /// Written by a newer version. Reaction: stop the store until somebody installs that version.
    #[error(
        "journal {path}: it has format {found}, and this version knows formats up to {known}; run the newer version \
         again, or restore a backup of format {known}",
        path = .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that we know.
        known: i64,
    },
    /// An SQLite file of some other program. Reaction: stop the store until somebody moves the file.
    #[error(
        "journal {path}: this SQLite file was not written by quartermaster; it was left as it is; move it away",
        path = .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What is on the disk is not what was written. Reaction: stop the store until somebody has decided.
    #[error(
        "journal {path}: {what}; the file was left as it is; restore it from a backup, or delete it and its -wal file \
         to begin anew from the store's log",
        path = .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The row or the structure, and what is wrong with it.
        what: String,
    },
    /// The disk is full, read-only or failing, or another program holds the file. Reaction: claim again later.
    #[error("journal {path}: {reason}; trying again later", path = .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The journal was shut down, or its thread has died of a mistake of ours. Reaction: stop until the process is started
    /// again.
    #[error("the journal's thread has ended; restart the server")]
    Closed,
    /// None of the above; most likely a mistake of ours. Reaction: report it.
    #[error("journal {path}: {reason}", path = .path.display())]
    Other {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

/// The same, before it is known in which file.
#[derive(Debug)]
pub(super) enum Fault {
    Fenced,
    Newer { found: i64, known: i64 },
    Foreign,
    Corrupt(String),
    Sqlite(rusqlite::Error),
    Io(io::Error),
}

impl Fault {
    /// A row whose content does not belong together.
    pub(super) fn corrupt_row(row: &str) -> Self {
        Self::Corrupt(format!("{row} does not match its checksum"))
    }

    /// Says where it happened.
    pub(super) fn at(self, store: &StoreId, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Fenced => Error::Fenced {
                store: store.clone(),
            },
            Self::Newer { found, known } => Error::Newer { path, found, known },
            Self::Foreign => Error::Foreign { path },
            Self::Corrupt(what) => Error::Corrupt { path, what },
            Self::Sqlite(error) => from_sqlite(&error, path),
            Self::Io(error) => Error::Disk {
                path,
                reason: error.to_string(),
            },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn from_sqlite(error: &rusqlite::Error, path: PathBuf) -> Error {
    let reason = error.to_string();
    let Some(failure) = error.sqlite_error() else {
        return if is_unreadable(error) {
            Error::Corrupt { path, what: reason }
        } else {
            Error::Other { path, reason }
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
        (true, _) => Error::Corrupt { path, what: reason },
        (false, true) => Error::Disk { path, reason },
        (false, false) => Error::Other { path, reason },
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
