//! What is refused before it ever runs, and in which words.

use super::*;
use crate::runtime::{Description, FileKind, compile_into_cache, inspect};
use crate::store::History;

async fn refusal(bytes: &[u8]) -> String {
    let refused = load(bytes).await.expect_err("a refusal");
    refused.to_string()
}

#[tokio::test]
async fn a_plugin_says_what_it_is() {
    let bytes = IDLE.component();
    let plugin = load(&bytes).await.expect("a plugin");
    let expected = Description {
        version: "1.2.3".to_owned(),
        events: vec!["v1*".parse().expect("a pattern")],
        commits: vec!["v1.*".parse().expect("a pattern")],
        own_events: false,
        history: History::Project,
        tasks: Vec::new(),
    };
    assert_eq!(plugin.description(), &expected);
    let needs = plugin.needs();
    assert_eq!(
        (&needs.read, &needs.commit),
        (&expected.events, &expected.commits)
    );
    assert!(needs.kv, "it imports kv");
    assert_eq!(plugin.size_bytes(), bytes.len());
    assert_eq!(plugin.digest().as_str().len(), 64);
    assert_eq!(&*plugin.build().version, "1.2.3");
    assert_eq!(plugin.digest(), load(&bytes).await.expect("again").digest());
}

#[tokio::test]
async fn a_file_that_is_no_component_is_refused() {
    let whole = IDLE.component();
    let module = wat::parse_str("(module)").expect("valid text");
    assert!(refusal(&module).await.contains("core module"));
    assert!(
        refusal(b"#!/bin/sh")
            .await
            .contains("not a WebAssembly file")
    );
    assert!(refusal(b"").await.contains("not a WebAssembly file"));
    assert!(refusal(&whole[..6]).await.contains("first eight bytes"));
    for part in [8, 100, whole.len() / 2, whole.len() - 1] {
        let text = refusal(&whole[..part]).await;
        assert!(!text.contains('\n'), "more than a line: {text}");
    }
    let huge = vec![0; (64 << 20) + 1];
    assert!(matches!(load(&huge).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn every_flipped_byte_is_refused_or_harmless() {
    let whole = IDLE.component();
    for position in (8..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x55;
        if let Ok(plugin) = load(&damaged).await {
            let limits = Limits {
                fuel_per_run: 100_000,
                ..Limits::default()
            };
            plugin.run(Call { limits, ..call() }).await;
        }
    }
}

#[tokio::test]
async fn an_import_that_no_plugin_gets_is_refused_by_name() {
    let refused = |package: &'static str, name: &'static str| async move {
        let wit = format!("package {package} {{ interface {name} {{ f: func(); }} }}");
        let (bare, version) = package.split_once('@').expect("a version");
        let import = format!("{bare}/{name}@{version}");
        let guest = Guest {
            imports: &format!("(import \"{import}\" \"f\" (func))"),
            wit: &wit,
            world: &format!("import {import};"),
            ..IDLE
        };
        let error = guest.load().await.expect_err("a refusal");
        let text = error.to_string();
        assert!(matches!(error, Error::Import { .. }), "{text}");
        assert!(text.contains(&import), "{text}");
        text
    };
    let text = refused("wasi:sockets@0.2.6", "tcp").await;
    assert!(text.contains("a plugin has no sockets"), "{text}");
    let text = refused("wasi:http@0.2.6", "outgoing-handler").await;
    assert!(text.contains("a plugin has no HTTP"), "{text}");
    let text = refused("acme:database@1.0.0", "query").await;
    assert!(
        text.contains("a plugin gets `quartermaster:plugin`"),
        "{text}"
    );
    let text = refused("wasi:clocks@0.3.0", "wall-clock").await;
    assert!(text.contains("WASI 0.2"), "{text}");
    let text = refused("quartermaster:plugin@0.2.0", "store").await;
    assert!(text.contains("update the host"), "{text}");
}

#[tokio::test]
async fn a_function_that_the_host_lacks_is_named() {
    let guest = Guest {
        imports: "(import \"wasi:random/random@0.2.0\" \"roll-dice\" (func))",
        wit: "package wasi:random@0.2.0 { interface random { roll-dice: func(); } }",
        world: "import wasi:random/random@0.2.0;",
        ..IDLE
    };
    let error = guest.load().await.expect_err("a refusal");
    assert!(matches!(error, Error::World(_)), "{error}");
    assert!(error.to_string().contains("roll-dice"), "{error}");
}

#[tokio::test]
async fn a_component_without_our_exports_is_refused() {
    let component = wat::parse_str("(component)").expect("valid text");
    let error = load(&component).await.expect_err("a refusal");
    assert!(matches!(error, Error::World(_)), "{error}");
    assert!(
        error.to_string().contains("quartermaster:plugin/about"),
        "{error}"
    );
}

#[tokio::test]
async fn exports_besides_ours_do_no_harm() {
    let guest = Guest {
        items: "(func (export \"test:guest/more#init\"))",
        wit: "interface more { init: func(); }",
        world: "export more;",
        ..IDLE
    };
    guest.load().await.expect("a plugin");
}

#[tokio::test]
async fn a_bad_description_is_refused() {
    let bad = [
        // No version.
        (
            "(i32.store (i32.const 2052) (i32.const 0)) (i32.const 2048)",
            "1 to 64 bytes",
        ),
        // One of 65 bytes.
        (
            "(i32.store (i32.const 2052) (i32.const 65)) (i32.const 2048)",
            "1 to 64 bytes",
        ),
        // The pattern "v1**".
        (
            "(i32.store16 (i32.const 2122) (i32.const 0x2a2a)) (i32.store (i32.const 2116) (i32.const 4)) (i32.const 2048)",
            "expected a name, or a prefix",
        ),
        // 65 patterns, all the empty one.
        (
            "(i32.store (i32.const 2056) (i32.const 8192)) (i32.store (i32.const 2060) (i32.const 65)) (i32.const 2048)",
            "events: 65 event patterns",
        ),
        // The same in what it commits.
        (
            "(i32.store (i32.const 2064) (i32.const 8192)) (i32.store (i32.const 2068) (i32.const 65)) (i32.const 2048)",
            "commits: 65 event patterns",
        ),
        // It commits "v1.\n".
        (
            "(i32.store8 (i32.const 2139) (i32.const 10)) (i32.const 2048)",
            "commits: a pattern has to be at most 256 bytes without control characters: \"v1.\\n\"",
        ),
    ];
    for (describe, words) in bad {
        let error = Guest { describe, ..IDLE }
            .load()
            .await
            .expect_err("a refusal");
        assert!(matches!(error, Error::Description(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_describe_that_misbehaves_is_refused() {
    let bad = [
        ("(loop $l (br $l)) (unreachable)", "ran out of fuel (50M)"),
        ("(unreachable)", "unreachable"),
        ("(i32.const -4)", "trapped"),
        // Ten million patterns.
        (
            "(i32.store (i32.const 2060) (i32.const 10000000)) (i32.const 2048)",
            "trapped",
        ),
        (
            "(drop (call $head)) (i32.const 2048)",
            "`describe` is called without a store",
        ),
        (
            "(call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192)) (i32.const 2048)",
            "`describe` is called without a store",
        ),
    ];
    for (describe, words) in bad {
        let error = Guest { describe, ..IDLE }
            .load()
            .await
            .expect_err("a refusal");
        assert!(matches!(error, Error::Describe(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let describe = "(call $log (i32.const 2) (i32.const 4128) (i32.const 3)) (i32.const 2048)";
    Guest { describe, ..IDLE }
        .load()
        .await
        .expect("to log is allowed");
}

#[tokio::test]
async fn a_compiled_plugin_is_found_in_the_cache() {
    let cache = tempfile::tempdir().expect("a folder");
    let settings = EngineSettings {
        cache: Some(cache.path().to_owned()),
        ..EngineSettings::default()
    };
    let bytes = IDLE.component();
    let name = || "guest".parse().expect("a name");
    for _ in 0..2 {
        let engine = Engine::new(settings.clone()).expect("an engine");
        let plugin = Plugin::load(&engine, name(), &bytes[..])
            .await
            .expect("a plugin");
        assert_eq!(
            plugin.run(call()).await.ending,
            crate::store::Ending::Finished
        );
    }
    assert!(walk(cache.path()) > 0, "the cache is empty");
}

fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path) } else { 1 }
    };
    entries.map(count).sum()
}

#[tokio::test]
async fn what_was_compiled_without_a_pool_is_found_by_an_engine_with_one() {
    let cache = tempfile::tempdir().expect("a folder");
    let bytes = IDLE.component();
    assert!(compile_into_cache(cache.path(), &bytes).expect("a component"));
    let engine = Engine::new(EngineSettings {
        cache: Some(cache.path().to_owned()),
        ..EngineSettings::default()
    });
    let engine = engine.expect("an engine");
    let name = "guest".parse().expect("a name");
    Plugin::load(&engine, name, &bytes[..])
        .await
        .expect("a plugin");
    assert_eq!(engine.cache_counts(), (1, 0), "it was compiled again");
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = IDLE.component();
    // A file where wasmtime wants a folder.
    std::fs::write(folder.path().join("modules"), b"").expect("a file");
    let kept = compile_into_cache(folder.path(), &bytes).expect("a component");
    assert!(!kept);
}

#[tokio::test]
async fn what_may_not_be_written_to_the_end_is_called_so() {
    let whole = IDLE.component();
    let text = refusal(&whole[..whole.len() - 40]).await;
    assert!(text.contains("may not be written to the end"), "{text}");
}

#[tokio::test]
async fn an_inspection_says_what_a_component_is_and_needs() {
    let name = || "guest".parse().expect("a name");
    let bytes = IDLE.component();
    let good = inspect(&ENGINE, name(), &bytes[..]).await;
    assert_eq!(good.kind, FileKind::Component);
    assert_eq!(good.refused, None);
    let grants = good.grants.clone().expect("it said what it needs");
    assert_eq!(
        grants.to_string(),
        "read = [\"v1*\"], commit = [\"v1.*\"], kv = true"
    );
    assert_eq!(
        good.description
            .as_ref()
            .expect("a description")
            .version
            .as_str(),
        "1.2.3"
    );
    assert_eq!(good.handlers, ["on-event"]);
    assert!(good.compile_time.is_some());
    let exports_it = |name: &str| good.exports.iter().any(|export| export.contains(name));
    assert!(exports_it("quartermaster:plugin/on-event@0.1.0"));
    assert!(
        good.imports
            .contains(&"quartermaster:plugin/kv@0.1.0".to_owned())
    );

    let module = wat::parse_str("(module)").expect("valid text");
    let module = inspect(&ENGINE, name(), module).await;
    assert_eq!(module.kind, FileKind::CoreModule);
    assert!(module.refused.expect("a reason").contains("core module"));

    let other = wat::parse_str("(component)").expect("valid text");
    let other = inspect(&ENGINE, name(), other).await;
    assert_eq!(other.kind, FileKind::Component);
    assert!(other.refused.clone().expect("a reason").contains("world"));
    let json = serde_json::to_value(&good).expect("JSON");
    assert_eq!(json["grants"]["commit"], serde_json::json!(["v1.*"]));
    let json = serde_json::to_value(&other).expect("JSON");
    assert_eq!(json["grants"], serde_json::Value::Null);
    assert_eq!(json["kind"], "component");
    assert_eq!(json["description"], serde_json::Value::Null);
    assert!(json["compile_time"].is_u64(), "{json}");
    let text = inspect(&ENGINE, name(), &b"#!/bin/sh"[..]).await;
    assert_eq!(text.kind, FileKind::Unknown);
}
