//! A mistake, and where it is: `config/stores/shop.toml:7: quota.fuel_per_run: expected a positive count such as
//! "200M", found -5`. A message never repeats a value that may be a secret.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One mistake in the configuration. Sorted by place: files before variables, then by line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// The key, as it is written in that place.
    pub key: Option<String>,
    /// What was expected, what was found, what to do.
    pub message: String,
    /// The store that cannot run because of it, as it is called there; none if the whole process cannot.
    pub store: Option<Arc<str>>,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// In a file.
    File {
        /// Its path, as it was opened.
        file: Arc<str>,
        /// The line, counted from 1; none if it is about the file as a whole.
        line: Option<usize>,
    },
    /// In the environment of the process.
    Variable {
        /// Its name.
        variable: Arc<str>,
    },
}

/// The configuration cannot be used. Holds every problem found, those of single stores too, sorted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// What is wrong; at least one belongs to no store.
    pub problems: Vec<Problem>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// `server.data`, as far as it could be read: for whoever looks for the server that runs.
    pub data: Option<std::path::PathBuf>,
    /// The files outside of the configuration that it refers to, be they there or not.
    pub files: Vec<std::path::PathBuf>,
}

/// What is wrong with a value, before its place and key are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong(String);

impl Place {
    /// A line of a file, or the file as a whole.
    pub(super) fn in_file(file: &Arc<str>, line: Option<usize>) -> Self {
        let file = Arc::clone(file);
        Self::File { file, line }
    }
}

impl Wrong {
    /// Something else stands where `what` should.
    pub(super) fn expected(what: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self(format!("expected {what}, found {found}"))
    }

    /// Anything else.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Adds what to do.
    pub(super) fn hint(self, hint: impl fmt::Display) -> Self {
        Self(format!("{}; {hint}", self.0))
    }

    /// Adds the choice that was probably meant, or else all of them.
    pub(super) fn suggest(self, found: &str, known: &[&str]) -> Self {
        match nearest(found, known) {
            Some(name) => self.hint(format_args!("did you mean {name:?}?")),
            None => self.hint(format_args!("known here: {}", known.join(", "))),
        }
    }

    /// Says where.
    pub(super) fn at(self, place: Place, key: Option<String>, store: Option<Arc<str>>) -> Problem {
        Problem {
            place,
            key,
            message: self.0,
            store,
        }
    }
}

/// The known name that looks most like `found`, if one looks like it at all.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    // Below 0.8, names of this length share letters by chance.
    const ALIKE: f64 = 0.8;
    let found: String = found.to_lowercase().chars().take(64).collect();
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(&found, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                file,
                line: Some(line),
            } => write!(f, "{file}:{line}"),
            Self::File { file, line: None } => f.write_str(file),
            Self::Variable { variable } => f.write_str(variable),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n{problem}"))
    }
}
