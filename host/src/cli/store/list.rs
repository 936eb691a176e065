//! `quartermaster store list`: the configured stores, from the configuration alone: nothing is connected to.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::stores;
use crate::config::{Environment, Location, StoreConfig, Sync};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster store list
  quartermaster store list --json | jq -r '.[] | select(.paused) | .id'

What is going on in a store that runs is in /health of the server.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One store.
#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    /// Where its log is.
    sync: String,
    plugins: Vec<&'a str>,
    paused: bool,
}

impl<'a> Entry<'a> {
    fn of(store: &'a StoreConfig) -> Self {
        Self {
            id: store.id.as_str(),
            sync: place(&store.sync),
            plugins: store.plugins.iter().map(|it| it.name.as_str()).collect(),
            paused: store.paused,
        }
    }

    /// A line with its columns as wide as these.
    fn line(&self, id_width: usize, sync_width: usize) -> String {
        let (id, sync) = (self.id, &self.sync);
        let mut plugins = self.plugins.join(", ");
        if plugins.is_empty() {
            "no plugins".clone_into(&mut plugins);
        }
        let paused = if self.paused { "  (paused)" } else { "" };
        format!("{id:id_width$}  {sync:sync_width$}  {plugins}{paused}")
    }
}

/// Prints to `out`.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let loaded = stores::loaded(location, environment)?;
    for problem in &loaded.problems {
        eprintln!("{problem}; this store is not listed");
    }
    let entries: Vec<Entry<'_>> = loaded.config.stores().iter().map(Entry::of).collect();
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &entries).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |of: fn(&Entry<'_>) -> usize| entries.iter().map(of).max().unwrap_or_default();
    let (id_width, sync_width) = (
        width(|entry| entry.id.len()),
        width(|entry| entry.sync.len()),
    );
    for entry in &entries {
        writeln!(out, "{}", entry.line(id_width, sync_width))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The URL without its query, which is nobody's business but the backend's.
fn place(sync: &Sync) -> String {
    match sync {
        Sync::Embedded => "embedded".to_owned(),
        Sync::Remote(url) => {
            let mut url = url.clone();
            url.set_query(None);
            url.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn list(main: &str, json: bool) -> String {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("quartermaster.toml"), main).unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let mut out = Vec::new();
        run(
            &Arguments { json },
            &location,
            &Environment::default(),
            &mut out,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    const STORES: &str = "[defaults]\nsync = \"wss://sync.example.com/app?region=eu\"\n\
        [stores.desk]\nplugins = [\"echo\", \"digest\"]\n[stores.lab-2]\npaused = true\nsync = \"embedded\"\n";

    #[test]
    fn each_store_is_a_line() {
        assert_eq!(
            list(STORES, false),
            "desk   wss://sync.example.com/app  digest, echo\n\
             lab-2  embedded                    no plugins  (paused)\n"
        );
    }

    #[test]
    fn json_has_every_part() {
        let json: serde_json::Value = serde_json::from_str(&list(STORES, true)).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({
                "id": "desk",
                "sync": "wss://sync.example.com/app",
                "plugins": ["digest", "echo"],
                "paused": false,
            })
        );
    }
}
