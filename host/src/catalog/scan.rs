//! The drop folder as it is at one moment: which files it has, and what is in one of them. It reads what anybody may have
//! put there, so it follows no link out of the folder, waits for no pipe, and takes in no more than a plugin may have.
//! Everything here blocks.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::id::PluginName;
use crate::time::Timestamp;

/// Bytes of one file. The largest plugin that is usual, a Python one, has 18.5 MB.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// Files that are looked at, besides those that stores want. Far more than anybody has plugins; whoever has so many files
/// has made a mistake, and each costs a look at every change of the folder.
const FILES_MAX: usize = 10_000;

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    file: Mark,
    /// Where a link leads; none if it is no link, or leads nowhere.
    target: Option<Mark>,
}

/// What the system says of one file. The time of its last change is the system's own, and cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file of the folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    /// None if the system does not say.
    pub(super) print: Option<Fingerprint>,
}

/// What is in the folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    /// Files that were passed over because there are too many.
    pub(super) surplus: usize,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is another one than was listed. It will be listed again.
    Changed,
    /// It must not be read, as it is.
    Refused(String),
    /// The system does not let us. It may pass.
    Failed(String),
}

impl Mark {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Fingerprint {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        let target = file.is_symlink().then(|| fs::metadata(path).ok()).flatten();
        Ok(Self {
            file: Mark::of(&file),
            target: target.as_ref().map(Mark::of),
        })
    }

    /// The last time that the system noted a change of it.
    pub(super) fn changed_at(&self) -> Timestamp {
        let millis = |mark: &Mark| {
            let (seconds, nanoseconds) = mark.changed;
            let millis = seconds
                .saturating_mul(1000)
                .saturating_add(nanoseconds / 1_000_000);
            Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
        };
        let target = self.target.as_ref().map(millis).unwrap_or_default();
        millis(&self.file).max(target)
    }

    /// The mark of what is opened under its name.
    fn content(&self) -> &Mark {
        self.target.as_ref().unwrap_or(&self.file)
    }
}

/// The plugin that a file of this name is.
pub(super) fn plugin_of(name: &OsStr) -> Result<PluginName, String> {
    let stem = Path::new(name).file_stem().and_then(OsStr::to_str);
    let name = stem.ok_or("its name is not UTF-8")?;
    name.parse()
        .map_err(|error: crate::id::Error| error.to_string())
}

/// The name of a plugin's file.
pub(super) fn file_of(plugin: &PluginName) -> OsString {
    format!("{plugin}.wasm").into()
}

/// The `.wasm` files of the folder, whatever they are; those of `wanted` however many others there are. A folder that is not
/// there has none.
pub(super) fn list(folder: &Path, wanted: &BTreeSet<PluginName>) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        entries => entries?,
    };
    let mut others = 0;
    for entry in entries {
        let name = entry?.file_name();
        if Path::new(&name).extension() != Some(OsStr::new("wasm")) {
            continue;
        }
        let is_wanted = plugin_of(&name).is_ok_and(|plugin| wanted.contains(&plugin));
        if !is_wanted {
            others += 1;
        }
        if !is_wanted && others > FILES_MAX {
            listing.surplus += 1;
            continue;
        }
        let print = match Fingerprint::of(&folder.join(&name)) {
            // It is gone again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            print => print.ok(),
        };
        listing.entries.push(Entry { name, print });
    }
    Ok(listing)
}

/// What is in the file `name` of `folder`, if it is still the one with this print, before it was read and after.
pub(super) fn read(
    folder: &Path,
    name: &OsStr,
    print: Option<Fingerprint>,
) -> Result<Vec<u8>, Unread> {
    let path = folder.join(name);
    let as_listed = || match (Fingerprint::of(&path), print) {
        (Ok(found), Some(listed)) if found == listed => Ok(found),
        (Ok(_), Some(_)) => Err(Unread::Changed),
        (Ok(found), None) => Ok(found),
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Err(Unread::Changed),
        (Err(error), _) => Err(Unread::Failed(error.to_string())),
    };
    let found = as_listed()?;
    let path = inside(folder, &path)?;
    check_kind(
        path.symlink_metadata()
            .map_err(|error| failed(&error))?
            .file_type(),
    )?;
    let file = open(&path).map_err(|error| failed(&error))?;
    let opened = file.metadata().map_err(|error| failed(&error))?;
    // The handle decides: between the look and the opening, anything may have taken the name.
    check_kind(opened.file_type())?;
    if Mark::of(&opened) != *found.content() {
        return Err(Unread::Changed);
    }
    let bytes = read_all(&file, opened.len())?;
    if as_listed()? != found {
        return Err(Unread::Changed);
    }
    Ok(bytes)
}

