//! `quartermaster store backup`: what this host keeps of a store, as files of one moment each, while it runs or not.

use std::fs;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::cli::stores::{self, Named};
use crate::cli::unfinished::{Existing, Unfinished};
use crate::config::{Environment, Location, Sync};
use crate::id::StoreId;
use crate::{backend, journal};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster store backup shop /backup/2026-11-23
  for id in $(quartermaster store list --json | jq -r '.[].id'); do
    quartermaster store backup \"$id\" /backup/today || exit 1
  done

Writes <FOLDER>/<STORE>.journal.db, and for an embedded store <FOLDER>/<STORE>.log.db. The server may run meanwhile. How \
to restore them: host/OPERATIONS.md.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store's id
    #[arg(value_name = "STORE")]
    store: StoreId,
    /// Where to write to; made if it is not there. Nothing in it is overwritten
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Backs up.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let named = stores::find(location, environment, &arguments.store)?;
    let folder = &arguments.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let copies = copy_all(&named, folder)?;
    if copies.is_empty() {
        bail!(
            "store {}: there is nothing of it in {}: it has not run yet, or server.data is another folder than the \
             server's (it is meant from the folder that a command is started in)",
            named.store.id,
            named.server.data.display()
        );
    }
    for (copy, path) in copies {
        let bytes = fs::metadata(copy.path())
            .with_context(|| format!("cannot read {}", copy.path().display()))?
            .len();
        let finished = copy.finish(Existing::Keep);
        finished.with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(stdout(), "{} ({bytes} bytes)", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies what there is. The journal comes first: one that is older than its log doubles nothing, because what its plugins
/// did is in the log with their stamps; one that is newer would know of events that its log does not have.
fn copy_all(named: &Named, folder: &Path) -> anyhow::Result<Vec<(Unfinished, PathBuf)>> {
    let (data, store) = (&named.server.data, &named.store.id);
    let mut copies = Vec::new();
    let (copy, path) = begin(folder, store, "journal")?;
    if journal::backup(&data.join("journals"), store, copy.path())? {
        copies.push((copy, path));
    }
    match named.store.sync {
        Sync::Remote(_) => {}
        Sync::Embedded => {
            let (copy, path) = begin(folder, store, "log")?;
            if backend::backup(&data.join("logs"), store, copy.path())? {
                copies.push((copy, path));
            }
        }
    }
    Ok(copies)
}

fn begin(folder: &Path, store: &StoreId, what: &str) -> anyhow::Result<(Unfinished, PathBuf)> {
    let path = folder.join(format!("{store}.{what}.db"));
    if path.exists() {
        bail!(
            "{} is there already and was left as it is; give another folder",
            path.display()
        );
    }
    Ok((Unfinished::new(&path), path))
}
