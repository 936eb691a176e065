//! The one wasmtime engine of the process: how guests are compiled, where their instances live, and the tick that makes
//! long runs give way.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, InstanceAllocationStrategy, OperatorCost,
    PoolingAllocationConfig, Store, UpdateDeadline,
};

use crate::runtime::limits::Limits;
use crate::runtime::meter::SLICE_FUEL;
use crate::runtime::state::State;
use crate::runtime::turns::{Load, Room, Turns};
use crate::runtime::{Error, host, plugin, wasi};

/// How long a guest computes at most before somebody looks at the clock. Slices of fuel end sooner, except where few
/// instructions take long, such as those that touch memory for the first time.
const TICK: Duration = Duration::from_millis(10);

/// Bytes of stack for the host functions that a guest calls, beyond its own.
const HOST_STACK_BYTES: usize = 1 << 20;

/// Bytes of each memory and each table that stay in the process between runs. It is cheaper to write over so much than to
/// give it back and fault it in again, with or without `PAGEMAP_SCAN`.
const KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// Address space that the pool reserves for one instance: 4 GiB for each of eight memories, so that a memory access
/// needs no check of its bounds.
const ADDRESS_GIB: u32 = 32;

/// Fuel for `memory.grow` and `table.grow`: the limiter is asked, in the time of some hundred instructions.
const GROW_FUEL: u8 = 200;

/// Fuel for an instruction that works on many bytes or elements, besides one for each of them.
const BULK_FUEL: u8 = 20;

/// How an [`Engine`] is set up.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Where compiled plugins are kept, if anywhere. A plugin that is there loads in a millisecond or two. Whoever can
    /// write to this folder can run any code in this process.
    pub cache: Option<PathBuf>,
    /// Instances at once; a run beyond that waits for another to end. Each takes 32 GiB of address space, and no memory
    /// until it is used.
    pub instances_max: NonZeroU32,
    /// Bytes of memory that all instances at once may use. A run waits until as much as it may use is free; one that may
    /// use more than all of it runs while no other does.
    pub memory_bytes_max: usize,
    /// Bytes of stack that a guest may use. Pages that are never touched cost nothing.
    pub stack_bytes: usize,
    /// Runs that compute at once: as many as there are threads to poll them.
    pub threads: NonZeroU32,
}

impl Default for EngineSettings {
    fn default() -> Self {
        // A run leaves its thread only to read kv, so some dozens keep every core busy.
        const INSTANCES: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");
        let cores = std::thread::available_parallelism().map(usize::from);
        let cores = cores.ok().and_then(|cores| u32::try_from(cores).ok());
        Self {
            cache: None,
            instances_max: INSTANCES,
            // Half of the instances, if each used all of the default that it may.
            memory_bytes_max: 2 << 30,
            // QuickJS needs 1 to 2 MiB.
            stack_bytes: 2 << 20,
            threads: cores.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// Compiles and runs guests. Cloning is cheap; one is enough for a process.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
    /// A pool that is full answers with an error, so whoever wants an instance waits here.
    turns: Turns,
    _ticker: Ticker,
}

impl Engine {
    /// Starts an engine and its ticker thread, which ends with the last clone.
    pub fn new(settings: EngineSettings) -> Result<Self, Error> {
        let failed = |error: wasmtime::Error| Error::Engine(format!("{error:#}"));
        let (mut config, cache) = compile_config(settings.cache.as_deref()).map_err(failed)?;
        let stack = settings.stack_bytes;
        config
            .max_wasm_stack(stack)
            .async_stack_size(stack.saturating_add(HOST_STACK_BYTES))
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(&settings)));
        let wasmtime = wasmtime::Engine::new(&config).map_err(|error| {
            let instances = settings.instances_max;
            Error::Engine(format!(
                "{error:#}; {instances} instances need {} GiB of address space (`ulimit -v`)",
                instances.get().saturating_mul(ADDRESS_GIB)
            ))
        })?;
        let mut linker = Linker::new(&wasmtime);
        host::add_to_linker(&mut linker).map_err(failed)?;
        wasi::add_to_linker(&mut linker).map_err(failed)?;
        let ticker = Ticker::start(wasmtime.clone())?;
        let turns = Turns::new(Room {
            turns: settings.threads.get() as usize,
            runs: settings.instances_max.get() as usize,
            memory_bytes: settings.memory_bytes_max,
        });
        Ok(Self(Arc::new(Inner {
            wasmtime,
            linker,
            cache,
            turns,
            _ticker: ticker,
        })))
    }