/// The file that `path` means, if it lies in `folder` when every link is followed: Kubernetes links to a folder beside it.
fn inside(folder: &Path, path: &Path) -> Result<PathBuf, Unread> {
    let folder = folder.canonicalize().map_err(|error| failed(&error))?;
    let target = path.canonicalize().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return Unread::Refused("it is a link that leads nowhere".to_owned());
        }
        failed(&error)
    })?;
    if target.starts_with(&folder) {
        return Ok(target);
    }
    Err(Unread::Refused(format!(
        "it is a link to {}, which is outside of the plugin folder",
        target.display()
    )))
}

/// Opens a file that may have become a pipe: that would wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn check_kind(kind: FileType) -> Result<(), Unread> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_symlink() {
        return Err(Unread::Changed);
    } else {
        "a device"
    };
    Err(Unread::Refused(format!(
        "it is {what}; a plugin is a regular file"
    )))
}

fn read_all(file: &File, size: u64) -> Result<Vec<u8>, Unread> {
    let too_large = |bytes: u64| {
        Unread::Refused(format!(
            "it has {bytes} bytes; a plugin may have {FILE_BYTES_MAX}"
        ))
    };
    if size > FILE_BYTES_MAX {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    let read = bytes.len() as u64;
    if read > FILE_BYTES_MAX {
        return Err(too_large(read));
    }
    Ok(bytes)
}

fn failed(error: &io::Error) -> Unread {
    Unread::Failed(format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn listed(folder: &Path) -> Vec<Entry> {
        let mut listing = list(folder, &BTreeSet::new()).expect("a folder");
        assert_eq!(listing.surplus, 0);
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
        listing.entries
    }

    /// What became of reading a file as it was listed.
    fn read_listed(folder: &Path, name: &str) -> Result<Vec<u8>, Unread> {
        let entries = listed(folder);
        let entry = entries.iter().find(|entry| entry.name == name);
        read(folder, OsStr::new(name), entry.expect("a file").print)
    }

    #[track_caller]
    fn assert_refused(folder: &Path, name: &str, words: &str) {
        match read_listed(folder, name) {
            Err(Unread::Refused(reason)) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_listing_has_the_wasm_files_and_a_folder_that_is_not_there_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.wasm", "a.wasm", "notes.txt", "wasm", ".wasm"] {
            fs::write(folder.path().join(name), b"x").expect("a file");
        }
        let names: Vec<_> = listed(folder.path())
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["a.wasm", "b.wasm"]);
        assert!(listed(&folder.path().join("nowhere")).is_empty());
        let file = folder.path().join("a.wasm");
        assert!(list(&file, &BTreeSet::new()).is_err());
    }

    #[test]
    fn wanted_files_are_listed_however_many_others_there_are() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..FILES_MAX + 5 {
            fs::write(folder.path().join(format!("x{number}.wasm")), b"").expect("a file");
        }
        let wanted: BTreeSet<PluginName> = (0..FILES_MAX + 5)
            .step_by(1_000)
            .map(|number| format!("x{number}").parse().expect("a name"))
            .collect();
        let listing = list(folder.path(), &wanted).expect("a folder");
        assert_eq!(listing.surplus, 5 - wanted.len().min(5));
        for plugin in &wanted {
            let there = |entry: &Entry| entry.name == file_of(plugin);
            assert!(listing.entries.iter().any(there), "{plugin} is missing");
        }
        let none = list(folder.path(), &BTreeSet::new()).expect("a folder");
        assert_eq!((none.entries.len(), none.surplus), (FILES_MAX, 5));
    }

    #[test]
    fn a_print_differs_after_any_change_and_only_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        fs::write(&path, b"one").expect("a file");
        let first = Fingerprint::of(&path).expect("a print");
        assert_eq!(Fingerprint::of(&path).expect("a print"), first);
        // The same size, and the time set back.
        let modified = fs::metadata(&path)
            .expect("there")
            .modified()
            .expect("a time");
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, b"two").expect("a file");
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_modified(modified).expect("a time");
        assert_ne!(Fingerprint::of(&path).expect("a print"), first);
    }

    #[test]
    fn what_changed_since_it_was_listed_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        fs::write(&path, b"one").expect("a file");
        assert_eq!(read_listed(folder.path(), "a.wasm"), Ok(b"one".to_vec()));
        let print = listed(folder.path())[0].print;
        fs::write(&path, b"longer").expect("a file");
        let read_as = |print| read(folder.path(), OsStr::new("a.wasm"), print);
        assert_eq!(read_as(print), Err(Unread::Changed));
        fs::remove_file(&path).expect("a file");
        assert_eq!(read_as(print), Err(Unread::Changed));
    }

    #[test]
    fn nothing_but_a_regular_file_is_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder.wasm")).expect("a folder");
        let fifo = std::process::Command::new("mkfifo")
            .arg(path("pipe.wasm"))
            .status();
        assert!(fifo.expect("mkfifo").success());
        let _socket = UnixListener::bind(path("socket.wasm")).expect("a socket");
        symlink("/dev/null", path("device.wasm")).expect("a link");
        symlink("pipe.wasm", path("link.wasm")).expect("a link");
        for (name, words) in [
            ("folder.wasm", "a folder"),
            ("pipe.wasm", "a named pipe"),
            ("socket.wasm", "a socket"),
            ("device.wasm", "outside of the plugin folder"),
            ("link.wasm", "a named pipe"),
        ] {
            assert_refused(folder.path(), name, words);
        }
        // Also when the pipe took the place of a file after the first look.
        assert!(open(&path("pipe.wasm")).is_ok());
    }

    #[test]
    fn a_link_is_followed_inside_of_the_folder_only() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(outside.path().join("secret"), b"secret").expect("a file");
        symlink(outside.path().join("secret"), path("out.wasm")).expect("a link");
        symlink("nowhere", path("lost.wasm")).expect("a link");
        // As Kubernetes does it.
        fs::create_dir(path("..2026_01")).expect("a folder");
        fs::write(path("..2026_01").join("in.wasm"), b"first").expect("a file");
        symlink("..2026_01", path("..data")).expect("a link");
        symlink("..data/in.wasm", path("in.wasm")).expect("a link");
        assert_refused(folder.path(), "out.wasm", "secret, which is outside");
        assert_refused(folder.path(), "lost.wasm", "leads nowhere");
        assert_eq!(read_listed(folder.path(), "in.wasm"), Ok(b"first".to_vec()));

        let before = Fingerprint::of(&path("in.wasm")).expect("a print");
        fs::create_dir(path("..2026_02")).expect("a folder");
        fs::write(path("..2026_02").join("in.wasm"), b"other").expect("a file");
        symlink("..2026_02", path("..tmp")).expect("a link");
        fs::rename(path("..tmp"), path("..data")).expect("a swap");
        assert_ne!(Fingerprint::of(&path("in.wasm")).expect("a print"), before);
        assert_eq!(read_listed(folder.path(), "in.wasm"), Ok(b"other".to_vec()));
    }

    #[test]
    fn a_file_of_more_than_a_plugin_may_have_is_refused_unread() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::create(folder.path().join("a.wasm")).expect("a file");
        file.set_len(FILE_BYTES_MAX + 1).expect("a size");
        assert_refused(folder.path(), "a.wasm", "67108865 bytes");
        // One that grows while it is read.
        assert!(matches!(
            read_all(&file, 5),
            Err(Unread::Failed(_) | Unread::Refused(_))
        ));
    }

    #[test]
    fn a_name_that_is_no_plugins_is_told() {
        assert_eq!(
            plugin_of(OsStr::new("echo.wasm")).map(|it| file_of(&it)),
            Ok("echo.wasm".into())
        );
        let error = plugin_of(OsStr::new("Not a name.wasm")).expect_err("a reason");
        assert!(error.contains("Not a name"), "{error}");
        use std::os::unix::ffi::OsStrExt as _;
        let error = plugin_of(OsStr::from_bytes(b"\xff.wasm")).expect_err("a reason");
        assert!(error.contains("UTF-8"), "{error}");
    }
}
