//! The contract in `wit/`, as Rust types. The host's side of the imports is in `host`, where it can charge fuel.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::wildcard_enum_match_arm,
    reason = "generated from `wit/plugin.wit`"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    exports: { default: async },
});

pub(super) use self::PluginPre as World;
pub(super) use self::exports::quartermaster::plugin::about::{
    Description as RawDescription, History as RawHistory,
};
pub(super) use self::quartermaster::plugin::kv::{Entry, KvError};
pub use self::quartermaster::plugin::log::Level;
pub(super) use self::quartermaster::plugin::store::CommitError;
pub(super) use self::quartermaster::plugin::types::{
    Event as RawEvent, Failure as RawFailure, Mode as RawMode, Run as RawRun,
};
