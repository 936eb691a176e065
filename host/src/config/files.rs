//! Which files make up the configuration, and reading them with bounds: a name that turns out to be a pipe, a device
//! or a gigabyte is a problem and not a hang.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::document::{self, Document};
use crate::config::problem::{Place, Problem, Wrong};

/// Where the configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder with `quartermaster.toml` and `stores/`.
    Folder(PathBuf),
    /// A main file by any name; `stores/` is beside it.
    File(PathBuf),
    /// Nowhere: only the environment counts.
    Nowhere,
}

/// What there was when a configuration was read. What was there does not vanish on purpose: more likely a volume is not
/// mounted, or somebody is in the middle of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The main file.
    pub(super) main: bool,
    /// The folder of the stores' files.
    pub(super) stores: bool,
}

/// What was read.
#[derive(Default)]
pub(super) struct Files {
    /// What there was.
    pub(super) origin: Origin,
    /// The main file's content; empty if there is none, nothing if it cannot be used.
    pub(super) main: Option<Document>,
    /// The files of `stores/`, sorted by name.
    pub(super) stores: Vec<StoreFile>,
    /// What is wrong with the main file or the folder.
    pub(super) problems: Vec<Problem>,
    /// What is worth knowing without being wrong.
    pub(super) notes: Vec<String>,
}

/// One store's file.
pub(super) struct StoreFile {
    /// Its name without `.toml`: the store's id.
    pub(super) name: String,
    /// Its path.
    pub(super) file: Arc<str>,
    /// Its content.
    pub(super) content: Result<Document, Vec<Problem>>,
}

/// No hand-written file comes near it, and reading it takes a few milliseconds.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The main file's name in a folder.
const MAIN_FILE: &str = "quartermaster.toml";

impl Location {
    /// Where it is looked for if nobody says where it is.
    pub(super) const USUAL: [&'static str; 2] = ["config", "/etc/quartermaster"];

    /// What the operator named, or else `config/`, or else `/etc/quartermaster`.
    pub fn find(given: Option<&Path>) -> Self {
        match given {
            Some(path) if path.is_dir() => Self::Folder(path.to_owned()),
            Some(path) => Self::File(path.to_owned()),
            None => Self::USUAL
                .into_iter()
                .map(PathBuf::from)
                .find(|path| path.is_dir())
                .map_or(Self::Nowhere, Self::Folder),
        }
    }

    /// The main file, be it there or not.
    pub(super) fn main(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder.join(MAIN_FILE)),
            Self::File(main) => Some(main.clone()),
            Self::Nowhere => None,
        }
    }

    /// The folder of the stores' files, be it there or not.
    pub(super) fn stores(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder.join("stores")),
            Self::File(main) => Some(main.with_file_name("stores")),
            Self::Nowhere => None,
        }
    }

    /// Reads all of it.
    pub(super) fn read(&self) -> Files {
        let mut files = Files {
            main: Some(Document::default()),
            ..Files::default()
        };
        match self {
            Self::Folder(folder) => {
                let main = folder.join(MAIN_FILE);
                match fs::symlink_metadata(&main) {
                    Err(error) if error.kind() == ErrorKind::NotFound => files
                        .notes
                        .push(format!("{}: not there; the defaults apply", main.display())),
                    Err(_) | Ok(_) => files.read_main(&main),
                }
                files.read_stores(&folder.join("stores"));
            }
            Self::File(main) => {
                files.read_main(main);
                files.read_stores(&main.with_file_name("stores"));
            }
            Self::Nowhere => files.notes.push(
                "neither config/ nor /etc/quartermaster is there: the defaults apply; create \
                 config/quartermaster.toml, or name a folder or file with --config"
                    .to_owned(),
            ),
        }
        files
    }
}

impl Files {
    fn read_main(&mut self, path: &Path) {
        match read_document(path) {
            Ok(document) => {
                self.origin.main = true;
                self.main = Some(document);
            }
            Err(problems) => {
                self.origin.main = path.symlink_metadata().is_ok();
                self.main = None;
                self.problems.extend(problems);
            }
        }
    }

    /// Every `.toml` file of the folder. Hidden files and editors' copies are passed over; any other name is told,
    /// because it was probably meant to be read.
    fn read_stores(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.refuse(folder, &format!("cannot be listed: {error}")),
        };
        self.origin.stores = true;
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => self.refuse(folder, &format!("cannot be listed: {error}")),
            }
        }
        names.sort();
        for name in names {
            let path = folder.join(&name);
            let name = name.to_string_lossy();
            if name.starts_with('.') || name.ends_with('~') || *name == *"README.md" {
                continue;
            }
            let Some(name) = name.strip_suffix(".toml") else {
                let path = path.display();
                self.notes.push(format!(
                    "{path}: not read; a store's file is called <id>.toml"
                ));
                continue;
            };
            self.stores.push(StoreFile {
                name: name.to_owned(),
                file: path.display().to_string().into(),
                content: read_document(&path),
            });
        }
    }

    fn refuse(&mut self, path: &Path, message: &str) {
        let place = Place::in_file(&path.display().to_string().into(), None);
        self.problems
            .push(Wrong::new(message).at(place, None, None));
    }
}

fn read_document(path: &Path) -> Result<Document, Vec<Problem>> {
    let file: Arc<str> = path.display().to_string().into();
    let text = read(path, &file).map_err(|problem| vec![problem])?;
    document::parse(&file, &text)
}

/// The text of a regular file of reasonable size. `file` is the path as it is to be shown.
pub(super) fn read(path: &Path, file: &Arc<str>) -> Result<String, Problem> {
    let whole = |message: String| Wrong::new(message).at(Place::in_file(file, None), None, None);
    let unreadable = |error: std::io::Error| match error.kind() == ErrorKind::NotFound {
        true => whole("expected a file, found nothing by this name".to_owned()),
        false => whole(format!("cannot be read: {error}")),
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // Looked at before it is opened: opening a pipe waits for a writer.
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a folder"
        } else {
            "something else"
        };
        return Err(whole(format!("expected a regular file, found {found}")));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(whole(format!(
            "expected at most {FILE_BYTES_MAX} bytes, found more"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let place = Place::in_file(file, Some(line));
        Wrong::expected("UTF-8 text", "other bytes").at(place, None, None)
    })
}
