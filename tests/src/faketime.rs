//! A wall clock that tests set for one process: libfaketime, preloaded into it. The clock that never jumps is left alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::host::Host;

/// A wall clock that can be set while its process runs.
pub struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// Gives the host's processes, from their next start on, a wall clock of their own. It shows the right time at first.
    pub fn of(host: &mut Host) -> Result<Self> {
        let file = host.folder().join("wall-clock");
        let clock = Self { file };
        clock.set(0)?;
        host.environment("LD_PRELOAD", path_text(&library()?)?);
        host.environment("FAKETIME_TIMESTAMP_FILE", path_text(&clock.file)?);
        // Else it would look at the file only once in ten seconds.
        host.environment("FAKETIME_NO_CACHE", "1");
        host.environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Ok(clock)
    }

    /// Sets it so many seconds before or after the right time.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // Whoever reads meanwhile sees the old or the new file, and never half of one.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}s\n"))?;
        Ok(fs::rename(new, &self.file)?)
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not text")
}

/// Where Debian's package and others put it.
fn library() -> Result<PathBuf> {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let roots = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let triples = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut folders = roots.into_iter().chain(triples.map(|entry| entry.path()));
    let found = folders.find(|folder| folder.join(NAME).is_file());
    let Some(folder) = found else {
        bail!("no {NAME}: `cargo xtask test` installs libfaketime");
    };
    Ok(folder.join(NAME))
}
