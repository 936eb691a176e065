//! Why a log cannot be used, and why a client lost it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sqlite::Fault;

/// Why a log cannot be used: one variant for each different reaction of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The folder is in use. Reaction: do not start; or speak to the process that works on it.
    #[error(
        "log folder {folder}: another process works on it; stop that one first, or give this one its own folder",
        folder = .folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// Written by a newer version. Reaction: stop until somebody installs that version.
    #[error(
        "log {path}: it has format {found}, and this version knows formats up to {known}; run the newer version again",
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
    /// An SQLite file of some other program, or another store's log. Reaction: stop until somebody moves the file.
    #[error(
        "log {path}: {what}; it was left as it is; move it away",
        path = .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// What is on the disk is not what was written. Reaction: serve nothing from it until somebody has decided.
    #[error(
        "log {path}: {what}; the file was left as it is and takes no events; restore it from a backup, then restart",
        path = .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The event or the structure, and what is wrong with it.
        what: String,
    },
    /// The disk is full, read-only or failing, the log's size limit is reached, or another program holds the file.
    /// Reaction: try again later.
    #[error("log {path}: {reason}", path = .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The backend was shut down, or its thread has died of a mistake of ours.
    #[error("the backend's thread has ended; restart the server")]
    Closed,
    /// None of the above; most likely a mistake of ours.
    #[error("log {path}: {reason}", path = .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// What a client is told: no path of this machine, and what it can do.
    pub fn for_clients(&self) -> String {
        match self {
            Self::Disk { reason, .. } => {
                format!("the log cannot be used at the moment: {reason}; try again later")
            }
            Self::Corrupt { what, .. } => {
                format!("the log is damaged: {what}; its operator must look")
            }
            Self::Newer { .. } | Self::Foreign { .. } => {
                "the log's file is not one that this version knows; its operator must look"
                    .to_owned()
            }
            Self::Locked { .. } | Self::Closed | Self::Other { .. } => {
                "the log cannot be used at the moment; try again later".to_owned()
            }
        }
    }

    /// Says in which file something happened.
    pub(super) fn at(path: &Path, fault: Fault) -> Self {
        let path = path.to_owned();
        match fault {
            Fault::Newer { found, known } => Self::Newer { path, found, known },
            Fault::Foreign => Self::Foreign {
                path,
                what: "this SQLite file was not written by quartermaster as a log".to_owned(),
            },
            Fault::Corrupt(what) => Self::Corrupt { path, what },
            Fault::Disk(reason) => Self::Disk { path, reason },
            Fault::Other(reason) => Self::Other { path, reason },
        }
    }
}

/// Why a client's connection is over. It connects again and goes on from its cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It took what was sent to it too slowly.
    #[error(
        "too slow: more than {bytes_max} bytes or {messages_max} messages were waiting for this client"
    )]
    SlowReader {
        /// How much may wait.
        bytes_max: usize,
        /// How many messages may wait.
        messages_max: usize,
    },
    /// The log cannot be served at the moment; the reason.
    #[error("{0}")]
    Log(Arc<str>),
    /// The backend is shutting down.
    #[error("going away")]
    Shutdown,
}
