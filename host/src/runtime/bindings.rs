//! The contract in `wit/`, as Rust types. The host's side of the imports is in `host`, where it can charge fuel; which of the
//! exports a component has, and must have, is in `world`.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::wildcard_enum_match_arm,
    reason = "generated from `wit/plugin.wit`"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "event-and-task-plugin",
    exports: { default: async },
});

pub(super) use self::exports::quartermaster::plugin::about::{
    Description as RawDescription, GuestIndices as About, History as RawHistory,
};
pub(super) use self::exports::quartermaster::plugin::on_event::GuestIndices as OnEvent;
pub(super) use self::exports::quartermaster::plugin::on_task::GuestIndices as OnTask;
pub(super) use self::quartermaster::plugin::kv::{Entry, KvError};
pub use self::quartermaster::plugin::log::Level;
pub(super) use self::quartermaster::plugin::schedule::ScheduleError;
pub(super) use self::quartermaster::plugin::store::CommitError;
pub(super) use self::quartermaster::plugin::types::{
    Event as RawEvent, Failure as RawFailure, Fold as RawFold, Gap as RawGap,
    Interval as RawInterval, Missed as RawMissed, Mode as RawMode, Occurrence as RawOccurrence,
    OccurrenceKind as RawKind, Overlap as RawOverlap, Rhythm as RawRhythm, Run as RawRun,
    Task as RawTask,
};
