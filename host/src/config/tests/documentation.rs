//! The documents say what the loader knows, and their examples load.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::config::keys::{
    ALIASES, PLUGIN, RELEASE, SERVER, STORE, STORE_IDS, TASK, TOKEN, TRACE, paths,
};

fn document(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variables that the examples refer to.
const VARIABLES: [(&str, &str); 3] = [
    ("SHOP_TOKEN", "t"),
    ("DASHBOARD_TOKEN", "d"),
    ("LLM_KEY", "k"),
];

#[test]
fn the_readme_lists_every_key_and_no_other() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (prefix, keys) in [
        ("server.", SERVER),
        ("", STORE),
        ("plugins.<name>.", PLUGIN),
        ("plugins.<name>.", RELEASE),
        ("plugins.<name>.trace.", TRACE),
        ("plugins.<name>.tasks.<id>.", TASK),
        ("access.tokens.<name>.", TOKEN),
    ] {
        let paths = paths(keys).into_iter();
        known.extend(paths.map(|(path, _)| format!("{prefix}{}", path.join("."))));
    }
    known.extend(ALIASES.iter().map(|alias| alias.variable.to_owned()));
    known.insert(STORE_IDS.to_owned());
    let readme = document("config/README.md");
    let listed: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn every_example_of_the_readme_loads() {
    let readme = document("config/README.md");
    let mut examples = 0;
    for block in readme.split("```toml\n").skip(1) {
        let (text, _) = block.split_once("```").expect("a closed block");
        let setup = match text.starts_with("# config/stores/") {
            true => Setup::main("").file("stores/shop.toml", text),
            false => Setup::main(text),
        };
        assert_eq!(setup.variables(&VARIABLES).problems(), [""; 0], "{text}");
        examples += 1;
    }
    assert!(examples >= 2);
}

#[test]
fn the_example_file_loads_as_it_is_and_with_everything_uncommented() {
    let text = document("config/quartermaster.toml");
    let loaded = Setup::main(&text).good();
    assert_eq!(ids(&loaded), [""; 0], "it declares no store");
    // Settings are commented out as `#key = …`, explanations are written as `# Text`.
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                setting
            }
            Some(_) | None => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let loaded = Setup::main(&uncommented).variables(&VARIABLES).good();
    assert!(!ids(&loaded).is_empty(), "{uncommented}");
}

#[test]
fn the_example_of_dotenv_loads_with_everything_uncommented() {
    let text = document(".env.example");
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_uppercase()) => setting,
            Some(_) | None => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(uncommented.contains("\nSTORE_IDS="), "{uncommented}");
    let loaded = Setup::main("").dotenv(&uncommented).good();
    assert!(!ids(&loaded).is_empty());
}
