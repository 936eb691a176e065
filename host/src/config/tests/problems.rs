//! Every kind of mistake with the words it is answered with.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn assert_problems(setup: &Setup, expected: &[&str]) {
    assert_eq!(setup.problems(), expected);
}

/// One store's file in lines, over a main file with a backend.
fn shop(text: &str) -> Setup {
    Setup::main(&format!("[defaults]\n{SYNC}")).file("stores/shop.toml", text)
}

#[test]
fn a_wrong_value_is_told_with_file_line_key_and_what_was_found() {
    assert_problems(
        &shop("# the shop\npaused = false\n\n[quota]\nmemory = \"64MiB\"\n\nfuel_per_run = -5\n"),
        &[
            "config/stores/shop.toml:7: quota.fuel_per_run: expected a positive count such as \"200M\", found -5",
        ],
    );
    assert_problems(
        &shop(
            "quota = { run_timeout = 5 }\npaused = \"yes\"\non_reset = \"again\"\ndurability = 1",
        ),
        &[
            "config/stores/shop.toml:1: quota.run_timeout: expected a duration from \"1ms\" to \"1h\", such as \"5s\" or \
             \"250ms\", found 5; write the unit: \"5s\" or \"5ms\"",
            "config/stores/shop.toml:2: paused: expected true or false, found \"yes\"",
            "config/stores/shop.toml:3: on_reset: expected one of \"stop\", \"start-over\", found \"again\"",
            "config/stores/shop.toml:4: durability: expected one of \"normal\", \"full\", found 1",
        ],
    );
    assert_problems(
        &shop(
            "quota = 5\ntiming.run.attempts_max = 0\ntiming.reconnect.attempts_max = 0\ntiming.check_period = \"1d\"",
        ),
        &[
            "config/stores/shop.toml:1: quota: expected a table, found an integer",
            "config/stores/shop.toml:2: timing.run.attempts_max: expected a count from 1 to 1000000, found 0",
            "config/stores/shop.toml:4: timing.check_period: expected a duration from \"100ms\" to \"1h\", such as \"5s\" \
             or \"250ms\", found \"1d\"",
        ],
    );
}

