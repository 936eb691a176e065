//! The plugins at hand: every `.wasm` of the drop folder, compiled and checked, or the reason why it was refused.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::id::PluginName;
use crate::runtime::{Engine, Plugin};

/// Bytes of one file. A Python component has 19 MB; compiling more than this would keep a core busy for a minute.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is in the drop folder.
#[derive(Default)]
pub struct Catalog {
    plugins: BTreeMap<PluginName, Plugin>,
    refused: Vec<Refused>,
}

/// A file that is no plugin for this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Catalog {
    /// Loads every `.wasm` of `folder`, in the order of their names. A folder that is not there has none.
    pub async fn load(engine: &Engine, folder: &Path) -> Self {
        let mut catalog = Self::default();
        let files = match wasm_files(folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                catalog.refuse(folder.to_owned(), error.to_string());
                return catalog;
            }
        };
        for path in files {
            match load(engine, &path).await {
                Ok(plugin) => catalog.add(&path, plugin),
                Err(reason) => catalog.refuse(path, reason),
            }
        }
        catalog
    }

    /// The plugin of that name.
    pub fn get(&self, name: &PluginName) -> Option<&Plugin> {
        self.plugins.get(name)
    }

    /// Every plugin, by name.
    pub fn plugins(&self) -> impl Iterator<Item = &Plugin> {
        self.plugins.values()
    }

    /// The files that were refused, each with the reason.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn add(&mut self, path: &Path, plugin: Plugin) {
        let version = &plugin.description().version;
        let (name, digest) = (plugin.name().clone(), plugin.digest());
        info!(plugin = %name, %version, digest, path = %path.display(), "plugin loaded");
        self.plugins.insert(name, plugin);
    }

    fn refuse(&mut self, path: PathBuf, reason: String) {
        warn!(path = %path.display(), %reason, "plugin refused");
        self.refused.push(Refused { path, reason });
    }
}

/// The names of the folder's `.wasm` files, sorted, whatever they are.
fn wasm_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

async fn load(engine: &Engine, path: &Path) -> Result<Plugin, String> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let name: PluginName = stem.parse().map_err(|error| format!("{error}"))?;
    // Not followed by an open that could block: a pipe or a device is refused by its kind.
    let kind = fs::metadata(path).map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if kind.len() > FILE_BYTES_MAX {
        return Err(format!(
            "it has {} bytes; a plugin may have {FILE_BYTES_MAX}",
            kind.len()
        ));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    Plugin::load(engine, name, &bytes)
        .await
        .map_err(|error| error.to_string())
}
