//! Reading the configuration again while it runs.

use std::fs;

use super::*;
use crate::config::{Diff, Reloaded, Source};

const MAIN: &str = "[defaults]\nsync = \"wss://sync.example.com\"\n[stores.desk]\n";

/// What a second reading brings, after the files became these.
fn reload(setup: &Setup, files: &[(&str, &str)]) -> Result<Reloaded, Refused> {
    let source = Source::new(
        Location::Folder(setup.path().to_owned()),
        setup.path().join(".env"),
    );
    let loaded = source.load().expect("a usable configuration");
    for (name, text) in files {
        fs::write(setup.path().join(name), text).expect("a file");
    }
    source.reload(&loaded.config, loaded.origin)
}

fn names(stores: &[crate::id::StoreId]) -> Vec<&str> {
    stores.iter().map(crate::id::StoreId::as_str).collect()
}

#[test]
fn a_mistake_keeps_its_store_as_it_was_and_the_rest_of_the_edit_counts() {
    let setup = Setup::main(MAIN).file("stores/shop.toml", "quota = { memory = \"32MiB\" }");
    let files = [
        ("stores/shop.toml", "quota = { memory = -1 }"),
        ("stores/late.toml", ""),
        ("stores/wrong.toml", "paused = 1"),
    ];
    let reloaded = reload(&setup, &files).expect("it can be used");
    assert_eq!(names(&reloaded.kept), ["shop"]);
    assert_eq!(names(&reloaded.diff.added), ["late"]);
    assert!(reloaded.diff.changed.is_empty() && reloaded.diff.removed.is_empty());
    let shop = reloaded
        .config
        .stores()
        .iter()
        .find(|it| it.id.as_str() == "shop");
    assert_eq!(shop.map(|it| it.quota.run.memory), Some(32 << 20));
    assert_eq!(reloaded.problems.len(), 2);
}

#[test]
fn what_cannot_change_while_it_runs_keeps_its_value_and_is_named() {
    let setup = Setup::main(MAIN);
    let server = "[server]\nlisten = \"127.0.0.1:1\"\ndata = \"elsewhere\"\nclient_id = \"new\"\nguest_memory = \"1GiB\"\nguest_runs = 2\nguest_stack = \"1MiB\"\nguest_threads = 7\n";
    let main = format!("{server}{MAIN}");
    let reloaded = reload(&setup, &[("quartermaster.toml", &main)]).expect("it can be used");
    let keys = [
        "listen",
        "data",
        "guest_memory",
        "guest_runs",
        "guest_stack",
        "guest_threads",
    ];
    let keys = keys.map(|key| format!("server.{key}"));
    assert_eq!(reloaded.restart_needed, keys);
    assert_eq!(reloaded.diff.server, ["client_id"]);
    assert_eq!(reloaded.config.server().data, std::path::Path::new("data"));
}

#[test]
fn what_was_there_and_is_gone_is_refused() {
    for gone in ["quartermaster.toml", "stores"] {
        let setup = Setup::main(MAIN).file("stores/shop.toml", "");
        let source = Source::new(
            Location::Folder(setup.path().to_owned()),
            setup.path().join(".env"),
        );
        let loaded = source.load().expect("a usable configuration");
        let path = setup.path().join(gone);
        if path.is_dir() {
            fs::remove_dir_all(&path).expect("a folder");
        } else {
            // What the defaults said is said elsewhere, or else that would be refused.
            let all = "sync = \"wss://sync.example.com\"";
            fs::write(setup.path().join("stores/shop.toml"), all).expect("a file");
            fs::remove_file(&path).expect("a file");
        }
        let refused = source
            .reload(&loaded.config, loaded.origin)
            .expect_err(gone);
        let text = refused.problems[0].to_string();
        assert!(
            text.contains(gone) && text.contains("put it back"),
            "{text}"
        );
    }
}

