//! The rules of this tree that a compiler does not know: which module may use which, how long a file may be, what it
//! must begin with, and what may stand in none. Each rule is tried on a small bad example below.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A module uses its own floor and those below; modules of floor 2 do not even know each
/// other.
const FLOORS: [&[&str]; 7] = [
    &["act", "calendar", "id", "event", "stamp", "time"],
    &["store"],
    // The ground of floor 2: what its SQLite files have in common, and folders that are watched.
    &["sqlite", "watch"],
    &[
        "journal",
        "sync",
        "backend",
        "runtime",
        "config",
        "control",
        "telemetry",
    ],
    &["actor", "catalog"],
    &["supervisor", "http"],
    &["main", "lib", "cli", "host"],
];

/// The floor on which modules must not import each other.
const STRANGERS: usize = 3;

/// On the floors below this one there is no I/O, and no clock.
const PURE_BELOW: usize = 2;

/// What does not belong on the pure floors.
const IMPURE: [&str; 7] = [
    "tokio",
    "rusqlite",
    "wasmtime",
    "std::fs",
    "std::net",
    "SystemTime",
    "Instant",
];

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 400;

/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 60;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "manager"];

/// Unfinished work. Put together here so that this file holds none of it.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("#[ig", "nore"),
];

/// What only one machine or one network knows: home folders, and hosts of package registries.
const PLACES: [&str; 7] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("registry.npm", "js.org"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("files.python", "hosted.org"),
];

/// Files that tools write or bring, wherever they lie.
const NOT_OURS: [&str; 6] = ["target", "node_modules", "dist", ".git", "data", ".tools"];

/// A file of the tree.
struct Source {
    /// From the top of the tree, with `/`.
    path: String,
    text: String,
    /// Whether it is compiled for tests only.
    tests_only: bool,
}

impl Source {
    /// Everything before the module with the tests.
    fn production(&self) -> Vec<&str> {
        if self.tests_only {
            return Vec::new();
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        });
        lines[..tests.unwrap_or(lines.len())].to_vec()
    }

    /// The module of the host's crate that this file belongs to.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("host/src/")?;
        inside.split(['/', '.']).next()
    }

    /// The files, without `.rs`, of the modules that it declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main")) => folder,
            Some(_) | None => stem,
        };
        let lines: Vec<&str> = self.text.lines().collect();
        let declared = lines
            .windows(2)
            .filter(|pair| pair[0].trim() == "#[cfg(test)]");
        let names = declared.filter_map(|pair| {
            let name = pair[1]
                .trim()
                .trim_start_matches("pub(crate) ")
                .strip_prefix("mod ")?;
            name.strip_suffix(';')
        });
        names.map(|name| format!("{folder}/{name}")).collect()
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// A line without its comment. A `//` inside of a string ends it too early, which hides nothing that matters here.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The modules that a line names as `crate::module`.
fn uses(line: &str) -> impl Iterator<Item = &str> {
    code(line).split("crate::").skip(1).filter_map(|rest| {
        let name = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        (!name.is_empty() && name.starts_with(|c: char| c.is_lowercase())).then_some(name)
    })
}

fn breaks_the_arrows(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let Some(floor) = floor_of(module) else {
        return vec![source.at(
            0,
            &format!("module {module} stands on no floor; add it to FLOORS"),
        )];
    };
    let mut found = Vec::new();
    for (number, line) in source.production().iter().enumerate() {
        for used in uses(line) {
            let complaint = match floor_of(used) {
                None => Some(format!("{used} stands on no floor")),
                Some(other) if other > floor => {
                    Some(format!("{module} uses {used}, which is above it"))
                }
                Some(other) if other == STRANGERS && floor == STRANGERS && used != module => Some(
                    format!("{module} uses {used}; they must not know each other"),
                ),
                Some(_) => None,
            };
            found.extend(complaint.map(|complaint| source.at(number, &complaint)));
        }
    }
    found
}