#[test]
fn the_line_is_right_in_a_table_that_spans_several() {
    assert_problems(
        &shop(
            "[quota]\r\n# ä ö ü\r\nmemory = \"1MiB\"\r\nfuel_per_run = \"lots\"\r\n[timing.run]\r\nfirst = \"0s\"\r\n",
        ),
        &[
            "config/stores/shop.toml:4: quota.fuel_per_run: expected a positive count such as \"200M\", found \"lots\"",
            "config/stores/shop.toml:6: timing.run.first: expected a duration from \"10ms\" to \"24h\", such as \"5s\" or \
             \"250ms\", found \"0s\"",
        ],
    );
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    assert_problems(
        &Setup::main(
            "[server]\nlisen = \"127.0.0.1:1\"\n[stores.a.quota]\nfuel = \"1M\"\n[store.b]\n",
        ),
        &[
            "config/quartermaster.toml:2: server.lisen: unknown key; did you mean \"listen\"?",
            "config/quartermaster.toml:3: stores.a.sync: missing; set it here or in [defaults], to \"embedded\" or the \
             URL of a LiveStore backend such as \"wss://sync.example.com\"",
            "config/quartermaster.toml:4: stores.a.quota.fuel: unknown key; did you mean \"fuel_tank\"?",
            "config/quartermaster.toml:5: store: unknown key; did you mean \"stores\"?",
        ],
    );
    assert_problems(
        &shop("plugins.echo = { wibble = 1 }\n\"odd key\" = 2"),
        &[
            "config/stores/shop.toml:1: plugins.echo.wibble: unknown key; known here: history, config, sha256, quota, grants, \
             trace, tasks",
            "config/stores/shop.toml:2: \"odd key\": unknown key; known here: sync, payload, paused, on_reset, durability, \
             plugins, quota, timing, log_durability, access, limits, tasks",
        ],
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    assert_problems(
        &shop("paused = false\npaused = true\n"),
        &["config/stores/shop.toml:2: not valid TOML: duplicate key"],
    );
    let problems = shop("paused = false\n\nquota = {{\n").problems();
    assert!(
        !problems.is_empty()
            && problems
                .iter()
                .all(|problem| problem.starts_with("config/stores/shop.toml:3: not valid TOML: ")),
        "{problems:?}"
    );
    assert_problems(
        &shop("payload = { n = 99999999999999999999 }\n"),
        &[
            "config/stores/shop.toml:1: expected an integer of at most 64 bits, found one that is not",
        ],
    );
    assert_problems(
        &Setup::main(SYNC).file("stores/shop.toml", b"paused = false\n# \xff\n"),
        &[
            "config/quartermaster.toml:1: sync: unknown key; known here: server, defaults, stores, plugins",
            "config/stores/shop.toml:2: expected UTF-8 text, found other bytes",
        ],
    );
}

#[test]
fn a_broken_main_file_refuses_everything_and_the_stores_are_checked_all_the_same() {
    let setup = Setup::main("[server\n").file("stores/shop.toml", "paused = 1\n");
    let refused = setup.load().expect_err("a broken main file");
    assert!(
        refused
            .problems
            .iter()
            .any(|problem| problem.store.is_none())
    );
    let problems = setup.problems();
    assert!(problems[0].starts_with("config/quartermaster.toml:1: not valid TOML: "));
    assert_eq!(
        problems.last().map(String::as_str),
        Some("config/stores/shop.toml:1: paused: expected true or false, found 1"),
        "and nothing about a missing backend, which may be in the main file"
    );
    for main in [
        "[server]\nlisten = \"nowhere\"",
        "[defaults]\npaused = 3",
        "x = 1",
        "stores = 1",
    ] {
        Setup::main(main).load().expect_err(main);
    }
}

#[test]
fn what_is_wrong_with_a_default_is_told_once() {
    assert_problems(
        &Setup::main(&format!(
            "[defaults]\n{SYNC}quota.memory = 1\nplugins = [\n\"A\"]\n[defaults.payload]\ntoken = \"canary\"\n[stores.a]\n\
             quota.fuel = 1\n[stores.b]\n"
        ))
        .variables(&[("QM_DEFAULTS__PAUSED", "no")]),
        &[
            "config/quartermaster.toml:3: defaults.quota.memory: expected a size from \"64KiB\" to \"4GiB\", such as \
             \"64MiB\", found 1; write the unit: \"1B\" or \"1MiB\"",
            "config/quartermaster.toml:5: defaults.plugins: plugin name \"A\": expected 1 to 64 of `a-z`, `0-9` and `-`, \
             starting with a letter",
            "config/quartermaster.toml:7: defaults.payload.token: a secret stands here in clear; put it into an environment \
             variable and write \"env:NAME\", or into a file and write \"file:/path\"",
            "config/quartermaster.toml:9: stores.a.quota.fuel: unknown key; did you mean \"fuel_tank\"?",
            "QM_DEFAULTS__PAUSED: defaults.paused: expected true or false, found \"no\"",
        ],
    );
}

#[test]
fn the_process_keys_have_their_bounds() {
    assert_problems(
        &Setup::main(
            "[server]\nlisten = \"localhost\"\ndata = \"\"\nplugins = 3\nclient_id = \"a b\"\nshutdown_grace = \"2h\"\nguest_memory = \"1MiB\"\nguest_runs = 0\nguest_threads = 2000\n",
        ),
        &[
            "config/quartermaster.toml:2: server.listen: expected an address and port such as \"127.0.0.1:7070\", found \
             \"localhost\"",
            "config/quartermaster.toml:3: server.data: expected a path, found an empty text",
            "config/quartermaster.toml:4: server.plugins: expected a path, found 3",
            "config/quartermaster.toml:5: server.client_id: expected 1 to 64 letters, digits, `-`, `_` or `.`, found \"a b\"",
            "config/quartermaster.toml:6: server.shutdown_grace: expected a duration from \"0ms\" to \"1h\", such as \"5s\" \
             or \"250ms\", found \"2h\"",
            "config/quartermaster.toml:7: server.guest_memory: expected a size from \"64MiB\" to \"1024GiB\", such as \
             \"64MiB\", found \"1MiB\"",
            "config/quartermaster.toml:8: server.guest_runs: expected a count from 1 to 2000, found 0",
            "config/quartermaster.toml:9: server.guest_threads: expected a count from 1 to 1024, found 2000",
        ],
    );
}

#[test]
fn a_broken_store_costs_only_itself() {
    let setup = Setup::main(&format!(
        "[defaults]\n{SYNC}[stores.inline-bad]\npaused = 1\n[stores.inline]\n"
    ))
    .file("stores/empty.toml", "")
    .file("stores/broken.toml", "= = =")
    .file("stores/wrong.toml", "sync = 5")
    .file("stores/binary.toml", [0xff, 0x00, 0xfe])
    .file("stores/dir.toml/inner", "")
    .file("stores/good.toml", "paused = true");
    let loaded = setup.load().expect("the process can run");
    assert_eq!(ids(&loaded), ["empty", "good", "inline"]);
    let mut broken: Vec<_> = loaded
        .problems
        .iter()
        .filter_map(|p| p.store.as_deref())
        .collect();
    broken.dedup();
    assert_eq!(broken.len(), 5, "{broken:?}");
    for store in ["binary", "broken", "dir", "inline-bad", "wrong"] {
        assert!(broken.contains(&store), "{store} is not listed");
    }
}

#[test]
fn a_store_id_must_be_safe_as_a_file_name() {
    let rule = "expected 1 to 128 letters, digits, `-`, `_` or `.`, not starting with `.`";
    assert_problems(
        &Setup::main(&format!("[defaults]\n{SYNC}[stores.\"../up\"]\n"))
            .file("stores/my shop.toml", "")
            .variables(&[("STORE_IDS", "fine,a/b")]),
        &[
            &format!("config/quartermaster.toml:3: stores.\"../up\": store id \"../up\": {rule}"),
            &format!("config/stores/my shop.toml: store id \"my shop\": {rule}; rename the file"),
            &format!("STORE_IDS: stores.\"a/b\": store id \"a/b\": {rule}"),
        ],
    );
}

#[test]
fn ids_that_are_declared_twice_or_differ_only_in_case_are_refused() {
    let setup = Setup::main(&format!(
        "[defaults]\n{SYNC}[stores.shop]\n[stores.Desk]\n[stores.other]\n"
    ))
    .file("stores/shop.toml", "")
    .file("stores/desk.toml", "");
    assert_problems(
        &setup,
        &[
            "config/quartermaster.toml:3: stores.shop: declared twice, also in config/stores/shop.toml; keep one of them",
            "config/quartermaster.toml:4: stores.Desk: differs only in case from \"desk\" in config/stores/desk.toml; \
             rename one of them",
            "config/stores/desk.toml: differs only in case from \"Desk\" in config/quartermaster.toml:4; rename one of them",
            "config/stores/shop.toml: declared twice, also in config/quartermaster.toml:3; keep one of them",
        ],
    );
    let loaded = setup.load().expect("the process can run");
    assert_eq!(ids(&loaded), ["other"]);
}

#[test]
fn a_sync_url_is_checked_and_never_repeated() {
    let backend =
        "\"embedded\" or the URL of a LiveStore backend such as \"wss://sync.example.com\"";
    for (url, message) in [
        ("https://canary", format!("expected {backend}, found https:; write wss:")),
        ("http://canary", format!("expected {backend}, found http:; write ws:")),
        ("canary:8787", format!("expected {backend}, found another scheme; write ws: or wss:")),
        ("canary", format!("expected {backend}, found a text that is none (relative URL without a base)")),
        ("", format!("expected {backend}, found a text that is none (relative URL without a base)")),
        ("wss://", format!("expected {backend}, found a text that is none (empty host)")),
        ("wss://x/#canary", format!("expected {backend}, found a URL with a #")),
        (
            "wss://me:canary@x",
            "a name or password stands in the URL; give the backend what it needs in payload, by reference".to_owned(),
        ),
        (
            "wss://x/?authToken=canary",
            "a secret stands in the URL; give it in payload, by reference".to_owned(),
        ),
        (
            "wss://x/?storeId=canary",
            "the parameter storeId is set by the protocol; leave it out of the URL".to_owned(),
        ),
    ] {
        assert_problems(
            &shop(&format!("\nsync = {url:?}")),
            &[&format!("config/stores/shop.toml:2: sync: {message}")],
        );
    }
}

#[test]
fn plugins_are_a_list_of_names_or_a_table() {
    let rule = "expected 1 to 64 of `a-z`, `0-9` and `-`, starting with a letter";
    assert_problems(
        &shop("plugins = [\n \"echo\",\n \"echo\",\n \"Echo\",\n 5]"),
        &[
            "config/stores/shop.toml:3: plugins: echo is in the list twice",
            &format!("config/stores/shop.toml:4: plugins: plugin name \"Echo\": {rule}"),
            "config/stores/shop.toml:5: plugins: expected a plugin's name such as \"echo\", found 5",
        ],
    );
    assert_problems(
        &shop(
            "plugins.Echo = {}\nplugins.a = 1\nplugins.b = { history = \"all\", config = \"x\" }",
        ),
        &[
            &format!("config/stores/shop.toml:1: plugins.Echo: plugin name \"Echo\": {rule}"),
            "config/stores/shop.toml:2: plugins.a: expected a table, found an integer",
            "config/stores/shop.toml:3: plugins.b.config: expected a table, found a text",
            "config/stores/shop.toml:3: plugins.b.history: expected one of \"ignore\", \"project\", \"react\", found \"all\"",
        ],
    );
    assert_problems(
        &shop("plugins = \"echo\""),
        &[
            "config/stores/shop.toml:1: plugins: expected a list of plugin names such as [\"echo\"], or a table such as \
             { echo = {} }, found \"echo\"",
        ],
    );
}

#[test]
fn a_secret_in_clear_or_a_reference_to_nothing_is_refused_without_repeating_it() {
    let setup = shop(
        "[payload]\nauthToken = \"canary\"\nnested = { \"db-passwords\" = [\"canary\", \"env:SET\"] }\nuser = \"me\"\n\
         [payload.token]\nvalue = \"canary\"\n[plugins.llm.config]\napi_key = \"canary\"\nmaxTokens = 5\n",
    );
    let clear = "a secret stands here in clear; put it into an environment variable and write \"env:NAME\", or into a \
                 file and write \"file:/path\"";
    assert_problems(
        &setup.variables(&[("SET", "x")]),
        &[
            &format!("config/stores/shop.toml:2: payload.authToken: {clear}"),
            &format!("config/stores/shop.toml:3: payload.nested.db-passwords: {clear}"),
            &format!("config/stores/shop.toml:6: payload.token.value: {clear}"),
            &format!("config/stores/shop.toml:8: plugins.llm.config.api_key: {clear}"),
        ],
    );
    let setup = shop(
        "payload.a = \"env:UNSET\"\npayload.b = \"env:EMPTY\"\npayload.c = \"env: x\"\npayload.d = \"file:relative\"\n\
         payload.e = \"file:/nonexistent/canary\"\n",
    );
    assert_problems(
        &setup.variables(&[("EMPTY", "")]),
        &[
            "config/stores/shop.toml:1: payload.a: environment variable UNSET is not set; set it for this process or in .env",
            "config/stores/shop.toml:2: payload.b: environment variable EMPTY is empty",
            "config/stores/shop.toml:3: payload.c: expected env: and the name of an environment variable, such as \
             \"env:SHOP_TOKEN\"",
            "config/stores/shop.toml:4: payload.d: expected file: and an absolute path, such as \"file:/run/secrets/shop\"",
            "config/stores/shop.toml:5: payload.e: /nonexistent/canary: expected a file, found nothing by this name",
        ],
    );
    assert_problems(
        &shop("payload = \"canary\""),
        &["config/stores/shop.toml:1: payload: expected a table, found a text"],
    );
}

#[test]
fn a_wrong_variable_is_told_by_name() {
    assert_problems(
        &shop("").variables(&[
            ("QM_SERVER__LISTEN", "here"),
            ("QM_SERVER__LISEN", "x"),
            ("QM_SERVER_DATA", "x"),
            ("QM_STORES__SHOP__PAUSED", "maybe"),
            ("QM_STORES__SHOP__PAYLOAD", "canary"),
            ("QM_STORES__SHOP__QUOTE__MEMORY", "1MiB"),
            ("QM_STORES__NOBODY__QUOTA__MEMORY", "1MiB"),
            ("STORE_CONNECTION_TIMEOUT", "5s"),
            ("STORE_RECONNECT_INTERVAL", "1"),
            ("QM_LOG", "debug"),
            ("QM_SERVICE_HOST", "10.0.0.1"),
        ]),
        &[
            "QM_SERVER_DATA: unknown variable; did you mean QM_SERVER__DATA?",
            "QM_SERVER__LISEN: unknown variable; did you mean \"QM_SERVER__LISTEN\"?",
            "QM_SERVER__LISTEN: server.listen: expected an address and port such as \"127.0.0.1:7070\", found \"here\"",
            "QM_STORES__NOBODY__QUOTA__MEMORY: there is no store \"NOBODY\"; name it in STORE_IDS or give it a file",
            "QM_STORES__SHOP__PAUSED: paused: expected true or false, found \"maybe\"",
            "QM_STORES__SHOP__PAYLOAD: expected a TOML value such as { key = \"text\" }, found a text",
            "QM_STORES__SHOP__QUOTE__MEMORY: unknown variable; did you mean \"QUOTA__MEMORY\"?",
            "STORE_CONNECTION_TIMEOUT: expected a number of milliseconds such as 5000, found \"5s\"",
            "STORE_RECONNECT_INTERVAL: defaults.timing.reconnect.first: expected a duration from \"10ms\" to \"24h\", such \
             as \"5s\" or \"250ms\", found \"1ms\"",
        ],
    );
}

#[test]
fn a_variable_that_could_mean_two_stores_is_refused() {
    let setup = Setup::main(&format!(
        "[defaults]\n{SYNC}[stores.a-b]\n[stores.a_b]\n[stores.c]\n"
    ))
    .variables(&[("QM_STORES__A_B__PAUSED", "true")]);
    let message = "QM_STORES__A_B__PAUSED: more than one store can be meant; set the key in the stores' files";
    assert_problems(&setup, &[message, message]);
    assert_eq!(ids(&setup.load().expect("the process can run")), ["c"]);
}

#[test]
fn a_wrong_variable_for_a_store_costs_only_that_store() {
    let setup = Setup::main(&format!(
        "[defaults]\n{SYNC}[stores.a]\n[stores.b-1]\n[stores.c]\n"
    ))
    .variables(&[
        ("QM_STORES__A__PAUSD", "true"),
        ("QM_STORES__B_1__PAUSED", "yes"),
    ]);
    assert_eq!(ids(&setup.load().expect("the process can run")), ["c"]);
}

#[test]
fn a_line_of_dotenv_that_cannot_be_understood_is_told_and_not_repeated() {
    let rule = "expected NAME=value, or a comment that starts with #; a value with blanks, quotes, $ or \\ stands in \
                single quotes";
    assert_problems(
        &Setup::main("").dotenv(
            "GOOD=1\ncanary\n=canary\nA B=canary\nD='canary' canary\n\nE=canary canary\nF=\"two\nlines\"\n\
             QM_SERVER__LISTEN=x\nC=\"canary\nis not closed\n# here\n",
        ),
        &[
            &format!(".env:2: {rule}"),
            &format!(".env:3: {rule}"),
            &format!(".env:4: {rule}"),
            &format!(".env:5: {rule}"),
            &format!(".env:7: {rule}"),
            ".env:10: server.listen: expected an address and port such as \"127.0.0.1:7070\", found \"x\"",
            &format!(".env:11: {rule}"),
        ],
    );
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_told() {
    let setup = Setup::new();
    let missing = Location::find(Some(&setup.path().join("none.toml")));
    let refused = load(&missing, &Environment::default()).expect_err("nothing there");
    assert!(
        refused.problems[0]
            .to_string()
            .ends_with("none.toml: expected a file, found nothing by this name"),
        "{refused}"
    );
    assert_problems(
        &shop("").file("stores/big.toml", vec![b'#'; 1024 * 1024 + 1]),
        &["config/stores/big.toml: expected at most 1048576 bytes, found more"],
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_does_not_hang() {
    let setup = shop("");
    let path = setup.path().join("stores/pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
    assert_problems(
        &setup,
        &["config/stores/pipe.toml: expected a regular file, found something else"],
    );
}

#[test]
fn depth_is_bounded() {
    for text in [
        "a = ".to_owned() + &"[".repeat(200_000),
        "a".to_owned() + &".a".repeat(200_000) + " = 1",
    ] {
        let problems = shop(&text).problems();
        assert!(!problems.is_empty());
    }
}

/// Text that gets past the first token more often than random bytes.
fn toml_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "\"",
        "'",
        " ",
        "#",
        "\"\"\"",
        "server",
        "stores",
        "defaults",
        "quota",
        "payload",
        "plugins",
        "authToken",
        "env:X",
        "\"env:HOME\"",
        "\"5s\"",
        "-1",
        "1e9",
        "inf",
        "true",
        "1979-05-27",
        "\\u",
        "é",
        "\0",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_any_file_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let setup = Setup::new()
            .dotenv(&text)
            .file("quartermaster.toml", &bytes)
            .file("stores/a.toml", &bytes)
            .variables(&[("QM_DEFAULTS__PAYLOAD", text.as_str()), ("STORE_IDS", text.as_str())]);
        prop_assert!(setup.load().is_ok() || !setup.problems().is_empty());
    }

    #[test]
    fn no_text_in_any_file_panics(main in toml_like(), store in toml_like(), dotenv in toml_like()) {
        let setup = Setup::new()
            .dotenv(&dotenv)
            .file("quartermaster.toml", &main)
            .file("stores/a.toml", &store)
            .variables(&[("QM_STORES__A__PLUGINS", store.as_str()), ("QM_SERVER__LISTEN", main.as_str())]);
        prop_assert!(setup.load().is_ok() || !setup.problems().is_empty());
    }
}
