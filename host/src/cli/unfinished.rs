//! A file that appears under its name only when it is whole. Until then it has another name beside it, and goes away if
//! its writer gives up.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that is not finished. Dropping it removes it.
pub(super) struct Unfinished {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

/// What to do about a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// The new one takes its place.
    Replace,
    /// It stays; finishing fails with [`ErrorKind::AlreadyExists`].
    Keep,
}

impl Unfinished {
    /// For a file that will be called `target`. Nothing is made yet.
    pub(super) fn new(target: &Path) -> Self {
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".{}.partial", std::process::id()));
        Self {
            path: path.into(),
            target: target.to_owned(),
            finished: false,
        }
    }

    /// Where it is written to meanwhile.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, once all of it is on the disk.
    ///
    /// # Errors
    /// The disk's; and see [`Existing::Keep`].
    pub(super) fn finish(mut self, existing: Existing) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        match existing {
            Existing::Replace => {
                fs::rename(&self.path, &self.target)?;
                self.finished = true;
            }
            // Unlike a rename, a link never replaces what is there. The first name goes away with `self`.
            Existing::Keep => match fs::hard_link(&self.path, &self.target) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
                // A file system without links.
                Err(_) if self.target.try_exists()? => return Err(ErrorKind::AlreadyExists.into()),
                Err(_) => {
                    fs::rename(&self.path, &self.target)?;
                    self.finished = true;
                }
            },
        }
        let folder = match self.target.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // It may never have been made; if it cannot be removed, its name says what it is.
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("log.json");
        let given_up = Unfinished::new(&target);
        fs::write(given_up.path(), "half").unwrap();
        drop(given_up);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let first = Unfinished::new(&target);
        fs::write(first.path(), "first").unwrap();
        first.finish(Existing::Keep).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "first");

        let second = Unfinished::new(&target);
        fs::write(second.path(), "second").unwrap();
        let refused = second.finish(Existing::Keep).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&target).unwrap(), "first");

        let third = Unfinished::new(&target);
        fs::write(third.path(), "third").unwrap();
        third.finish(Existing::Replace).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
