//! The meaning of each key: its type, its bounds, and what is said about a value outside of them.

mod access;
mod grants;
mod guests;
mod quota;
mod release;
mod tasks;
mod timing;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use figment::value::Value;
use serde_json::Map;
use url::Url;

use crate::config::document::{found, kind};
use crate::config::fields::{Context, Fields, item, join, shown};
use crate::config::given::Given;
use crate::config::keys::{LIMITS, PLUGIN, PLUGIN_QUOTA, QUOTA, TIMING};
use crate::config::problem::Wrong;
use crate::config::quantity::{count, duration, size};
use crate::config::secret::{self, Hidden, is_secret_name};
use crate::config::serving::Limits;
use crate::config::types::{PluginConfig, Server, Sync};
use crate::config::{PluginQuota, Quota, RateQuota, TaskConfigs, Tasks, Trace};
use crate::id::{PluginDigest, PluginName};
use crate::store::{Durability, Grants, History, OnReset, Timing};

use access::AccessValues;

pub(super) use release::rollouts;

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
    pub(super) log_durability: Option<Durability>,
    pub(super) access: AccessValues,
    pub(super) limits: Limits,
    pub(super) tasks: Tasks,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const EXAMPLE: &str =
    "\"embedded\" or the URL of a LiveStore backend such as \"wss://sync.example.com\"";

/// `[server]`.
pub(super) fn server(fields: &Fields<'_>, context: &mut Context<'_>) -> Server {
    let mut server = Server::default();
    fields.set(&mut server.listen, "listen", context, listen);
    fields.set(&mut server.data, "data", context, path);
    fields.set(&mut server.plugins, "plugins", context, path);
    fields.set(&mut server.client_id, "client_id", context, client_id);
    let grace = |value: &Value| duration(value, 0..=HOUR);
    fields.set(&mut server.shutdown_grace, "shutdown_grace", context, grace);
    let several = |value: &Value| count(value, 1..=1_000_000);
    for (target, name) in [
        (
            &mut server.connections_per_address,
            "connections_per_address",
        ),
        (&mut server.connects_per_minute, "connects_per_minute"),
    ] {
        fields.set(target, name, context, several);
    }
    if let Some(value) = fields.whole("trusted_proxies") {
        let expected = "a list of IP addresses such as [\"10.0.0.1\"]";
        let path = fields.path("trusted_proxies");
        server.trusted_proxies = list(value, &path, expected, context, address);
    }
    release::rollback(fields, &mut server.rollback, context);
    guests::guests(fields, &mut server.guests, context);
    server
}

/// A table with a store's keys.
pub(super) fn store(fields: &Fields<'_>, context: &mut Context<'_>) -> StoreValues {
    let mut values = StoreValues {
        sync: fields.read("sync", context, sync),
        ..StoreValues::default()
    };
    if let Some(value) = fields.whole("payload") {
        values.payload = secret::resolve(value, &fields.path("payload"), context);
    }
    fields.set(&mut values.paused, "paused", context, switch);
    let on_reset = |value: &Value| {
        let choices = [("stop", OnReset::Stop), ("start-over", OnReset::StartOver)];
        choice(value, &choices)
    };
    fields.set(&mut values.on_reset, "on_reset", context, on_reset);
    fields.set(&mut values.durability, "durability", context, durability);
    values.log_durability = fields.read("log_durability", context, durability);
    values.tasks = tasks::defaults(fields, context);
    if let Some(value) = fields.whole("plugins") {
        // Its place has to be told for a store, too, that has it from the defaults.
        let path = match context.is_default(value) {
            true => "defaults.plugins".to_owned(),
            false => fields.path("plugins"),
        };
        values.plugins = plugins(value, &path, &values.tasks, context);
    }
    if let Some(fields) = fields.section("quota", QUOTA, context) {
        quota::quota(&fields, &mut values.quota, context);
        quota::check_plugins(&fields, &values.quota, &values.plugins, context);
    }
    if let Some(fields) = fields.section("timing", TIMING, context) {
        timing::timing(&fields, &mut values.timing, context);
        // Kept apart from `Timing`: pings are the connection's affair, and the store's machine knows nothing of them.
        let period = |value: &Value| duration(value, 100..=HOUR);
        values.ping_period = fields.read("ping_period", context, period);
    }
    values.access = access::access(fields, context);
    if let Some(fields) = fields.section("limits", LIMITS, context) {
        limits(&fields, &mut values.limits, context);
    }
    values
}

