//! Files and folders that are watched: whoever waits here is told soon when something about one of them changes, and every
//! so often anyway, because a notification may be lost.
//!
//! A path is followed link by link, and each step on the way is watched too: so a swapped link (Kubernetes' `..data`), a
//! folder that is replaced, and one that is not there yet are noticed as soon as a file that is written. Reading
//! notifies nobody, or whoever looks after each notification would wake himself for ever. What changed is never said: it
//! has to be looked at, and what was looked at before `changed` returned counts for nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// Links that one path may lead through: as many as Linux follows itself.
const LINKS_MAX: usize = 40;

/// How often the way is walked again because it changed while it was walked. After that the next notification or rescan
/// does it: whoever swaps links faster than that is not waited for.
const WALKS_MAX: usize = 4;

/// Why somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something changed.
    Notified,
    /// It is time to.
    Rescan,
}

/// What is watched.
#[derive(Debug)]
pub struct Watch {
    rescan: Duration,
    rescan_at: Option<Instant>,
    paths: BTreeSet<PathBuf>,
    bell: Arc<Bell>,
    /// What the notifier's thread rings for.
    wanted: watch::Sender<Wanted>,
    /// None until something is watched, or if the system has no room for one more.
    notifier: Option<RecommendedWatcher>,
    watched: BTreeMap<FolderId, PathBuf>,
    warned: bool,
}

/// How the notifier's thread reaches whoever waits. It holds one ring however often it is rung.
#[derive(Debug, Default)]
struct Bell {
    ring: Notify,
    /// Whether a watched folder itself came or went: the system may have ended its watch without a word, and a new folder
    /// may have the number of the old one.
    moved: AtomicBool,
}

/// The names that matter in each watched folder.
type Wanted = BTreeMap<PathBuf, Names>;

#[derive(Clone, Debug)]
enum Names {
    All,
    These(BTreeSet<OsString>),
}

/// Device and number of a folder: by two paths to one folder the system tells of one of them only.
type FolderId = (u64, u64);

/// Which folders have to be watched for what, at one moment.
#[derive(Default)]
struct Plan {
    folders: BTreeMap<FolderId, (PathBuf, Names)>,
}

impl Watch {
    /// Watches nothing yet; `changed` returns at least once in each `rescan`.
    pub fn new(rescan: Duration) -> Self {
        Self {
            rescan,
            rescan_at: None,
            paths: BTreeSet::new(),
            bell: Arc::default(),
            wanted: watch::Sender::default(),
            notifier: None,
            watched: BTreeMap::new(),
            warned: false,
        }
    }

    /// Watches these paths instead of those before: every entry of a folder, but of its subfolders nothing; of a file that
    /// file alone; and that it appears, of what is not there. Where that is news, `changed` returns at once.
    pub fn set(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let paths = paths.into_iter().map(absolute).collect();
        if self.paths != paths {
            self.paths = paths;
            self.renew(false);
            self.bell.ring.notify_one();
        }
    }

    /// Waits until somebody should look. Many changes are told once.
    ///
    /// Cancel-safe: what is not told now is told by the next call.
    pub async fn changed(&mut self) -> Cause {
        let rescan_at = self.rescan_at;
        let rescan_at = rescan_at.unwrap_or_else(|| Instant::now() + self.rescan);
        self.rescan_at = Some(rescan_at);
        // A ring that was taken by a future that is then dropped is handed on; and nothing is awaited behind the select.
        let cause = tokio::select! {
            () = self.bell.ring.notified() => Cause::Notified,
            () = sleep_until(rescan_at) => Cause::Rescan,
        };
        match cause {
            Cause::Notified => self.renew(false),
            Cause::Rescan => {
                self.rescan_at = Some(Instant::now() + self.rescan);
                self.renew(true);
            }
        }
        cause
    }

    /// Brings what is watched up to date; `anew` trusts nothing that was done before. What happens meanwhile is seen by
    /// whoever looks afterwards.
    fn renew(&mut self, anew: bool) {
        if self.bell.moved.swap(false, Ordering::AcqRel) || anew {
            for (_, path) in std::mem::take(&mut self.watched) {
                self.forget(&path);
            }
        }
        for _ in 0..WALKS_MAX {
            let plan = Plan::of(&self.paths);
            self.wanted.send_replace(plan.wanted());
            if !self.follow(plan) {
                break;
            }
        }
    }

    /// Watches just the folders of `plan`. Whether one of them was not watched before: then it may have changed between
    /// the walk and the watch.
    fn follow(&mut self, plan: Plan) -> bool {
        let mut gone = Vec::new();
        self.watched.retain(|id, path| {
            let kept = plan.folders.get(id).is_some_and(|(new, _)| new == path);
            if !kept {
                gone.push(path.clone());
            }
            kept
        });
        gone.iter().for_each(|path| self.forget(path));
        let mut new = false;
        for (id, (path, _)) in plan.folders {
            if !self.watched.contains_key(&id) && self.begin(&path) {
                self.watched.insert(id, path);
                new = true;
            }
        }
        new
    }