fn is_impure(source: &Source) -> Vec<String> {
    let pure = source
        .module()
        .and_then(floor_of)
        .is_some_and(|floor| floor < PURE_BELOW);
    if !pure {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.production().iter().enumerate() {
        let paths = code(line).split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let paths: Vec<Vec<&str>> = paths.map(|path| path.split("::").collect()).collect();
        let named = |impure: &&&str| {
            let wanted: Vec<&str> = impure.split("::").collect();
            paths
                .iter()
                .any(|path| path.windows(wanted.len()).any(|part| part == wanted))
        };
        let guilty = IMPURE.iter().filter(named);
        found.extend(guilty.map(|impure| source.at(number, &format!("{impure} on a pure floor"))));
    }
    found
}

fn is_too_long(source: &Source) -> Vec<String> {
    let lines = source.production().len();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![source.at(
        lines - 1,
        &format!("{lines} lines without tests; split it into two subjects"),
    )]
}

fn has_a_long_function(source: &Source) -> Vec<String> {
    let lines = source.production();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let signature = line.trim_start();
        let is_function = signature.starts_with("fn ")
            || signature.starts_with("pub") && code(signature).contains(" fn ")
            || signature.starts_with("async fn ")
            || signature.starts_with("const fn ");
        if !is_function || signature.ends_with(';') {
            continue;
        }
        // rustfmt puts a function's last brace below its first letter.
        let end = format!("{}}}", &line[..indent]);
        let length = lines[number..]
            .iter()
            .position(|line| *line == end)
            .map_or(1, |at| at + 1);
        if length > FUNCTION_LINES_MAX {
            found.push(source.at(number, &format!("a function of {length} lines")));
        }
    }
    found
}

fn begins_without_a_word(source: &Source) -> Vec<String> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.at(
        0,
        "a file begins with `//!`: what it owns, what it must never do",
    )]
}

fn has_an_empty_name(source: &Source) -> Vec<String> {
    let names = source.path.split(['/', '.']);
    let empty = names.filter(|name| EMPTY_NAMES.contains(name));
    empty
        .map(|name| source.at(0, &format!("a file named {name} says nothing")))
        .collect()
}

fn is_unfinished(source: &Source) -> Vec<String> {
    // Inside of a name it is somebody's word for something: `v1.ToDoCreated` in capitals.
    lines_with(source, &UNFINISHED, |_, after| !after.starts_with('_'))
}

fn names_a_place(source: &Source) -> Vec<String> {
    // Inside of a longer path it is no machine's: `https://example.com/ro…`.
    lines_with(source, &PLACES, |before, _| {
        !before.ends_with(|c: char| c.is_alphanumeric() || "._-".contains(c))
    })
}

/// Each line that holds one of `words` between what `stands` accepts before and after it.
fn lines_with(source: &Source, words: &[&str], stands: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let guilty = words.iter().filter(|word| {
            line.match_indices(*word)
                .any(|(at, word)| stands(&line[..at], &line[at + word.len()..]))
        });
        found.extend(guilty.map(|word| source.at(number, &format!("{word} must not stand here"))));
    }
    found
}

/// Every text file of the tree that is ours.
fn tree() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in a folder");
    let mut folders = vec![top.to_path_buf()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tree can be read") {
            let path: PathBuf = entry.expect("the tree can be read").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if NOT_OURS.contains(&name.as_str()) || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let inside = path
                    .strip_prefix(top)
                    .expect("the walk stays below the top");
                let path = inside.to_string_lossy().replace('\\', "/");
                sources.push(source(&path, &text));
            }
        }
    }
    mark_test_modules(&mut sources);
    sources
}

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
        tests_only: false,
    }
}

