//! The meaning of the keys that bound what all runs of plugins together use of the machine.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use figment::value::Value;

use crate::config::fields::{Context, Fields};
use crate::config::problem::Wrong;
use crate::config::quantity::{count, size};
use crate::config::types::Guests;

/// Each instance takes 32 GiB of address space, of which there are 128 TiB.
const RUNS_MAX: u32 = 2_000;

/// More threads than the largest machines have cores.
const THREADS_MAX: u32 = 1_024;

/// `server.guest_memory`, `guest_runs`, `guest_stack` and `guest_threads`.
pub(super) fn guests(server: &Fields<'_>, guests: &mut Guests, context: &mut Context<'_>) {
    // At least what one run may use by default.
    let memory = |value: &Value| size(value, (64 << 20)..=(1 << 40));
    let runs = |value: &Value| several(value, 1..=RUNS_MAX);
    // What a program with one deep call chain needs at least; at most what 64 instances can have without being noticed.
    let stack = |value: &Value| size(value, (64 << 10)..=(64 << 20));
    let threads = |value: &Value| several(value, 1..=THREADS_MAX).map(Some);
    server.set(&mut guests.memory, "guest_memory", context, memory);
    server.set(&mut guests.runs, "guest_runs", context, runs);
    server.set(&mut guests.stack, "guest_stack", context, stack);
    server.set(&mut guests.threads, "guest_threads", context, threads);
}

fn several(value: &Value, counts: RangeInclusive<u32>) -> Result<NonZeroU32, Wrong> {
    let count = count(value, counts)?;
    Ok(NonZeroU32::new(count).expect("the bounds begin at one"))
}
