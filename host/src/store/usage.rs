//! What runs used, in plain numbers: the store's rations are charged with them, and the journal keeps them for whoever pays
//! or plans.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stamp::RunId;
use crate::time::Timestamp;

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It returned ok.
    Finished,
    /// It asked to be tried again.
    Retry,
    /// It refused its event.
    Reject,
    /// Its fuel was used up.
    OutOfFuel,
    /// Its time was up.
    TimedOut,
    /// It failed after it was denied memory.
    OutOfMemory,
    /// It broke a rule of WebAssembly, of the host, or its own.
    Trapped,
    /// A function of the host panicked.
    HostPanicked,
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Fuel, that for the host's work included: the same for the same call, on every machine and at every load. All that it
    /// had if it ran out of fuel. A guest that breaks a rule of WebAssembly in the middle of a function, or whose time
    /// is up while it computes, has not told how far it came: then up to one slice of 3 million is added, so that it is
    /// never too little. Never more than it may use.
    pub fuel: u64,
    /// From the start of the instance to the end, waiting for kv and for other runs included.
    pub wall: Duration,
    /// Bytes of linear memory at the end; memory never shrinks.
    pub memory_peak_bytes: usize,
    /// Calls of `store`, `kv` and `log`.
    pub host_calls: u64,
    /// Log lines that found no room.
    pub log_lines_dropped: u64,
}

/// One run and what it used. The journal adds it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The run.
    pub run: RunId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
}

impl Ending {
    /// A word for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::OutOfFuel => "out-of-fuel",
            Self::TimedOut => "timed-out",
            Self::OutOfMemory => "out-of-memory",
            Self::Trapped => "trapped",
            Self::HostPanicked => "host-panicked",
        }
    }
}
