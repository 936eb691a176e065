//! `quartermaster store export`: a store's whole log as a file, however long it is.

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::actor::wall;
use crate::cli::log_file::Writer;
use crate::cli::peer::{Extent, Intent, Peer, Target};
use crate::cli::progress::Progress;
use crate::cli::unfinished::{Existing, Unfinished};
use crate::cli::{Access, interrupt, stores};
use crate::config::{Environment, Location};
use crate::id::StoreId;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster store export shop --out shop.json
  quartermaster store export shop | zstd > shop.json.zst
  quartermaster store export shop | jq -r '.events[].name' | sort | uniq -c

The file is what `livestore sync export` writes and `livestore sync import` reads. The log is read to the end that it has \
now; what comes meanwhile may be in the file or not. With --out the file appears when it is whole.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The store's id
    #[arg(value_name = "STORE")]
    store: StoreId,
    /// Where to write to, instead of standard output; a file that is there is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// Exports.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let named = stores::find(location, environment, &arguments.store)?;
    let target = Target::of(&named, Intent::Read, arguments.access.token())?;
    let done = interrupt::run(async {
        let mut peer = Peer::open(target).await?;
        match &arguments.out {
            Some(path) => write_file(&mut peer, path).await?,
            None => write_log(&mut peer, BufWriter::new(stdout().lock()))
                .await
                .map(drop)?,
        }
        peer.close().await;
        Ok(())
    })?;
    Ok(match done {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

async fn write_file(peer: &mut Peer, path: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let unfinished = Unfinished::new(path);
    let file = File::create(unfinished.path()).with_context(cannot)?;
    write_log(peer, BufWriter::new(file)).await?;
    unfinished.finish(Existing::Replace).with_context(cannot)
}

/// Writes the whole log to `out`.
async fn write_log(peer: &mut Peer, out: impl Write) -> anyhow::Result<()> {
    let store = peer.target().store().clone();
    let total = match Progress::is_watched() {
        true => {
            let end = peer.end().await?;
            Some(end.get())
        }
        false => None,
    };
    let mut progress = Progress::new(format!("store {store}: exported"), total);
    let mut writer = Writer::begin(out, &store, wall())?;
    while let Some(events) = peer.next(Extent::End).await? {
        for event in &events {
            writer.event(event)?;
        }
        progress.advance(events.len() as u64);
    }
    writer.end()?;
    progress.end();
    Ok(())
}
