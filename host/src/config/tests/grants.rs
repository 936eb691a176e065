//! What plugins may do in stores: read, refused, told when it changes, and told with its place when something is missing.

use super::*;
use crate::config::{Diff, Lack, PluginConfig};
use crate::store::{Grants, Pattern};

/// What the plugin `echo` needs.
fn needs() -> Grants {
    Grants {
        read: patterns(&["v1.Said"]),
        commit: patterns(&["v1.Said", "v1.Done"]),
        kv: true,
        schedule: false,
    }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    let pattern = |text: &&str| text.parse().expect("a pattern");
    texts.iter().map(pattern).collect()
}

/// One store file.
fn shop(text: &str) -> Setup {
    Setup::main("").file("stores/shop.toml", format!("{SYNC}{text}"))
}

fn only_plugin(store: &StoreConfig) -> PluginConfig {
    let [plugin] = store.plugins.as_slice() else {
        panic!("expected one plugin, found {:?}", store.plugins);
    };
    plugin.clone()
}

/// What the only plugin of the store `shop` lacks, with paths as if the folder were `config`.
fn lack(setup: &Setup) -> (String, String) {
    let loaded = setup.good();
    let mut stores = loaded.config.stores().iter();
    let store = stores.find(|store| store.id.as_str() == "shop");
    let store = store.expect("the store");
    let lack = only_plugin(store).lack(&store.id, &needs());
    let Lack {
        problem, reason, ..
    } = lack.expect("something is missing");
    let folder = setup.path().display().to_string();
    let shown = |text: String| text.replace(&folder, "config");
    (shown(reason), shown(problem.to_string()))
}

#[test]
fn a_plugin_may_do_what_is_written_and_nothing_else() {
    let granted = |text: &str| only_plugin(&shop(text).only_store()).grants;
    for nothing in [
        "plugins = [\"echo\"]",
        "plugins.echo = {}",
        "plugins.echo.grants = {}",
        "plugins.echo.grants = { read = [], commit = [], kv = false }",
    ] {
        assert_eq!(granted(nothing), Grants::default(), "{nothing}");
    }
    let some = granted(
        "plugins.echo = { grants = { read = [\"v1.Said\"], commit = [\"v1.*\", \"*\"], kv = true } }",
    );
    let expected = Grants {
        read: patterns(&["v1.Said"]),
        commit: patterns(&["v1.*", "*"]),
        kv: true,
        schedule: false,
    };
    assert_eq!(some, expected);
}

