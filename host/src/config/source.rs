//! Where a configuration is read from again and again, and what a second reading may change: a mistake in one store's part
//! keeps that store as it was, and a mistake in what concerns all changes nothing.

use std::path::PathBuf;

use crate::config::problem::{Place, Wrong};
use crate::config::{
    Config, Diff, Environment, Loaded, Location, Origin, Problem, Refused, Server, StoreConfig,
    load,
};
use crate::id::StoreId;

/// A place, and the `.env` file below the process's environment.
#[derive(Clone, Debug)]
pub struct Source {
    location: Location,
    dotenv: PathBuf,
}

/// What to run after another reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reloaded {
    /// All of it, with what had to be kept.
    pub config: Config,
    /// What is different from what ran before.
    pub diff: Diff,
    /// Stores that go on as they were, because of a mistake in what is new.
    pub kept: Vec<StoreId>,
    /// Keys whose new value counts only after a restart.
    pub restart_needed: Vec<String>,
    /// What is wrong; each names its store.
    pub problems: Vec<Problem>,
    /// What is worth knowing without being wrong.
    pub notes: Vec<String>,
    /// The files outside of the configuration that were read.
    pub files: Vec<PathBuf>,
    /// What there was.
    pub origin: Origin,
}

impl Source {
    /// Reads from `location`, and from the file `dotenv`, which may be absent.
    pub fn new(location: Location, dotenv: PathBuf) -> Self {
        Self { location, dotenv }
    }

    /// The same environment, and another place.
    pub fn at(&self, location: Location) -> Self {
        Self::new(location, self.dotenv.clone())
    }

    /// The place. One that was nowhere may be somewhere by now.
    pub fn location(&self) -> Location {
        match &self.location {
            Location::Nowhere => Location::find(None),
            Location::Folder(_) | Location::File(_) => self.location.clone(),
        }
    }

    /// The `.env` file.
    pub(super) fn dotenv(&self) -> &PathBuf {
        &self.dotenv
    }

    /// Reads it as a start does. Blocks.
    ///
    /// # Errors
    /// A mistake in what concerns the process or all stores.
    pub fn load(&self) -> Result<Loaded, Refused> {
        load(&self.location(), &Environment::of_process(&self.dotenv))
    }

    /// Reads it while `running` is in force, for which there `was` something. Blocks.
    ///
    /// # Errors
    /// As for a start; also if the main file or the stores' folder was there, and is gone.
    pub fn reload(&self, running: &Config, was: Origin) -> Result<Reloaded, Refused> {
        let loaded = self.load()?;
        let location = self.location();
        let main = location.main().filter(|_| was.main && !loaded.origin.main);
        let stores = || {
            location
                .stores()
                .filter(|_| was.stores && !loaded.origin.stores)
        };
        let Some(gone) = main.or_else(stores) else {
            return Ok(loaded.over(running));
        };
        let place = Place::in_file(&gone.display().to_string().into(), None);
        let wrong = Wrong::new("it was there, and is gone; the running configuration stays")
            .hint("put it back, or restart the server to run without it");
        Err(Refused {
            problems: vec![wrong.at(place, None, None)],
            notes: loaded.notes,
            data: Some(running.server().data.clone()),
            files: loaded.files,
        })
    }
}

impl Loaded {
    /// What to run in place of `running`.
    pub fn over(self, running: &Config) -> Reloaded {
        let Self {
            config,
            problems,
            notes,
            files,
            origin,
        } = self;
        let is_broken = |store: &&StoreConfig| {
            let mut names = problems
                .iter()
                .filter_map(|problem| problem.store.as_deref());
            names.any(|name| name == store.id.as_str())
        };
        let kept: Vec<StoreConfig> = running.stores().iter().filter(is_broken).cloned().collect();
        let kept_ids = kept.iter().map(|store| store.id.clone()).collect();
        let mut stores = config.stores().to_vec();
        stores.extend(kept);
        stores.sort_by(|one, other| one.id.cmp(&other.id));
        let (server, restart_needed) = living(config.server(), running.server());
        let config = config.with(server, stores);
        Reloaded {
            diff: Diff::between(running, &config),
            kept: kept_ids,
            restart_needed,
            config,
            problems,
            notes,
            files,
            origin,
        }
    }
}

/// The new process with what cannot change while it runs as it was, and the names of those keys.
fn living(new: &Server, running: &Server) -> (Server, Vec<String>) {
    let mut needed = Vec::new();
    let mut note = |key: &str, differs: bool| {
        if differs {
            needed.push(format!("server.{key}"));
        }
    };
    note("listen", new.listen != running.listen);
    note("data", new.data != running.data);
    let (guests, before) = (&new.guests, &running.guests);
    note("guest_memory", guests.memory != before.memory);
    note("guest_runs", guests.runs != before.runs);
    note("guest_stack", guests.stack != before.stack);
    note("guest_threads", guests.threads != before.threads);
    let server = Server {
        listen: running.listen,
        data: running.data.clone(),
        guests: running.guests,
        ..new.clone()
    };
    (server, needed)
}
