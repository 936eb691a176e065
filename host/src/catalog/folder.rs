//! What was seen in the drop folder over time, and what follows: a file is read once it has stopped changing, and one that
//! is gone is given a moment to come back. Pure: it is told what was listed, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::catalog::scan::{Entry, Fingerprint};
use crate::time::Timestamp;

/// How long a file must not change before it is read. Whoever copies a file writes again within microseconds.
const SETTLE: Duration = Duration::from_millis(100);

/// The same for a file that was seen to change more than once meanwhile: a slow writer, such as a copy over a network.
const SETTLE_SLOW: Duration = Duration::from_millis(500);

/// How long a file may be gone before its plugin is, so that a delete with a create after it is a swap.
const GRACE: Duration = Duration::from_secs(1);

/// A file that is new to us and that nobody has changed for so long is read at once: at a start, that is every file. The
/// system's own clock is compared with ours here, and it counts in hundredths of a second.
const OLD: Duration = Duration::from_secs(2);

/// Every file that was seen.
#[derive(Debug, Default)]
pub(super) struct Folder {
    seen: BTreeMap<OsString, Seen>,
}

#[derive(Debug)]
struct Seen {
    print: Option<Fingerprint>,
    /// When we noticed the last change.
    changed_at: Timestamp,
    /// Changes that were noticed since it was last read.
    changes: u32,
    /// Whether it was handed out as it is.
    read: bool,
    gone_at: Option<Timestamp>,
}

/// What follows from a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// Files to be read.
    pub(super) settled: Vec<(OsString, Option<Fingerprint>)>,
    /// Files that are gone for good.
    pub(super) gone: Vec<OsString>,
}

impl Seen {
    fn settled_at(&self) -> Timestamp {
        let patience = if self.changes > 1 {
            SETTLE_SLOW
        } else {
            SETTLE
        };
        self.changed_at + patience
    }
}

impl Folder {
    /// Takes in what was listed at `now`.
    pub(super) fn observe(&mut self, entries: &[Entry], now: Timestamp) -> Observed {
        for entry in entries {
            self.see(entry, now);
        }
        let listed: BTreeSet<&OsStr> = entries.iter().map(|entry| &*entry.name).collect();
        let mut observed = Observed::default();
        self.seen.retain(|name, seen| {
            if listed.contains(&**name) {
                seen.gone_at = None;
                return true;
            }
            let gone_at = *seen.gone_at.get_or_insert(now);
            let stays = now < gone_at + GRACE;
            if !stays {
                observed.gone.push(name.clone());
            }
            stays
        });
        for (name, seen) in &mut self.seen {
            if !seen.read && seen.gone_at.is_none() && now >= seen.settled_at() {
                seen.read = true;
                seen.changes = 0;
                observed.settled.push((name.clone(), seen.print));
            }
        }
        observed
    }

    fn see(&mut self, entry: &Entry, now: Timestamp) {
        let Some(seen) = self.seen.get_mut(&entry.name) else {
            let old = |print: &Fingerprint| now.since(print.changed_at()) > OLD;
            let rested = entry.print.as_ref().is_some_and(old);
            let seen = Seen {
                print: entry.print,
                changed_at: if rested { now - SETTLE } else { now },
                changes: 1,
                read: false,
                gone_at: None,
            };
            self.seen.insert(entry.name.clone(), seen);
            return;
        };
        if seen.print != entry.print {
            seen.print = entry.print;
            seen.changed_at = now;
            seen.changes = seen.changes.saturating_add(1);
            seen.read = false;
        }
    }

    /// Whether the file is there, as far as we know.
    pub(super) fn has(&self, name: &OsStr) -> bool {
        self.seen.contains_key(name)
    }

    /// Whether the file is there and has yet to stop changing.
    pub(super) fn is_restless(&self, name: &OsStr) -> bool {
        let restless = |seen: &Seen| !seen.read && seen.gone_at.is_none();
        self.seen.get(name).is_some_and(restless)
    }

    /// The file is to be handed out once more, not before `at`.
    pub(super) fn read_again(&mut self, name: &OsStr, at: Timestamp) {
        if let Some(seen) = self.seen.get_mut(name) {
            seen.read = false;
            seen.changed_at = at - SETTLE;
        }
    }

    /// When it has to be listed again even if nothing is noticed.
    pub(super) fn look_at(&self) -> Timestamp {
        let times = self.seen.values().filter_map(|seen| match seen.gone_at {
            Some(gone_at) => Some(gone_at + GRACE),
            None => (!seen.read).then(|| seen.settled_at()),
        });
        times.min().unwrap_or(Timestamp::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::catalog::scan;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// A folder with a real file, whose prints are what matters.
    struct Scene {
        place: tempfile::TempDir,
        folder: Folder,
        /// Far enough from the clock of the system that no file seems old.
        now: Timestamp,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                place: tempfile::tempdir().expect("a folder"),
                folder: Folder::default(),
                now: at(1_000),
            }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.place.path().join(name), text).expect("a file");
        }

