//! Reading a table key by key. A key that nobody may ask for is a problem at once, so a misspelt one is never
//! silently without effect.
//!
//! An entry's path is its key in full; behind a list's path stands a line break and the index of the entry in it, which
//! no key can contain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use figment::Figment;
use figment::value::{Dict, Value};

use crate::config::document::{Lines, kind};
use crate::config::keys::{Key, names_of};
use crate::config::problem::{Place, Problem, Wrong};
use crate::config::seen::Seen;
use crate::config::{Environment, TaskConfigs};

/// What reading needs, and what it leaves behind.
pub(super) struct Context<'a> {
    /// Where references to secrets are looked up.
    pub(super) environment: &'a Environment,
    /// The lines of every file that could be read.
    pub(super) lines: BTreeMap<Arc<str>, Lines>,
    /// What is being read: it knows where each value came from.
    pub(super) layers: Figment,
    /// What was read before and lies below every store. What is wrong with it was told.
    pub(super) defaults: Figment,
    /// Whose part is being read; none for the process.
    pub(super) store: Option<Arc<str>>,
    /// What was wrong so far.
    pub(super) problems: Vec<Problem>,
    /// What is worth knowing without being wrong.
    pub(super) notes: Vec<String>,
    /// What lies below every store and says something of tasks, by its path: thousands of stores share it.
    pub(super) default_tasks: BTreeMap<String, TaskConfigs>,
    /// The files with secrets, as they were when they were read, be they there or not.
    pub(super) files: BTreeMap<PathBuf, Seen>,
}

/// A table being read.
pub(super) struct Fields<'a> {
    table: &'a Dict,
    keys: &'static [Key],
    /// The table's own path; empty for a whole file.
    path: String,
}

impl Context<'_> {
    /// Records what is wrong in `place`.
    pub(super) fn refuse(&mut self, place: &Place, key: &str, wrong: Wrong) {
        let key = Some(shown(key)).filter(|key| !key.is_empty());
        let problem = wrong.at(place.clone(), key, self.store.clone());
        self.problems.push(problem);
    }

    /// Records what is wrong with the value at `path`.
    pub(super) fn report(&mut self, value: &Value, path: &str, wrong: Wrong) {
        if !self.is_default(value) {
            let place = self.place(value, path);
            self.refuse(&place, path, wrong);
        }
    }

    /// Records what is worth knowing about the value at `path`.
    pub(super) fn note(&mut self, value: &Value, path: &str, text: &str) {
        let place = self.place(value, path);
        self.notes.push(format!("{place}: {}: {text}", shown(path)));
    }

    /// Whether `value` lies below every store, and is not the own word of the one that is read.
    pub(super) fn is_default(&self, value: &Value) -> bool {
        self.defaults.get_metadata(value.tag()).is_some()
    }

    /// The table that `value` should be; the content is not repeated if it is something else.
    pub(super) fn table<'v>(&mut self, value: &'v Value, path: &str) -> Option<&'v Dict> {
        if value.as_dict().is_none() {
            self.report(value, path, Wrong::expected("a table", kind(value)));
        }
        value.as_dict()
    }

    /// Where the value at `path` stands.
    pub(super) fn place(&self, value: &Value, path: &str) -> Place {
        let layer = self.layers.get_metadata(value.tag());
        let source = layer.and_then(|layer| layer.source.as_ref());
        let variable = source.and_then(|source| self.environment.get(source.custom()?));
        let file =
            source.and_then(|source| self.lines.get_key_value(source.file_path()?.to_str()?));
        match (variable, file) {
            (Some(variable), _) => variable.place.clone(),
            (None, Some((file, lines))) => Place::in_file(file, lines.get(path).copied()),
            (None, None) => unreachable!("each layer is a file or a variable"),
        }
    }
}

impl<'a> Fields<'a> {
    /// Begins to read `table`, whose own path is `path`.
    pub(super) fn new(
        table: &'a Dict,
        path: &str,
        keys: &'static [Key],
        context: &mut Context<'_>,
    ) -> Self {
        let known = names_of(keys);
        for (key, value) in table {
            if !known.contains(&key.as_str()) {
                let wrong = Wrong::new("unknown key").suggest(key, &known);
                context.report(value, &join(path, key), wrong);
            }
        }
        let path = path.to_owned();
        Self { table, keys, path }
    }

    /// The entry `name`.
    pub(super) fn get(&self, name: &'static str) -> Option<&'a Value> {
        assert!(
            self.keys.iter().any(|key| key.name == name),
            "{name} is asked for but is not among the known keys"
        );
        self.table.get(name)
    }

    /// The entry `name`, which replaces that of a lower layer as a whole.
    pub(super) fn whole(&self, name: &'static str) -> Option<&'a Value> {
        self.get(name)?.as_array()?.first()
    }

    /// The path of the entry `name`.
    pub(super) fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// The entry `name`, understood by `parse`; none if it is absent or wrong.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        context: &mut Context<'_>,
        parse: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        let value = self.get(name)?;
        parse(value)
            .map_err(|wrong| context.report(value, &self.path(name), wrong))
            .ok()
    }

    /// Replaces `target` by the entry `name` if that is there and right.
    pub(super) fn set<T>(
        &self,
        target: &mut T,
        name: &'static str,
        context: &mut Context<'_>,
        parse: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) {
        if let Some(value) = self.read(name, context, parse) {
            *target = value;
        }
    }

    /// The table `name`; none if it is absent or no table.
    pub(super) fn section(
        &self,
        name: &'static str,
        keys: &'static [Key],
        context: &mut Context<'_>,
    ) -> Option<Fields<'a>> {
        let path = self.path(name);
        let table = context.table(self.get(name)?, &path)?;
        Some(Fields::new(table, &path, keys, context))
    }
}

/// The path of the entry `key` in the table at `path`, as it is written in TOML.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let key = match !key.is_empty() && key.chars().all(bare) {
        true => key.to_owned(),
        false => format!("{key:?}"),
    };
    match path {
        "" => key,
        path => format!("{path}.{key}"),
    }
}

/// The path of an entry in the list at `path`.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}\n{index}")
}

/// A path without the indexes: the line says which entry is meant.
pub(super) fn shown(path: &str) -> String {
    let mut steps = path.split('\n');
    let first = steps.next().unwrap_or_default();
    let rest = steps.map(|step| step.trim_start_matches(|c: char| c.is_ascii_digit()));
    std::iter::once(first).chain(rest).collect()
}
