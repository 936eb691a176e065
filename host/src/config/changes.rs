//! Tells when the files of a configuration may differ from what was read: it looks at them when something near them
//! changes, and every few seconds, and waits until whoever writes has finished. It never reads what is in them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::config::seen::Seen;
use crate::config::{Location, Source};
use crate::watch::Watch;

/// How long nothing must change: whoever copies files writes again within microseconds.
const SETTLE: Duration = Duration::from_millis(100);

/// The same while a file has become empty or has gone: an editor or a slow copy is in the middle of it.
const SETTLE_HALF: Duration = Duration::from_secs(2);

/// How long it is waited at most, so that somebody who writes all the time does not keep everybody else waiting.
const SETTLE_LONGEST: Duration = Duration::from_secs(4);

/// Between two looks without a reason: heals what a lost notification hid.
const RESCAN: Duration = Duration::from_secs(5);

/// The files of one configuration over time.
#[derive(Debug)]
pub struct Changes {
    source: Source,
    watch: Watch,
    also: Vec<PathBuf>,
    /// As they were when they were last told about.
    told: Vec<Seen>,
    /// Whether somebody has to look, and when the next look at a pending change is.
    stirred: bool,
    look_at: Option<Instant>,
    /// A look that goes on, however often whoever waits for it is interrupted.
    looking: Option<JoinHandle<Vec<Seen>>>,
    /// A change that is not told yet: since when, and what it looked like last, since when.
    pending: Option<Pending>,
    /// Whether nothing is ever told.
    deaf: bool,
}

#[derive(Debug)]
struct Pending {
    began: Instant,
    since: Instant,
    seen: Vec<Seen>,
}

impl Changes {
    /// Tells of changes from now on. Blocks for a moment.
    pub fn new(source: Source) -> Self {
        let mut changes = Self {
            told: look(&source, &[]),
            source,
            watch: Watch::new(RESCAN),
            also: Vec::new(),
            stirred: false,
            look_at: None,
            looking: None,
            pending: None,
            deaf: false,
        };
        changes.watch_all();
        changes
    }

    /// Never tells of anything.
    pub fn none(source: Source) -> Self {
        Self {
            told: Vec::new(),
            source,
            watch: Watch::new(RESCAN),
            also: Vec::new(),
            stirred: false,
            look_at: None,
            looking: None,
            pending: None,
            deaf: true,
        }
    }

    /// These files belong to it too, in place of those that were named before.
    pub fn also(&mut self, files: Vec<PathBuf>) {
        if self.also != files && !self.deaf {
            // What was told stays as it is, or a change between the reading and this would be lost: at worst the same is
            // told once more.
            self.also = files;
            self.stirred = true;
            self.watch_all();
        }
    }

    /// What is there now is worth telling, whatever was told before: it was read when nobody had told so, and refused.
    pub fn forget(&mut self) {
        self.told.clear();
        self.stirred = true;
    }

    /// Waits until something is different and whoever changes it has finished. Cancel-safe: what is under way is kept.
    pub async fn next(&mut self) {
        if self.deaf {
            return std::future::pending().await;
        }
        loop {
            if self.looking.is_none() {
                match self.look_at {
                    Some(look_at) => sleep_until(look_at).await,
                    None if self.stirred => {}
                    None => drop(self.watch.changed().await),
                }
                let (source, also) = (self.source.clone(), self.also.clone());
                self.looking = Some(spawn_blocking(move || look(&source, &also)));
                self.stirred = false;
            }
            let looking = self.looking.as_mut().expect("it was begun just above");
            let seen = looking.await.expect("looking does not panic");
            self.looking = None;
            let settled = self.is_settled(seen);
            self.look_at = self.pending.is_some().then(|| Instant::now() + SETTLE / 2);
            if settled {
                // A folder may be another one by now.
                self.watch_all();
                return;
            }
        }
    }

    /// Takes in what was seen. Whether it is to be told now.
    fn is_settled(&mut self, seen: Vec<Seen>) -> bool {
        if seen == self.told {
            self.pending = None;
            return false;
        }
        let patience = match self.is_half(&seen) {
            true => SETTLE_HALF,
            false => SETTLE,
        };
        let now = Instant::now();
        let pending = self.pending.get_or_insert_with(|| Pending {
            began: now,
            since: now,
            seen: seen.clone(),
        });
        if pending.seen != seen {
            pending.seen.clone_from(&seen);
            pending.since = now;
        }
        let settled = now - pending.since >= patience || now - pending.began >= SETTLE_LONGEST;
        if settled {
            self.pending = None;
            self.told = seen;
        }
        settled
    }

    /// Whether a file that had something in it is empty or gone: most likely somebody is about to write it.
    fn is_half(&self, seen: &[Seen]) -> bool {
        let full = |it: &Seen| it.is_there() && !it.is_empty();
        let full_now: HashSet<&Path> = seen.iter().filter(|it| full(it)).map(Seen::path).collect();
        let mut full_before = self.told.iter().filter(|it| full(it));
        full_before.any(|it| !full_now.contains(it.path()))
    }

    fn watch_all(&mut self) {
        let mut paths = self.also.clone();
        paths.push(self.source.dotenv().clone());
        match self.source.location() {
            Location::Folder(folder) => paths.extend([folder.join("stores"), folder]),
            Location::File(main) => paths.extend([main.with_file_name("stores"), main]),
            Location::Nowhere => paths.extend(Location::USUAL.map(PathBuf::from)),
        }
        self.watch.set(paths);
    }
}

/// The main file first, then all others.
fn look(source: &Source, also: &[PathBuf]) -> Vec<Seen> {
    let location = source.location();
    let mut paths: Vec<PathBuf> = location.main().into_iter().collect();
    let stores = location.stores();
    // Whoever cannot list it sees no difference, and the reading tells why.
    let entries = stores.and_then(|folder| fs::read_dir(folder).ok());
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_read(path))
        .collect();
    files.sort();
    paths.extend(files);
    paths.push(source.dotenv().clone());
    paths.extend(also.iter().cloned());
    paths.iter().map(|path| Seen::of(path)).collect()
}

/// Whether a file of the stores' folder counts: editors' own files come and go.
fn is_read(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
        && path
            .file_name()
            .is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hang is a failure, and nothing here takes a hundredth of it.
    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn an_edit_a_new_store_and_a_changed_secret_are_told_once_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("quartermaster.toml");
        let secret = folder.path().join("secret.txt");
        fs::create_dir(folder.path().join("stores")).expect("a folder");
        fs::write(&main, "# one\n").expect("a file");
        fs::write(&secret, "one").expect("a file");
        let location = Location::Folder(folder.path().to_owned());
        let mut changes = Changes::new(Source::new(location, folder.path().join(".env")));
        changes.also(vec![secret.clone()]);
        let store = folder.path().join("stores/shop.toml");
        for (path, text) in [
            (&main, "# two\n"),
            (&store, "paused = true\n"),
            (&secret, "two"),
        ] {
            fs::write(path, text).expect("a file");
            let told = tokio::time::timeout(SOON, changes.next()).await;
            assert!(told.is_ok(), "{}", path.display());
            let again = tokio::time::timeout(SETTLE * 4, changes.next()).await;
            assert!(again.is_err(), "{} was told twice", path.display());
        }
    }
}
