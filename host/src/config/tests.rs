//! Whole configurations in temporary folders: what is read, what is said about mistakes, and whom they cost.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::config::{Environment, Loaded, Location, Refused, StoreConfig, load};

mod access;
mod documentation;
mod grants;
mod problems;
mod reload;
mod sources;
mod tasks;

/// A configuration folder to be.
struct Setup {
    folder: TempDir,
    environment: Environment,
}

/// A backend for those who do not care which.
const SYNC: &str = "sync = \"wss://sync.example.com\"\n";

impl Setup {
    fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            environment: Environment::default(),
        }
    }

    /// One main file.
    fn main(text: &str) -> Self {
        Self::new().file("quartermaster.toml", text)
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        self.environment.set(variables.iter().map(owned));
        self
    }

    fn dotenv(mut self, text: &str) -> Self {
        self.environment = Environment::of_dotenv(".env", text);
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn load(&self) -> Result<Loaded, Refused> {
        load(&Location::Folder(self.path().to_owned()), &self.environment)
    }

    /// The configuration, which must have no problem at all.
    fn good(&self) -> Loaded {
        let loaded = self.load().expect("a usable configuration");
        assert_eq!(loaded.problems, []);
        loaded
    }

    fn only_store(&self) -> StoreConfig {
        let loaded = self.good();
        let [store] = loaded.config.stores() else {
            panic!("expected one store, found {:?}", loaded.config.stores());
        };
        store.clone()
    }

    /// The problems as text, with paths as if the folder were `config`.
    fn problems(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok(loaded) => loaded.problems,
            Err(refused) => refused.problems,
        };
        let folder = self.path().display().to_string();
        problems
            .iter()
            .map(|problem| problem.to_string().replace(&folder, "config"))
            .collect()
    }
}

/// The ids of the stores that can run.
fn ids(loaded: &Loaded) -> Vec<&str> {
    let stores = loaded.config.stores();
    stores.iter().map(|store| store.id.as_str()).collect()
}
