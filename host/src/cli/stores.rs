//! The configured stores by name, for commands that work on one of them: found, or what is wrong and which names are
//! near.

use crate::cli::Refusal;
use crate::config::{Config, Environment, Loaded, Location, Problem, Server, StoreConfig, load};
use crate::id::StoreId;

/// A name that is less like another than this was hardly meant to be it.
const LIKENESS_MIN: f64 = 0.8;

/// More names do not help anybody.
const NEAR_MAX: usize = 3;

/// One store, and the process that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) server: Server,
    pub(super) store: StoreConfig,
}

/// Loads the configuration.
///
/// # Errors
/// [`Refusal::Config`] if it cannot be used at all. Notes are for whoever checks it.
pub(super) fn loaded(location: &Location, environment: &Environment) -> anyhow::Result<Loaded> {
    load(location, environment).map_err(|refused| Refusal::Config(refused.to_string()).into())
}

/// The store with this id.
///
/// # Errors
/// [`Refusal::Config`] if the configuration of this store cannot be used; another if there is no such store.
pub(super) fn find(
    location: &Location,
    environment: &Environment,
    id: &StoreId,
) -> anyhow::Result<Named> {
    let loaded = loaded(location, environment)?;
    if let Some(store) = loaded.config.stores().iter().find(|store| store.id == *id) {
        return Ok(Named {
            server: loaded.config.server().clone(),
            store: store.clone(),
        });
    }
    let own: Vec<&Problem> = loaded
        .problems
        .iter()
        .filter(|problem| problem.store.as_deref() == Some(id.as_str()))
        .collect();
    if own.is_empty() {
        anyhow::bail!("{}", unknown(id.as_str(), &loaded.config));
    }
    let lines: Vec<String> = own.iter().map(ToString::to_string).collect();
    let text = format!("store {id} is not configured well:\n{}", lines.join("\n"));
    Err(Refusal::Config(text).into())
}

fn unknown(id: &str, config: &Config) -> String {
    let known: Vec<&str> = config.stores().iter().map(|it| it.id.as_str()).collect();
    let near = near(id, &known);
    let way_out = if known.is_empty() {
        "none is configured; write config/stores/<id>.toml".to_owned()
    } else if near.is_empty() {
        "`quartermaster store list` shows those there are".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    format!("no store {id} is configured; {way_out}")
}

/// The names most like `id`, the nearest first.
pub(super) fn near<'a>(id: &str, known: &[&'a str]) -> Vec<&'a str> {
    let id = id.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&id, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter()
        .take(NEAR_MAX)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn find_in(main: &str, id: &str) -> anyhow::Result<Named> {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("quartermaster.toml"), main).unwrap();
        let location = Location::Folder(folder.path().to_owned());
        find(&location, &Environment::default(), &id.parse().unwrap())
    }

    const STORES: &str = "[defaults]\nsync = \"wss://sync.example.com\"\n\
        [stores.workspace-1]\n[stores.workspace-2]\n[stores.lab]\npaused = 1\n";

    fn complaint(id: &str) -> String {
        find_in(STORES, id).unwrap_err().to_string()
    }

    #[test]
    fn a_store_is_found_by_its_id() {
        assert_eq!(
            find_in(STORES, "workspace-2").unwrap().store.id.as_str(),
            "workspace-2"
        );
    }

    #[test]
    fn an_unknown_id_is_answered_with_those_near_it() {
        assert_eq!(
            complaint("workspace1"),
            "no store workspace1 is configured; did you mean workspace-1 or workspace-2?"
        );
        assert!(complaint("zzz").ends_with("`quartermaster store list` shows those there are"));
        let none = find_in("", "shop").unwrap_err().to_string();
        assert!(none.contains("none is configured"), "{none}");
    }

    #[test]
    fn a_store_with_a_mistake_is_a_matter_of_configuration() {
        let error = find_in(STORES, "lab").unwrap_err();
        assert!(matches!(
            error.downcast_ref::<Refusal>(),
            Some(Refusal::Config(text)) if text.contains("stores.lab.paused")
        ));
    }
}
