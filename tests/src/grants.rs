//! What the project's plugins and the tests' guests need, granted in TOML: no more than that, so that a test notices when
//! one asks for more.

use crate::history::CHAT;
use crate::plugins::TASK;

/// Gives the plugins to a store, each with what it needs: for `[defaults]`, or a store's file.
pub fn granted(plugins: &[&str]) -> String {
    if plugins.is_empty() {
        return "plugins = []".to_owned();
    }
    let each = plugins.iter().map(|plugin| granted_with(plugin, ""));
    each.collect::<Vec<_>>().join("\n")
}

/// The same for one plugin, with further keys of its own such as `config = { number = 1 }`.
pub fn granted_with(plugin: &str, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    let grants = grants(plugin);
    format!("plugins.{plugin} = {{ grants = {{ {grants} }}{comma}{keys} }}")
}

/// What a plugin needs: the inside of its table of grants.
pub fn grants(plugin: &str) -> String {
    let (read, commit, kv) = match plugin {
        "echo" => (&[CHAT][..], &[CHAT][..], false),
        "triple" => (&[CHAT][..], &["v1.Todo*", TASK][..], false),
        "pingpong" => (
            &["v1.Ping", "v1.Pong", CHAT][..],
            &["v1.Ping", "v1.Pong"][..],
            false,
        ),
        "clockwork" => (
            &["v1.Plan", "v1.Unplan", "v1.ListPlans"][..],
            &["v1.Plans", "v1.Ticked"][..],
            true,
        ),
        "recurring-tasks" => (
            &["v1.RecurringTask*"][..],
            &[CHAT, "v1.TaskExecution*"][..],
            true,
        ),
        "garbage" => (&[CHAT][..], &["v1.TodoCreated", TASK][..], true),
        "counter" | "projector" | "retry" => (&[CHAT][..], &[TASK][..], true),
        _ => (&[CHAT][..], &[TASK][..], false),
    };
    let kv = if kv { ", kv = true" } else { "" };
    let schedule = match plugin {
        "clockwork" | "recurring-tasks" => ", schedule = true",
        _ => "",
    };
    format!("read = {read:?}, commit = {commit:?}{kv}{schedule}")
}
