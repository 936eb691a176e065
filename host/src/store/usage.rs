//! What runs used, in plain numbers: the store's rations are charged with them, and the journal keeps them for whoever pays
//! or plans.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stamp::RunId;
use crate::store::refusal::{Limit, Refusals};
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Bytes that these calls carried between guest and host.
    pub host_bytes: u64,
    /// Log lines that found no room.
    pub log_lines_dropped: u64,
    /// The limits that it came up against.
    pub refusals: Refusals,
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
    /// Events that it committed, also those that turned out to be in the log already.
    pub drafts: u32,
}

/// What several runs used together. Nothing overflows: what would is as much as a number holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotals {
    /// Runs, failed ones included.
    pub runs: u64,
    /// Those of them that did not return ok.
    pub failed: u64,
    /// Fuel.
    pub fuel: u64,
    /// Microseconds from the starts of the instances to their ends.
    pub wall_us: u64,
    /// The most bytes of linear memory that one of them had.
    pub memory_peak_bytes: u64,
    /// Calls of `store`, `kv` and `log`.
    pub host_calls: u64,
    /// Bytes that these calls carried.
    pub host_bytes: u64,
    /// Events that they committed.
    pub drafts: u64,
    /// How often each limit refused them something.
    pub refusals: BTreeMap<Limit, u64>,
}

/// What a plugin keeps in its kv of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KvTotals {
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl UsageTotals {
    /// What one run used.
    pub fn of(record: &UsageRecord) -> Self {
        let usage = &record.usage;
        let refusals = usage.refusals.iter();
        Self {
            runs: 1,
            failed: u64::from(record.ending != Ending::Finished),
            fuel: usage.fuel,
            wall_us: u64::try_from(usage.wall.as_micros()).unwrap_or(u64::MAX),
            memory_peak_bytes: usage.memory_peak_bytes as u64,
            host_calls: usage.host_calls,
            host_bytes: usage.host_bytes,
            drafts: record.drafts.into(),
            refusals: refusals.map(|it| (it.limit, it.times.into())).collect(),
        }
    }

    /// Adds what others used.
    pub fn add(&mut self, others: &Self) {
        let Self {
            runs,
            failed,
            fuel,
            wall_us,
            memory_peak_bytes,
            host_calls,
            host_bytes,
            drafts,
            refusals,
        } = self;
        for (sum, more) in [
            (runs, others.runs),
            (failed, others.failed),
            (fuel, others.fuel),
            (wall_us, others.wall_us),
            (host_calls, others.host_calls),
            (host_bytes, others.host_bytes),
            (drafts, others.drafts),
        ] {
            *sum = sum.saturating_add(more);
        }
        *memory_peak_bytes = others.memory_peak_bytes.max(*memory_peak_bytes);
        for (limit, times) in &others.refusals {
            let sum = refusals.entry(*limit).or_default();
            *sum = sum.saturating_add(*times);
        }
    }
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 8] = [
        Self::Finished,
        Self::Retry,
        Self::Reject,
        Self::OutOfFuel,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::Trapped,
        Self::HostPanicked,
    ];

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
