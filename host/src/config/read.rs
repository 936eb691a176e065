//! The meaning of each key: its type, its bounds, and what is said about a value outside of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use url::Url;

use crate::config::document::{Node, Table, Value};
use crate::config::fields::{Context, Fields, quoted};
use crate::config::keys::{PLUGIN, QUOTA, RETRY, TIMING};
use crate::config::problem::Wrong;
use crate::config::quantity::{count, duration, positive, size};
use crate::config::secret::{self, Hidden, is_secret_name};
use crate::config::types::{PluginConfig, Quota, Server, Sync};
use crate::id::PluginName;
use crate::store::{Durability, History, OnReset, Retry, Timing};

/// Everything about a store but its id; what is not written anywhere has its default.
#[derive(Clone, Default)]
pub(super) struct StoreValues {
    pub(super) sync: Option<Sync>,
    pub(super) payload: Option<Hidden>,
    pub(super) paused: bool,
    pub(super) on_reset: OnReset,
    pub(super) durability: Durability,
    pub(super) plugins: Vec<PluginConfig>,
    pub(super) quota: Quota,
    pub(super) timing: Timing,
    pub(super) ping_period: Option<Duration>,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const EXAMPLE: &str = "the URL of a LiveStore backend such as \"wss://sync.example.com\"";

/// `[server]`.
pub(super) fn server(fields: &Fields<'_>, context: &mut Context<'_>) -> Server {
    let mut server = Server::default();
    set(&mut server.listen, fields.read("listen", context, listen));
    set(&mut server.data, fields.read("data", context, path));
    set(&mut server.plugins, fields.read("plugins", context, path));
    set(
        &mut server.client_id,
        fields.read("client_id", context, client_id),
    );
    let grace = |node: &Node| duration(node, 0..=HOUR);
    set(
        &mut server.shutdown_grace,
        fields.read("shutdown_grace", context, grace),
    );
    server
}

/// A table with a store's keys, over `base`. A key that is not in the table is as in `base`; of `quota` and `timing`
/// the same holds for each key, while `payload` and `plugins` are replaced as a whole.
pub(super) fn store(
    fields: &Fields<'_>,
    base: StoreValues,
    context: &mut Context<'_>,
) -> StoreValues {
    let mut values = base;
    if let Some(sync) = fields.read("sync", context, sync) {
        values.sync = Some(sync);
    }
    if let Some(node) = fields.get("payload") {
        values.payload = secret::resolve(node, &fields.key("payload"), context);
    }
    set(&mut values.paused, fields.read("paused", context, switch));
    let on_reset = |node: &Node| {
        let choices = [("stop", OnReset::Stop), ("start-over", OnReset::StartOver)];
        choice(node, &choices)
    };
    set(
        &mut values.on_reset,
        fields.read("on_reset", context, on_reset),
    );
    let durability = |node: &Node| {
        let choices = [("normal", Durability::Normal), ("full", Durability::Full)];
        choice(node, &choices)
    };
    set(
        &mut values.durability,
        fields.read("durability", context, durability),
    );
    if let Some(node) = fields.get("plugins") {
        values.plugins = plugins(node, &fields.key("plugins"), context);
    }
    if let Some(fields) = fields.section("quota", QUOTA, context) {
        quota(&fields, &mut values.quota, context);
    }
    if let Some(fields) = fields.section("timing", TIMING, context) {
        timing(&fields, &mut values.timing, context);
        // Kept apart from `Timing`: pings are the connection's affair, and the store's machine knows nothing of them.
        let period = |node: &Node| duration(node, 100..=HOUR);
        if let Some(period) = fields.read("ping_period", context, period) {
            values.ping_period = Some(period);
        }
    }
    values
}

fn quota(fields: &Fields<'_>, quota: &mut Quota, context: &mut Context<'_>) {
    // One page of WebAssembly, and all that 32 bits can address.
    let memory = |node: &Node| size(node, (64 << 10)..=(4 << 30));
    let timeout = |node: &Node| duration(node, 1..=HOUR);
    set(
        &mut quota.fuel_per_run,
        fields.read("fuel_per_run", context, positive),
    );
    set(&mut quota.memory, fields.read("memory", context, memory));
    set(
        &mut quota.run_timeout,
        fields.read("run_timeout", context, timeout),
    );
}

fn timing(fields: &Fields<'_>, timing: &mut Timing, context: &mut Context<'_>) {
    let timeout = |node: &Node| duration(node, 100..=10 * MINUTE);
    let period = |node: &Node| duration(node, 100..=HOUR);
    set(
        &mut timing.connect_timeout,
        fields.read("connect_timeout", context, timeout),
    );
    set(
        &mut timing.check_period,
        fields.read("check_period", context, period),
    );
    set(
        &mut timing.pull_timeout,
        fields.read("pull_timeout", context, timeout),
    );
    set(
        &mut timing.push_timeout,
        fields.read("push_timeout", context, timeout),
    );
    if let Some(fields) = fields.section("reconnect", RETRY, context) {
        // 0 is for ever.
        retry(&fields, &mut timing.reconnect, 0, context);
    }
    if let Some(fields) = fields.section("run", RETRY, context) {
        // For ever would let one poisoned event hold up a subscription, and crash the process again and again.
        retry(&fields, &mut timing.run, 1, context);
    }
}

fn retry(fields: &Fields<'_>, retry: &mut Retry, attempts_min: u32, context: &mut Context<'_>) {
    let wait = |node: &Node| duration(node, 10..=24 * HOUR);
    let attempts = |node: &Node| count(node, attempts_min..=1_000_000);
    set(&mut retry.first, fields.read("first", context, wait));
    set(&mut retry.longest, fields.read("longest", context, wait));
    retry.longest = retry.longest.max(retry.first);
    set(
        &mut retry.attempts_max,
        fields.read("attempts_max", context, attempts),
    );
}

/// A list of names, or a table from names to settings.
fn plugins(node: &Node, key: &str, context: &mut Context<'_>) -> Vec<PluginConfig> {
    let mut plugins: Vec<PluginConfig> = Vec::new();
    match &node.value {
        Value::List(items) => {
            for item in items {
                match plugin_name(item) {
                    Ok(name) if plugins.iter().any(|plugin| plugin.name == name) => {
                        let wrong = Wrong::new(format!("{name:?} is in the list twice"));
                        context.report(&item.place, key, wrong);
                    }
                    Ok(name) => plugins.push(PluginConfig::plain(name)),
                    Err(wrong) => context.report(&item.place, key, wrong),
                }
            }
        }
        Value::Table(table) => {
            for (name, node) in table {
                plugins.extend(plugin(name, node, key, context));
            }
        }
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            let expected =
                "a list of plugin names such as [\"echo\"], or a table such as { echo = {} }";
            context.report(&node.place, key, Wrong::expected(expected, node.found()));
        }
    }
    plugins.sort_by(|one, other| one.name.cmp(&other.name));
    plugins
}

