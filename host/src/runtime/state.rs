//! What a wasmtime store holds for one call: the run's collected effects, the limits, and what WASI needs. It lives and
//! dies with the instance.

use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use crate::event::SeqNum;
use crate::runtime::drafts::Drafts;
use crate::runtime::kv::{KvSource, Overlay};
use crate::runtime::limits::{Limiter, Limits};
use crate::runtime::log::RunLog;
use crate::runtime::meter::Meter;
use crate::runtime::permit::Permit;
use crate::runtime::schedule::{Schedule, ScheduleSource};
use crate::runtime::wasi::{Chance, VirtualClock};
use crate::store::{Mode, Refusals};
use crate::time::Timestamp;

/// The data of one wasmtime store.
pub(super) struct State {
    /// None while the plugin describes itself: it then has no store to speak of.
    pub(super) session: Option<Session>,
    pub(super) log: Arc<RunLog>,
    pub(super) meter: Arc<Meter>,
    pub(super) host_calls: u64,
    /// Bytes that they carried.
    pub(super) host_bytes: u64,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) chance: Chance,
    /// Made when a guest first asks for WASI; most never do.
    pub(super) wasi: Option<WasiCtx>,
    pub(super) resources: ResourceTable,
    limiter: Limiter,
}

/// A run in progress: what it may do, and what it has asked for.
pub(super) struct Session {
    pub(super) mode: Mode,
    pub(super) head: SeqNum,
    pub(super) permit: Permit,
    pub(super) drafts: Drafts,
    pub(super) writes: Overlay,
    pub(super) kv: Arc<dyn KvSource>,
    pub(super) schedule: Schedule,
    /// Where its tasks are read.
    pub(super) tasks: Arc<dyn ScheduleSource>,
    /// What its functions refused.
    pub(super) refusals: Refusals,
}

impl State {
    /// The state of a call at `now`, whose random numbers come from `seed`.
    pub(super) fn new(
        limits: Limits,
        meter: Arc<Meter>,
        session: Option<Session>,
        log: RunLog,
        now: Timestamp,
        seed: &str,
    ) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits.handles_max);
        Self {
            session,
            log: Arc::new(log),
            meter,
            host_calls: 0,
            host_bytes: 0,
            clock: Arc::new(VirtualClock::new(now)),
            chance: Chance::new(seed),
            wasi: None,
            resources,
            limiter: Limiter::new(limits),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        self.limiter.limits()
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limiter
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.limiter.memory_bytes()
    }

    /// Whether the guest was ever denied memory.
    pub(super) fn memory_refused(&self) -> bool {
        !self.limiter.refusals().is_empty()
    }

    /// All that the guest was refused and went on.
    pub(super) fn refusals(&self) -> Refusals {
        let session = self.session.as_ref();
        let mut refusals = session.map(|it| it.refusals.clone()).unwrap_or_default();
        for refusal in self.limiter.refusals().iter() {
            refusals.add(*refusal);
        }
        refusals
    }

    /// The run, or an error that ends a `describe` which reaches for a store.
    pub(super) fn session(&mut self) -> wasmtime::Result<(&mut Session, &Limits)> {
        let session = self.session.as_mut().ok_or_else(|| {
            wasmtime::format_err!("`describe` is called without a store: it may only use `log`")
        })?;
        Ok((session, self.limiter.limits()))
    }
}