#[test]
fn a_secret_that_is_missing_is_named_with_the_refusal() {
    let main = MAIN.replace(
        "[stores",
        "payload = { authToken = \"file:/nowhere/token\" }\n[stores",
    );
    let setup = Setup::main(MAIN);
    let refused = reload(&setup, &[("quartermaster.toml", &main)]).expect_err("no such file");
    assert_eq!(refused.files, [std::path::Path::new("/nowhere/token")]);
    let broken = reload(&Setup::main(MAIN), &[("quartermaster.toml", "[")]);
    assert_eq!(broken.expect_err("no TOML").data, None);
}

/// The keys that differ when a store gets this line more.
fn changed_by(line: &str) -> Vec<String> {
    let remote = "sync = \"wss://sync.example.com\"\n";
    let embedded = "sync = \"embedded\"\naccess.tokens = { a = \"env:SHOP_TOKEN\" }\n";
    let base =
        match line.starts_with("access") || line.starts_with("limits") || line.starts_with("log") {
            true => embedded,
            false => remote,
        };
    let of = |text: &str| {
        let setup = Setup::main(&format!("[stores.shop]\n{text}"));
        let setup = setup.variables(&[("SHOP_TOKEN", "one"), ("OTHER_TOKEN", "two")]);
        setup.good().config
    };
    let text = match line.split_once(" = ") {
        // It stands in the base already.
        Some(("access.tokens", _)) => format!("sync = \"embedded\"\n{line}\n"),
        Some(("sync", _)) => format!("{line}\n"),
        Some(_) | None => format!("{base}{line}\n"),
    };
    let diff = Diff::between(&of(base), &of(&text));
    assert!(diff.added.is_empty() && diff.removed.is_empty() && diff.server.is_empty());
    diff.changed.into_values().next().unwrap_or_default()
}

#[test]
fn each_key_of_a_store_is_told_when_it_changes_and_no_other() {
    let digest = "a".repeat(64);
    let of_plugin = format!("plugins.echo = {{ sha256 = \"{digest}\" }}");
    for (line, key) in [
        ("sync = \"wss://other.example.com\"", "sync"),
        ("payload = { a = 1 }", "payload"),
        ("paused = true", "paused"),
        ("on_reset = \"start-over\"", "on_reset"),
        ("durability = \"full\"", "durability"),
        (&*of_plugin, "plugins.echo"),
        ("quota.fuel_per_run = \"1M\"", "quota.fuel_per_run"),
        ("quota.memory = \"1MiB\"", "quota.memory"),
        ("quota.run_timeout = \"1s\"", "quota.run_timeout"),
        ("timing.connect_timeout = \"1s\"", "timing.connect_timeout"),
        ("timing.check_period = \"1s\"", "timing.check_period"),
        ("timing.pull_timeout = \"1s\"", "timing.pull_timeout"),
        ("timing.push_timeout = \"1s\"", "timing.push_timeout"),
        ("timing.ping_period = \"1s\"", "timing.ping_period"),
        ("timing.reconnect.first = \"2s\"", "timing.reconnect.first"),
        (
            "timing.reconnect.longest = \"9s\"",
            "timing.reconnect.longest",
        ),
        (
            "timing.reconnect.attempts_max = 3",
            "timing.reconnect.attempts_max",
        ),
        ("timing.run.first = \"2s\"", "timing.run.first"),
        ("timing.run.longest = \"9s\"", "timing.run.longest"),
        ("timing.run.attempts_max = 3", "timing.run.attempts_max"),
        ("log_durability = \"normal\"", "log_durability"),
        (
            "access.tokens = { a = \"env:OTHER_TOKEN\" }",
            "access.tokens",
        ),
        (
            "access.origins = [\"https://a.example.com\"]",
            "access.origins",
        ),
        ("limits.connections = 1", "limits.connections"),
        (
            "limits.connections_per_address = 1",
            "limits.connections_per_address",
        ),
        ("limits.events_per_second = 1", "limits.events_per_second"),
        ("limits.message_size = \"1MiB\"", "limits.message_size"),
        ("limits.log_size = \"1MiB\"", "limits.log_size"),
    ] {
        assert_eq!(changed_by(line), [key], "{line}");
    }
}
