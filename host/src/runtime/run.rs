//! One call of a guest, from a fresh instance to what it asked for. However a guest ends, a run only ever answers with a
//! report: a failing guest is no error of the host.

use std::any::Any;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep_until};
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::id::StoreId;
use crate::runtime::bindings::RawFailure;
use crate::runtime::cause::{RawCause, raw_run};
use crate::runtime::drafts::Drafts;
use crate::runtime::kv::{KvSource, Overlay};
use crate::runtime::log::{LogSink, RunLog, one_line};
use crate::runtime::meter::{Meter, SLICE_FUEL};
use crate::runtime::permit::{NotGranted, Permit};
use crate::runtime::plugin::ERROR_BYTES_MAX;
use crate::runtime::schedule::{Schedule, ScheduleSource};
use crate::runtime::state::{Session, State};
use crate::runtime::turns::{Payer, Seat};
use crate::runtime::world::Answer;
use crate::runtime::{Limits, Plugin};
use crate::store::{Ending, Grants, Limit, Refusals, RunOutcome, RunRequest, TaskDefaults, Usage};

/// Bytes of a guest's own reason for a failure, by the contract.
const FAILURE_BYTES_MAX: usize = 4 << 10;
/// Bytes of what a guest says that it did for a task, by the contract.
const OUTPUT_BYTES_MAX: usize = 4 << 10;

/// One event, or one occurrence of a task, for one plugin in one store.
pub struct Call {
    /// The store.
    pub store: StoreId,
    /// What is to be answered, and the run's circumstances.
    pub request: RunRequest,
    /// The plugin's config for this store: JSON text, `{}` if there is none.
    pub config: Arc<str>,
    /// What the plugin may do in the store.
    pub grants: Arc<Grants>,
    /// What the run may use; the request may say how long it may take instead.
    pub limits: Limits,
    /// The store's share of the machine beside other stores that want more than there is: 1 to 100, more counts as 100.
    pub weight: NonZeroU32,
    /// The plugin's kv in this store.
    pub kv: Arc<dyn KvSource>,
    /// The tasks that the plugin has scheduled in this store.
    pub schedule: Arc<dyn ScheduleSource>,
    /// What tasks of this store are like where the plugin does not say.
    pub task_defaults: Arc<TaskDefaults>,
    /// Ids of the tasks that the store's configuration gives to the plugin: it cannot change them, and neither those that it
    /// describes.
    pub declared: Arc<BTreeSet<Arc<str>>>,
    /// Where the guest's log lines go.
    pub log: Arc<dyn LogSink>,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// For the store's machine.
    pub outcome: RunOutcome,
    /// What ended it, for whoever counts.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
    /// What it wanted to commit and may not, if anything.
    pub not_granted: Option<NotGranted>,
}

/// How a call of a guest's function ended.
pub(super) enum Called<T> {
    /// It returned.
    Returned(T),
    /// It did not; the error is one line.
    Failed { ending: Ending, error: String },
}

impl Plugin {
    /// Hands one event, or one occurrence of a task, to a fresh instance. The run is queued at once, and ends when the future is dropped. Poll it on a
    /// runtime that may be kept busy: a guest computes for a millisecond between two awaits, ten at most. Once it is
    /// queued it must be polled when it is woken, because others wait for the turn that it may have got.
    pub fn run(&self, call: Call) -> impl Future<Output = RunReport> + Send + use<> {
        let plugin = self.clone();
        let meter = Arc::new(Meter::new(call.limits.fuel_per_run));
        let payer = Payer::Store(call.store.clone());
        let memory = call.limits.memory_bytes_max;
        let turns = self.engine().turns();
        let seat = turns.enter(payer, call.weight, memory, Arc::clone(&meter));
        async move { plugin.run_from(seat, meter, call).await }
    }

    /// Runs from the queue to the end. The seat is given up last: its memory is free only when the instance is gone.
    async fn run_from(self, mut seat: Seat, meter: Arc<Meter>, call: Call) -> RunReport {
        let (run, cause) = (raw_run(&call), RawCause::of(&call.request.cause));
        if let Some(lack) = cause.lack(self.world()) {
            return refused(lack);
        }
        seat.turn().await;
        let started = Instant::now();
        let mut store = self.engine().store(self.state(call, meter));
        let time = store.data().limits().run_timeout;
        let handled = cause.hand_to(self.world(), &mut store, &run);
        let answer = guarded(&mut seat, time, handled).await;
        let (called, fuel) = settle(&store, answer);
        let state = store.into_data();
        let mut usage = Usage {
            fuel,
            wall: started.elapsed(),
            memory_peak_bytes: state.memory_bytes(),
            host_calls: state.host_calls,
            host_bytes: state.host_bytes,
            log_lines_dropped: 0,
            refusals: state.refusals(),
        };
        note_end(&mut usage, &called, state.limits());
        let log = Arc::clone(&state.log);
        let (ending, outcome, not_granted) = outcome(called, state);
        // Only now: with the state, the guest's streams are dropped, and say what they still hold.
        usage.log_lines_dropped = log.dropped();
        if let Some(refusal) = log.refusal() {
            usage.refusals.add(refusal);
        }
        usage
            .refusals
            .extend(not_granted.as_ref().map(NotGranted::refusal));
        RunReport {
            outcome,
            ending,
            usage,
            not_granted,
        }
    }