fn durability(value: &Value) -> Result<Durability, Wrong> {
    let choices = [("normal", Durability::Normal), ("full", Durability::Full)];
    choice(value, &choices)
}

fn limits(fields: &Fields<'_>, limits: &mut Limits, context: &mut Context<'_>) {
    let several = |value: &Value| count(value, 1..=1_000_000);
    for (target, name) in [
        (&mut limits.connections, "connections"),
        (
            &mut limits.connections_per_address,
            "connections_per_address",
        ),
        (&mut limits.events_per_second, "events_per_second"),
    ] {
        fields.set(target, name, context, several);
    }
    // A push of LiveStore's holds up to 900,000 bytes of events, and what is larger than this is no push.
    let message = |value: &Value| size(value, (1 << 20)..=(64 << 20));
    let log = |value: &Value| size(value, (1 << 20)..=(1 << 40));
    fields.set(&mut limits.message_size, "message_size", context, message);
    fields.set(&mut limits.log_size, "log_size", context, log);
}

/// A list of names, or a table from names to settings.
fn plugins(
    value: &Value,
    path: &str,
    tasks: &Tasks,
    context: &mut Context<'_>,
) -> Vec<PluginConfig> {
    let mut plugins: Vec<PluginConfig> = Vec::new();
    if let Some(items) = value.as_array() {
        for (index, value) in items.iter().enumerate() {
            let path = item(path, index);
            match plugin_name(value) {
                Ok(name) if plugins.iter().any(|plugin| plugin.name == name) => {
                    let wrong = Wrong::new(format!("{name:?} is in the list twice"));
                    context.report(value, &path, wrong);
                }
                Ok(name) => {
                    let given = given(value, &path, true, context);
                    plugins.push(PluginConfig::plain(name, given));
                }
                Err(wrong) => context.report(value, &path, wrong),
            }
        }
    } else if let Some(table) = value.as_dict() {
        for (name, value) in table {
            plugins.extend(plugin(name, value, &join(path, name), tasks, context));
        }
    } else {
        let expected =
            "a list of plugin names such as [\"echo\"], or a table such as { echo = {} }";
        context.report(value, path, Wrong::expected(expected, found(value)));
    }
    plugins.sort_by(|one, other| one.name.cmp(&other.name));
    plugins
}

/// `plugins.<name>`.
fn plugin(
    name: &str,
    value: &Value,
    path: &str,
    tasks: &Tasks,
    context: &mut Context<'_>,
) -> Option<PluginConfig> {
    let parsed = name.parse::<PluginName>();
    let name = parsed
        .map_err(|error| context.report(value, path, Wrong::new(error.to_string())))
        .ok()?;
    let fields = Fields::new(context.table(value, path)?, path, PLUGIN, context);
    let history = |value: &Value| {
        let choices = [
            ("ignore", History::Ignore),
            ("project", History::Project),
            ("react", History::React),
        ];
        choice(value, &choices)
    };
    let given = given(value, path, false, context);
    let mut plugin = PluginConfig::plain(name, given);
    plugin.grants = grants::grants(&fields, context);
    plugin.history = fields.read("history", context, history);
    plugin.sha256 = fields.read("sha256", context, digest);
    if let Some(value) = fields.get("config") {
        plugin.config = secret::resolve(value, &fields.path("config"), context)?;
    }
    plugin.trace = tasks::trace(&fields, context);
    plugin.tasks = tasks::tasks(&fields, tasks, context);
    if let Some(fields) = fields.section("quota", PLUGIN_QUOTA, context) {
        plugin.quota = quota::plugin_quota(&fields, RateQuota::default(), context);
        let fuel_per_run = plugin.quota.fuel_per_run.unwrap_or_default();
        quota::check_tank(&fields, plugin.quota.rate, fuel_per_run, context);
    }
    Some(plugin)
}

