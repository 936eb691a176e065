//! Where values come from, and which wins.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::{Server, Sync};
use crate::store::Durability;
use crate::store::{History, OnReset, Timing};

#[test]
fn nothing_at_all_is_a_process_without_stores() {
    let loaded = Setup::new().good();
    assert_eq!(*loaded.config.server(), Server::default());
    assert_eq!(ids(&loaded), [""; 0]);
    assert!(loaded.notes[0].ends_with("quartermaster.toml: not there; the defaults apply"));
    let nowhere = load(&Location::Nowhere, &Environment::default()).expect("no problem");
    assert_eq!(nowhere.config, loaded.config);
    assert!(nowhere.notes[0].contains("create config/quartermaster.toml"));
}

#[test]
fn every_key_of_a_store_arrives() {
    let store = Setup::new()
        .file(
            "stores/shop.toml",
            r#"
            sync = "ws://127.0.0.1:8787/path?x=1"
            payload = { authToken = "env:TOKEN", n = 1, list = [true, 1.5, "a"] }
            paused = true
            on_reset = "start-over"
            durability = "full"
            [plugins]
            second = {}
            first = { history = "react", config = { greeting = "hi" } }
            [quota]
            fuel_per_run = 5
            memory = "1GiB"
            run_timeout = "1m"
            [timing]
            connect_timeout = "1s"
            check_period = "2s"
            pull_timeout = "3s"
            push_timeout = "4s"
            ping_period = "5s"
            reconnect = { first = "100ms", longest = "6s", attempts_max = 7 }
            run = { first = "8s", longest = "9s", attempts_max = 10 }
            "#,
        )
        .variables(&[("TOKEN", "canary")])
        .only_store();
    assert_eq!(store.id.as_str(), "shop");
    let Sync::Remote(url) = &store.sync else {
        panic!("expected a URL, found {:?}", store.sync);
    };
    assert_eq!(url.as_str(), "ws://127.0.0.1:8787/path?x=1");
    let payload = store
        .payload
        .as_ref()
        .map(|payload| payload.expose().clone());
    assert_eq!(
        payload,
        Some(json!({ "authToken": "canary", "n": 1, "list": [true, 1.5, "a"] }))
    );
    assert!(store.paused);
    assert_eq!(store.on_reset, OnReset::StartOver);
    assert_eq!(store.durability, Durability::Full);
    let [first, second] = store.plugins.as_slice() else {
        panic!("expected two plugins");
    };
    assert_eq!(
        (first.name.as_str(), first.history),
        ("first", Some(History::React))
    );
    assert_eq!(*first.config.expose(), json!({ "greeting": "hi" }));
    assert_eq!((second.name.as_str(), second.history), ("second", None));
    assert_eq!(*second.config.expose(), json!({}));
    assert_eq!(
        (store.quota.run.fuel_per_run, store.quota.run.memory),
        (5, 1 << 30)
    );
    assert_eq!(store.quota.run.run_timeout, Duration::from_secs(60));
    assert_eq!(store.ping_period, Duration::from_secs(5));
    let timing = &store.timing;
    let periods = [
        timing.connect_timeout,
        timing.check_period,
        timing.pull_timeout,
        timing.push_timeout,
    ];
    assert_eq!(periods.map(|period| period.as_secs()), [1, 2, 3, 4]);
    assert_eq!(timing.reconnect.first, Duration::from_millis(100));
    assert_eq!(
        (
            timing.reconnect.longest.as_secs(),
            timing.reconnect.attempts_max
        ),
        (6, 7)
    );
    assert_eq!(
        (timing.run.first.as_secs(), timing.run.longest.as_secs()),
        (8, 9)
    );
    assert_eq!(timing.run.attempts_max, 10);
}

