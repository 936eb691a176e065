//! What is known of a run's fuel while it runs. wasmtime writes its own count down only where a guest calls the host, where
//! it returns, and at the end of each slice; whoever drives the run sees none of these, only that it pauses. So the run's
//! two sides share a meter: host functions write to it, and whoever drives the run reads it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Poll;

use wasmtime::Trap;

/// Fuel after which a run pauses, so that another may have its turn: about 0.4 milliseconds of a tight loop.
///
/// Measured with `benches/runtime.rs` on such a loop: slices of 3 million cost nothing that can be seen, 1 million 4 %, 100,000
/// 9 %, 10,000 68 %.
pub(super) const SLICE_FUEL: u64 = 3_000_000;

/// The fuel of one run. All of it is only ever touched by one thread at a time, that of the run.
pub(super) struct Meter {
    fuel_max: u64,
    /// What was used for certain.
    known: AtomicU64,
    /// Where wasmtime began to count the present slice.
    slice_start: AtomicU64,
    /// What was told to whoever drives the run.
    told: AtomicU64,
    /// Fuel that host functions owe which cannot reach the store's own tank: WASI's. It is paid with the next call of ours,
    /// and at the end.
    owed: AtomicU64,
    pause: AtomicU8,
    exact: AtomicBool,
}

/// Why a run does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// wasmtime's count came to the end of a slice. Nothing else tells of it, so this is what a pause is by default.
    Slice = 0,
    /// A host function found that a slice is used up.
    Spent = 1,
    /// A tick of the clock came first.
    Tick = 2,
    /// A host function waits.
    Host = 3,
}

impl Meter {
    /// The meter of a run that may use `fuel_max`.
    pub(super) fn new(fuel_max: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            fuel_max,
            known: zero(),
            slice_start: zero(),
            told: zero(),
            owed: zero(),
            pause: AtomicU8::new(Pause::Slice as u8),
            exact: AtomicBool::new(true),
        }
    }

    /// All that the run may use.
    pub(super) fn fuel_max(&self) -> u64 {
        self.fuel_max
    }

    /// What was used is `used`, and wasmtime counts a slice from here. Whether the run has had its slice.
    pub(super) fn paid(&self, used: u64) -> bool {
        self.known.store(used, Ordering::Relaxed);
        self.slice_start.store(used, Ordering::Relaxed);
        used.saturating_sub(self.told.load(Ordering::Relaxed)) >= SLICE_FUEL
    }

    /// The clock's tick stops the run; wasmtime last wrote down that `used` was used.
    pub(super) fn ticked(&self, used: u64) {
        self.known.fetch_max(used, Ordering::Relaxed);
        self.pauses(Pause::Tick);
    }

    /// Pauses once, because the run has had its slice.
    pub(super) async fn yield_now(&self) {
        let mut paused = false;
        std::future::poll_fn(|context| {
            if paused {
                return Poll::Ready(());
            }
            paused = true;
            self.pauses(Pause::Spent);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Waits for something of the host's, and lets whoever drives the run know that it does.
    pub(super) async fn waiting<T>(&self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        std::future::poll_fn(|context| {
            let poll = awaited.as_mut().poll(context);
            if poll.is_pending() {
                self.pauses(Pause::Host);
            }
            poll
        })
        .await
    }

    /// For whoever drives the run: it has paused. Why, and what it used since the last time, as far as that is known.
    pub(super) fn paused(&self) -> (Pause, u64) {
        let pause = self.take_pause();
        if pause == Pause::Slice {
            // A slice may be longer by the instruction that ended it; wasmtime tells that with its next count.
            let start = self.slice_start.load(Ordering::Relaxed);
            let end = start.saturating_add(SLICE_FUEL).min(self.fuel_max);
            self.slice_start.store(end, Ordering::Relaxed);
            self.known.fetch_max(end, Ordering::Relaxed);
        }
        self.exact.store(pause != Pause::Tick, Ordering::Relaxed);
        (pause, self.untold())
    }

    /// What was used since the last time that this was asked, as far as it is known.
    pub(super) fn untold(&self) -> u64 {
        let known = self.known.load(Ordering::Relaxed);
        known.saturating_sub(self.told.swap(known, Ordering::Relaxed))
    }

    /// Whether wasmtime wrote down all that was used when the run last paused.
    pub(super) fn is_exact(&self) -> bool {
        self.exact.load(Ordering::Relaxed)
    }

    /// Owes `fuel` more; ends the guest once that alone is more than a run may use.
    pub(super) fn owe(&self, fuel: u64) -> wasmtime::Result<()> {
        self.note_owed(fuel);
        self.check_owed()
    }

    /// Owes `fuel` more, where the guest cannot be ended: that happens at the next tick of the clock, if need be.
    pub(super) fn note_owed(&self, fuel: u64) {
        let owed = self.owed.load(Ordering::Relaxed).saturating_add(fuel);
        self.owed.store(owed, Ordering::Relaxed);
    }

    /// Ends a guest that owes more than a run may use.
    pub(super) fn check_owed(&self) -> wasmtime::Result<()> {
        if self.owed.load(Ordering::Relaxed) > self.fuel_max {
            return Err(Trap::OutOfFuel.into());
        }
        Ok(())
    }

    /// What is owed, which is then paid.
    pub(super) fn take_owed(&self) -> u64 {
        self.owed.swap(0, Ordering::Relaxed)
    }

    fn pauses(&self, pause: Pause) {
        self.pause.store(pause as u8, Ordering::Relaxed);
    }

    fn take_pause(&self) -> Pause {
        let pause = self.pause.swap(Pause::Slice as u8, Ordering::Relaxed);
        let all = [Pause::Slice, Pause::Spent, Pause::Tick, Pause::Host];
        let found = all.into_iter().find(|it| *it as u8 == pause);
        found.expect("only pauses are stored")
    }
}
