//! A folder of files that one process works on at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Held by the process that works on the folder. No store's id begins with a dot.
const LOCK_FILE: &str = ".lock";

/// Why a folder cannot be worked on.
#[derive(Debug)]
pub enum FolderError {
    /// Another process works on it, or another part of this one.
    Locked,
    /// The system refuses.
    Disk(PathBuf, io::Error),
}

/// Makes the folder if it is not there, and answers a path that stays the same when the process changes its own.
pub fn make(folder: &Path) -> Result<PathBuf, FolderError> {
    fs::create_dir_all(folder)
        .and_then(|()| folder.canonicalize())
        .map_err(|error| FolderError::Disk(folder.to_owned(), error))
}

/// Takes the folder. It is free again when the file is dropped, or when the process dies, however it dies.
pub fn lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join(LOCK_FILE);
    let file = File::create(&path).map_err(|error| FolderError::Disk(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::Locked),
        Err(TryLockError::Error(error)) => Err(FolderError::Disk(path, error)),
    }
}

/// Where SQLite keeps what is not yet folded into the file at `path`.
pub fn wal_of(path: &Path) -> PathBuf {
    with_suffix(path, "-wal")
}

/// The path with something after its last letter.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