    /// Whether the system watches the folder at `path` now.
    fn begin(&mut self, path: &Path) -> bool {
        let mut notifier = match self.notifier.take() {
            Some(notifier) => notifier,
            None => match self.notifier() {
                Ok(notifier) => notifier,
                Err(error) => return self.complain(&error),
            },
        };
        let begun = notifier.watch(path, RecursiveMode::NonRecursive);
        self.notifier = Some(notifier);
        match begun {
            Ok(()) => true,
            Err(error) => self.complain(&error),
        }
    }

    fn notifier(&self) -> notify::Result<RecommendedWatcher> {
        let bell = Arc::clone(&self.bell);
        let wanted = self.wanted.subscribe();
        notify::recommended_watcher(move |event| bell.on_event(event, &wanted))
    }

    fn forget(&mut self, path: &Path) {
        if let Some(notifier) = &mut self.notifier {
            // It fails if the folder is gone, and its watch with it: just what is wanted.
            drop(notifier.unwatch(path));
        }
    }

    /// Says once that rescans alone have to do; always false.
    fn complain(&mut self, error: &notify::Error) -> bool {
        // It was there a moment ago. It is watched for by the step before it.
        let gone = matches!(error.kind, ErrorKind::PathNotFound);
        if !gone && !self.warned {
            self.warned = true;
            warn!(
                %error,
                "the system does not tell of all changes to files, so they are noticed up to {:?} late; \
                 if its limits are exhausted, raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
                self.rescan
            );
        }
        false
    }
}

impl Bell {
    /// On the notifier's own thread.
    fn on_event(&self, event: notify::Result<Event>, wanted: &watch::Receiver<Wanted>) {
        let Ok(event) = event else {
            self.moved.store(true, Ordering::Release);
            return self.ring.notify_one();
        };
        let wanted = wanted.borrow();
        let of_folder = event.paths.iter().any(|path| wanted.contains_key(path));
        if of_folder && comes_or_goes(event.kind) {
            self.moved.store(true, Ordering::Release);
        }
        let matters = |path: &PathBuf| {
            let names = path.parent().and_then(|folder| wanted.get(folder));
            let name = path.file_name().unwrap_or_default();
            names.is_some_and(|names| names.contain(name))
        };
        let lost = event.need_rescan();
        let told = is_change(event.kind) && (of_folder || event.paths.iter().any(matters));
        if lost || told {
            self.ring.notify_one();
        }
    }
}

/// Whether anything is different after it. Opening and reading change nothing.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// Whether afterwards something else may be by that name.
fn comes_or_goes(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

impl Names {
    fn contain(&self, name: &OsStr) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

impl Plan {
    fn of(paths: &BTreeSet<PathBuf>) -> Self {
        let mut plan = Self::default();
        paths.iter().for_each(|path| plan.walk(path));
        plan
    }

    /// Follows an absolute path as the system does, and notes each name that decides where it leads.
    fn walk(&mut self, path: &Path) {
        let mut at = PathBuf::new();
        let mut ahead: VecDeque<OsString> = steps(path);
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            let next = at.join(&step);
            if step == *".." {
                at.pop();
                continue;
            }
            let Ok(found) = fs::symlink_metadata(&next) else {
                // It, or what leads to it, may appear.
                return self.add(&at, Some(step));
            };
            if found.is_symlink() {
                self.add(&at, Some(step));
                links += 1;
                let Ok(target) = fs::read_link(&next) else {
                    return;
                };
                if links > LINKS_MAX {
                    return;
                }
                let mut rest = steps(&target);
                rest.append(&mut ahead);
                ahead = rest;
                continue;
            }
            let last = ahead.is_empty();
            if last || !found.is_dir() {
                self.add(&at, Some(step));
            }
            if !found.is_dir() {
                return;
            }
            at = next;
        }
        self.add(&at, None);
    }

    /// Notes that `name` matters in `folder`, or all names do.
    fn add(&mut self, folder: &Path, name: Option<OsString>) {
        // Nothing leads to a folder that went a moment ago; the step before it was noted, or a rescan finds it.
        let Ok(found) = fs::metadata(folder) else {
            return;
        };
        let none = || (folder.to_owned(), Names::These(BTreeSet::new()));
        let id = (found.dev(), found.ino());
        let (_, names) = self.folders.entry(id).or_insert_with(none);
        match (names, name) {
            (Names::All, _) => {}
            (Names::These(names), Some(name)) => {
                names.insert(name);
            }
            (names @ Names::These(_), None) => *names = Names::All,
        }
    }

    fn wanted(&self) -> Wanted {
        self.folders.values().cloned().collect()
    }
}

/// What a path consists of; `/` begins again at the top.
fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|step| *step != Component::CurDir)
        .map(|step| step.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
