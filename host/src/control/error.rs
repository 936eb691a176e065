//! Why what was ordered cannot be kept or read: one variant for each different reaction.

use std::path::{Path, PathBuf};

use crate::sqlite::Fault;

/// Why the file cannot be used. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Written by a newer version. Reaction: do not start.
    #[error(
        "orders {path}: the file has format {found}, and this version knows formats up to {known}; run the newer version \
         again, or move the file away to begin without orders",
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
    /// An SQLite file of some other program. Reaction: do not start.
    #[error(
        "orders {path}: this SQLite file was not written by quartermaster; it was left as it is; move it away",
        path = .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What is on the disk is not what was written. Reaction: do not start; orders that nobody knows of any more would be
    /// broken, and a version that was withdrawn would run again.
    #[error(
        "orders {path}: {what}; the file was left as it is; restore it from a backup, or move it and its -wal file away to \
         begin without orders: stores that were paused, drained or removed by hand run again, and plugins have no pins",
        path = .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The disk is full, read-only or failing, or another program holds the file. Reaction: say so, and let whoever
    /// ordered try again.
    #[error("orders {path}: {reason}", path = .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// None of the above; most likely a mistake of ours. Reaction: report it.
    #[error("orders {path}: {reason}", path = .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// Says where it happened.
    pub(super) fn at(path: &Path, fault: Fault) -> Self {
        let path = path.to_owned();
        match fault {
            Fault::Newer { found, known } => Self::Newer { path, found, known },
            Fault::Foreign => Self::Foreign { path },
            Fault::Corrupt(what) => Self::Corrupt { path, what },
            Fault::Disk(reason) => Self::Disk { path, reason },
            Fault::Other(reason) => Self::Other { path, reason },
        }
    }
}
