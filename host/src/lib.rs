//! Quartermaster: one process that keeps many LiveStore stores, sends their events to sandboxed WebAssembly plugins,
//! and commits what those answer back into each store's log, exactly once.
//!
//! Modules stand on floors, and use only what is below them (`tests/tidy.rs` checks it):
//!
//! | floor | modules |
//! |---|---|
//! | 5 | `main`, [`cli`], [`host`] |
//! | 4 | [`supervisor`], [`http`] |
//! | 3 | [`actor`], [`catalog`] |
//! | 2 | [`journal`], [`sync`], [`backend`], [`runtime`], [`config`], [`control`], [`telemetry`]; below the first, [`sqlite`] and [`watch`] |
//! | 1 | [`store`] |
//! | 0 | [`act`], [`calendar`], [`id`], [`event`], [`stamp`], [`time`] |

pub mod act;
pub mod actor;
pub mod backend;
pub mod calendar;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod event;
pub mod host;
pub mod http;
pub mod id;
pub mod journal;
pub mod runtime;
pub mod sqlite;
pub mod stamp;
pub mod store;
pub mod supervisor;
pub mod sync;
pub mod telemetry;
pub mod time;
pub mod watch;
