//! Tells when the files of a configuration may differ from what was read: it looks at them when something near them
//! changes, and every few seconds, and waits until whoever writes has finished. It never reads what is in them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::seen::Seen;
use crate::config::{Location, Source};
use crate::watch::Watch;

/// How long nothing must change: whoever copies files writes again within microseconds.
const SETTLE: Duration = Duration::from_millis(100);

/// The same while a file has become empty or the main file has gone: an editor or a slow copy is in the middle of it.
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
    /// Whether somebody has to look.
    stirred: bool,
    /// A change that is not told yet: since when, and what it looked like last, since when.
    pending: Option<Pending>,
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
            pending: None,
        };
        changes.watch_all();
        changes
    }

    /// These files belong to it too, in place of those that were named before.
    pub fn also(&mut self, files: Vec<PathBuf>) {
        if self.also != files {
            // What was told stays as it is, or a change between the reading and this would be lost: at worst the same is
            // told once more.
            self.also = files;
            self.stirred = true;
            self.watch_all();
        }
    }

    /// Waits until something is different and whoever changes it has finished. Cancel-safe: what is under way is kept.
    pub async fn next(&mut self) {
        loop {
            match &self.pending {
                Some(_) => sleep(SETTLE / 2).await,
                None if self.stirred => {}
                None => drop(self.watch.changed().await),
            }
            // Kept until somebody has looked, however often this is dropped before.
            self.stirred = true;
            let (source, also) = (self.source.clone(), self.also.clone());
            let looked = tokio::task::spawn_blocking(move || look(&source, &also)).await;
            let seen = looked.expect("looking does not panic");
            self.stirred = false;
            if self.is_settled(seen) {
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

    /// Whether a file that had something in it has nothing, or the main file that was there is not.
    fn is_half(&self, seen: &[Seen]) -> bool {
        let emptied = |now: &Seen| {
            let before = self.told.iter().find(|before| before.path() == now.path());
            before.is_some_and(|it| it.is_there() && !it.is_empty())
        };
        let main_gone = |seen: &[Seen]| !seen.first().is_some_and(Seen::is_there);
        seen.iter().filter(|now| now.is_empty()).any(emptied)
            || (main_gone(seen) && !main_gone(&self.told))
    }

    fn watch_all(&mut self) {
        let mut paths = self.also.clone();
        paths.push(self.source.dotenv().clone());
        match self.source.location() {
            Location::Folder(folder) => paths.extend([folder.join("stores"), folder]),
            Location::File(main) => paths.extend([main.with_file_name("stores"), main]),
            Location::Nowhere => paths.push(PathBuf::from("config")),
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
        .collect();
    files.sort();
    paths.extend(files);
    paths.push(source.dotenv().clone());
    paths.extend(also.iter().cloned());
    paths.iter().map(|path| Seen::of(path)).collect()
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
