//! Real folders and real notifications: whatever an editor, a copy or Kubernetes does to a file is told.

use std::os::unix::fs::symlink;
use std::process::Command;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

/// Longer than any machine takes to tell; waited for only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing is told by it in a test.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A folder to watch things in.
struct World {
    folder: TempDir,
    watch: Watch,
}

impl World {
    fn new(rescan: Duration) -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            watch: Watch::new(rescan),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folder(&self, name: &str) {
        fs::create_dir(self.path(name)).expect("a folder");
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("a rename");
    }

    /// Makes or replaces a link in one step, as Kubernetes does.
    fn link(&self, name: &str, target: &str) {
        let new = format!("{name}.new");
        symlink(target, self.path(&new)).expect("a link");
        self.rename(&new, name);
    }

    /// Watches `name`, and looks at it for the first time.
    async fn watch(&mut self, name: &str) {
        self.watch.set([self.path(name)]);
        self.told("the first look").await;
        self.quiet().await;
    }

    /// Waits to be told.
    #[track_caller]
    fn told(&mut self, what: &str) -> impl Future<Output = ()> {
        let told = timeout(PATIENCE, self.watch.changed());
        let what = what.to_owned();
        async move {
            let cause = told.await.unwrap_or_else(|_| panic!("not told of {what}"));
            assert_eq!(cause, Cause::Notified, "{what}");
        }
    }

    /// Takes what is still told of before, until nothing is for a while.
    async fn quiet(&mut self) {
        const A_WHILE: Duration = Duration::from_millis(250);
        while timeout(A_WHILE, self.watch.changed()).await.is_ok() {}
    }

    /// Whether `act` is told of at all, if it is waited for.
    async fn is_silent(&mut self) -> bool {
        const A_WHILE: Duration = Duration::from_millis(300);
        timeout(A_WHILE, self.watch.changed()).await.is_err()
    }
}

#[tokio::test]
async fn whatever_is_done_to_a_file_in_a_watched_folder_is_told() {
    let mut world = World::new(NEVER);
    world.folder("config");
    world.watch("config").await;
    world.write("config/a.toml", "1");
    world.told("a new file").await;
    world.quiet().await;
    world.write("config/a.toml", "2");
    world.told("a write in place").await;
    world.quiet().await;
    world.write("config/.a.new", "3");
    world.quiet().await;
    world.rename("config/.a.new", "config/a.toml");
    world.told("a rename over it").await;
    world.quiet().await;
    let copied = Command::new("cp")
        .arg(world.path("config/a.toml"))
        .arg(world.path("config/b.toml"))
        .status();
    assert!(copied.expect("cp runs").success());
    world.told("a copy").await;
    world.quiet().await;
    fs::remove_file(world.path("config/a.toml")).expect("it is there");
    world.told("a removal").await;
}

