//! Quartermaster: one process that keeps many LiveStore stores, sends their events to sandboxed WebAssembly plugins,
//! and commits what those answer back into each store's log, exactly once.
//!
//! Modules stand on floors, and use only what is below them (`tests/tidy.rs` checks it):
//!
//! | floor | modules |
//! |---|---|
//! | 2 | [`sync`] |
//! | 2 | [`telemetry`] |
//! | 5 | [`cli`] |
//! | 2 | [`config`], [`telemetry`] |
//! | 2 | [`runtime`] |
//! | 2 | [`journal`] |
//! | 1 | [`store`] |
//! | 0 | [`id`], [`event`], [`stamp`], [`time`] |

pub mod cli;
pub mod config;
pub mod event;
pub mod id;
pub mod runtime;
pub mod journal;
pub mod stamp;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod time;
