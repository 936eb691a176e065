//! The versions that are kept, for going back to: `<data>/plugins/<name>/<sha256>.wasm`. A file is there whole or not at
//! all, and what is read is what was kept. Everything here blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::catalog::scan::FILE_BYTES_MAX;
use crate::id::{PluginDigest, PluginName};
use crate::runtime::digest;

/// The ending of a file that is being written.
const UNFINISHED: &str = "unfinished";

/// The folder of all kept versions.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    folder: PathBuf,
}

/// A file that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) size_bytes: u64,
}

impl Versions {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where a version is kept.
    pub(super) fn path(&self, plugin: &PluginName, sha256: &PluginDigest) -> PathBuf {
        let folder = self.folder.join(plugin.as_str());
        folder.join(format!("{sha256}.wasm"))
    }

    /// Keeps a version. It is on the disk when this returns.
    pub(super) fn keep(
        &self,
        plugin: &PluginName,
        sha256: &PluginDigest,
        bytes: &[u8],
    ) -> io::Result<()> {
        let path = self.path(plugin, sha256);
        // By its size: what is damaged otherwise is noticed when it is read.
        if path
            .metadata()
            .is_ok_and(|it| it.len() == bytes.len() as u64)
        {
            return Ok(());
        }
        let folder = path.parent().expect("it lies in its plugin's folder");
        fs::create_dir_all(folder)?;
        let unfinished = path.with_extension(UNFINISHED);
        let written = write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            // Half of a file helps nobody, and the disk may be full.
            fs::remove_file(&unfinished).ok();
            return Err(error);
        }
        File::open(folder)?.sync_all()
    }

    /// What was kept.
    pub(super) fn read(
        &self,
        plugin: &PluginName,
        sha256: &PluginDigest,
    ) -> Result<Vec<u8>, String> {
        let path = self.path(plugin, sha256);
        let shown = path.display();
        let failed = |error: io::Error| format!("{shown} cannot be read: {error}");
        let file = File::open(&path).map_err(failed)?;
        let mut bytes = Vec::new();
        let mut limited = file.take(FILE_BYTES_MAX + 1);
        limited.read_to_end(&mut bytes).map_err(failed)?;
        if digest(&bytes) != *sha256 {
            return Err(format!(
                "{shown} is not what was kept: its sha256 is another; remove it, and put the version into the plugin \
                 folder once more"
            ));
        }
        Ok(bytes)
    }

    /// The version is kept no more.
    pub(super) fn forget(&self, plugin: &PluginName, sha256: &PluginDigest) -> io::Result<()> {
        match fs::remove_file(self.path(plugin, sha256)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Everything that is kept, by its name only; what a crash left half written is removed.
    pub(super) fn list(&self) -> io::Result<BTreeMap<PluginName, BTreeMap<PluginDigest, Kept>>> {
        let mut all = BTreeMap::new();
        for (folder, name) in entries(&self.folder)? {
            let plugin = name.to_str().and_then(|name| name.parse().ok());
            let Some(plugin): Option<PluginName> = plugin else {
                continue;
            };
            all.insert(plugin, list_one(&folder)?);
        }
        Ok(all)
    }
}

/// The versions of one plugin.
fn list_one(folder: &Path) -> io::Result<BTreeMap<PluginDigest, Kept>> {
    let mut found = BTreeMap::new();
    for (path, _) in entries(folder)? {
        if path.extension() == Some(OsStr::new(UNFINISHED)) {
            fs::remove_file(&path)?;
            continue;
        }
        let stem = path.file_stem().and_then(OsStr::to_str);
        let sha256 = stem.and_then(|stem| stem.parse().ok());
        let metadata = path.symlink_metadata()?;
        let (Some(sha256), true) = (sha256, metadata.is_file()) else {
            continue;
        };
        let kept = Kept {
            size_bytes: metadata.len(),
        };
        found.insert(sha256, kept);
    }
    Ok(found)
}

/// What is in a folder, sorted; nothing if it is not there, or is none.
fn entries(folder: &Path) -> io::Result<BTreeSet<(PathBuf, std::ffi::OsString)>> {
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(BTreeSet::new());
        }
        entries => entries?,
    };
    let named = |entry: io::Result<fs::DirEntry>| entry.map(|it| (it.path(), it.file_name()));
    entries.map(named).collect()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_back_as_it_was_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let versions = Versions::new(folder.path().join("plugins"));
        let echo: PluginName = "echo".parse().expect("a name");
        assert!(versions.list().expect("nothing").is_empty());
        let (one, two) = (digest(b"one"), digest(b"two!"));
        for (sha256, bytes) in [(&one, &b"one"[..]), (&two, b"two!"), (&one, b"one")] {
            versions.keep(&echo, sha256, bytes).expect("room");
        }
        assert_eq!(versions.read(&echo, &one), Ok(b"one".to_vec()));
        let sizes = |versions: &Versions| -> Vec<u64> {
            let all = versions.list().expect("a folder");
            all.get(&echo).map_or(Vec::new(), |it| {
                it.values().map(|it| it.size_bytes).collect()
            })
        };
        let mut found = sizes(&versions);
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        versions.forget(&echo, &two).expect("gone");
        versions.forget(&echo, &two).expect("gone already");
        assert_eq!(sizes(&versions), [3]);
        assert!(
            versions
                .read(&echo, &two)
                .expect_err("gone")
                .contains("cannot be read")
        );
    }

    #[test]
    fn what_is_not_what_was_kept_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let versions = Versions::new(folder.path().to_owned());
        let echo: PluginName = "echo".parse().expect("a name");
        let one = digest(b"one");
        versions.keep(&echo, &one, b"one").expect("room");
        fs::write(versions.path(&echo, &one), b"eno").expect("a file");
        let error = versions.read(&echo, &one).expect_err("damaged");
        assert!(error.contains("is not what was kept"), "{error}");
        // A file of another size is written anew.
        fs::write(versions.path(&echo, &one), b"on").expect("a file");
        versions.keep(&echo, &one, b"one").expect("room");
        assert_eq!(versions.read(&echo, &one), Ok(b"one".to_vec()));
    }

    #[test]
    fn what_a_crash_left_and_what_is_none_of_ours_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let versions = Versions::new(folder.path().to_owned());
        let echo: PluginName = "echo".parse().expect("a name");
        let one = digest(b"one");
        versions.keep(&echo, &one, b"one").expect("room");
        let half = versions
            .path(&echo, &digest(b"half"))
            .with_extension(UNFINISHED);
        fs::write(&half, b"ha").expect("a file");
        fs::write(folder.path().join("echo/notes.txt"), b"").expect("a file");
        fs::write(folder.path().join("notes.txt"), b"").expect("a file");
        fs::create_dir(folder.path().join("Not a plugin")).expect("a folder");
        let all = versions.list().expect("a folder");
        assert_eq!(all.keys().collect::<Vec<_>>(), [&echo]);
        assert_eq!(all[&echo].keys().collect::<Vec<_>>(), [&one]);
        assert!(!half.exists());
    }
}