#[test]
fn grants_of_the_defaults_hold_for_every_store_that_names_no_plugins_itself() {
    let setup = Setup::main(&format!(
        "[defaults]\n{SYNC}plugins.echo.grants.kv = true\n[stores.a]\n[stores.b]\nplugins.echo = {{}}\n"
    ));
    let loaded = setup.good();
    let kv = loaded
        .config
        .stores()
        .iter()
        .map(|store| only_plugin(store).grants.kv);
    assert_eq!(kv.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn bad_grants_are_told_with_file_line_and_key() {
    let text = "[plugins.echo.grants]\nreed = []\nread = \"v1.Said\"\ncommit = [\n \"v1.Said\",\n \"v*1\", 5]\nkv = \"yes\"\n\
                [plugins.other]\ngrants = \"all\"\n";
    let pattern = "expected a name, or a prefix that ends in one `*`, of 1 to 256 bytes without control characters";
    assert_eq!(
        shop(text).problems(),
        [
            "config/stores/shop.toml:3: plugins.echo.grants.reed: unknown key; did you mean \"read\"?".to_owned(),
            "config/stores/shop.toml:4: plugins.echo.grants.read: expected a list of event names such as [\"v1.Chat*\"], \
             found \"v1.Said\""
                .to_owned(),
            format!("config/stores/shop.toml:7: plugins.echo.grants.commit: event pattern \"v*1\": {pattern}"),
            "config/stores/shop.toml:7: plugins.echo.grants.commit: expected an event name such as \
             \"v1.ChatMessageSent\", found 5"
                .to_owned(),
            "config/stores/shop.toml:8: plugins.echo.grants.kv: expected true or false, found \"yes\"".to_owned(),
            "config/stores/shop.toml:10: plugins.other.grants: expected a table, found a text".to_owned(),
        ]
    );
    let many = format!("plugins.echo.grants.read = {:?}", vec!["a"; 257]);
    assert_eq!(
        shop(&many).problems(),
        [
            "config/stores/shop.toml:2: plugins.echo.grants.read: expected at most 256 names, found 257 of them; a prefix \
          that ends in `*` stands for many"
        ]
    );
}

#[test]
fn what_is_missing_is_told_with_what_to_add_where() {
    let needed = "echo needs to commit \"v1.Done\" and kv in shop";
    let missing = "commit = [\"v1.Done\"], kv = true";
    let in_file = shop("\n[plugins.echo]\ngrants = { read = [\"*\"], commit = [\"v1.S*\"] }\n");
    assert_eq!(
        lack(&in_file),
        (
            format!("{needed}: add {missing} to plugins.echo.grants in config/stores/shop.toml:3"),
            format!("config/stores/shop.toml:3: plugins.echo.grants: {needed}; add {missing}"),
        )
    );
    let needed =
        "echo needs to read \"v1.Said\", to commit \"v1.Said\", \"v1.Done\" and kv in shop";
    let all = needs();
    let in_main = Setup::main(&format!("[stores.shop]\n{SYNC}plugins.echo = {{}}\n"));
    assert_eq!(
        lack(&in_main).0,
        format!(
            "{needed}: add {all} to stores.shop.plugins.echo.grants in config/quartermaster.toml:3"
        )
    );
    let in_defaults = Setup::main(&format!(
        "[defaults]\n{SYNC}plugins.echo = {{}}\n[stores.shop]\n[plugins.echo]\nrollout = \"10%\"\n"
    ));
    assert_eq!(
        lack(&in_defaults).0,
        format!(
            "{needed}: add {all} to defaults.plugins.echo.grants in config/quartermaster.toml:3"
        )
    );
}

#[test]
fn a_plugin_that_is_only_named_is_told_to_get_a_table() {
    let needed =
        "echo needs to read \"v1.Said\", to commit \"v1.Said\", \"v1.Done\" and kv in shop";
    let entry = format!("echo = {{ grants = {{ {} }} }}", needs());
    let in_list = Setup::main(&format!(
        "[defaults]\n{SYNC}plugins = [\n \"echo\"]\n[stores.shop]\n"
    ));
    assert_eq!(
        lack(&in_list),
        (
            format!(
                "{needed}: make the list defaults.plugins in config/quartermaster.toml:4 a table, with {entry} in it"
            ),
            format!(
                "config/quartermaster.toml:4: defaults.plugins: {needed}; make the list a table, with {entry} in it"
            ),
        )
    );
    let in_variable = shop("").variables(&[("QM_STORES__SHOP__PLUGINS", "echo")]);
    assert_eq!(
        lack(&in_variable).1,
        format!(
            "QM_STORES__SHOP__PLUGINS: plugins: {needed}; make the list a table, with {entry} in it"
        )
    );
}

#[test]
fn more_names_than_anybody_types_are_to_be_copied_from_the_plugin() {
    let plugin = only_plugin(&shop("plugins = [\"echo\"]").only_store());
    let names: Vec<String> = (0..64).map(|number| format!("v1.N{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let needs = Grants {
        read: patterns(&names),
        ..Grants::default()
    };
    let shop = "shop".parse().expect("a store id");
    let lack = plugin.lack(&shop, &needs).expect("nothing is granted");
    assert!(lack.reason.contains("plugin inspect"), "{}", lack.reason);
    assert!(lack.reason.len() < 1000, "{}", lack.reason);
    assert_eq!(lack.missing, needs);
}

#[test]
fn each_grant_is_told_when_it_changes_and_a_place_is_no_change() {
    let of = |text: &str| shop(text).good().config;
    let base = of("plugins.echo.grants = {}");
    for (text, key) in [
        ("read = [\"a\"]", "plugins.echo.grants.read"),
        ("commit = [\"a\"]", "plugins.echo.grants.commit"),
        ("kv = true", "plugins.echo.grants.kv"),
        ("schedule = true", "plugins.echo.grants.schedule"),
    ] {
        let changed = of(&format!("plugins.echo.grants = {{ {text} }}"));
        let diff = Diff::between(&base, &changed);
        let keys: Vec<_> = diff.changed.into_values().flatten().collect();
        assert_eq!(keys, [key]);
    }
    let moved = of("# A line more.\nplugins = [\"echo\"]");
    assert_ne!(
        only_plugin(&base.stores()[0]).given,
        only_plugin(&moved.stores()[0]).given
    );
    assert!(Diff::between(&base, &moved).is_empty());
}