fn mark_test_modules(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        source.tests_only = modules.iter().any(|module| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
}

/// A rule, and whether it is about Rust alone.
type Rule = fn(&Source) -> Vec<String>;

const RUST_RULES: [Rule; 7] = [
    breaks_the_arrows,
    is_impure,
    is_too_long,
    has_a_long_function,
    begins_without_a_word,
    has_an_empty_name,
    is_unfinished,
];

#[test]
fn the_tree_keeps_its_rules() {
    let sources = tree();
    assert!(
        sources
            .iter()
            .any(|source| source.path == "host/src/lib.rs"),
        "the walk found nothing"
    );
    let mut found = Vec::new();
    for source in &sources {
        if source.path.ends_with(".rs") {
            found.extend(RUST_RULES.iter().flat_map(|rule| rule(source)));
        }
        // Lock files of Rust name their registry by its index: that is their format.
        if !source.path.ends_with("Cargo.lock") {
            found.extend(names_a_place(source));
        }
    }
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[cfg(test)]
mod examples {
    use super::*;

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_found() {
        let breaches = |path: &str, text: &str| breaks_the_arrows(&source(path, text)).len();
        assert_eq!(
            breaches("host/src/store/push.rs", "use crate::journal::Lease;"),
            1
        );
        assert_eq!(
            breaches(
                "host/src/sync/wire.rs",
                "let x = crate::config::Config::new();"
            ),
            1
        );
        assert_eq!(
            breaches("host/src/journal.rs", "use crate::sneaky::Thing;"),
            1
        );
        assert_eq!(breaches("host/src/sneaky.rs", ""), 1);
        assert_eq!(
            breaches(
                "host/src/sync/wire.rs",
                "use crate::sync::Error;\nuse crate::event::Event;"
            ),
            0
        );
        assert_eq!(
            breaches(
                "host/src/actor.rs",
                "use crate::journal::Lease; // not crate::host"
            ),
            0
        );
        let in_tests =
            "use crate::event::Event;\n\n#[cfg(test)]\nmod tests {\n    use crate::actor::A;\n}";
        assert_eq!(breaches("host/src/store.rs", in_tests), 0);
    }

    #[test]
    fn impurity_on_a_pure_floor_is_found() {
        let breaches = |path: &str, text: &str| is_impure(&source(path, text)).len();
        assert_eq!(
            breaches("host/src/store/machine.rs", "use tokio::sync::mpsc;"),
            1
        );
        assert_eq!(
            breaches("host/src/time.rs", "std::time::SystemTime::now()"),
            1
        );
        assert_eq!(
            breaches("host/src/store/machine.rs", "let x = Instant::now();"),
            1
        );
        assert_eq!(
            breaches(
                "host/src/store/machine.rs",
                "// tokio would be wrong here\nlet tokio_like = 1;"
            ),
            0
        );
        assert_eq!(breaches("host/src/actor.rs", "use tokio::sync::mpsc;"), 0);
    }

    #[test]
    fn a_file_or_function_that_is_too_long_is_found() {
        let long = "//! x\n".to_owned() + &"const X: u8 = 0;\n".repeat(FILE_LINES_MAX);
        assert_eq!(is_too_long(&source("a.rs", &long)).len(), 1);
        let tested = "//! x\n".to_owned()
            + "#[cfg(test)]\nmod tests {\n"
            + &"    x();\n".repeat(900)
            + "}\n";
        assert!(is_too_long(&source("a.rs", &tested)).is_empty());

        let body = |lines: usize| {
            format!(
                "impl A {{\n    pub async fn f(\n        a: u8,\n    ) {{\n{}    }}\n}}\n",
                "        x();\n".repeat(lines)
            )
        };
        assert_eq!(
            has_a_long_function(&source("a.rs", &body(FUNCTION_LINES_MAX))).len(),
            1
        );
        assert!(has_a_long_function(&source("a.rs", &body(FUNCTION_LINES_MAX - 4))).is_empty());
    }

    #[test]
    fn a_file_without_a_first_word_or_with_an_empty_name_is_found() {
        assert_eq!(begins_without_a_word(&source("a.rs", "use x;")).len(), 1);
        assert!(begins_without_a_word(&source("a.rs", "//! Owns x.")).is_empty());
        for bad in [
            "host/src/utils.rs",
            "host/src/store/helpers.rs",
            "tests/common/mod.rs",
            "a/manager/x.rs",
        ] {
            assert_eq!(has_an_empty_name(&source(bad, "")).len(), 1, "{bad}");
        }
        assert!(has_an_empty_name(&source("host/src/supervisor.rs", "")).is_empty());
    }

    #[test]
    fn unfinished_work_and_places_of_one_machine_are_found() {
        for word in UNFINISHED {
            assert_eq!(
                is_unfinished(&source("a.rs", &format!("x {word} y"))).len(),
                1,
                "{word}"
            );
        }
        for place in PLACES {
            assert_eq!(
                names_a_place(&source("a.md", &format!("see \"{place}x\""))).len(),
                1,
                "{place}"
            );
        }
        let elsewhere = format!("https://example.com{}x", PLACES[1]);
        assert!(names_a_place(&source("a.md", &elsewhere)).is_empty());
    }

    #[test]
    fn a_module_that_is_compiled_for_tests_only_may_be_long_and_use_what_it_wants() {
        let mut sources = [
            source(
                "host/src/store.rs",
                "//! x\n#[cfg(test)]\nmod stories;\nmod push;\n",
            ),
            source(
                "host/src/store/stories.rs",
                &"use tokio::x;\n".repeat(FILE_LINES_MAX + 1),
            ),
            source("host/src/store/stories/world.rs", "use tokio::x;"),
            source("host/src/store/push.rs", "use tokio::x;"),
        ];
        mark_test_modules(&mut sources);
        let breaches = |at: usize| is_impure(&sources[at]).len() + is_too_long(&sources[at]).len();
        assert_eq!((breaches(1), breaches(2), breaches(3)), (0, 0, 1));
    }
}
