//! What a file looked like at one moment: enough to tell later that something else is there. Never what is in it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// One path as it was looked at: the link, if it is one, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    path: PathBuf,
    /// What is there; none if nothing is.
    itself: Option<Look>,
    /// What the link leads to, if it is a link that leads anywhere.
    target: Option<Look>,
}

/// Another file, or other content, has another one: the time of a change of the inode cannot be set by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    size: u64,
    is_link: bool,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    /// Looks at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let itself = fs::symlink_metadata(path).ok();
        let is_link = itself.as_ref().is_some_and(Metadata::is_symlink);
        let target = is_link.then(|| fs::metadata(path).ok()).flatten();
        Self {
            path: path.to_owned(),
            itself: itself.as_ref().map(Look::of),
            target: target.as_ref().map(Look::of),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_link(&self) -> bool {
        self.itself.is_some_and(|look| look.is_link)
    }

    /// Whether something could be read there, even if it was nothing.
    pub(super) fn is_there(&self) -> bool {
        self.content().is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.content().is_some_and(|look| look.size == 0)
    }

    fn content(&self) -> Option<Look> {
        match self.is_link() {
            true => self.target,
            false => self.itself,
        }
    }
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            is_link: metadata.is_symlink(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
