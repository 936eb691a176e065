//! Variables of the environment laid over what the files say: `QM_SERVER__LISTEN` for `server.listen`,
//! `QM_STORES__SHOP__PAUSED` for one store, and a few established names without the prefix.

use std::cmp::Reverse;
use std::sync::Arc;

use figment::Figment;
use figment::value::Value;

use crate::config::document::{found, parse_value};
use crate::config::environment::Variable;
use crate::config::fields::Context;
use crate::config::keys::{ALIASES, Alias, Key, Kind, MAIN, STORE, paths};
use crate::config::layer::{Layer, enclosed};
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
pub(super) fn apply(stores: &mut [Declared], context: &mut Context<'_>) {
    let main = &mut context.layers;
    let environment = context.environment;
    for alias in ALIASES {
        let variable = environment.get(alias.variable);
        // An empty variable counts as not set.
        let Some(variable) = variable.filter(|v| v.text.as_deref() != Some("")) else {
            continue;
        };
        let applied = alias_value(alias, variable)
            .map(|value| Layer::variable(alias.variable, alias.path, value).over(main));
        let problem = |wrong| about(alias.variable, variable, wrong, None);
        context.problems.extend(applied.map_err(problem).err());
    }
    let main_names = names(MAIN, |path| path != ["stores"] && path != ["plugins"]);
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
                let applied = apply_to_main(name, rest, variable, main, &main_names);
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
    full: &str,
    rest: &str,
    variable: &Variable,
    main: &mut Figment,
    names: &[Name],
) -> Result<(), Wrong> {
    if let Some(name) = names.iter().find(|name| name.variable == rest) {
        Layer::variable(full, &name.path, value(name.kind, variable)?).over(main);
        return Ok(());
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
        let applied = match (&name, &mut store.layers) {
            (Err(wrong), _) => Err(wrong.clone()),
            (Ok(_), _) if !distinct => Err(Wrong::new("more than one store can be meant")
                .hint("set the key in the stores' files")),
            (Ok(name), Some(layers)) => value(name.kind, variable)
                .map(|value| Layer::variable(full, &name.path, value).over(layers)),
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
fn value(kind: &Kind, variable: &Variable) -> Result<Value, Wrong> {
    let text = variable.text.as_deref();
    let text = text.ok_or_else(|| Wrong::expected("UTF-8 text", "other bytes"))?;
    Ok(match kind {
        Kind::Switch if text == "true" => true.into(),
        Kind::Switch if text == "false" => false.into(),
        Kind::Either if text.starts_with('{') => table(text)?,
        Kind::Text | Kind::Switch | Kind::Either | Kind::Section(_) => text.into(),
        Kind::Names if !text.starts_with(['[', '{']) => enclosed(split_list(variable).into()),
        Kind::Names | Kind::Free => enclosed(table(text)?),
    })
}

/// The TOML value that `text` spells. It is not repeated if it is none: it may hold a secret.
fn table(text: &str) -> Result<Value, Wrong> {
    let wrong = || Wrong::expected("a TOML value such as { key = \"text\" }", "a text");
    parse_value(text).ok_or_else(wrong)
}

fn alias_value(alias: &Alias, variable: &Variable) -> Result<Value, Wrong> {
    let mut value = value(&Kind::Text, variable)?;
    if let (true, Value::String(_, text)) = (alias.millis, &mut value) {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let expected = "a number of milliseconds such as 5000";
            return Err(Wrong::expected(expected, found(&value)));
        }
        text.push_str("ms");
    }
    Ok(value)
}
