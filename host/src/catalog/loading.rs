//! From a file to a plugin that can run: read once, its header looked at, compiled elsewhere, loaded and asked what it is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Compiler;
use crate::catalog::compile::Uncompiled;
use crate::catalog::scan::{self, Fingerprint, Unread};
use crate::catalog::versions::Versions;
use crate::id::{PluginDigest, PluginName};
use crate::runtime::{Engine, Plugin, check_header};

/// What loading needs.
#[derive(Clone)]
pub(super) struct Loader {
    pub(super) engine: Engine,
    pub(super) compiler: Compiler,
    pub(super) cache: PathBuf,
    pub(super) versions: Versions,
}

/// Something to load.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// A file of the drop folder.
    File {
        folder: PathBuf,
        name: OsString,
        print: Option<Fingerprint>,
    },
    /// A version that was kept.
    Kept {
        plugin: PluginName,
        sha256: PluginDigest,
    },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Loaded {
    /// It can run, and is kept.
    Plugin(Plugin),
    /// It is to be looked at again.
    Again,
    /// It cannot, and nothing but another file will help.
    Refused(String),
    /// It could not be read or kept; that may pass.
    Failed(String),
}

impl Loader {
    /// The job, and what came of it.
    pub(super) async fn done(self, job: Job) -> (Job, Loaded) {
        let loaded = self.load(&job).await;
        (job, loaded)
    }

    pub(super) async fn load(&self, job: &Job) -> Loaded {
        match job {
            Job::File {
                folder,
                name,
                print,
            } => self.load_file(folder.clone(), name.clone(), *print).await,
            Job::Kept { plugin, sha256 } => {
                let (versions, of, wanted) =
                    (self.versions.clone(), plugin.clone(), sha256.clone());
                match blocking(move || versions.read(&of, &wanted)).await {
                    Ok(bytes) => self.make(plugin.clone(), bytes.into()).await,
                    Err(reason) => Loaded::Refused(reason),
                }
            }
        }
    }

    async fn load_file(
        &self,
        folder: PathBuf,
        name: OsString,
        print: Option<Fingerprint>,
    ) -> Loaded {
        let plugin = match scan::plugin_of(&name) {
            Ok(plugin) => plugin,
            Err(reason) => return Loaded::Refused(reason),
        };
        let bytes = match blocking(move || scan::read(&folder, &name, print)).await {
            Ok(bytes) => Arc::<[u8]>::from(bytes),
            Err(Unread::Changed) => return Loaded::Again,
            Err(Unread::Refused(reason)) => return Loaded::Refused(reason),
            Err(Unread::Failed(reason)) => return Loaded::Failed(reason),
        };
        let loaded = self.make(plugin.clone(), bytes.clone()).await;
        let Loaded::Plugin(made) = loaded else {
            return loaded;
        };
        let (versions, sha256) = (self.versions.clone(), made.digest().clone());
        match blocking(move || versions.keep(&plugin, &sha256, &bytes)).await {
            Ok(()) => Loaded::Plugin(made),
            Err(error) => Loaded::Failed(format!("it cannot be kept: {error}")),
        }
    }

    async fn make(&self, plugin: PluginName, bytes: Arc<[u8]>) -> Loaded {
        // Before a process is started for it.
        if let Err(error) = check_header(&bytes) {
            return Loaded::Refused(error.to_string());
        }
        match self.compiler.compile(&self.cache, &bytes).await {
            Ok(()) => {}
            Err(Uncompiled::Refused(reason)) => return Loaded::Refused(reason),
            Err(Uncompiled::Failed(reason)) => return Loaded::Failed(reason),
        }
        match Plugin::load(&self.engine, plugin, bytes).await {
            Ok(plugin) => Loaded::Plugin(plugin),
            Err(error) => Loaded::Refused(error.to_string()),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("file work does not panic")
}
