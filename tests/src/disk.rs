//! A small disk that can be filled: a file system of its own in memory, mounted over a folder. Mounting takes root, as
//! in CI.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What is written at once to fill it. The last piece is followed by ever smaller ones.
const PIECE_BYTES: usize = 64 * 1024;

/// A mounted disk. It is taken away with its value, whoever still uses it.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts an empty disk of so many MiB over `folder`.
    pub fn mount(folder: &Path, mebibytes: u32) -> Result<Self> {
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(folder)
            .output()
            .context("cannot start mount")?;
        ensure!(
            output.status.success(),
            "no small disk could be mounted to be filled, which takes root: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Fills what is free to the last byte.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        let mut piece = vec![0x5a; PIECE_BYTES];
        while !piece.is_empty() {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    piece.truncate(piece.len() / 2);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives back what [`Self::fill`] took.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a host that is about to be killed may still have files open there.
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.folder.display());
        }
    }
}
