//! Where the configuration gives a plugin to a store, so that whoever has to change something about it is told the place;
//! and what the plugin lacks there.

use crate::config::{Place, PluginConfig, Problem};
use crate::id::StoreId;
use crate::store::Grants;

/// Where a plugin is given to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The file and line, or the variable.
    pub place: Place,
    /// The key in that place, such as `stores.shop.plugins.echo`; if it is only named in a list, that of the list.
    pub key: String,
    /// Whether it is only named in a list.
    pub listed: bool,
}

/// What a plugin needs in a store and is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What is missing.
    pub missing: Grants,
    /// Where it can be added, what is missing, and what to write.
    pub problem: Problem,
    /// The same in one sentence.
    pub reason: String,
}

/// Patterns that a sentence spells out as TOML. Whoever needs more copies them from the plugin.
const PATTERNS_SPELLED_MAX: usize = 16;

impl PluginConfig {
    /// What it lacks in `store`, if it `needs` more than it is granted there.
    pub fn lack(&self, store: &StoreId, needs: &Grants) -> Option<Lack> {
        let missing = self.grants.missing(needs);
        if missing.is_empty() {
            return None;
        }
        let Given { place, key, listed } = &self.given;
        let name = &self.name;
        let needed = format!("{name} needs {} in {store}", missing.in_words());
        let many = missing.read.len() + missing.commit.len() > PATTERNS_SPELLED_MAX;
        let entry = format!("{name} = {{ grants = {{ {missing} }} }}");
        let (key, todo, reason) = match (many, listed) {
            (true, _) => {
                let todo = "add what `quartermaster plugin inspect` prints for its file";
                let reason = format!("{needed}: {todo} to {key} in {place}");
                (key.clone(), todo.to_owned(), reason)
            }
            (false, false) => {
                let key = format!("{key}.grants");
                let reason = format!("{needed}: add {missing} to {key} in {place}");
                (key, format!("add {missing}"), reason)
            }
            (false, true) => {
                let todo = format!("make the list a table, with {entry} in it");
                let reason =
                    format!("{needed}: make the list {key} in {place} a table, with {entry} in it");
                (key.clone(), todo, reason)
            }
        };
        let problem = Problem {
            place: place.clone(),
            key: Some(key),
            message: format!("{needed}; {todo}"),
            store: Some(store.as_str().into()),
        };
        Some(Lack {
            missing,
            problem,
            reason,
        })
    }
}
