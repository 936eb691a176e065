//! Every key there is. Reading asks only for keys of these lists, so what is not in here is unknown; the README is
//! compared with them.

/// One key of a table.
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
}

/// What a key holds, as far as a variable of the environment must know.
pub(super) enum Kind {
    /// Text, or anything that is written as one.
    Text,
    /// `true` or `false`.
    Switch,
    /// A list of names, or a table.
    Names,
    /// Text, or a table.
    Either,
    /// A table whose keys are the operator's own.
    Free,
    /// A table with known keys.
    Section(&'static [Key]),
}

/// The main file.
pub(super) const MAIN: &[Key] = &[
    section("server", SERVER),
    section("defaults", STORE),
    // Its keys are store ids, each a table with the keys of `STORE`.
    free("stores"),
    // Its keys are names of plugins, each a table with the keys of `RELEASE`.
    free("plugins"),
];

/// `[server]`.
pub(super) const SERVER: &[Key] = &[
    text("listen"),
    text("data"),
    text("plugins"),
    text("client_id"),
    text("shutdown_grace"),
    text("connections_per_address"),
    text("connects_per_minute"),
    names("trusted_proxies"),
    text("rollback_failures"),
    text("rollback_runs"),
    text("guest_memory"),
    text("guest_runs"),
    text("guest_stack"),
    text("guest_threads"),
];

/// `[plugins.<name>]` of the main file: how new versions of a plugin get to the stores.
pub(super) const RELEASE: &[Key] = &[names("rollout")];

/// `[defaults]`, `[stores.<id>]` and `stores/<id>.toml`.
pub(super) const STORE: &[Key] = &[
    text("sync"),
    free("payload"),
    switch("paused"),
    text("on_reset"),
    text("durability"),
    names("plugins"),
    section("quota", QUOTA),
    section("timing", TIMING),
    text("log_durability"),
    section("access", ACCESS),
    section("limits", LIMITS),
    section("tasks", TASKS),
];

/// `plugins.<name>` of a store.
pub(super) const PLUGIN: &[Key] = &[
    text("history"),
    free("config"),
    text("sha256"),
    section("quota", PLUGIN_QUOTA),
    section("grants", GRANTS),
    // `true`, `false`, or a table with the keys of `TRACE`.
    free("trace"),
    // Its keys are ids of tasks, each a table with the keys of `TASK`.
    free("tasks"),
];

/// `plugins.<name>.trace` of a store, where it is a table.
pub(super) const TRACE: &[Key] = &[text("started"), text("completed"), text("failed")];

/// `plugins.<name>.tasks.<id>` of a store.
pub(super) const TASK: &[Key] = &[
    text("cron"),
    text("every"),
    text("phase"),
    text("at"),
    text("time_zone"),
    text("gap"),
    text("fold"),
    text("from"),
    text("until"),
    text("jitter"),
    free("payload"),
    text("overlap"),
    text("catch_up"),
    either("missed"),
    text("attempts"),
    text("timeout"),
    switch("enabled"),
];

/// `tasks` of a store: what its tasks are like where nothing is said of them.
pub(super) const TASKS: &[Key] = &[
    text("time_zone"),
    text("gap"),
    text("fold"),
    text("jitter"),
    text("overlap"),
    text("catch_up"),
    either("missed"),
    text("attempts"),
    text("timeout"),
    text("late_after"),
];

/// `plugins.<name>.grants` of a store.
pub(super) const GRANTS: &[Key] = &[
    names("read"),
    names("commit"),
    switch("kv"),
    switch("schedule"),
];

/// `quota` of a store.
pub(super) const QUOTA: &[Key] = &[
    text("fuel_per_run"),
    text("memory"),
    text("run_timeout"),
    text("host_call_size"),
    text("drafts_per_run"),
    text("draft_size_per_run"),
    text("log_size_per_run"),
    text("kv_entries"),
    text("kv_size"),
    text("tasks"),
    text("fuel_tank"),
    text("fuel_per_minute"),
    text("runs_per_minute"),
    text("commits_per_minute"),
    text("concurrent_runs"),
    text("dead_letters"),
    text("weight"),
];

/// `plugins.<name>.quota` of a store: what may be said of a plugin alone.
pub(super) const PLUGIN_QUOTA: &[Key] = QUOTA.split_at(14).0;

/// `access`.
pub(super) const ACCESS: &[Key] = &[free("tokens"), section("jwt", JWT), names("origins")];

/// `access.tokens.<name>`.
pub(super) const TOKEN: &[Key] = &[text("secret"), text("mode")];

/// `access.jwt`.
pub(super) const JWT: &[Key] = &[
    text("algorithm"),
    text("key"),
    text("issuer"),
    text("audience"),
    text("store_claim"),
    text("mode_claim"),
];

/// `limits`.
pub(super) const LIMITS: &[Key] = &[
    text("connections"),
    text("connections_per_address"),
    text("events_per_second"),
    text("message_size"),
    text("log_size"),
];

/// `timing`.
pub(super) const TIMING: &[Key] = &[
    text("connect_timeout"),
    text("check_period"),
    text("pull_timeout"),
    text("push_timeout"),
    text("ping_period"),
    section("reconnect", RETRY),
    section("run", RETRY),
    section("breaker", BREAKER),
];

/// `timing.breaker`.
pub(super) const BREAKER: &[Key] = &[text("failures"), text("first"), text("longest")];

/// `timing.reconnect` and `timing.run`.
pub(super) const RETRY: &[Key] = &[text("first"), text("longest"), text("attempts_max")];

/// Variables with a name of their own.
pub(super) const STORE_IDS: &str = "STORE_IDS";

/// Variables that set a default of all stores, and the key they stand for.
pub(super) const ALIASES: &[Alias] = &[
    Alias {
        variable: "STORE_CONNECTION_TIMEOUT",
        path: &["defaults", "timing", "connect_timeout"],
        millis: true,
    },
    Alias {
        variable: "STORE_RECONNECT_INTERVAL",
        path: &["defaults", "timing", "reconnect", "first"],
        millis: true,
    },
    Alias {
        variable: "STORE_MAX_RECONNECT_ATTEMPTS",
        path: &["defaults", "timing", "reconnect", "attempts_max"],
        millis: false,
    },
];

/// A variable that stands for a key.
pub(super) struct Alias {
    /// Its name.
    pub(super) variable: &'static str,
    /// The key.
    pub(super) path: &'static [&'static str],
    /// Whether its number means milliseconds.
    pub(super) millis: bool,
}

