//! The variables that the configuration may use: those of the process, and below them those of a `.env` file. The
//! process's own environment is never changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
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
        for (index, line) in text.lines().enumerate() {
            let place = Place::File {
                file: Arc::clone(&file),
                line: Some(index + 1),
            };
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some((name, value))) => {
                    let text = Some(value);
                    let variable = Variable { place, text };
                    environment.variables.insert(name.to_owned(), variable);
                }
                Err(wrong) => environment.problems.push(wrong.at(place, None, None)),
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

/// One line of a `.env` file: `NAME=value`, maybe after `export`. Nothing is substituted in a value.
fn parse_line(line: &str) -> Result<Option<(&str, String)>, Wrong> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let expected = || Wrong::new("expected NAME=value, or a comment that starts with #");
    let (name, value) = line.split_once('=').ok_or_else(expected)?;
    let name = name.trim_end();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(expected());
    }
    Ok(Some((name, parse_value(value.trim_start())?)))
}

/// A value: bare up to a comment, in single quotes as it is, in double quotes with `\n`, `\"` and `\\`.
fn parse_value(text: &str) -> Result<String, Wrong> {
    let unclosed = || {
        Wrong::new("a quote is opened and not closed in the same line")
            .hint("write line breaks as \\n in double quotes, or keep the value in a file and refer to it with file:")
    };
    let (value, rest) = if let Some(text) = text.strip_prefix('\'') {
        let (value, rest) = text.split_once('\'').ok_or_else(unclosed)?;
        (value.to_owned(), rest)
    } else if let Some(text) = text.strip_prefix('"') {
        unescape(text).ok_or_else(unclosed)?
    } else {
        let end = if text.starts_with('#') {
            Some(0)
        } else {
            text.find(" #")
        };
        (text[..end.unwrap_or(text.len())].trim_end().to_owned(), "")
    };
    match rest.trim_start() {
        "" => Ok(value),
        rest if rest.starts_with('#') => Ok(value),
        _ => Err(Wrong::new("something follows the closing quote")),
    }
}

/// What stands before the closing double quote, and what behind it.
fn unescape(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[offset + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}
