//! From files and variables to a `Config`: who declares which store, what lies over what, and whose mistake costs
//! whom. All of it is looked at before anything is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use figment::Figment;
use figment::value::Value;

use crate::config::document::{Document, kind};
use crate::config::fields::{Context, Fields, join};
use crate::config::files::{Location, Origin, StoreFile};
use crate::config::keys::{MAIN, SERVER, STORE, STORE_IDS};
use crate::config::layer::{self, Layer};
use crate::config::problem::{Place, Problem, Refused, Wrong};
use crate::config::read;
use crate::config::types::{Config, Rollout, Server, StoreConfig};
use crate::config::{Environment, variables};
use crate::id::{PluginName, StoreId};
use crate::store::Durability;

/// A configuration that can be used, if not all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The process and every store that has no problem.
    pub config: Config,
    /// What keeps the other stores from running; sorted, and each names its store.
    pub problems: Vec<Problem>,
    /// What is worth knowing without being wrong.
    pub notes: Vec<String>,
    /// The files outside of the configuration that were read: those with secrets.
    pub files: Vec<PathBuf>,
    /// What there was.
    pub origin: Origin,
}

/// A store that something declares.
pub(super) struct Declared {
    /// Its id, not checked.
    pub(super) name: String,
    /// Where it is declared.
    pub(super) place: Place,
    /// The key of its table; empty if it has a file of its own.
    pub(super) key: String,
    /// What is said about it; none if that cannot be read and was reported.
    pub(super) layers: Option<Figment>,
}

/// The most stores that one process is built for, with room; a runaway generator of files ends here.
const STORES_MAX: usize = 20_000;

/// Loads what is at `location`, below the variables of `environment`.
///
/// A mistake in what is said about one store leaves that store out of the configuration and is listed.
///
/// # Errors
/// A mistake in what concerns the process or all stores refuses the whole, and every mistake is listed.
pub fn load(location: &Location, environment: &Environment) -> Result<Loaded, Refused> {
    let files = location.read();
    let mut context = Context {
        environment,
        lines: BTreeMap::new(),
        layers: Figment::new(),
        defaults: Figment::new(),
        store: None,
        problems: [files.problems, environment.problems().to_vec()].concat(),
        notes: files.notes,
        default_tasks: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    // With the main file unreadable, what a store lacks may well be in it.
    let complete = files.main.is_some();
    let origin = files.origin;
    let mut main = files.main.unwrap_or_default();
    let mut stores = declared_in_main(&mut main, &mut context);
    context.layers = Figment::from(Layer::main(&main.file, main.table));
    context.lines.insert(main.file, main.lines);
    stores.extend(declared_in_files(files.stores, &mut context));
    stores.extend(declared_in_environment(&stores, &mut context));
    variables::apply(&mut stores, &mut context);

    let names: BTreeSet<&str> = stores.iter().map(|store| store.name.as_str()).collect();
    let (server, rollouts) = read_main(&names, &mut context);
    refuse_collisions(&stores, &mut context);
    if stores.len() > STORES_MAX {
        let text = format!(
            "{} stores are declared, more than {STORES_MAX}",
            stores.len()
        );
        let place = stores[STORES_MAX].place.clone();
        context
            .problems
            .push(Wrong::new(text).at(place, None, None));
        stores.truncate(STORES_MAX);
    }
    let stores = stores
        .iter()
        .filter_map(|store| read_store(store, &server, complete, &mut context))
        .collect();
    finish(
        Config::new(server, rollouts, stores),
        origin,
        complete,
        context,
    )
}

/// Leaves out the stores that have a problem.
fn finish(
    config: Config,
    origin: Origin,
    complete: bool,
    context: Context<'_>,
) -> Result<Loaded, Refused> {
    let Context {
        mut problems,
        notes,
        files,
        ..
    } = context;
    problems.sort();
    problems.dedup();
    if problems.iter().any(|problem| problem.store.is_none()) {
        let is_data = |problem: &Problem| {
            let key = problem.key.as_deref();
            key.is_some_and(|key| key == "server" || key == "server.data")
        };
        let known = complete && !problems.iter().any(is_data);
        return Err(Refused {
            problems,
            notes,
            data: known.then(|| config.server().data.clone()),
            files: files.into_keys().collect(),
        });
    }
    let broken: BTreeSet<&str> = problems.iter().filter_map(|p| p.store.as_deref()).collect();
    let mut stores = config.stores().to_vec();
    stores.retain(|store| !broken.contains(store.id.as_str()));
    stores.sort_by(|one, other| one.id.cmp(&other.id));
    let server = config.server().clone();
    Ok(Loaded {
        config: config.with(server, stores),
        problems,
        notes,
        files: files.into_keys().collect(),
        origin,
    })
}

/// Takes `[stores.<id>]` out of the main file.
fn declared_in_main(main: &mut Document, context: &mut Context<'_>) -> Vec<Declared> {
    let Some(stores) = main.table.remove("stores") else {
        return Vec::new();
    };
    let place = |path: &str| Place::in_file(&main.file, main.lines.get(path).copied());
    let Value::Dict(_, stores) = stores else {
        let found = kind(&stores);
        let wrong = Wrong::expected("a table for each store, such as [stores.shop]", found);
        context.refuse(&place("stores"), "stores", wrong);
        return Vec::new();
    };
    let mut declared = Vec::new();
    for (name, value) in stores {
        let key = join("stores", &name);
        let place = place(&key);
        let found = kind(&value);
        let table = value.into_dict();
        if table.is_none() {
            context.store = Some(name.as_str().into());
            context.refuse(&place, &key, Wrong::expected("a table", found));
        }
        let layers = table.map(|table| Figment::from(Layer::store(&main.file, table)));
        declared.push(Declared {
            name,
            place,
            key,
            layers,
        });
    }
    context.store = None;
    declared
}

fn declared_in_files(files: Vec<StoreFile>, context: &mut Context<'_>) -> Vec<Declared> {
    let mut declared = Vec::new();
    for StoreFile {
        name,
        file,
        content,
    } in files
    {
        let layers = match content {
            Ok(Document { table, lines, .. }) => {
                context.lines.insert(Arc::clone(&file), lines);
                Some(Figment::from(Layer::store(&file, table)))
            }
            Err(mut problems) => {
                let store: Arc<str> = name.as_str().into();
                problems
                    .iter_mut()
                    .for_each(|problem| problem.store = Some(Arc::clone(&store)));
                context.problems.extend(problems);
                None
            }
        };
        declared.push(Declared {
            name,
            place: Place::in_file(&file, None),
            key: String::new(),
            layers,
        });
    }
    declared
}

/// The stores of `STORE_IDS` that nothing else declares.
fn declared_in_environment(declared: &[Declared], context: &mut Context<'_>) -> Vec<Declared> {
    let Some(variable) = context.environment.get(STORE_IDS) else {
        return Vec::new();
    };
    if variable.text.is_none() {
        let wrong = Wrong::expected("UTF-8 text", "other bytes");
        context
            .problems
            .push(variables::about(STORE_IDS, variable, wrong, None));
    }
    let known: BTreeSet<&str> = declared.iter().map(|store| store.name.as_str()).collect();
    let names: BTreeSet<String> = variables::split_list(variable).into_iter().collect();
    names
        .into_iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| Declared {
            key: join("stores", &name),
            name,
            place: variable.place.clone(),
            layers: Some(Figment::new()),
        })
        .collect()
}

