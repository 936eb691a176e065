//! Variables of the environment laid over what the files say: `QM_SERVER__LISTEN` for `server.listen`,
//! `QM_STORES__SHOP__PAUSED` for one store, and a few established names without the prefix.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::config::document::{Node, Table, Value, parse_value};
use crate::config::environment::Variable;
use crate::config::fields::Context;
use crate::config::keys::{ALIASES, Alias, Key, Kind, MAIN, STORE, paths};
use crate::config::load::Declared;
use crate::config::problem::{Place, Problem, Wrong};

const PREFIX: &str = "QM_";

/// A variable that can be set, and the key it stands for.
struct Name {
    /// `SERVER__LISTEN`.
    variable: String,
    path: Vec<&'static str>,
    kind: &'static Kind,
}

/// Lays every variable that is meant for us over the main file and the stores.
pub(super) fn apply(main: &mut Table, stores: &mut [Declared], context: &mut Context<'_>) {
    let environment = context.environment;
    for alias in ALIASES {
        let variable = environment.get(alias.variable);
        // An empty variable counts as not set.
        let Some(variable) = variable.filter(|v| v.text.as_deref() != Some("")) else {
            continue;
        };
        let applied = alias_value(alias, variable).and_then(|node| insert(main, alias.path, node));
        let problem = |wrong| about(alias.variable, variable, wrong, None);
        context.problems.extend(applied.map_err(problem).err());
    }
    let main_names = names(MAIN, |path| path != ["stores"]);
    let store_names = names(STORE, |_| true);
    for (name, variable) in environment.iter() {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        match rest.strip_prefix("STORES__") {
            Some(rest) => {
                context
                    .problems
                    .extend(apply_to_store(name, rest, variable, stores, &store_names));
            }
            None => {
                let applied = apply_to_main(rest, variable, main, &main_names);
                let problem = |wrong| about(name, variable, wrong, None);
                context.problems.extend(applied.map_err(problem).err());
            }
        }
    }
}

/// The ids that `variable` lists, separated by commas.
pub(super) fn split_list(variable: &Variable) -> Vec<String> {
    let text = variable.text.as_deref().unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What is wrong with a variable: the process's is its own place, the `.env` file's is a key in a line.
pub(super) fn about(
    name: &str,
    variable: &Variable,
    wrong: Wrong,
    store: Option<Arc<str>>,
) -> Problem {
    let key = match &variable.place {
        Place::File { .. } => Some(name.to_owned()),
        Place::Variable { .. } => None,
    };
    wrong.at(variable.place.clone(), key, store)
}

fn apply_to_main(
    rest: &str,
    variable: &Variable,
    main: &mut Table,
    names: &[Name],
) -> Result<(), Wrong> {
    if let Some(name) = names.iter().find(|name| name.variable == rest) {
        return insert(main, &name.path, value(name.kind, variable)?);
    }
    // Other variables may well begin with QM_; one that has our double underscore, or lacks nothing else, was meant.
    let single = |text: &str| text.replace("__", "_");
    let meant = names
        .iter()
        .find(|name| single(&name.variable) == single(rest));
    match meant {
        Some(name) => Err(Wrong::new("unknown variable")
            .hint(format_args!("did you mean {PREFIX}{}?", name.variable))),
        None if rest.contains("__") => {
            let known: Vec<String> = names
                .iter()
                .map(|name| format!("{PREFIX}{}", name.variable))
                .collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(Wrong::new("unknown variable").suggest(&format!("{PREFIX}{rest}"), &known))
        }
        None => Ok(()),
    }
}

/// `rest` is `<ID>__<KEY>`. Variables cannot spell every id, so an id is also recognized in capitals with `_` for what
/// is neither letter nor digit.
fn apply_to_store(
    full: &str,
    rest: &str,
    variable: &Variable,
    stores: &mut [Declared],
    names: &[Name],
) -> Vec<Problem> {
    let split = names
        .iter()
        .filter_map(|name| {
            let id = rest.strip_suffix(&name.variable)?.strip_suffix("__")?;
            Some((id, Ok(name)))
        })
        // `TIMING__RUN__FIRST` and not a store that is called `…__TIMING__RUN` with a key `FIRST`.
        .max_by_key(|(id, _)| Reverse(id.len()));
    let unknown = || {
        let known: Vec<&str> = names.iter().map(|name| name.variable.as_str()).collect();
        let (id, key) = rest.split_once("__").unwrap_or((rest, ""));
        (id, Err(Wrong::new("unknown variable").suggest(key, &known)))
    };
    let (id, name) = split.unwrap_or_else(unknown);
    let meant = meant_by(id, stores);
    if meant.is_empty() {
        let wrong = Wrong::new(format!("there is no store {id:?}"))
            .hint("name it in STORE_IDS or give it a file");
        return vec![about(full, variable, wrong, Some(id.into()))];
    }
    let distinct = meant.windows(2).all(|pair| pair[0].name == pair[1].name);
    let mut problems = Vec::new();
    for store in meant {
        let applied = match (&name, &mut store.table) {
            (Err(wrong), _) => Err(wrong.clone()),
            (Ok(_), _) if !distinct => Err(Wrong::new("more than one store can be meant")
                .hint("set the key in the stores' files")),
            (Ok(name), Some(table)) => {
                value(name.kind, variable).and_then(|node| insert(table, &name.path, node))
            }
            // What the file says cannot be read, which was reported.
            (Ok(_), None) => Ok(()),
        };
        let problem = |wrong| about(full, variable, wrong, Some(store.name.as_str().into()));
        problems.extend(applied.map_err(problem).err());
    }
    problems
}

/// The stores that are called `id`, or else those whose ids in capitals are.
fn meant_by<'s>(id: &str, stores: &'s mut [Declared]) -> Vec<&'s mut Declared> {
    let exact = stores.iter().any(|store| store.name == id);
    let capitals = id.to_ascii_uppercase();
    stores
        .iter_mut()
        .filter(|store| match exact {
            true => store.name == id,
            false => in_capitals(&store.name) == capitals,
        })
        .collect()
}

