//! Why the journal did not do what it was asked: one variant for each different reaction of the caller, and the way
//! from what happened to a file to one of them.

use std::io;
use std::path::{Path, PathBuf};

use crate::id::StoreId;
use crate::sqlite::{self, FolderError};

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
    File(sqlite::Fault),
}

impl Fault {
    /// A row whose content does not belong together.
    pub(super) fn corrupt_row(row: &str) -> Self {
        Self::File(sqlite::Fault::corrupt_row(row))
    }

    /// Something else that is not as it was written.
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::File(sqlite::Fault::Corrupt(what.into()))
    }

    /// Says where it happened.
    pub(super) fn at(self, store: &StoreId, path: &Path) -> Error {
        let path = path.to_owned();
        let fault = match self {
            Self::Fenced => {
                return Error::Fenced {
                    store: store.clone(),
                };
            }
            Self::File(fault) => fault,
        };
        match fault {
            sqlite::Fault::Newer { found, known } => Error::Newer { path, found, known },
            sqlite::Fault::Foreign => Error::Foreign { path },
            sqlite::Fault::Corrupt(what) => Error::Corrupt { path, what },
            sqlite::Fault::Disk(reason) => Error::Disk { path, reason },
            sqlite::Fault::Other(reason) => Error::Other { path, reason },
        }
    }
}

impl From<sqlite::Fault> for Fault {
    fn from(fault: sqlite::Fault) -> Self {
        Self::File(fault)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(error.into())
    }
}

impl Error {
    /// A folder that cannot be worked on.
    pub(super) fn of_folder(folder: &Path, error: FolderError) -> Self {
        match error {
            FolderError::Locked => Self::Locked {
                folder: folder.to_owned(),
            },
            FolderError::Disk(path, error) => Self::Disk {
                path,
                reason: error.to_string(),
            },
        }
    }
}