        /// The names that settled and those that are gone, `millis` later.
        fn after(&mut self, millis: u64) -> (Vec<OsString>, Vec<OsString>) {
            self.now = self.now + Duration::from_millis(millis);
            let listing = scan::list(self.place.path(), &BTreeSet::new()).expect("a folder");
            let observed = self.folder.observe(&listing.entries, self.now);
            let settled = observed.settled.into_iter().map(|(name, _)| name);
            (settled.collect(), observed.gone)
        }

        #[track_caller]
        fn assert_after(&mut self, millis: u64, settled: &[&str], gone: &[&str]) {
            let (found, lost) = self.after(millis);
            assert_eq!(
                (found, lost),
                (
                    settled.iter().map(OsString::from).collect(),
                    gone.iter().map(OsString::from).collect()
                )
            );
        }

        fn look_in(&self) -> Option<u64> {
            let at = self.folder.look_at();
            let wait = || u64::try_from(at.since(self.now).as_millis()).expect("short");
            (at != Timestamp::NEVER).then(wait)
        }
    }

    #[test]
    fn a_file_is_read_once_when_it_has_stopped_changing() {
        let mut scene = Scene::new();
        assert_eq!(scene.look_in(), None);
        scene.write("a.wasm", "1");
        scene.assert_after(0, &[], &[]);
        assert_eq!(scene.look_in(), Some(100));
        scene.assert_after(99, &[], &[]);
        scene.assert_after(1, &["a.wasm"], &[]);
        assert_eq!(scene.look_in(), None);
        scene.assert_after(5_000, &[], &[]);
        scene.write("a.wasm", "22");
        scene.assert_after(0, &[], &[]);
        scene.assert_after(100, &["a.wasm"], &[]);
    }

    #[test]
    fn a_slow_writer_is_waited_for_longer() {
        let mut scene = Scene::new();
        scene.write("a.wasm", "1");
        scene.assert_after(0, &[], &[]);
        for length in 2..10 {
            scene.write("a.wasm", &"x".repeat(length));
            scene.assert_after(60, &[], &[]);
        }
        assert_eq!(scene.look_in(), Some(500));
        scene.assert_after(499, &[], &[]);
        scene.assert_after(1, &["a.wasm"], &[]);
    }

    #[test]
    fn a_file_that_comes_back_in_time_was_never_gone() {
        let mut scene = Scene::new();
        scene.write("a.wasm", "1");
        scene.after(0);
        scene.assert_after(100, &["a.wasm"], &[]);
        fs::remove_file(scene.place.path().join("a.wasm")).expect("a file");
        scene.assert_after(0, &[], &[]);
        assert_eq!(scene.look_in(), Some(1_000));
        scene.assert_after(999, &[], &[]);
        scene.write("a.wasm", "new");
        scene.assert_after(0, &[], &[]);
        scene.assert_after(100, &["a.wasm"], &[]);
        fs::remove_file(scene.place.path().join("a.wasm")).expect("a file");
        scene.assert_after(0, &[], &[]);
        assert!(scene.folder.has(OsStr::new("a.wasm")));
        scene.assert_after(1_000, &[], &["a.wasm"]);
        assert!(!scene.folder.has(OsStr::new("a.wasm")));
        assert_eq!(scene.look_in(), None);
    }

    #[test]
    fn a_file_that_nobody_touched_for_long_is_read_at_the_first_look() {
        let mut scene = Scene::new();
        scene.write("a.wasm", "1");
        let listing = scan::list(scene.place.path(), &BTreeSet::new()).expect("a folder");
        let changed_at = listing.entries[0].print.expect("a print").changed_at();
        scene.now = changed_at + OLD + Duration::from_millis(1);
        scene.assert_after(0, &["a.wasm"], &[]);
        let mut fresh = Scene::new();
        fresh.write("a.wasm", "1");
        fresh.now = changed_at + OLD - Duration::from_millis(1);
        fresh.assert_after(0, &[], &[]);
    }

    #[test]
    fn a_file_that_changed_while_it_was_read_is_handed_out_again() {
        let mut scene = Scene::new();
        scene.write("a.wasm", "1");
        scene.after(0);
        scene.assert_after(100, &["a.wasm"], &[]);
        let again = scene.now + Duration::from_millis(30);
        scene.folder.read_again(OsStr::new("a.wasm"), again);
        assert_eq!(scene.look_in(), Some(30));
        assert!(scene.folder.is_restless(OsStr::new("a.wasm")));
        scene.assert_after(30, &["a.wasm"], &[]);
        assert!(!scene.folder.is_restless(OsStr::new("a.wasm")));
    }
}
