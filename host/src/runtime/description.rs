//! What a plugin says of itself, checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::calendar::Rhythm;
use crate::runtime::bindings::{RawDescription, RawHistory, RawTask};
use crate::runtime::log::{is_plain, one_line};
use crate::runtime::plugin::ERROR_BYTES_MAX;
use crate::runtime::world::{ON_EVENT, ON_TASK, World};
use crate::runtime::{Error, task};
use crate::store::{History, Pattern, TaskDefaults, TaskWish};

/// Bytes of a plugin's version, by the contract.
const VERSION_BYTES_MAX: usize = 64;
/// Bytes of a pattern, by the contract.
const PATTERN_BYTES_MAX: usize = 256;
/// Patterns of events, and of commits, of a plugin, by the contract.
const PATTERNS_MAX: usize = 64;
/// Tasks of a description, by the contract.
const TASKS_MAX: usize = 64;

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its own version, for people.
    pub version: String,
    /// The event names it wants.
    pub events: Vec<Pattern>,
    /// The event names it commits.
    pub commits: Vec<Pattern>,
    /// Whether it wants to see the events that it committed itself.
    pub own_events: bool,
    /// What the log's past means to it when it is new in a store.
    pub history: History,
    /// The tasks that it has in every store: different ids, and each with a rhythm.
    #[serde(serialize_with = "as_shown")]
    pub tasks: Vec<(Arc<str>, TaskWish)>,
}

/// A task of a description, for people and their scripts.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    when: String,
}

impl Description {
    /// Refuses a plugin that wants what it cannot be handed. `schedules` is whether it imports `schedule`.
    pub(super) fn check_handlers(&self, world: &World, schedules: bool) -> Result<(), Error> {
        let refuse = |why: &str, export: &str| {
            Err(Error::Description(format!(
                "{why}, and does not export `{export}`"
            )))
        };
        if !self.events.is_empty() && !world.handles_events() {
            return refuse("it wants events", ON_EVENT);
        }
        if !self.tasks.is_empty() && !world.handles_tasks() {
            return refuse("it has tasks", ON_TASK);
        }
        if schedules && !world.handles_tasks() {
            return refuse("it imports `quartermaster:plugin/schedule`", ON_TASK);
        }
        Ok(())
    }

    /// Each of its tasks, for people: its id, and when it is due.
    pub fn tasks_told(&self) -> impl Iterator<Item = (&str, String)> {
        self.tasks.iter().map(|(id, wish)| (&**id, when(wish)))
    }
}

/// Checks what a guest says of itself.
pub(super) fn check(raw: RawDescription) -> Result<Description, Error> {
    let refuse = |text: String| Err(Error::Description(text));
    if !(1..=VERSION_BYTES_MAX).contains(&raw.version.len()) || !is_plain(&raw.version) {
        return refuse(format!(
            "the version has to be 1 to {VERSION_BYTES_MAX} bytes without control characters"
        ));
    }
    Ok(Description {
        version: raw.version,
        events: check_patterns("events", raw.events)?,
        commits: check_patterns("commits", raw.commits)?,
        own_events: raw.own_events,
        history: match raw.history {
            RawHistory::Ignore => History::Ignore,
            RawHistory::Project => History::Project,
            RawHistory::React => History::React,
        },
        tasks: check_tasks(raw.tasks)?,
    })
}

/// `field` is where the patterns stand in the description.
fn check_patterns(field: &str, texts: Vec<String>) -> Result<Vec<Pattern>, Error> {
    let refuse = |text: String| Error::Description(format!("{field}: {text}"));
    if texts.len() > PATTERNS_MAX {
        let count = texts.len();
        return Err(refuse(format!(
            "{count} event patterns; at most {PATTERNS_MAX} are allowed"
        )));
    }
    let parse = |text: String| {
        if text.len() > PATTERN_BYTES_MAX || !is_plain(&text) {
            let shown = one_line(&text, PATTERN_BYTES_MAX);
            return Err(refuse(format!(
                "a pattern has to be at most {PATTERN_BYTES_MAX} bytes without control characters: \"{shown}\""
            )));
        }
        text.parse::<Pattern>()
            .map_err(|error| refuse(one_line(&error.to_string(), ERROR_BYTES_MAX)))
    };
    texts.into_iter().map(parse).collect()
}

fn check_tasks(raw: Vec<RawTask>) -> Result<Vec<(Arc<str>, TaskWish)>, Error> {
    let refuse = |text: String| Error::Description(format!("tasks: {text}"));
    if raw.len() > TASKS_MAX {
        let count = raw.len();
        return Err(refuse(format!(
            "{count} tasks; at most {TASKS_MAX} are allowed"
        )));
    }
    let mut ids = BTreeSet::new();
    let check = |raw: RawTask| {
        let shown = one_line(&raw.id, task::ID_BYTES_MAX);
        let refuse = |text: String| {
            let text = one_line(&text, ERROR_BYTES_MAX);
            refuse(format!("\"{shown}\": {text}"))
        };
        let (id, wish) = task::wish(raw).map_err(refuse)?;
        let plan = wish.plan(&TaskDefaults::default());
        task::check_times(&plan.expect("it has a rhythm")).map_err(refuse)?;
        if !ids.insert(Arc::clone(&id)) {
            return Err(refuse("there are two of this id".to_owned()));
        }
        Ok((id, wish))
    };
    raw.into_iter().map(check).collect()
}

/// When a task is due, in the words of a store's configuration.
fn when(wish: &TaskWish) -> String {
    let mut words = match &wish.rhythm {
        Some(Rhythm::Cron(cron)) => format!("cron {cron}"),
        Some(Rhythm::Every { period, phase }) => format!("every {period:?}, phase {phase:?}"),
        Some(Rhythm::At(at)) => format!("at {at}"),
        None => "never".to_owned(),
    };
    if let Some(zone) = &wish.zone {
        words.push_str(&format!(" ({zone})"));
    }
    words
}

fn as_shown<S: Serializer>(
    tasks: &[(Arc<str>, TaskWish)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = tasks.iter().map(|(id, wish)| Shown {
        id,
        when: when(wish),
    });
    serializer.collect_seq(shown)
}
