//! The plugins at hand: every `.wasm` of the drop folder, compiled and checked, or the reason why it was refused.

use std::collections::{BTreeMap, BTreeSet};
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

    /// The files that were refused, each with the reason.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Notes which of the plugins that stores want are not in `folder`, unless their file was refused.
    pub fn note_missing<'a>(
        &mut self,
        folder: &Path,
        wanted: impl Iterator<Item = &'a PluginName>,
    ) {
        let wanted: BTreeSet<&PluginName> = wanted.collect();
        for name in wanted {
            let path = folder.join(format!("{name}.wasm"));
            let refused = self.refused.iter().any(|refused| refused.path == path);
            if !self.plugins.contains_key(name) && !refused {
                let reason = "it is configured for a store, and not there; the store keeps its place in the log for it \
                              until the file is there and the server is started again";
                self.refuse(path, reason.to_owned());
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::EngineSettings;

    #[tokio::test]
    async fn a_file_that_is_no_plugin_and_a_plugin_that_is_not_there_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("broken.wasm"), b"\0asm and then nothing").expect("a file");
        fs::write(folder.path().join("Not a name.wasm"), b"").expect("a file");
        fs::create_dir(folder.path().join("folder.wasm")).expect("a folder");
        fs::write(folder.path().join("notes.txt"), b"").expect("a file");
        let engine = Engine::new(EngineSettings::default()).expect("an engine");
        let mut catalog = Catalog::load(&engine, folder.path()).await;
        let wanted: Vec<PluginName> = ["broken", "absent"]
            .map(|name| name.parse().expect("a name"))
            .into();
        catalog.note_missing(folder.path(), wanted.iter().chain(&wanted));
        let name = |refused: &Refused| refused.path.file_name().map(|name| name.to_owned());
        let refused: Vec<_> = catalog.refused().iter().filter_map(name).collect();
        assert_eq!(
            refused,
            [
                "Not a name.wasm",
                "broken.wasm",
                "folder.wasm",
                "absent.wasm"
            ]
        );
        assert!(wanted.iter().all(|name| catalog.get(name).is_none()));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_has_no_plugins() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::new(EngineSettings::default()).expect("an engine");
        let catalog = Catalog::load(&engine, &folder.path().join("nowhere")).await;
        assert!(catalog.refused().is_empty());
    }
}