fn in_capitals(id: &str) -> String {
    id.chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_uppercase(),
            false => '_',
        })
        .collect()
}

fn names(keys: &'static [Key], wanted: impl Fn(&[&str]) -> bool) -> Vec<Name> {
    paths(keys)
        .into_iter()
        .filter(|(path, _)| wanted(path))
        .map(|(path, kind)| Name {
            variable: path.join("__").to_ascii_uppercase(),
            path,
            kind,
        })
        .collect()
}

/// A variable's text as the value that its key holds.
fn value(kind: &Kind, variable: &Variable) -> Result<Node, Wrong> {
    let text = variable.text.as_deref();
    let text = text.ok_or_else(|| Wrong::expected("UTF-8 text", "other bytes"))?;
    let place = &variable.place;
    let plain = || Value::Text(text.to_owned());
    let value = match kind {
        Kind::Text | Kind::Section(_) => plain(),
        Kind::Switch => match text {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            _ => plain(),
        },
        Kind::Names if !text.starts_with(['[', '{']) => {
            let item = |name| Node {
                place: place.clone(),
                value: Value::Text(name),
            };
            Value::List(split_list(variable).into_iter().map(item).collect())
        }
        // The text is not repeated: it may hold a secret.
        Kind::Names | Kind::Free => parse_value(place, text)
            .ok_or_else(|| Wrong::expected("a TOML value such as { key = \"text\" }", "a text"))?,
    };
    let place = place.clone();
    Ok(Node { place, value })
}

fn alias_value(alias: &Alias, variable: &Variable) -> Result<Node, Wrong> {
    let mut node = value(&Kind::Text, variable)?;
    if let (true, Value::Text(text)) = (alias.millis, &mut node.value) {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let expected = "a number of milliseconds such as 5000";
            return Err(Wrong::expected(expected, node.found()));
        }
        text.push_str("ms");
    }
    Ok(node)
}

/// Puts `node` at `path`, over what is there.
fn insert(table: &mut Table, path: &[&str], node: Node) -> Result<(), Wrong> {
    let Some((last, parents)) = path.split_last() else {
        return Ok(());
    };
    let mut table = table;
    for step in parents {
        let parent = table.entry((*step).to_owned()).or_insert_with(|| Node {
            place: node.place.clone(),
            value: Value::Table(Table::new()),
        });
        let Value::Table(inner) = &mut parent.value else {
            let wrong = Wrong::new(format!("{} is no table in {}", step, parent.place));
            return Err(wrong.hint("mend that first"));
        };
        table = inner;
    }
    table.insert((*last).to_owned(), node);
    Ok(())
}
