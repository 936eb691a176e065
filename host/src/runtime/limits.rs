//! Every bound on one run, with its default, and the limiter that wasmtime asks before memory or a table grows.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::store::{Limit, Refusals};

/// Some hundred times what the largest interpreter takes to start, so that only a busy machine could come near.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What one run may use. The defaults are generous for a plugin that answers an event, and stop a runaway before
/// anybody else notices it.
///
/// Counts of instances, memories, tables and their elements can be lowered but not raised: the engine's pool is made
/// for the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel: about one for each WebAssembly instruction, and what host functions charge. A Rust handler that reads and
    /// writes JSON uses 35,000; 200 million are 20 to 80 milliseconds of computing.
    pub fuel_per_run: u64,
    /// Time from the first turn to the answer, waiting for kv and for other runs included; waiting for an instance is not.
    /// Some fifty times what `fuel_per_run` lasts, so that a busy machine alone does not end a run.
    pub run_timeout: Duration,
    /// Bytes of all linear memories together. A Rust handler has 1.2 MB; interpreters have
    /// room for their libraries and an event of the largest size several times over.
    pub memory_bytes_max: usize,
    /// Elements of all tables together, which are functions that can be called indirectly: one or two for each function
    /// of a large interpreter. Each takes 8 bytes in the host.
    pub table_elements_max: usize,
    /// Core instances. Python has 38.
    pub instances_max: usize,
    /// Linear memories. QuickJS has 3.
    pub memories_max: usize,
    /// Tables. A component has at most one for each core instance, unless it was made to be odd.
    pub tables_max: usize,
    /// Bytes that one host call, or the answer of the guest, may carry to the host. A value of kv has 1 MiB at most.
    pub host_call_bytes_max: usize,
    /// Handles to resources (streams, pollables) at once, in the guest and in the host each. A guest that waits for
    /// something has two or three.
    pub handles_max: usize,
    /// Drafts. A page of the sync protocol has 100 events, and a run's drafts are never split.
    pub drafts_max: usize,
    /// Bytes of the drafts' names and arguments. A page has 900,000 encoded; the rest is room for its envelope.
    pub draft_bytes_max: usize,
    /// Different keys that are put or deleted. It bounds the journal's transaction, by the contract.
    pub kv_keys_max: usize,
    /// Bytes of keys and values put, repeats included, by the contract.
    pub kv_bytes_max: usize,
    /// Entries of the plugin's kv in the store, with those that the run adds.
    pub kv_entries_max: u64,
    /// Bytes of their keys and values.
    pub kv_total_bytes_max: u64,
    /// Tasks that the plugin has scheduled in the store, with those that the run adds.
    pub tasks_max: usize,
    /// Bytes of their ids and payloads, which the store's machine keeps in memory.
    pub task_bytes_max: usize,
    /// Bytes of log lines, by the contract.
    pub log_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_per_run: 200_000_000,
            run_timeout: Duration::from_secs(5),
            memory_bytes_max: 64 << 20,
            table_elements_max: 100_000,
            instances_max: 64,
            memories_max: 8,
            tables_max: 64,
            host_call_bytes_max: 2 << 20,
            handles_max: 256,
            drafts_max: 100,
            draft_bytes_max: 700_000,
            kv_keys_max: 1_000,
            kv_bytes_max: 4 << 20,
            kv_entries_max: 100_000,
            kv_total_bytes_max: 256 << 20,
            tasks_max: 1_000,
            // A kilobyte for each of a thousand, on average.
            task_bytes_max: 1 << 20,
            log_bytes_max: 64 << 10,
        }
    }
}

impl Limits {
    /// For `describe`, which has only to name a few events: a quarter of a run's fuel leaves room for an interpreter that
    /// starts up.
    pub(super) fn for_describe() -> Self {
        Self {
            fuel_per_run: 50_000_000,
            run_timeout: DESCRIBE_TIMEOUT,
            ..Self::default()
        }
    }
}

/// Counts the memory and the tables of one store. wasmtime's own limiter has a bound for each memory, but a component
/// may have many.
pub(super) struct Limiter {
    limits: Limits,
    memory_bytes: usize,
    table_elements: usize,
    refusals: Refusals,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory_bytes: 0,
            table_elements: 0,
            refusals: Refusals::default(),
        }
    }

    /// Memory never shrinks, so this is also the peak.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What the guest was denied of memory and table elements.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Takes the growth from `current` to `desired` into `total` if that stays within `total_max`; else answers what there
/// would have been. What goes past its own `maximum` fails by itself and is not counted.
fn admit(
    total: &mut usize,
    total_max: usize,
    (current, desired): (usize, usize),
    maximum: Option<usize>,
) -> Result<(), u64> {
    if maximum.is_some_and(|maximum| desired > maximum) {
        return Ok(());
    }
    let grown = total.saturating_add(desired.saturating_sub(current));
    if grown > total_max {
        return Err(grown as u64);
    }
    *total = grown;
    Ok(())
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total_max = self.limits.memory_bytes_max;
        let growth = (current, desired);
        let admitted = admit(&mut self.memory_bytes, total_max, growth, maximum);
        if let Err(asked) = admitted {
            self.refusals.note(Limit::Memory, asked, total_max as u64);
        }
        Ok(admitted.is_ok())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total_max = self.limits.table_elements_max;
        let growth = (current, desired);
        let admitted = admit(&mut self.table_elements, total_max, growth, maximum);
        if let Err(asked) = admitted {
            self.refusals
                .note(Limit::TableElements, asked, total_max as u64);
        }
        Ok(admitted.is_ok())
    }

    fn instances(&self) -> usize {
        self.limits.instances_max
    }

    fn tables(&self) -> usize {
        self.limits.tables_max
    }

    fn memories(&self) -> usize {
        self.limits.memories_max
    }
}