    /// How many plugins were found in the cache of compiled ones so far, and how many had to be compiled here.
    pub fn cache_counts(&self) -> (usize, usize) {
        self.0.cache.as_ref().map_or((0, 0), counts)
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    pub(super) fn linker(&self) -> &Linker<State> {
        &self.0.linker
    }

    /// How many runs there are now, and what they may use.
    pub fn load(&self) -> Load {
        self.0.turns.load()
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// A store for one run, with all of wasmtime's limits set.
    pub(super) fn store(&self, state: State) -> Store<State> {
        let Limits {
            fuel_per_run,
            host_call_bytes_max,
            handles_max,
            ..
        } = *state.limits();
        let mut store = Store::new(&self.0.wasmtime, state);
        store.limiter(|state| state.limiter());
        store
            .set_fuel(fuel_per_run)
            .and_then(|()| store.fuel_async_yield_interval(Some(SLICE_FUEL)))
            .expect("the engine counts fuel");
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let left = context.get_fuel()?;
            let meter = &context.data().meter;
            meter.check_owed()?;
            meter.ticked(meter.fuel_max().saturating_sub(left));
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_hostcall_fuel(host_call_bytes_max);
        store.set_max_component_handles(handles_max);
        store
    }
}

/// Compiles `bytes` and leaves the result in the cache folder, where an [`Engine`] with the same folder finds it. Whether it
/// is there; false means that the component is harmless, and the folder cannot be written. It is made to be called in a
/// process of its own: a component can make the compiler need any amount of time and memory. It blocks.
///
/// # Errors
/// The component is not valid, or the engine cannot start.
pub fn compile_into_cache(cache: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let failed = |error: wasmtime::Error| Error::Engine(format!("{error:#}"));
    let (mut config, cache) = compile_config(Some(cache)).map_err(failed)?;
    // How instances are made is no part of what is compiled; a pool would only reserve address space.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = wasmtime::Engine::new(&config).map_err(failed)?;
    plugin::compile_component(&engine, bytes)?;
    let (hits, misses) = cache.as_ref().map_or((0, 0), counts);
    Ok(hits + misses > 0)
}

/// Entries that were found in the cache, and entries that were written to it.
fn counts(cache: &Cache) -> (usize, usize) {
    (cache.cache_hits(), cache.cache_misses())
}

/// All settings that what is compiled depends on.
fn compile_config(folder: Option<&Path>) -> wasmtime::Result<(Config, Option<Cache>)> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .operator_cost(operator_cost())
        // Where WebAssembly leaves a result open, every machine gives the same.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false);
    let cache = folder
        .map(|folder| {
            let mut cache = CacheConfig::new();
            cache.with_directory(folder);
            Cache::new(cache)
        })
        .transpose()?;
    config.cache(cache.clone());
    Ok((config, cache))
}

/// What instructions cost that are calls into the host: wasmtime takes one fuel for any instruction, and so much for each
/// byte or element besides. Without this a guest could have many times its share of a core by growing its memory by nothing
/// or copying no bytes, for ever.
fn operator_cost() -> OperatorCost {
    OperatorCost {
        MemoryGrow: GROW_FUEL,
        TableGrow: GROW_FUEL,
        MemoryCopy: BULK_FUEL,
        MemoryFill: BULK_FUEL,
        MemoryInit: BULK_FUEL,
        DataDrop: BULK_FUEL,
        TableCopy: BULK_FUEL,
        TableFill: BULK_FUEL,
        TableInit: BULK_FUEL,
        ElemDrop: BULK_FUEL,
        ..OperatorCost::new()
    }
}

/// A pool for `instances_max` instances of the largest kind that the default limits allow.
///
/// Measured, in CPU time for a fresh instance and one event (a guest of 30 lines / the Rust echo): made on demand 29 / 37 µs,
/// from a pool 22 / 29 µs, from a pool that asks the kernel which pages were written (`PAGEMAP_SCAN`, Linux 6.7 and later)
/// 10 / 18 µs. An idle pool of 64 adds 0.4 MB to the process. It also spares `vm.max_map_count`, which ends
/// instances on demand at some 9,000.
fn pool(settings: &EngineSettings) -> PoolingAllocationConfig {
    let limits = Limits::default();
    let components = settings.instances_max.get();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let each = |max: usize| count(max).saturating_mul(components);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(components)
        .total_stacks(components)
        .total_core_instances(each(limits.instances_max))
        .total_memories(each(limits.memories_max))
        .total_tables(each(limits.tables_max))
        .max_memories_per_module(count(limits.memories_max))
        .max_tables_per_module(count(limits.tables_max))
        .max_core_instances_per_component(count(limits.instances_max))
        .max_memories_per_component(count(limits.memories_max))
        .max_tables_per_component(count(limits.tables_max))
        .table_elements(limits.table_elements_max)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// The thread that moves the engine's epoch on, so that guests look up from their work.
struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new()
            .name("guest-ticker".to_owned())
            .spawn(tick)
            .map_err(|error| Error::Engine(format!("its ticker thread: {error}")))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the ticker does not panic");
        }
    }
}
