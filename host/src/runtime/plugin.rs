//! From bytes to a plugin that can run: compiled, checked against the world, and asked what it is. A `Plugin` exists only
//! after all of that.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use wasmtime::component::Component;

use crate::id::{PluginDigest, PluginName};
use crate::runtime::limits::Limits;
use crate::runtime::log::{RunLog, one_line};
use crate::runtime::meter::Meter;
use crate::runtime::run::{self, Called};
use crate::runtime::state::State;
use crate::runtime::turns::{self, Payer};
use crate::runtime::world::World;
use crate::runtime::{Description, Engine, Error, description, imports};
use crate::store::Grants;
use crate::time::Timestamp;

/// Bytes of a plugin's file. The largest that is usual, a Python one, has 18.5 MB.
const FILE_BYTES_MAX: usize = 64 << 20;
/// Bytes of an error of wasmtime that are shown.
pub(super) const ERROR_BYTES_MAX: usize = 1 << 10;

/// What every WebAssembly file starts with; then come two bytes of version and two of layer.
const MAGIC: &[u8] = b"\0asm";
const COMPONENT_LAYER: [u8; 2] = [1, 0];
const MODULE_LAYER: [u8; 2] = [0, 0];

/// A component that fits the contract. Cloning is cheap, and a run keeps what it started with.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    engine: Engine,
    world: World,
    name: PluginName,
    description: Description,
    needs: Arc<Grants>,
    /// Ids of the tasks that it describes.
    described: Arc<BTreeSet<Arc<str>>>,
    build: Arc<Build>,
    size_bytes: usize,
}

/// One version of a plugin, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The SHA-256 of its file.
    pub sha256: PluginDigest,
    /// What it calls itself.
    pub version: Arc<str>,
}

impl Plugin {
    /// Compiles `bytes`, checks them against the contract and asks for the description. Compiling takes from milliseconds to
    /// many seconds of every core, on a thread for blocking work, and cannot be stopped; with a cache, it happens once.
    /// The guest's own `describe` computes on such a thread too.
    pub async fn load(
        engine: &Engine,
        name: PluginName,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Self, Error> {
        let bytes = bytes.into();
        check_header(&bytes)?;
        let load = {
            let (engine, runtime) = (engine.clone(), Handle::current());
            move || {
                let component = compile_component(engine.wasmtime(), &bytes)?;
                runtime.block_on(Self::of(&engine, name, &component, &bytes))
            }
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|_panic| Err(panicked()))
    }

    /// Checks what was compiled from `bytes` against the contract, and asks it what it is.
    pub(super) async fn of(
        engine: &Engine,
        name: PluginName,
        component: &Component,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let world = World::link(engine, component)?;
        let description = describe(engine, &world).await?;
        let schedules = imports::uses_schedule(engine, component);
        description.check_handlers(&world, schedules)?;
        let described = description.tasks.iter().map(|(id, _)| Arc::clone(id));
        let needs = Grants {
            read: description.events.clone(),
            commit: description.commits.clone(),
            kv: imports::uses_kv(engine, component),
            schedule: schedules || !description.tasks.is_empty(),
        };
        let build = Arc::new(Build {
            sha256: digest(bytes),
            version: description.version.as_str().into(),
        });
        Ok(Self(Arc::new(Inner {
            engine: engine.clone(),
            world,
            name,
            described: Arc::new(described.collect()),
            description,
            needs: Arc::new(needs),
            build,
            size_bytes: bytes.len(),
        })))
    }

    /// Its name in this host.
    pub fn name(&self) -> &PluginName {
        &self.0.name
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// Whether it can be handed events.
    pub fn handles_events(&self) -> bool {
        self.0.world.handles_events()
    }

    /// Whether it can be handed occurrences of tasks.
    pub fn handles_tasks(&self) -> bool {
        self.0.world.handles_tasks()
    }

    /// What it must be granted in a store in order to work there: to read and to commit all that it says, kv if it imports
    /// that, and schedule if it describes tasks or imports that.
    pub fn needs(&self) -> &Arc<Grants> {
        &self.0.needs
    }

    /// The SHA-256 of its file.
    pub fn digest(&self) -> &PluginDigest {
        &self.0.build.sha256
    }

    /// Which version it is.
    pub fn build(&self) -> &Arc<Build> {
        &self.0.build
    }

    /// Bytes of its file.
    pub fn size_bytes(&self) -> usize {
        self.0.size_bytes
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(super) fn world(&self) -> &World {
        &self.0.world
    }

    /// Ids of the tasks that it describes.
    pub(super) fn described(&self) -> &Arc<BTreeSet<Arc<str>>> {
        &self.0.described
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({}, sha256 {})", self.0.name, self.digest())
    }
}

/// The SHA-256 of a plugin's file.
pub fn digest(bytes: &[u8]) -> PluginDigest {
    let digits = Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |digits, byte| {
            digits + &format!("{byte:02x}")
        });
    digits.parse().expect("a SHA-256 has 64 digits")
}

/// Refuses what cannot be a component, by its size and its first bytes: before anything is started for it.
///
/// # Errors
/// It is too large, a core module, or no WebAssembly at all.
pub fn check_header(bytes: &[u8]) -> Result<(), Error> {
    let refuse = |text: &str| Err(Error::NotAComponent(text.to_owned()));
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Error::TooLarge {
            bytes: bytes.len(),
            bytes_max: FILE_BYTES_MAX,
        });
    }
    if !bytes.starts_with(MAGIC) {
        return refuse("it is not a WebAssembly file");
    }
    match bytes.get(6..8) {
        Some(layer) if layer == COMPONENT_LAYER => Ok(()),
        Some(layer) if layer == MODULE_LAYER => refuse(
            "it is a core module, not a component; make one of it with `wasm-tools component new`",
        ),
        Some(_) => refuse("it is of a kind of WebAssembly that this host does not know"),
        None => refuse("it ends within its first eight bytes; it may not be written to the end"),
    }
}

fn shown(error: &wasmtime::Error) -> String {
    one_line(&format!("{error:#}"), ERROR_BYTES_MAX)
}

/// What is said of a component that is too much even for the compiler.
pub(super) fn panicked() -> Error {
    Error::NotAComponent("it made the compiler panic".to_owned())
}

pub(super) fn compile_component(
    engine: &wasmtime::Engine,
    bytes: &[u8],
) -> Result<Component, Error> {
    check_header(bytes)?;
    Component::from_binary(engine, bytes).map_err(|error| {
        // Also what is larger than the pool of instances allows.
        let text = shown(&error);
        let cut = text.contains("unexpected end");
        let hint = if cut {
            "; it may not be written to the end"
        } else {
            ""
        };
        Error::NotAComponent(format!("it cannot be compiled: {text}{hint}"))
    })
}

async fn describe(engine: &Engine, world: &World) -> Result<Description, Error> {
    let limits = Limits::for_describe();
    let meter = Arc::new(Meter::new(limits.fuel_per_run));
    let memory = limits.memory_bytes_max;
    let turns = engine.turns();
    let mut seat = turns.enter(Payer::Describe, turns::PLAIN, memory, Arc::clone(&meter));
    seat.turn().await;
    let log = RunLog::new(None, 0);
    let state = State::new(limits, meter, None, log, Timestamp::default(), "describe");
    let mut store = engine.store(state);
    let time = store.data().limits().run_timeout;
    let described = world.describe(&mut store);
    let answer = run::guarded(&mut seat, time, described).await;
    let (called, _) = run::settle(&store, answer);
    match called {
        Called::Returned(raw) => description::check(raw),
        Called::Failed { error, .. } => Err(Error::Describe(error)),
    }
}
