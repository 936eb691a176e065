//! WASI 0.2 for guests that were built for it, with nothing behind it: no arguments, no environment, no files, no
//! network. Time and chance are derived from the run, so that a repeated run sees the same. What such a guest prints
//! goes to the store's log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::bindings::{cli, filesystem};
use wasmtime_wasi::p2::{
    DynPollable, OutputStream, Pollable, StreamError, StreamResult, subscribe,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, async_trait};
use wasmtime_wasi_io::bindings::wasi::io;
use wasmtime_wasi_io::bytes::Bytes;

use crate::runtime::Level;
use crate::runtime::host::{BYTE_FUEL, CALL_FUEL};
use crate::runtime::log::{LINE_BYTES_MAX, RunLog};
use crate::runtime::meter::Meter;
use crate::runtime::state::State;
use crate::time::Timestamp;

/// How far a clock moves when it is read, so that a guest that waits for it comes to an end.
const READING: u64 = 1_000;
/// Random bytes in one call: what a seed or a key needs, many times over.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// Bytes that a guest may write to a stream at once; wasmtime's own streams say the same.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Links what is offered of WASI, one interface after the other: `wasi:sockets` stays out.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<State, Io>(l, State::io)?;
    io::poll::add_to_linker::<State, Io>(l, State::io)?;
    io::streams::add_to_linker::<State, Io>(l, State::io)?;

    wall_clock::add_to_linker::<State, HasSelf<State>>(l, |state| state)?;
    monotonic_clock::add_to_linker::<State, HasSelf<State>>(l, |state| state)?;
    random::add_to_linker::<State, HasSelf<State>>(l, |state| state)?;
    insecure::add_to_linker::<State, HasSelf<State>>(l, |state| state)?;
    insecure_seed::add_to_linker::<State, HasSelf<State>>(l, |state| state)?;

    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;

    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

impl State {
    /// What `wasi:io` works on. It is asked for once in each call, so this is the place to charge for one.
    fn io(&mut self) -> &mut ResourceTable {
        self.meter.note_owed(CALL_FUEL);
        &mut self.resources
    }
}

impl WasiView for State {
    /// What `wasi:cli` and `wasi:filesystem` work on; the same holds.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.meter.note_owed(CALL_FUEL);
        let (log, meter) = (&self.log, &self.meter);
        let output = |level| Output {
            level,
            log: Arc::clone(log),
            meter: Arc::clone(meter),
        };
        let ctx = self.wasi.get_or_insert_with(|| {
            let mut builder = WasiCtx::builder();
            builder.stdout(output(Level::Info));
            builder.stderr(output(Level::Warn)).build()
        });
        WasiCtxView {
            ctx,
            table: &mut self.resources,
        }
    }
}

/// A run's time: it begins at the run's own, and passes only by being looked at or slept through.
pub(super) struct VirtualClock {
    start: Timestamp,
    elapsed_nanos: AtomicU64,
}

impl VirtualClock {
    pub(super) fn new(start: Timestamp) -> Self {
        Self {
            start,
            elapsed_nanos: AtomicU64::new(0),
        }
    }

    fn read(&self) -> u64 {
        let elapsed = self.elapsed_nanos.load(Ordering::Relaxed);
        self.sleep_until(elapsed.saturating_add(READING));
        elapsed
    }

    fn sleep_until(&self, nanos: u64) {
        self.elapsed_nanos.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.meter.owe(CALL_FUEL)?;
        let elapsed = Duration::from_nanos(self.clock.read());
        let now = Duration::from_millis(self.clock.start.as_millis()).saturating_add(elapsed);
        Ok(wall_clock::Datetime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.meter.owe(CALL_FUEL)?;
        Ok(wall_clock::Datetime {
            seconds: 0,
            nanoseconds: 1_000_000,
        })
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.meter.owe(CALL_FUEL)?;
        Ok(self.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.meter.owe(CALL_FUEL)?;
        Ok(READING)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.meter.owe(CALL_FUEL)?;
        let sleep = self.resources.push(Sleep {
            clock: Arc::clone(&self.clock),
            until: when,
        })?;
        subscribe(&mut self.resources, sleep)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let until = self.clock.read().saturating_add(duration);
        self.subscribe_instant(until)
    }
}

/// A sleep in virtual time: it is over as soon as somebody waits for it.
struct Sleep {
    clock: Arc<VirtualClock>,
    until: u64,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        self.clock.sleep_until(self.until);
    }
}

/// A run's random numbers: a stream of BLAKE3 over the run's identity. Nobody may take them for a secret.
pub(super) struct Chance {
    stream: blake3::OutputReader,
    seed: (u64, u64),
}

impl Chance {
    pub(super) fn new(seed: &str) -> Self {
        let mut hasher =
            blake3::Hasher::new_derive_key("quartermaster 0.1 random numbers of a run");
        hasher.update(seed.as_bytes());
        let mut chance = Self {
            stream: hasher.finalize_xof(),
            seed: (0, 0),
        };
        chance.seed = (chance.number(), chance.number());
        chance
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.stream.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl State {
    fn random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES_MAX {
            wasmtime::bail!("asked for {length} random bytes; at most {RANDOM_BYTES_MAX} at once");
        }
        self.meter.owe(CALL_FUEL + BYTE_FUEL * length)?;
        let mut bytes = vec![0; length as usize];
        self.chance.stream.fill(&mut bytes);
        Ok(bytes)
    }

    fn random_number(&mut self) -> wasmtime::Result<u64> {
        self.meter.owe(CALL_FUEL)?;
        Ok(self.chance.number())
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        self.meter.owe(CALL_FUEL)?;
        Ok(self.chance.seed)
    }
}

/// Standard output or error of a guest: each line becomes one of the log.
struct Output {
    level: Level,
    log: Arc<RunLog>,
    meter: Arc<Meter>,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines {
            level: self.level,
            log: Arc::clone(&self.log),
            meter: Arc::clone(&self.meter),
            line: Vec::new(),
        })
    }
}

/// Cuts what is written into lines. The last one need not end: it is written when the stream is dropped.
struct Lines {
    level: Level,
    log: Arc<RunLog>,
    meter: Arc<Meter>,
    line: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        self.log
            .write(self.level, &String::from_utf8_lossy(&self.line));
        self.line.clear();
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let price = BYTE_FUEL * bytes.len() as u64;
        self.meter.owe(price).map_err(StreamError::Trap)?;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            // One byte more than is kept, so that the log sees that there was more.
            let room = (LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                // It is a call of the log.
                self.meter.note_owed(CALL_FUEL);
                self.end_line();
            }
        }
        self.meter.check_owed().map_err(StreamError::Trap)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}