/// `plugins.<name>`.
fn plugin(name: &str, node: &Node, key: &str, context: &mut Context<'_>) -> Option<PluginConfig> {
    let key = format!("{key}.{}", quoted(name));
    let parsed = name.parse::<PluginName>();
    let name = parsed
        .map_err(|error| context.report(&node.place, &key, Wrong::new(error.to_string())))
        .ok()?;
    let table: &Table = context.table(node, &key)?;
    let fields = Fields::new(table, &key, PLUGIN, context);
    let history = |node: &Node| {
        let choices = [
            ("ignore", History::Ignore),
            ("project", History::Project),
            ("react", History::React),
        ];
        choice(node, &choices)
    };
    let mut plugin = PluginConfig::plain(name);
    plugin.history = fields.read("history", context, history);
    if let Some(node) = fields.get("config") {
        plugin.config = secret::resolve(node, &fields.key("config"), context)?;
    }
    Some(plugin)
}

fn plugin_name(node: &Node) -> Result<PluginName, Wrong> {
    let name = text(node, "a plugin's name such as \"echo\"")?;
    name.parse()
        .map_err(|error: crate::id::Error| Wrong::new(error.to_string()))
}

fn listen(node: &Node) -> Result<SocketAddr, Wrong> {
    let expected = "an address and port such as \"127.0.0.1:7070\"";
    let wrong = |_| Wrong::expected(expected, node.found());
    text(node, expected)?.parse().map_err(wrong)
}

