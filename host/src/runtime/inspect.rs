//! A component looked at by somebody who has no server: what it is, what it needs, and whether a server would take it. It
//! goes on after what is wrong, as far as it can. It compiles in this process, so it is for files that one trusts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use wasmtime::component::Component;

use crate::id::{PluginDigest, PluginName};
use crate::runtime::plugin::{self, compile_component};
use crate::runtime::world::{ON_EVENT, ON_TASK};
use crate::runtime::{Description, Engine, Plugin};
use crate::store::Grants;

/// What a file turned out to be.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The SHA-256 of the file.
    pub sha256: PluginDigest,
    /// Bytes of the file.
    pub size_bytes: usize,
    /// What its first bytes say.
    pub kind: FileKind,
    /// What it imports, by full names, such as `quartermaster:plugin/kv@0.1.0`.
    pub imports: Vec<String>,
    /// What it exports, by full names.
    pub exports: Vec<String>,
    /// Which of the contract's handlers it exports: `on-event`, `on-task`.
    pub handlers: Vec<&'static str>,
    /// What it must be granted in a store; none if it cannot be asked.
    pub grants: Option<Grants>,
    /// What it says of itself; none if it cannot be asked.
    pub description: Option<Description>,
    /// How long it took to compile; none if it could not be compiled.
    #[serde(serialize_with = "as_milliseconds")]
    pub compile_time: Option<Duration>,
    /// Why no server would take it; none if this version would.
    pub refused: Option<String>,
}

/// What a file's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A component, as plugins are.
    Component,
    /// A core module, from which a component can be made.
    CoreModule,
    /// Something else.
    Unknown,
}

/// Looks at the bytes of a file. It never fails: what is wrong is part of the answer.
pub async fn inspect(engine: &Engine, name: PluginName, bytes: impl Into<Arc<[u8]>>) -> Inspection {
    let bytes = bytes.into();
    let mut inspection = Inspection {
        sha256: plugin::digest(&bytes),
        size_bytes: bytes.len(),
        kind: kind(&bytes),
        imports: Vec::new(),
        exports: Vec::new(),
        handlers: Vec::new(),
        grants: None,
        description: None,
        compile_time: None,
        refused: None,
    };
    let compiled = {
        let (engine, bytes) = (engine.clone(), Arc::clone(&bytes));
        let started = Instant::now();
        let compile = move || compile_component(engine.wasmtime(), &bytes);
        let compiled = tokio::task::spawn_blocking(compile).await;
        compiled
            .unwrap_or_else(|_panic| Err(plugin::panicked()))
            .map(|component| (component, started.elapsed()))
    };
    let loaded = match compiled {
        Ok((component, time)) => {
            inspection.compile_time = Some(time);
            inspection.name_items(engine, &component);
            Plugin::of(engine, name, &component, &bytes).await
        }
        Err(error) => Err(error),
    };
    match loaded {
        Ok(plugin) => {
            inspection.grants = Some(plugin.needs().as_ref().clone());
            inspection.description = Some(plugin.description().clone());
        }
        Err(error) => inspection.refused = Some(error.to_string()),
    }
    inspection
}

impl Inspection {
    fn name_items(&mut self, engine: &Engine, component: &Component) {
        let kind = component.component_type();
        let imports = kind.imports(engine.wasmtime());
        self.imports = imports.map(|(name, _)| name.to_owned()).collect();
        let exports = kind.exports(engine.wasmtime());
        self.exports = exports.map(|(name, _)| name.to_owned()).collect();
        let all = [("on-event", ON_EVENT), ("on-task", ON_TASK)];
        let exported = all.iter().filter(|(_, export)| {
            let same = |name: &String| name.as_str() == *export;
            self.exports.iter().any(same)
        });
        self.handlers = exported.map(|(name, _)| *name).collect();
    }
}

fn kind(bytes: &[u8]) -> FileKind {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => FileKind::Component,
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => FileKind::CoreModule,
        Some(_) | None => FileKind::Unknown,
    }
}

fn as_milliseconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let millis = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}
