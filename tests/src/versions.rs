//! Versions of one plugin, as many as a test wants: the guest `versioned` with other letters in the place of its version.
//! And the ways in which people put a file in the place of another.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::checker::Derivation;
use crate::history::LogEvent;
use crate::paths;
use crate::plugins::TASK;

/// The plugin.
pub const PLUGIN: &str = "versioned";

/// What stands in the component.
const ORIGINAL: &str = "version-00000000";

/// Bytes of one write of somebody slow, and the pause after it.
const SLOW_WRITE_BYTES: usize = 1024;
const SLOW_WRITE_PAUSE: Duration = Duration::from_millis(50);

/// How a file gets into the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Written beside it, and renamed.
    Rename,
    /// Written over it, a kilobyte at a time with pauses.
    SlowWrite,
    /// The old one is deleted, and the new one made.
    DeleteAndCreate,
    /// Written over it at once.
    Copy,
}

impl Way {
    /// Each of them.
    pub const ALL: [Self; 4] = [
        Self::Rename,
        Self::SlowWrite,
        Self::DeleteAndCreate,
        Self::Copy,
    ];
}

/// What a version calls itself.
pub fn name(letters: &str) -> String {
    format!("version-{letters:0>8}")
}

/// The component whose version has these letters, at most eight. If they begin with `bad`, it fails at every event.
pub fn component(letters: &str) -> Result<Vec<u8>> {
    ensure!(
        letters.len() <= 8,
        "{letters:?} has more than eight letters"
    );
    let mut bytes = fs::read(paths::component(PLUGIN)?)?;
    let places: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(ORIGINAL.as_bytes()))
        .collect();
    ensure!(!places.is_empty(), "the guest {PLUGIN} has no {ORIGINAL:?}");
    // Behind `bad` the letters must be at once, or else it is none.
    let version = match letters.starts_with("bad") {
        true => format!("version-{letters:0<8}"),
        false => name(letters),
    };
    for at in places {
        bytes[at..at + version.len()].copy_from_slice(version.as_bytes());
    }
    Ok(bytes)
}

/// Puts `bytes` into the place of the file at `path`, or makes it.
pub async fn place(path: &Path, bytes: &[u8], way: Way) -> Result<()> {
    match way {
        Way::Rename => {
            let beside = path.with_extension("new");
            fs::write(&beside, bytes)?;
            fs::rename(beside, path)?;
        }
        Way::SlowWrite => {
            let mut file = File::create(path)?;
            for piece in bytes.chunks(SLOW_WRITE_BYTES) {
                file.write_all(piece)?;
                file.flush()?;
                tokio::time::sleep(SLOW_WRITE_PAUSE).await;
            }
        }
        Way::DeleteAndCreate => {
            if path.exists() {
                fs::remove_file(path)?;
            }
            OpenOptions::new()
                .create_new(true)
                .write(true)
                .open(path)?
                .write_all(bytes)?;
        }
        Way::Copy => fs::write(path, bytes)?,
    }
    Ok(())
}

/// One answer to each message, by whichever version; see [`version_of`].
pub fn versioned() -> Derivation {
    let once = |event: &LogEvent| u32::from(event.is_question());
    Derivation::new(PLUGIN, once).answers(|question, answer| {
        let id = question.args["id"].as_str().unwrap_or_default();
        answer.name == TASK && answer.args["id"] == format!("v-{id}")
    })
}

/// The version that wrote an answer.
pub fn version_of(answer: &LogEvent) -> Option<&str> {
    let stamp = answer.stamp()?;
    (stamp.plugin == PLUGIN).then(|| answer.args["result"].as_str())?
}