fn path(node: &Node) -> Result<PathBuf, Wrong> {
    match text(node, "a path")? {
        "" => Err(Wrong::expected("a path", "an empty text")),
        path => Ok(PathBuf::from(path)),
    }
}

fn client_id(node: &Node) -> Result<Arc<str>, Wrong> {
    let expected = "1 to 64 letters, digits, `-`, `_` or `.`";
    let id = text(node, expected)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=64).contains(&id.len()) && id.chars().all(allowed) {
        true => Ok(id.into()),
        false => Err(Wrong::expected(expected, node.found())),
    }
}

/// The URL is never repeated: people put passwords into URLs.
fn sync(node: &Node) -> Result<Sync, Wrong> {
    let Value::Text(text) = &node.value else {
        return Err(Wrong::expected(EXAMPLE, node.kind()));
    };
    if text == "embedded" {
        let wrong = Wrong::new("\"embedded\" is not available in this version");
        return Err(wrong.hint(format_args!("give {EXAMPLE}")));
    }
    let url = Url::parse(text)
        .map_err(|error| Wrong::expected(EXAMPLE, format_args!("a text that is none ({error})")))?;
    match url.scheme() {
        "ws" | "wss" => {}
        "http" => return Err(Wrong::expected(EXAMPLE, "http:").hint("write ws:")),
        "https" => return Err(Wrong::expected(EXAMPLE, "https:").hint("write wss:")),
        _ => return Err(Wrong::expected(EXAMPLE, "another scheme").hint("write ws: or wss:")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        let wrong = Wrong::new("a name or password stands in the URL");
        return Err(wrong.hint("give the backend what it needs in payload, by reference"));
    }
    if url.fragment().is_some() {
        return Err(Wrong::expected(EXAMPLE, "a URL with a #"));
    }
    for (name, _) in url.query_pairs() {
        if matches!(&*name, "storeId" | "transport" | "payload") {
            let wrong = Wrong::new(format!("the parameter {name} is set by the protocol"));
            return Err(wrong.hint("leave it out of the URL"));
        }
        if is_secret_name(&name) {
            let wrong = Wrong::new("a secret stands in the URL");
            return Err(wrong.hint("give it in payload, by reference"));
        }
    }
    Ok(Sync::Remote(url))
}

fn switch(node: &Node) -> Result<bool, Wrong> {
    match &node.value {
        Value::Boolean(boolean) => Ok(*boolean),
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Table(_) => {
            Err(Wrong::expected("true or false", node.found()))
        }
    }
}

fn choice<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of \"{}\"", names.join("\", \""));
    let found = text(node, &expected)?;
    choices
        .iter()
        .find(|(name, _)| *name == found)
        .map(|(_, value)| *value)
        .ok_or_else(|| Wrong::expected(expected, node.found()))
}

fn text<'n>(node: &'n Node, expected: &str) -> Result<&'n str, Wrong> {
    match &node.value {
        Value::Text(text) => Ok(text),
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::List(_)
        | Value::Table(_) => Err(Wrong::expected(expected, node.found())),
    }
}

/// Replaces what was there if there is something new.
fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

impl PluginConfig {
    /// A plugin with nothing said about it.
    fn plain(name: PluginName) -> Self {
        Self {
            name,
            history: None,
            config: Hidden::new(serde_json::Value::Object(Map::new())),
        }
    }
}