    fn state(&self, mut call: Call, meter: Arc<Meter>) -> State {
        let request = &call.request;
        // A run that may take longer must not give the same to others.
        let timeout_max = call.limits.run_timeout;
        call.limits.run_timeout = request.timeout.unwrap_or(timeout_max);
        let log = RunLog::new(Some(call.log), call.limits.log_bytes_max);
        let seed = format!("{}\0{}", call.store, request.stamp);
        let session = Session {
            mode: request.mode,
            head: request.cause.seq(),
            permit: Permit::new(Arc::clone(self.needs()), call.grants),
            drafts: Drafts::default(),
            writes: Overlay::default(),
            kv: call.kv,
            schedule: Schedule::new(
                call.task_defaults,
                [Arc::clone(self.described()), call.declared],
                timeout_max,
            ),
            tasks: call.schedule,
            refusals: Refusals::default(),
        };
        State::new(call.limits, meter, Some(session), log, request.now, &seed)
    }
}

/// The end of a run that could not even begin.
fn refused(error: String) -> RunReport {
    let error = error.into();
    RunReport {
        outcome: RunOutcome::Reject { error },
        ending: Ending::Reject,
        usage: Usage::default(),
        not_granted: None,
    }
}

/// What stopped a guest that did not return.
pub(super) enum Stop {
    Error(wasmtime::Error),
    Elapsed,
    Panicked(Box<dyn Any + Send>),
}

/// Drives a guest, at most for `time`, whenever it has a turn, and catches what panics on the way: a host function's mistake
/// costs its run only. After a `Stop` the instance must not be used again.
pub(super) async fn guarded<T>(
    seat: &mut Seat,
    time: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Stop> {
    let deadline = Instant::now() + time;
    let mut timer = pin!(sleep_until(deadline));
    let mut call = pin!(AssertUnwindSafe(call).catch_unwind());
    std::future::poll_fn(|context| {
        // The timer is for a guest that waits. It is late when every thread computes, so there is a look at the clock too.
        if timer.as_mut().poll(context).is_ready() || Instant::now() >= deadline {
            return Poll::Ready(Err(Stop::Elapsed));
        }
        ready!(seat.poll_turn(context));
        let Poll::Ready(ended) = call.as_mut().poll(context) else {
            seat.paused(context);
            return Poll::Pending;
        };
        Poll::Ready(match ended {
            Ok(Ok(returned)) => Ok(returned),
            Ok(Err(error)) => Err(Stop::Error(error)),
            Err(panic) => Err(Stop::Panicked(panic)),
        })
    })
    .await
}

/// Says how a call ended, in words, and how much fuel it used. What WASI still owes is paid here, even by a guest that
/// returned ok.
pub(super) fn settle<T>(store: &Store<State>, answer: Result<T, Stop>) -> (Called<T>, u64) {
    let state = store.data();
    let meter = &state.meter;
    let fuel_max = meter.fuel_max();
    let left = store.get_fuel().expect("the engine counts fuel");
    let written = fuel_max
        .saturating_sub(left)
        .saturating_add(meter.take_owed());
    let hidden = match &answer {
        Err(Stop::Error(error)) if hides_fuel(error) => SLICE_FUEL,
        Err(Stop::Elapsed) if !meter.is_exact() => SLICE_FUEL,
        Ok(_) | Err(Stop::Error(_) | Stop::Elapsed | Stop::Panicked(_)) => 0,
    };
    let used = written.saturating_add(hidden).min(fuel_max);
    meter.paid(used);
    let called = match answer {
        // Whatever else it met: how a run ends must not depend on when its debts are looked at.
        Ok(_) | Err(Stop::Error(_)) if written > fuel_max => out_of_fuel(fuel_max),
        Ok(returned) => Called::Returned(returned),
        Err(Stop::Error(error)) => failed(state, &error),
        Err(Stop::Elapsed) => Called::Failed {
            ending: Ending::TimedOut,
            error: format!("took longer than {:?}", state.limits().run_timeout),
        },
        Err(Stop::Panicked(panic)) => Called::Failed {
            ending: Ending::HostPanicked,
            error: format!("the host panicked: {}", panic_text(&*panic)),
        },
    };
    (called, used)
}

/// Whether a guest that failed like this may have used fuel after wasmtime last wrote its count down: it does so at each
/// call, so not where a function of the host failed, a call did not fit on the stack, or `unreachable` was reached.
fn hides_fuel(error: &wasmtime::Error) -> bool {
    let told = |trap: &Trap| {
        let at_a_call = matches!(trap, Trap::StackOverflow | Trap::UnreachableCodeReached);
        at_a_call || *trap == Trap::OutOfFuel
    };
    error.downcast_ref().is_some_and(|trap| !told(trap))
}

fn failed<T>(state: &State, error: &wasmtime::Error) -> Called<T> {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::OutOfFuel) {
        return out_of_fuel(state.limits().fuel_per_run);
    }
    let what = match (trap, error.downcast_ref::<I32Exit>()) {
        (Some(trap), _) => {
            let text = trap.to_string();
            text.trim_start_matches("wasm trap: ").to_owned()
        }
        (None, Some(exit)) => format!("it exited with code {}", exit.0),
        (None, None) => error.root_cause().to_string(),
    };
    let frames = error.downcast_ref::<WasmBacktrace>();
    let frame = frames.and_then(|backtrace| backtrace.frames().first()?.func_name());
    let place = frame.map_or_else(String::new, |name| format!(": {name}"));
    let trapped = one_line(&format!("trapped: {what}{place}"), ERROR_BYTES_MAX);
    if state.memory_refused() {
        let max_mib = state.limits().memory_bytes_max >> 20;
        return Called::Failed {
            ending: Ending::OutOfMemory,
            error: format!("was denied memory beyond {max_mib} MiB, then {trapped}"),
        };
    }
    Called::Failed {
        ending: Ending::Trapped,
        error: trapped,
    }
}