/// Where the entry at `path` gives a plugin to a store.
fn given(value: &Value, path: &str, listed: bool, context: &Context<'_>) -> Given {
    Given {
        place: context.place(value, path),
        key: shown(path),
        listed,
    }
}

fn plugin_name(value: &Value) -> Result<PluginName, Wrong> {
    let name = text(value, "a plugin's name such as \"echo\"")?;
    name.parse()
        .map_err(|error: crate::id::Error| Wrong::new(error.to_string()))
}

fn digest(value: &Value) -> Result<PluginDigest, Wrong> {
    let expected = "the 64 hexadecimal digits of a SHA-256";
    let wrong = || {
        let hint = "they are what `quartermaster plugin list` or sha256sum shows";
        Wrong::expected(expected, found(value)).hint(hint)
    };
    let text = value.as_str().ok_or_else(wrong)?;
    text.parse().map_err(|_| wrong())
}

fn listen(value: &Value) -> Result<SocketAddr, Wrong> {
    let expected = "an address and port such as \"127.0.0.1:7070\"";
    let wrong = |_| Wrong::expected(expected, found(value));
    text(value, expected)?.parse().map_err(wrong)
}

fn path(value: &Value) -> Result<PathBuf, Wrong> {
    match text(value, "a path")? {
        "" => Err(Wrong::expected("a path", "an empty text")),
        path => Ok(PathBuf::from(path)),
    }
}

fn client_id(value: &Value) -> Result<Arc<str>, Wrong> {
    let expected = "1 to 64 letters, digits, `-`, `_` or `.`";
    let id = text(value, expected)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=64).contains(&id.len()) && id.chars().all(allowed) {
        true => Ok(id.into()),
        false => Err(Wrong::expected(expected, found(value))),
    }
}

/// The URL is never repeated: people put passwords into URLs.
fn sync(value: &Value) -> Result<Sync, Wrong> {
    let Some(text) = value.as_str() else {
        return Err(Wrong::expected(EXAMPLE, kind(value)));
    };
    if text == "embedded" {
        return Ok(Sync::Embedded);
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

fn address(value: &Value) -> Result<IpAddr, Wrong> {
    let expected = "an IP address such as \"10.0.0.1\"";
    let wrong = |_| Wrong::expected(expected, found(value));
    text(value, expected)?.parse().map_err(wrong)
}

/// The entries of a list, each understood by `parse`; those that are wrong are reported and left out.
fn list<T>(
    value: &Value,
    path: &str,
    expected: &str,
    context: &mut Context<'_>,
    parse: impl Fn(&Value) -> Result<T, Wrong>,
) -> Vec<T> {
    let Some(items) = value.as_array() else {
        context.report(value, path, Wrong::expected(expected, found(value)));
        return Vec::new();
    };
    let mut parsed = Vec::new();
    for (index, value) in items.iter().enumerate() {
        match parse(value) {
            Ok(item) => parsed.push(item),
            Err(wrong) => context.report(value, &item(path, index), wrong),
        }
    }
    parsed
}

fn switch(value: &Value) -> Result<bool, Wrong> {
    let wrong = || Wrong::expected("true or false", found(value));
    value.to_bool().ok_or_else(wrong)
}

fn choice<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of \"{}\"", names.join("\", \""));
    let name = text(value, &expected)?;
    choices
        .iter()
        .find(|(choice, _)| *choice == name)
        .map(|(_, value)| *value)
        .ok_or_else(|| Wrong::expected(expected, found(value)))
}

fn text<'v>(value: &'v Value, expected: &str) -> Result<&'v str, Wrong> {
    let wrong = || Wrong::expected(expected, found(value));
    value.as_str().ok_or_else(wrong)
}

impl PluginConfig {
    /// A plugin with nothing said about it.
    fn plain(name: PluginName, given: Given) -> Self {
        Self {
            name,
            given,
            grants: Grants::default(),
            sha256: None,
            history: None,
            quota: PluginQuota::default(),
            config: Hidden::new(serde_json::Value::Object(Map::new())),
            trace: Trace::default(),
            tasks: TaskConfigs::default(),
        }
    }
}
