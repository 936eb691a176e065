//! What a store, and each plugin in it, may use: within one run, over time, and at once.

use std::time::Duration;

/// What a store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Each run of any plugin, unless something else is said for that plugin.
    pub run: RunQuota,
    /// All runs of the store together.
    pub rate: RateQuota,
    /// Runs at once, of different plugins.
    pub concurrent_runs: u32,
    /// Dead letters kept for each plugin.
    pub dead_letters: u32,
    /// Its share of the machine, against the weights of the other stores.
    pub weight: u32,
}

/// What one run may use, and what a plugin may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunQuota {
    /// Units of fuel; roughly one for each WebAssembly instruction.
    pub fuel_per_run: u64,
    /// Bytes of linear memory.
    pub memory: u64,
    /// Wall time.
    pub run_timeout: Duration,
    /// Bytes that one call carries between guest and host.
    pub host_call_size: u64,
    /// Events that it commits.
    pub drafts_per_run: u32,
    /// Bytes of their names and arguments.
    pub draft_size_per_run: u64,
    /// Bytes of log lines.
    pub log_size_per_run: u64,
    /// Entries of the plugin's kv in the store.
    pub kv_entries: u64,
    /// Bytes of their keys and values.
    pub kv_size: u64,
    /// Tasks that the plugin schedules itself in the store.
    pub tasks: u32,
}

/// What may be used over time; none is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateQuota {
    /// What the tank of fuel holds; if it is not said, what flows in within a minute.
    pub fuel_tank: Option<u64>,
    /// Fuel that flows into the tank within a minute.
    pub fuel_per_minute: Option<u64>,
    /// Runs begun within a minute.
    pub runs_per_minute: Option<u32>,
    /// Events committed within a minute.
    pub commits_per_minute: Option<u32>,
}

/// What is said about one plugin in a store; none is as in the store's quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginQuota {
    /// See [`RunQuota::fuel_per_run`].
    pub fuel_per_run: Option<u64>,
    /// See [`RunQuota::memory`].
    pub memory: Option<u64>,
    /// See [`RunQuota::run_timeout`].
    pub run_timeout: Option<Duration>,
    /// See [`RunQuota::host_call_size`].
    pub host_call_size: Option<u64>,
    /// See [`RunQuota::drafts_per_run`].
    pub drafts_per_run: Option<u32>,
    /// See [`RunQuota::draft_size_per_run`].
    pub draft_size_per_run: Option<u64>,
    /// See [`RunQuota::log_size_per_run`].
    pub log_size_per_run: Option<u64>,
    /// See [`RunQuota::kv_entries`].
    pub kv_entries: Option<u64>,
    /// See [`RunQuota::kv_size`].
    pub kv_size: Option<u64>,
    /// See [`RunQuota::tasks`].
    pub tasks: Option<u32>,
    /// The plugin's own runs together, within what the store has.
    pub rate: RateQuota,
}

impl PluginQuota {
    /// What one run of the plugin may use in a store whose runs may use `store`.
    pub fn run(&self, store: &RunQuota) -> RunQuota {
        RunQuota {
            fuel_per_run: self.fuel_per_run.unwrap_or(store.fuel_per_run),
            memory: self.memory.unwrap_or(store.memory),
            run_timeout: self.run_timeout.unwrap_or(store.run_timeout),
            host_call_size: self.host_call_size.unwrap_or(store.host_call_size),
            drafts_per_run: self.drafts_per_run.unwrap_or(store.drafts_per_run),
            draft_size_per_run: self.draft_size_per_run.unwrap_or(store.draft_size_per_run),
            log_size_per_run: self.log_size_per_run.unwrap_or(store.log_size_per_run),
            kv_entries: self.kv_entries.unwrap_or(store.kv_entries),
            kv_size: self.kv_size.unwrap_or(store.kv_size),
            tasks: self.tasks.unwrap_or(store.tasks),
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            run: RunQuota::default(),
            rate: RateQuota {
                // About half a core, all the time: more than any healthy workspace needs, and no runaway has more.
                fuel_per_minute: Some(60_000_000_000),
                ..RateQuota::default()
            },
            // More than a store has plugins, as a rule.
            concurrent_runs: 8,
            dead_letters: 1_000,
            weight: 1,
        }
    }
}

impl Default for RunQuota {
    /// Generous for a handler of one event, and low enough that a runaway is over in seconds.
    fn default() -> Self {
        Self {
            fuel_per_run: 200_000_000,
            memory: 64 << 20,
            run_timeout: Duration::from_secs(5),
            // A value of kv has 1 MiB at most, an event's arguments 900,000 bytes.
            host_call_size: 2 << 20,
            // A page of the sync protocol, less room for its envelope: a run's events are never split.
            drafts_per_run: 100,
            draft_size_per_run: 700_000,
            log_size_per_run: 64 << 10,
            kv_entries: 100_000,
            kv_size: 256 << 20,
            // What people plan in one workspace, several times over.
            tasks: 1_000,
        }
    }
}
