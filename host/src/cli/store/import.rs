//! `quartermaster store import`: a file's events at the end of a store's log, each at its own place or not at all.

use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use crate::cli::peer::{Intent, Peer, Target};
use crate::cli::progress::Progress;
use crate::cli::store::merge::Merge;
use crate::cli::store::upcoming::{Summary, Upcoming, survey};
use crate::cli::stores::{self, Named};
use crate::cli::{Access, interrupt};
use crate::config::{Environment, Location};
use crate::event::SeqNum;
use crate::id::StoreId;
use crate::journal;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster store import shop shop.json --dry-run    what would be done
  quartermaster store import shop shop.json
  quartermaster store import shop2 shop.json --force     the file is of another store

The log must be the file's own beginning, or empty: what it has already is compared, and what it lacks is appended. So an \
import that was interrupted goes on when it is started again. A log with another event in any place is left as it is.

Plugins must rest meanwhile: stop the server, or pause the store. They see the imported events later, as their history \
policy says.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store's id
    #[arg(value_name = "STORE")]
    store: StoreId,
    /// What `quartermaster store export` or `livestore sync export` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Look at the file and the log, and append nothing
    #[arg(long)]
    dry_run: bool,
    /// Import the file of another store
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    access: Access,
}

/// Imports.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let named = stores::find(location, environment, &arguments.store)?;
    let summary = survey(&arguments.file)?;
    if summary.store_id != arguments.store.as_str() && !arguments.force {
        bail!(
            "{}: exported from store {:?}, not from {}; with --force it is imported all the same",
            arguments.file.display(),
            summary.store_id,
            arguments.store
        );
    }
    if !arguments.dry_run {
        refuse_answers(&named)?;
    }
    let target = Target::of(&named, Intent::Write, arguments.access.token())?;
    let done = interrupt::run(import(arguments, &summary, target))?;
    if done.is_none() {
        bail!("interrupted; started again, the import goes on where it was");
    }
    Ok(ExitCode::SUCCESS)
}

/// A plugin that answers an imported event puts its answer where the file has its next one: a fork, of our own making.
fn refuse_answers(named: &Named) -> anyhow::Result<()> {
    let Named { server, store } = named;
    let answers = !store.plugins.is_empty() && !store.paused;
    if answers && journal::is_in_use(&server.data.join("journals")) {
        bail!(
            "store {}: the server runs, and its plugins would answer events in the middle of the import; stop the server \
             meanwhile, or set paused = true for the store and restart it",
            store.id
        );
    }
    Ok(())
}

async fn import(arguments: &Arguments, summary: &Summary, target: Target) -> anyhow::Result<()> {
    let Some(parent) = summary.parent else {
        writeln!(
            stdout(),
            "store {}: nothing to import: the file has no event",
            arguments.store
        )?;
        return Ok(());
    };
    let mut peer = Peer::open(target).await?;
    check_beginning(&mut peer, parent).await?;
    peer.seek(parent).await;
    let mut file = Upcoming::read(&arguments.file)?;
    let mut merge = Merge::new(&mut peer, &mut file);
    let present = merge.compare().await?;
    let missing = summary.events - present;
    let store = &arguments.store;
    if arguments.dry_run {
        writeln!(
            stdout(),
            "store {store}: {present} events are there already, {missing} would be appended"
        )?;
    } else {
        let mut appended = 0;
        if missing > 0 {
            let mut progress = Progress::new(format!("store {store}: imported"), Some(missing));
            appended = merge.append(&mut progress).await?;
            progress.end();
        }
        writeln!(
            stdout(),
            "store {store}: {present} events were there already, {appended} were appended"
        )?;
    }
    peer.close().await;
    Ok(())
}

/// A file that begins in the middle can only follow a log that comes so far.
async fn check_beginning(peer: &mut Peer, parent: SeqNum) -> anyhow::Result<()> {
    if parent == SeqNum::ROOT {
        return Ok(());
    }
    let end = peer.end().await?;
    if end < parent {
        bail!(
            "store {}: the file begins with event {}, but the log ends with event {end}; nothing was written",
            peer.target().store(),
            parent.next()
        );
    }
    Ok(())
}