#[test]
fn a_store_lies_over_the_defaults_and_the_defaults_over_the_built_in_ones() {
    let loaded = Setup::main(
        r#"
        [defaults]
        sync = "wss://sync.example.com"
        plugins = ["echo"]
        quota = { memory = "1MiB", run_timeout = "1s" }
        payload = { room = "a" }
        [stores.plain]
        [stores.own]
        sync = "wss://other.example.com"
        plugins.digest = {}
        quota = { memory = "2MiB" }
        payload = { desk = "b" }
        "#,
    )
    .good();
    let [own, plain] = loaded.config.stores() else {
        panic!("expected two stores");
    };
    let memory = |store: &StoreConfig| store.quota.run.memory >> 20;
    assert_eq!((memory(plain), memory(own)), (1, 2));
    assert_eq!(own.quota.run.run_timeout, Duration::from_secs(1));
    assert_eq!(own.quota.run.fuel_per_run, 200_000_000);
    assert_eq!(plain.timing, Timing::default());
    assert_eq!(plain.ping_period, Duration::from_secs(10));
    let plugins = |store: &StoreConfig| {
        store
            .plugins
            .iter()
            .map(|p| p.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (plugins(plain), plugins(own)),
        (vec!["echo".to_owned()], vec!["digest".to_owned()])
    );
    let payload = |store: &StoreConfig| {
        store
            .payload
            .as_ref()
            .map(|payload| payload.expose().clone())
    };
    assert_eq!(payload(plain), Some(json!({ "room": "a" })));
    assert_eq!(
        payload(own),
        Some(json!({ "desk": "b" })),
        "replaced as a whole"
    );
}

#[test]
fn the_environment_lies_over_the_files() {
    let setup = Setup::main(&format!(
        "[server]\nlisten = \"127.0.0.1:1\"\ndata = \"d\"\n[defaults]\n{SYNC}quota = {{ memory = \"1MiB\" }}\n[stores.work-1]\n"
    ))
    .file("stores/shop.toml", "paused = true\nquota = { memory = \"3MiB\" }\n")
    .variables(&[
        ("QM_SERVER__LISTEN", "[::1]:2"),
        ("QM_SERVER__CLIENT_ID", "123"),
        ("QM_SERVER__PLUGINS", ""),
        ("QM_DEFAULTS__QUOTA__MEMORY", "2MiB"),
        ("QM_DEFAULTS__PLUGINS", "echo, digest"),
        ("QM_STORES__SHOP__PAUSED", "false"),
        ("QM_STORES__WORK_1__PLUGINS", "{ echo = { history = \"project\" } }"),
        ("QM_STORES__work-1__PAYLOAD", "{ authToken = \"env:TOKEN\" }"),
        ("TOKEN", "t"),
    ]);
    let loaded = setup.good();
    let server = loaded.config.server();
    assert_eq!(server.listen.to_string(), "[::1]:2");
    assert_eq!(
        (&*server.client_id, server.data.to_str()),
        ("123", Some("d"))
    );
    assert_eq!(
        server.plugins,
        Server::default().plugins,
        "an empty variable counts as not set"
    );
    let [shop, work] = loaded.config.stores() else {
        panic!("expected two stores");
    };
    assert!(!shop.paused);
    assert_eq!(
        (shop.quota.run.memory >> 20, work.quota.run.memory >> 20),
        (3, 2)
    );
    assert_eq!(shop.plugins.len(), 2);
    assert_eq!(work.plugins[0].history, Some(History::Project));
    let payload = work
        .payload
        .as_ref()
        .map(|payload| payload.expose().clone());
    assert_eq!(payload, Some(json!({ "authToken": "t" })));
}

#[test]
fn the_established_variables_declare_stores_and_set_their_patience() {
    let setup = Setup::new()
        .file("stores/c.toml", "paused = true")
        .variables(&[
            ("STORE_IDS", "b, a,,c,a"),
            ("STORE_CONNECTION_TIMEOUT", "1500"),
            ("STORE_RECONNECT_INTERVAL", "45000"),
            ("STORE_MAX_RECONNECT_ATTEMPTS", "0"),
            ("QM_DEFAULTS__SYNC", "wss://sync.example.com"),
        ]);
    let loaded = setup.good();
    assert_eq!(ids(&loaded), ["a", "b", "c"]);
    let [a, _, c] = loaded.config.stores() else {
        panic!("expected three stores");
    };
    assert!(c.paused && !a.paused);
    assert_eq!(a.timing.connect_timeout, Duration::from_millis(1500));
    assert_eq!(a.timing.reconnect.first, Duration::from_secs(45));
    assert_eq!(
        a.timing.reconnect.longest,
        Duration::from_secs(45),
        "never shorter than the first"
    );
    assert_eq!(a.timing.reconnect.attempts_max, 0);
    let setup = setup.variables(&[("QM_DEFAULTS__TIMING__CONNECT_TIMEOUT", "3s")]);
    let timeout = setup.good().config.stores()[0].timing.connect_timeout;
    assert_eq!(
        timeout,
        Duration::from_secs(3),
        "the name with the prefix wins"
    );
}

#[test]
fn dotenv_lies_below_the_environment() {
    let setup = Setup::main(&format!("[stores.shop]\n{SYNC}payload = {{ authToken = \"env:TOKEN\", b = \"env:B\" }}\n"))
        .dotenv(
            "# comment\n\nexport TOKEN = \"from \\\"file\\\" #1\\n\" # why\nB='$x' \nQM_SERVER__CLIENT_ID=file\n\
             QM_SERVER__DATA=from-dotenv # here\nE=\nF=#\n",
        )
        .variables(&[("QM_SERVER__CLIENT_ID", "process")]);
    let loaded = setup.good();
    assert_eq!(&*loaded.config.server().client_id, "process");
    assert_eq!(loaded.config.server().data.to_str(), Some("from-dotenv"));
    let payload = setup
        .only_store()
        .payload
        .map(|payload| payload.expose().clone());
    assert_eq!(
        payload,
        Some(json!({ "authToken": "from \"file\" #1\n", "b": "$x" }))
    );
    let setup = setup.variables(&[("TOKEN", "process")]);
    let payload = setup
        .only_store()
        .payload
        .map(|payload| payload.expose().clone());
    assert_eq!(payload, Some(json!({ "authToken": "process", "b": "$x" })));
}

#[test]
fn a_file_holds_a_secret_without_its_last_line_break() {
    let setup = Setup::new().file("secret", "canary \n");
    let path = setup.path().join("secret").display().to_string();
    let text = format!("{SYNC}payload.authToken = {:?}", format!("file:{path}"));
    let store = setup.file("stores/shop.toml", text).only_store();
    let payload = store
        .payload
        .as_ref()
        .map(|payload| payload.expose().clone());
    assert_eq!(payload, Some(json!({ "authToken": "canary " })));
}

#[test]
fn no_secret_shows_in_debug_output() {
    let setup = Setup::main(&format!(
        "[stores.shop]\n{SYNC}payload = {{ authToken = \"env:TOKEN\" }}\nplugins.llm.config = {{ api_key = \"env:TOKEN\" }}\n"
    ))
    .variables(&[("TOKEN", "canary")]);
    let loaded = setup.good();
    let shown = format!("{loaded:?} {loaded:#?}");
    assert!(
        shown.contains("shop") && !shown.contains("canary"),
        "{shown}"
    );
}

#[test]
fn a_main_file_by_any_name_has_its_stores_beside_it() {
    let setup = Setup::new()
        .file("other.toml", format!("[defaults]\n{SYNC}"))
        .file("stores/shop.toml", "");
    let location = Location::find(Some(&setup.path().join("other.toml")));
    let loaded = load(&location, &Environment::default()).expect("no problem");
    assert_eq!(ids(&loaded), ["shop"]);
}

#[test]
fn only_toml_files_are_stores_and_a_likely_mistake_is_noted() {
    let loaded = Setup::main(&format!("[defaults]\n{SYNC}"))
        .file("stores/shop.toml", "")
        .file("stores/.shop.toml.swp", "x")
        .file("stores/shop.toml~", "x")
        .file("stores/desk.tml", "x")
        .good();
    assert_eq!(ids(&loaded), ["shop"]);
    let [note] = loaded.notes.as_slice() else {
        panic!("expected one note, found {:?}", loaded.notes);
    };
    assert!(note.ends_with("desk.tml: not read; a store's file is called <id>.toml"));
}
