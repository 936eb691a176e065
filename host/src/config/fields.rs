//! Reading a table key by key. A key that nobody may ask for is a problem at once, so a misspelt one is never
//! silently without effect.

use std::fmt;
use std::sync::Arc;

use crate::config::Environment;
use crate::config::document::{Node, Table, Value};
use crate::config::keys::{Key, names_of};
use crate::config::problem::{Place, Problem, Wrong};

/// What reading needs, and what it leaves behind.
pub(super) struct Context<'a> {
    /// Where references to secrets are looked up.
    pub(super) environment: &'a Environment,
    /// Whose part is being read; none for the process.
    pub(super) store: Option<Arc<str>>,
    /// What was wrong so far.
    pub(super) problems: Vec<Problem>,
}

/// A table being read.
pub(super) struct Fields<'a> {
    table: &'a Table,
    keys: &'static [Key],
    /// The table's own key with a dot behind it; empty for a whole file.
    prefix: String,
}

impl Context<'_> {
    /// Records what is wrong with `key`.
    pub(super) fn report(&mut self, place: &Place, key: impl fmt::Display, wrong: Wrong) {
        let problem = wrong.at(place.clone(), Some(key.to_string()), self.store.clone());
        self.problems.push(problem);
    }

    /// The table that `node` should be; the content is not repeated if it is something else.
    pub(super) fn table<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n Table> {
        match &node.value {
            Value::Table(table) => Some(table),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::List(_) => {
                self.report(&node.place, key, Wrong::expected("a table", node.kind()));
                None
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// Begins to read `table`, whose own key is `name`.
    pub(super) fn new(
        table: &'a Table,
        name: &str,
        keys: &'static [Key],
        context: &mut Context<'_>,
    ) -> Self {
        let prefix = match name {
            "" => String::new(),
            name => format!("{name}."),
        };
        let known = names_of(keys);
        for (key, node) in table {
            if !known.contains(&key.as_str()) {
                let wrong = Wrong::new("unknown key").suggest(key, &known);
                context.report(&node.place, format_args!("{prefix}{}", quoted(key)), wrong);
            }
        }
        Self {
            table,
            keys,
            prefix,
        }
    }

    /// The entry `name`.
    pub(super) fn get(&self, name: &'static str) -> Option<&'a Node> {
        assert!(
            self.keys.iter().any(|key| key.name == name),
            "{name} is asked for but is not among the known keys"
        );
        self.table.get(name)
    }

    /// The full key of the entry `name`.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The entry `name`, understood by `parse`; none if it is absent or wrong.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        context: &mut Context<'_>,
        parse: impl FnOnce(&Node) -> Result<T, Wrong>,
    ) -> Option<T> {
        let node = self.get(name)?;
        parse(node)
            .map_err(|wrong| context.report(&node.place, self.key(name), wrong))
            .ok()
    }

    /// The table `name`; none if it is absent or no table.
    pub(super) fn section(
        &self,
        name: &'static str,
        keys: &'static [Key],
        context: &mut Context<'_>,
    ) -> Option<Fields<'a>> {
        let node = self.get(name)?;
        let key = self.key(name);
        let table = context.table(node, &key)?;
        Some(Fields::new(table, &key, keys, context))
    }
}

/// A key as it is written in TOML.
pub(super) fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !key.is_empty() && key.chars().all(bare) {
        true => key.to_owned(),
        false => format!("{key:?}"),
    }
}
