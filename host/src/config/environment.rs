//! The variables that the configuration may use: those of the process, and below them those of a `.env` file. The
//! process's own environment is never changed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::config::files;
use crate::config::problem::{Place, Problem, Wrong};

/// Variables by name. No `Debug`: many are secrets.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Variable>,
    /// What was wrong with the `.env` file.
    problems: Vec<Problem>,
}

/// One variable.
#[derive(Clone)]
pub(super) struct Variable {
    /// Where it was set.
    pub(super) place: Place,
    /// Its value; none if it is not UTF-8.
    pub(super) text: Option<String>,
}

impl Environment {
    /// The environment of this process over the file `dotenv`, which may be absent.
    pub fn of_process(dotenv: &Path) -> Self {
        let file: Arc<str> = dotenv.display().to_string().into();
        let mut environment = match dotenv.exists() {
            false => Self::default(),
            true => match files::read(dotenv, &file) {
                Ok(text) => Self::of_dotenv(&file, &text),
                Err(problem) => Self {
                    problems: vec![problem],
                    ..Self::default()
                },
            },
        };
        environment.set(std::env::vars_os());
        environment
    }

    /// The variables that the text of a `.env` file sets. A line that cannot be understood is a problem, and is not
    /// repeated in it.
    pub fn of_dotenv(file: &str, text: &str) -> Self {
        let file: Arc<str> = file.into();
        let mut environment = Self::default();
        // With a line break at the end the last line may end with blanks too.
        let text = format!("{text}\n");
        let line = Cell::new(0);
        let lines = Lines {
            rest: text.as_bytes(),
            line: &line,
        };
        for item in dotenvy::from_read_iter(lines) {
            match item {
                Ok((name, value)) => {
                    let place = Place::in_file(&file, Some(line.get()));
                    let text = Some(value);
                    let variable = Variable { place, text };
                    environment.variables.insert(name, variable);
                }
                Err(error) => {
                    // A quote that is not closed takes all lines that follow.
                    let lines = if let dotenvy::Error::LineParse(text, _) = &error {
                        text.lines().count().max(1)
                    } else {
                        1
                    };
                    let place = Place::in_file(&file, Some(line.get() + 1 - lines));
                    let wrong = Wrong::new("expected NAME=value, or a comment that starts with #")
                        .hint("a value with blanks, quotes, $ or \\ stands in single quotes");
                    environment.problems.push(wrong.at(place, None, None));
                }
            }
        }
        environment
    }

    /// Sets variables as those of the process, over what is there.
    pub fn set(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        for (name, value) in variables {
            // A name that is not UTF-8 is none that anything here asks for.
            let Ok(name) = name.into_string() else {
                continue;
            };
            let variable = Variable {
                place: Place::Variable {
                    variable: name.as_str().into(),
                },
                text: value.into_string().ok(),
            };
            self.variables.insert(name, variable);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// All variables that are set to something, sorted by name: an empty one counts as not set.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables
            .iter()
            .filter(|(_, variable)| variable.text.as_deref() != Some(""))
            .map(|(name, variable)| (name.as_str(), variable))
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Hands out one line with each reading, so that whoever reads lines is never ahead of `line`.
struct Lines<'a> {
    rest: &'a [u8],
    line: &'a Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let (read, ended) = match self.rest.iter().position(|byte| *byte == b'\n') {
            Some(end) if end < buffer.len() => (end + 1, 1),
            Some(_) | None => (self.rest.len().min(buffer.len()), 0),
        };
        let (now, rest) = self.rest.split_at(read);
        buffer[..read].copy_from_slice(now);
        self.rest = rest;
        self.line.set(self.line.get() + ended);
        Ok(read)
    }
}