#[tokio::test]
async fn a_swapped_link_anywhere_on_the_way_is_told_and_followed() {
    let mut world = World::new(NEVER);
    world.folder("..one");
    world.folder("..two");
    world.write("..one/a.toml", "1");
    world.write("..two/a.toml", "2");
    world.link("..data", "..one");
    world.link("a.toml", "..data/a.toml");
    world.watch("a.toml").await;
    world.write("..one/a.toml", "1, edited");
    world.told("a write behind two links").await;
    world.quiet().await;
    world.link("..data", "..two");
    world.told("the swap").await;
    world.quiet().await;
    world.write("..two/a.toml", "2, edited");
    world.told("a write behind the new link").await;
    world.quiet().await;
    world.write("..one/a.toml", "nobody reads this any more");
    assert!(world.is_silent().await);
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_watched_where_it_leads() {
    let mut world = World::new(NEVER);
    world.folder("v1");
    world.folder("v2");
    world.link("current", "v1");
    world.watch("current").await;
    world.write("v1/a.toml", "1");
    world.told("a file in the first folder").await;
    world.quiet().await;
    world.link("current", "v2");
    world.told("the swap").await;
    world.quiet().await;
    world.write("current/a.toml", "2");
    world.told("a file in the second folder").await;
}

#[tokio::test]
async fn a_folder_that_is_created_later_is_told_of_at_once_and_watched() {
    let mut world = World::new(NEVER);
    world.watch("config/stores").await;
    world.write("elsewhere", "");
    assert!(world.is_silent().await, "only the way to it matters");
    world.folder("config");
    world.told("the first step to it").await;
    world.quiet().await;
    world.folder("config/stores");
    world.told("the folder").await;
    world.quiet().await;
    world.write("config/stores/a.toml", "1");
    world.told("a file in it").await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_again() {
    let mut world = World::new(NEVER);
    world.folder("config");
    world.watch("config").await;
    for round in 0..5 {
        // The new folder often has the number of the old one.
        fs::remove_dir_all(world.path("config")).expect("it is there");
        world.folder("config");
        world.told("the new folder").await;
        world.quiet().await;
        world.write("config/a.toml", "1");
        world.told(&format!("a file in new folder {round}")).await;
        world.quiet().await;
    }
    world.folder("other");
    world.rename("config", "config.old");
    world.rename("other", "config");
    world.told("the renamed folder").await;
    world.quiet().await;
    world.write("config.old/b.toml", "nobody reads this any more");
    assert!(world.is_silent().await);
    world.write("config/b.toml", "1");
    world.told("a file in the renamed folder").await;
}

#[tokio::test]
async fn only_the_file_itself_is_told_of_where_a_file_is_watched() {
    let mut world = World::new(NEVER);
    world.write("env", "1");
    world.watch("env").await;
    world.write("log", "a busy neighbour");
    assert!(world.is_silent().await);
    world.write("env", "2");
    world.told("the file").await;
    world.quiet().await;
    fs::remove_file(world.path("env")).expect("it is there");
    world.told("its end").await;
    world.quiet().await;
    world.write("env", "3");
    world.told("its return").await;
}

#[tokio::test]
async fn looking_wakes_nobody() {
    let mut world = World::new(NEVER);
    world.folder("config");
    world.write("config/a.toml", "1");
    world.watch("config").await;
    let folder = world.path("config");
    let mut reader = JoinSet::new();
    reader.spawn_blocking(move || {
        for _ in 0..500 {
            for entry in fs::read_dir(&folder).expect("it is there") {
                let path = entry.expect("it is there").path();
                assert_eq!(fs::read_to_string(path).expect("a file"), "1");
            }
        }
    });
    let told = async { world.watch.changed().await };
    tokio::select! {
        cause = told => panic!("woken by reading: {cause:?}"),
        read = reader.join_next() => read.expect("it was begun").expect("it can be read"),
    }
    assert!(world.is_silent().await);
    world.write("config/a.toml", "2");
    world.told("a write").await;
}

#[tokio::test]
async fn a_lost_notification_is_healed_by_the_next_rescan() {
    let mut world = World::new(Duration::from_millis(50));
    world.folder("config");
    world.watch.set([world.path("config")]);
    // As if the system had forgotten.
    for path in world.watch.watched.clone().into_values() {
        world.watch.forget(&path);
    }
    let rescan = async { while world.watch.changed().await != Cause::Rescan {} };
    timeout(PATIENCE, rescan).await.expect("a rescan");
    world.watch.rescan_at = Some(Instant::now() + NEVER);
    world.quiet().await;
    world.write("config/a.toml", "1");
    world.told("a file").await;
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let mut world = World::new(NEVER);
    world.folder("config");
    world.watch("config").await;
    world.write("config/a.toml", "1");
    for _ in 0..50 {
        let waited = timeout(Duration::ZERO, world.watch.changed()).await;
        if waited.is_ok() {
            return;
        }
        tokio::task::yield_now().await;
    }
    world.told("a file, after many who did not wait").await;
}

#[tokio::test]
async fn a_folder_by_two_names_is_told_of_by_both() {
    let mut world = World::new(NEVER);
    world.folder("real");
    world.link("other", "real");
    let (real, other) = (world.path("real"), world.path("other/a.toml"));
    world.watch.set([real, other]);
    world.told("the first look").await;
    world.quiet().await;
    world.write("real/b.toml", "1");
    world.told("a file in the folder").await;
    world.quiet().await;
    world.write("other/a.toml", "1");
    world.told("a file by the other name").await;
}

#[tokio::test]
async fn links_in_a_circle_and_odd_paths_are_survived() {
    let mut world = World::new(NEVER);
    symlink("b", world.path("a")).expect("a link");
    symlink("a", world.path("b")).expect("a link");
    world.write("file", "");
    let paths = ["a", "file/below", "../../../../../../../../..", "a/../file"];
    let paths = paths.map(|name| world.path(name));
    world.watch.set(paths);
    world.told("the first look").await;
    world.quiet().await;
    world.write("file", "1");
    world.told("a write").await;
}
