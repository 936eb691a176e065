//! Guests: bytes become a checked [`Plugin`], and one event, or one due time of a task, becomes one call in a fresh
//! instance, with a limit on everything it can use. A guest never acts: what it commits, writes and schedules is collected,
//! and handed back if it returns ok. Nothing here knows a journal or a socket; kv, tasks and the log reach the guest through
//! what the caller passes in.
//!
//! The same plugin, cause, kv, tasks and config give the same drafts and use the same fuel, on every machine.

mod bindings;
mod cause;
mod description;
mod drafts;
mod engine;
mod host;
mod imports;
mod inspect;
mod kv;
mod limits;
mod log;
mod meter;
mod permit;
mod plugin;
mod run;
mod schedule;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod turns;
mod wasi;
mod world;

pub use bindings::Level;
pub use description::Description;
pub use engine::{Engine, EngineSettings, compile_into_cache};
pub use inspect::{FileKind, Inspection, inspect};
pub use kv::{KvPage, KvSource};
pub use limits::Limits;
pub use log::LogSink;
pub use permit::NotGranted;
pub use plugin::{Build, Plugin, check_header, digest};
pub use run::{Call, RunReport};
pub use schedule::{ScheduleSource, Tasks};
pub use turns::Load;

/// Why the engine did not start or a plugin was not loaded. The text does not name the file: the caller knows it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot start on this machine or with this cache folder.
    #[error("wasmtime could not start: {0}")]
    Engine(String),
    /// The file is larger than any plugin may be.
    #[error("it has {bytes} bytes; a plugin may have {bytes_max}")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: usize,
    },
    /// Not a component, or a damaged one.
    #[error("{0}")]
    NotAComponent(String),
    /// The component needs something that no plugin gets.
    #[error("it imports `{import}`: {reason}")]
    Import {
        /// The interface or item by its full name.
        import: String,
        /// Why it is refused, and what there is instead.
        reason: String,
    },
    /// The component's imports or exports do not have the types of the contract.
    #[error("it does not fit the worlds of `quartermaster:plugin@0.1.0`: {0}")]
    World(String),
    /// `describe` failed.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// `describe` answered something that is not allowed.
    #[error("its description is not valid: {0}")]
    Description(String),
}
