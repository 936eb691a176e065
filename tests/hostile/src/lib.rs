//! Guests that mean harm, each with its expected end. They are text, put together when a test asks for them, so that a
//! reader sees what each one does, and no toolchain is needed. `README.md` lists them; a test keeps it true.
//!
//! The host's own tests run each one in process; a story gives each one a store of its own in a real server.

mod abi;
mod computing;
mod describing;
mod drafts;
mod encode;
mod kv;
mod loading;
mod logging;
mod memory;
pub mod random;
mod schedule;
mod wasi;

use std::fmt;

/// One guest.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Its name, which is also that of its store in the story.
    pub name: &'static str,
    /// What it does, for the table.
    pub does: &'static str,
    /// How it has to end.
    pub end: End,
    /// What it is given besides the defaults.
    pub quota: Quota,
    source: Source,
}

/// How a guest has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No host takes it; the reason has these words.
    Refused(&'static str),
    /// Each run fails, with the ending of this name and an error with these words. Nothing that it did has an effect.
    Fails(&'static str, &'static str),
    /// Each run returns ok and commits `v1.Survived` with its store's id: it has seen the refusals that it provoked, else
    /// it would have trapped.
    Survives,
}

/// Limits of a guest that differ from the defaults, where its attack needs more or less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Fuel of a run.
    pub fuel: Option<u64>,
    /// Milliseconds of a run.
    pub timeout_ms: Option<u64>,
    /// Mebibytes of memory.
    pub memory_mib: Option<usize>,
}

/// What a guest is made of.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A core module with the imports and exports of the world.
    Parts(Parts),
    /// The text of a component or module that is something else.
    Text(fn() -> String),
    /// Bytes that are not even that.
    Bytes(fn() -> Vec<u8>),
}

/// The places in `guest.wat`.
#[derive(Clone, Copy, Debug)]
struct Parts {
    imports: &'static str,
    memory: &'static str,
    realloc: &'static str,
    items: &'static str,
    describe: &'static str,
    on_event: &'static str,
    /// Packages besides ours.
    wit: &'static str,
    /// What the guest's world has of them.
    world: &'static str,
}

/// Returns ok, and has done nothing wrong.
const HARMLESS: Parts = Parts {
    imports: "",
    memory: "(memory (export \"memory\") 2)",
    realloc: "(call $bump (local.get $len))",
    items: "",
    describe: "(i32.const 2048)",
    on_event: "(call $survive (local.get $in))",
    wit: "",
    world: "",
};

/// No limits but the defaults.
const USUAL: Quota = Quota {
    fuel: None,
    timeout_ms: None,
    memory_mib: None,
};

/// Out of time long before it is out of fuel.
const HURRIED: Quota = Quota {
    fuel: Some(40_000_000_000),
    timeout_ms: Some(300),
    memory_mib: None,
};

/// A tenth of the usual fuel, where a debug build copies byte by byte what a release build copies at once.
const POOR: Quota = Quota {
    fuel: Some(20_000_000),
    timeout_ms: None,
    memory_mib: None,
};

/// Room for what is larger than anything may be.
const ROOMY: Quota = Quota {
    fuel: None,
    timeout_ms: None,
    memory_mib: Some(256),
};

/// All of them, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Guest> {
    let groups: [&'static [Guest]; 10] = [
        &computing::GUESTS,
        &memory::GUESTS,
        &abi::GUESTS,
        &logging::GUESTS,
        &kv::GUESTS,
        &drafts::GUESTS,
        &schedule::GUESTS,
        &wasi::GUESTS,
        &describing::GUESTS,
        &loading::GUESTS,
    ];
    groups.into_iter().flatten()
}

/// A guest that does nothing wrong: it commits `v1.Survived`.
pub fn harmless() -> Vec<u8> {
    encode::parts(&HARMLESS)
}

/// A guest that answers each event called `hears` with one called `says`, its own included. Both have seven letters.
pub fn answering(hears: &str, says: &str) -> Vec<u8> {
    assert!(hears.len() == 7 && says.len() == 7, "seven letters each");
    let items = format!(
        "(data (i32.const 2120) \"{hears}\") (data (i32.const 2116) \"\\07\") (data (i32.const 4096) \"{says}\")"
    );
    let on_event = "(call $commit (i32.const 4096) (i32.const 7) (i32.const 4112) (i32.const 7) (i32.const 8192))
        (call $accepted) (i32.const 1024)";
    encode::text(&HARMLESS, &items, on_event)
}

impl Guest {
    /// Whether it may take any amount of time and memory to compile: to be tried in a process of its own.
    pub fn is_for_a_child(&self) -> bool {
        self.name == "multiplies"
    }

    /// The file that is dropped into the host's folder.
    ///
    /// # Panics
    /// The guest's text is wrong.
    pub fn file(&self) -> Vec<u8> {
        match self.source {
            Source::Parts(parts) => encode::parts(&parts),
            Source::Text(text) => wat::parse_str(text()).expect("valid text"),
            Source::Bytes(bytes) => bytes(),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(words) => write!(f, "refused: `{words}`"),
            Self::Fails(ending, words) => write!(f, "{ending}: `{words}`"),
            Self::Survives => f.write_str("ok"),
        }
    }
}

impl fmt::Display for Guest {
    /// Its row in the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, does, end, ..
        } = self;
        write!(f, "| `{name}` | {does} | {end} |")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_lists_every_guest_as_it_is() {
        let rows: Vec<String> = all().map(ToString::to_string).collect();
        let readme = include_str!("../README.md");
        let listed: Vec<&str> = readme.lines().filter(|it| it.starts_with("| `")).collect();
        assert_eq!(listed, rows, "it should be:\n{}", rows.join("\n"));
    }

    #[test]
    fn names_are_different() {
        let names: BTreeSet<&str> = all().map(|guest| guest.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