/// The names of a table's keys.
pub(super) fn names_of(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// Every key below `keys` that holds a value, as the steps that lead to it.
pub(super) fn paths(keys: &'static [Key]) -> Vec<(Vec<&'static str>, &'static Kind)> {
    let mut found = Vec::new();
    for key in keys {
        match &key.kind {
            Kind::Section(inner) => found.extend(paths(inner).into_iter().map(|(path, kind)| {
                let steps = std::iter::once(key.name).chain(path);
                (steps.collect(), kind)
            })),
            Kind::Text | Kind::Switch | Kind::Names | Kind::Either | Kind::Free => {
                found.push((vec![key.name], &key.kind));
            }
        }
    }
    found
}

const fn text(name: &'static str) -> Key {
    let kind = Kind::Text;
    Key { name, kind }
}

const fn switch(name: &'static str) -> Key {
    let kind = Kind::Switch;
    Key { name, kind }
}

const fn names(name: &'static str) -> Key {
    let kind = Kind::Names;
    Key { name, kind }
}

const fn either(name: &'static str) -> Key {
    let kind = Kind::Either;
    Key { name, kind }
}

const fn free(name: &'static str) -> Key {
    let kind = Kind::Free;
    Key { name, kind }
}

const fn section(name: &'static str, keys: &'static [Key]) -> Key {
    let kind = Kind::Section(keys);
    Key { name, kind }
}