/// The process. What holds for all stores is checked here, once, and kept to lie below each.
fn read_main(
    stores: &BTreeSet<&str>,
    context: &mut Context<'_>,
) -> (Server, BTreeMap<PluginName, Rollout>) {
    let main = layer::table(&context.layers);
    let fields = Fields::new(&main, "", MAIN, context);
    let server = fields
        .section("server", SERVER, context)
        .map(|fields| read::server(&fields, context));
    if let Some(fields) = fields.section("defaults", STORE, context) {
        read::store(&fields, context);
    }
    let rollouts = read::rollouts(&fields, stores, context);
    context.defaults = context.layers.focus("defaults");
    (server.unwrap_or_default(), rollouts)
}

/// One store; none if it has no id or no backend. Its problems are recorded under its name.
fn read_store(
    store: &Declared,
    server: &Server,
    sync_expected: bool,
    context: &mut Context<'_>,
) -> Option<StoreConfig> {
    context.store = Some(store.name.as_str().into());
    let id = store.name.parse::<StoreId>();
    if let Err(error) = &id {
        let mut wrong = Wrong::new(error.to_string());
        if store.key.is_empty() {
            wrong = wrong.hint("rename the file");
        }
        context.refuse(&store.place, &store.key, wrong);
    }
    context.layers = Figment::from(&context.defaults).merge(store.layers.as_ref()?);
    let table = layer::table(&context.layers);
    let fields = Fields::new(&table, &store.key, STORE, context);
    if sync_expected && fields.get("sync").is_none() {
        let wrong = Wrong::new("missing").hint(
            "set it here or in [defaults], to \"embedded\" or the URL of a LiveStore backend such as \
             \"wss://sync.example.com\"",
        );
        context.refuse(&store.place, &fields.path("sync"), wrong);
    }
    let values = read::store(&fields, context);
    let sync = values.sync?;
    let access = values.access.complete(&sync, store, server, context);
    Some(StoreConfig {
        id: id.ok()?,
        sync,
        payload: values.payload,
        paused: values.paused,
        on_reset: values.on_reset,
        durability: values.durability,
        plugins: values.plugins,
        quota: values.quota,
        timing: values.timing,
        ping_period: values.ping_period.unwrap_or(StoreConfig::PING_PERIOD),
        log_durability: values.log_durability.unwrap_or(Durability::Full),
        access: access?,
        limits: values.limits,
        tasks: values.tasks,
    })
}

/// Ids become file names, and there are file systems that do not tell `Shop` from `shop`.
fn refuse_collisions(stores: &[Declared], context: &mut Context<'_>) {
    let mut same: BTreeMap<String, Vec<&Declared>> = BTreeMap::new();
    for store in stores {
        same.entry(store.name.to_lowercase())
            .or_default()
            .push(store);
    }
    for stores in same.values().filter(|stores| stores.len() > 1) {
        for (index, store) in stores.iter().enumerate() {
            // Each names the first of the others.
            let other = stores[usize::from(index == 0)];
            let wrong = match other.name == store.name {
                true => Wrong::new(format!("declared twice, also in {}", other.place))
                    .hint("keep one of them"),
                false => Wrong::new(format!(
                    "differs only in case from {:?} in {}",
                    other.name, other.place
                ))
                .hint("rename one of them"),
            };
            context.store = Some(store.name.as_str().into());
            context.refuse(&store.place, &store.key, wrong);
        }
    }
    context.store = None;
}