fn out_of_fuel<T>(fuel_max: u64) -> Called<T> {
    let amount = match fuel_max {
        millions if millions % 1_000_000 == 0 => format!("{}M", millions / 1_000_000),
        other => other.to_string(),
    };
    Called::Failed {
        ending: Ending::OutOfFuel,
        error: format!("ran out of fuel ({amount})"),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    one_line(text.unwrap_or("without a message"), ERROR_BYTES_MAX)
}

/// Notes the limit that ended a run, if one did.
fn note_end<T>(usage: &mut Usage, called: &Called<T>, limits: &Limits) {
    let ending = match called {
        Called::Returned(_) => return,
        Called::Failed { ending, .. } => *ending,
    };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match ending {
        Ending::OutOfFuel => {
            let max = limits.fuel_per_run;
            usage.refusals.note(Limit::Fuel, max.saturating_add(1), max);
        }
        Ending::TimedOut => {
            let max = millis(limits.run_timeout);
            let asked = millis(usage.wall).max(max);
            usage.refusals.note(Limit::WallTime, asked, max);
        }
        Ending::Finished
        | Ending::Retry
        | Ending::Reject
        | Ending::OutOfMemory
        | Ending::Trapped
        | Ending::HostPanicked => {}
    }
}

/// What a call means for the machine, and what was refused on the way. Only a guest that returned ok has effects.
fn outcome(called: Called<Answer>, state: State) -> (Ending, RunOutcome, Option<NotGranted>) {
    let line = |text: &str| one_line(text, FAILURE_BYTES_MAX).into();
    let session = state.session.expect("a run has a session");
    let (ending, outcome) = match called {
        Called::Returned(Ok(output)) => {
            let output = output.filter(|text| !text.is_empty());
            let finished = RunOutcome::Finished {
                drafts: session.drafts.into_vec(),
                kv: session.writes.into_writes(),
                schedule: session.schedule.into_writes(),
                output: output.map(|text| one_line(&text, OUTPUT_BYTES_MAX).into()),
            };
            (Ending::Finished, finished)
        }
        Called::Returned(Err(RawFailure::Retry(text))) => {
            (Ending::Retry, RunOutcome::Retry { error: line(&text) })
        }
        Called::Returned(Err(RawFailure::Reject(text))) => {
            (Ending::Reject, RunOutcome::Reject { error: line(&text) })
        }
        Called::Failed { ending, error } => {
            let error = error.into();
            (ending, RunOutcome::Retry { error })
        }
    };
    (ending, outcome, session.permit.refused())
}
