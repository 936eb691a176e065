//! The host beside what teams run today, a Node process with one LiveStore store for each workspace: same backend, same
//! load, same machine, one after the other.

use std::time::Duration;

use anyhow::Result;

use crate::backend::Backend;

pub mod backend;
pub mod living;
mod load;
pub mod rations;
mod subject;
mod table;
pub mod tasks;

pub use load::Load;
pub use subject::Kind;
use subject::Subject;
pub use table::{Machine, markdown};

/// Stores of the load with many: what one process of today's kind can still serve.
const MANY: usize = 50;

/// Stores of the measurement of memory.
const IDLE: usize = 100;

/// Messages that each user sends one after the other: in one store, and in each of many.
const LATENCY_MESSAGES: [usize; 2] = [200, 6];

/// Messages that each user sends at once: in one store, and in each of many. More of them and the peer answers only
/// a part, which says nothing about its speed.
const BURST_MESSAGES: [usize; 2] = [200, 20];

/// Two looks at the memory of a process that has nothing to do, and how far they may be apart to count as rest.
const REST_PERIOD: Duration = Duration::from_secs(3);
const REST_PERCENT: u64 = 1;

/// Looks at most; then whatever it is counts.
const REST_LOOKS_MAX: u32 = 10;

/// All that is measured of one kind.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From the process's start until all stores are caught up, with one store and with many.
    pub ready: [Duration; 2],
    /// The closed loop, in one store and in many at once.
    pub latency: [Load; 2],
    /// All messages at once, in one store and in many.
    pub burst: [Load; 2],
    /// Memory at rest with one store, in bytes.
    pub memory_one: u64,
    /// Memory for each further idle store, in bytes.
    pub memory_per_store: u64,
}

/// Measures one kind; says on the way what it does.
pub async fn measure(kind: Kind) -> Result<Measured> {
    let mut measured = Measured::default();
    for (place, stores) in [1, MANY].into_iter().enumerate() {
        println!("{kind}: {stores} stores");
        let backend = Backend::start().await?;
        let subject = Subject::start(kind, &backend, stores).await?;
        measured.ready[place] = subject.ready_after();
        measured.latency[place] = load::latency(&backend, stores, LATENCY_MESSAGES[place]).await?;
        measured.burst[place] = load::burst(&backend, stores, BURST_MESSAGES[place]).await?;
        subject.stop().await?;
    }
    println!("{kind}: memory of {IDLE} idle stores");
    measured.memory_one = memory_at_rest(kind, 1).await?;
    let all = memory_at_rest(kind, IDLE).await?;
    measured.memory_per_store = all.saturating_sub(measured.memory_one) / (IDLE as u64 - 1);
    Ok(measured)
}

async fn memory_at_rest(kind: Kind, stores: usize) -> Result<u64> {
    let backend = Backend::start().await?;
    let subject = Subject::start(kind, &backend, stores).await?;
    let mut last = subject.resident_bytes()?;
    for _ in 0..REST_LOOKS_MAX {
        tokio::time::sleep(REST_PERIOD).await;
        let now = subject.resident_bytes()?;
        let rests = now.abs_diff(last) <= last * REST_PERCENT / 100;
        last = now;
        if rests {
            break;
        }
    }
    subject.stop().await?;
    Ok(last)
}
