//! What was ordered by hand, and what the host must remember of itself beyond its stores: orders about stores, the versions
//! of plugins with their pins, alerts, who did what and why, and which stores are on trial. One SQLite file, written a few
//! times a day, so each change is on the disk before it is answered; trials alone are written at every start, and not synced.
//!
//! It keeps and decides nothing: which version a store runs is the catalog's affair, whether a store runs the supervisor's.

mod error;
mod file;
mod schema;
mod trials;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

pub use error::Error;

use crate::act::Act;
use crate::id::{PluginDigest, PluginName, StoreId};
use crate::sqlite::Fault;
use crate::time::Timestamp;
use file::File;

/// What was ordered by hand, kept in one file. Cloning is cheap; clones wait for each other.
#[derive(Clone, Debug)]
pub struct Control {
    /// Held by a thread for blocking work while it asks SQLite, never by a task that waits for something else.
    file: Arc<Mutex<File>>,
    path: Arc<Path>,
}

/// What somebody ordered about a store, whatever its configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOrder {
    /// What is to become of it.
    pub kind: OrderKind,
    /// Who said so.
    pub act: Act,
}

/// What is to become of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// It rests.
    Paused,
    /// It rests, and all that it had committed is in its log.
    Drained,
    /// It is as if it were not configured.
    Removed,
    /// It rests, because the process died whenever it started. The host orders this, never a person.
    Quarantined,
}

/// A store that has begun since the process did, and has not proved yet that the process lives through it; or one that waits
/// to begin, because the process has not lived through it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Whether it goes on.
    pub stage: TrialStage,
    /// What speaks against the store from before.
    pub suspicion: Suspicion,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialStage {
    /// It has not begun.
    Waits,
    /// It goes on; it began together with the process, or soon after.
    WithHost,
    /// It goes on; it began when the process had run well for a while.
    Later,
}

/// What speaks against a store: how often in a row the process died during its trial. One end well, and it is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// Deaths of the process in a row, each while this store was on trial.
    pub deaths: u32,
    /// Those of them that can hardly be anybody else's fault: no other store was on trial, and the process had run well for a
    /// while before this one began.
    pub alone: u32,
    /// How many stores were on trial at the last of them, with this one.
    pub peers: u32,
}

/// One version of a plugin, as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Whose.
    pub plugin: PluginName,
    /// The SHA-256 of its file.
    pub sha256: PluginDigest,
    /// What it calls itself.
    pub version: Arc<str>,
    /// Bytes of its file.
    pub size_bytes: u64,
    /// When it was first seen.
    pub seen_at: Timestamp,
    /// Since when it is for every store; none if it never was.
    pub promoted_at: Option<Timestamp>,
    /// Whether it is not to be used again unless somebody says so.
    pub withdrawn: bool,
    /// Who withdrew or promoted it, if that was an order.
    pub act: Option<Act>,
}

/// The one version of a plugin that is to be used, in one store or wherever nothing more special is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose.
    pub plugin: PluginName,
    /// The store; none for all.
    pub store: Option<StoreId>,
    /// The version.
    pub sha256: PluginDigest,
    /// Who said so.
    pub act: Act,
}

/// Something that the host did by itself and that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// When.
    pub at: Timestamp,
    /// What kind of thing, such as `plugin-rolled-back`.
    pub kind: Arc<str>,
    /// What it is about, such as `echo`.
    pub subject: Arc<str>,
    /// What happened, why, and what to do.
    pub text: Arc<str>,
}

/// One thing that somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What, in words such as `pause` or `pin 3fa8c1d2b0e4`.
    pub what: Arc<str>,
    /// What it was done to, such as `store shop` or `plugin echo in store shop`.
    pub subject: Arc<str>,
    /// By whom, why and when.
    pub act: Act,
}

impl Control {
    /// Opens the file at `path`; makes one if there is none, but not its folder. Blocks.
    ///
    /// # Errors
    /// A file that is not ours, is newer than we are or is damaged is left as it is.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|fault| Error::at(path, fault))?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            path: path.into(),
        })
    }

    /// What was ordered about stores.
    ///
    /// # Errors
    /// The file's, as for each of the following.
    pub async fn orders(&self) -> Result<BTreeMap<StoreId, StoreOrder>, Error> {
        self.with(|file| file.orders()).await
    }

    /// Keeps an order about a store in place of an earlier one. With none the host forgets it by itself; when somebody
    /// says so, it is [`Control::lift_order`], which keeps who and why.
    pub async fn set_order(&self, store: &StoreId, order: Option<StoreOrder>) -> Result<(), Error> {
        let store = store.clone();
        self.with(move |file| match order {
            Some(order) => file.put_order(&store, &order),
            None => file.drop_order(&store, None),
        })
        .await
    }

    /// The store does again what its configuration says, because of `act`.
    pub async fn lift_order(&self, store: &StoreId, act: &Act) -> Result<(), Error> {
        let (store, act) = (store.clone(), act.clone());
        self.with(move |file| file.drop_order(&store, Some(&act)))
            .await
    }

    /// Every version that is kept, by plugin, newest first.
    pub async fn versions(&self) -> Result<Vec<Version>, Error> {
        self.with(|file| file.versions()).await
    }

    /// Keeps a version in place of what was known of the same one.
    pub async fn put_version(&self, version: &Version) -> Result<(), Error> {
        let version = version.clone();
        self.with(move |file| file.put_version(&version)).await
    }

    /// The version's file is not kept any more.
    pub async fn forget_version(
        &self,
        plugin: &PluginName,
        sha256: &PluginDigest,
    ) -> Result<(), Error> {
        let (plugin, sha256) = (plugin.clone(), sha256.clone());
        self.with(move |file| file.forget_version(&plugin, &sha256))
            .await
    }

    /// Every pin, by plugin; the one for all stores before those for one.
    pub async fn pins(&self) -> Result<Vec<Pin>, Error> {
        self.with(|file| file.pins()).await
    }

    /// Keeps a pin of `plugin` in `store` (none for all) in place of an earlier one. With no pin the host forgets it by
    /// itself; when somebody says so, it is [`Control::lift_pin`], which keeps who and why.
    pub async fn set_pin(
        &self,
        plugin: &PluginName,
        store: Option<&StoreId>,
        pin: Option<Pin>,
    ) -> Result<(), Error> {
        let (plugin, store) = (plugin.clone(), store.cloned());
        self.with(move |file| match pin {
            Some(pin) => file.put_pin(&plugin, store.as_ref(), &pin),
            None => file.drop_pin(&plugin, store.as_ref(), None),
        })
        .await
    }

    /// The pin of `plugin` in `store` (none for all) counts no more, because of `act`.
    pub async fn lift_pin(
        &self,
        plugin: &PluginName,
        store: Option<&StoreId>,
        act: &Act,
    ) -> Result<(), Error> {
        let (plugin, store, act) = (plugin.clone(), store.cloned(), act.clone());
        self.with(move |file| file.drop_pin(&plugin, store.as_ref(), Some(&act)))
            .await
    }

    /// Keeps an alert. The oldest beyond a thousand go.
    pub async fn alert(&self, alert: &Alert) -> Result<(), Error> {
        let alert = alert.clone();
        self.with(move |file| file.put_alert(&alert)).await
    }

    /// The latest alerts, newest first.
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Alert>, Error> {
        self.with(move |file| file.alerts(limit)).await
    }

    /// What was done by hand, newest first. The oldest beyond ten thousand are gone.
    pub async fn deeds(&self, limit: u32) -> Result<Vec<Deed>, Error> {
        self.with(move |file| file.deeds(limit)).await
    }

    /// The trials that the last process left, or this one has noted.
    pub async fn trials(&self) -> Result<BTreeMap<StoreId, Trial>, Error> {
        self.with(|file| file.trials()).await
    }

    /// Notes each trial in place of what was known of its store; with none the store is forgotten. It outlives a crash of the
    /// process from here on, but not surely a power cut.
    pub async fn put_trials(&self, changes: BTreeMap<StoreId, Option<Trial>>) -> Result<(), Error> {
        self.with(move |file| file.put_trials(&changes)).await
    }

    /// Nothing speaks against any store any more.
    pub async fn forget_trials(&self) -> Result<(), Error> {
        self.with(|file| file.forget_trials()).await
    }

    /// Asks the file on a thread that may block. Once begun, it is done to the end, also if nobody waits for it any more.
    async fn with<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut File) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let mut file = self.file.clone().lock_owned().await;
        let done = spawn_blocking(move || ask(&mut file)).await;
        done.map_err(|error| Error::Other {
            path: PathBuf::from(&*self.path),
            reason: error.to_string(),
        })?
        .map_err(|fault| Error::at(&self.path, fault))
    }
}

impl OrderKind {
    /// In one word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Drained => "drained",
            Self::Removed => "removed",
            Self::Quarantined => "quarantined",
        }
    }
}

impl TrialStage {
    /// As it is written.
    fn label(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::WithHost => "with-host",
            Self::Later => "later",
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn act(by: &str, at: u64) -> Act {
        Act {
            by: by.into(),
            why: "the ä tests say so".into(),
            at: Timestamp::from_millis(at),
        }
    }

    fn paused() -> StoreOrder {
        StoreOrder {
            kind: OrderKind::Paused,
            act: act("alice (uid 7)", 5),
        }
    }

    fn store(id: &str) -> StoreId {
        id.parse().unwrap()
    }

    fn digest(digit: char) -> PluginDigest {
        digit.to_string().repeat(64).parse().unwrap()
    }

    fn version(digit: char, seen_at: u64) -> Version {
        Version {
            plugin: "echo".parse().unwrap(),
            sha256: digest(digit),
            version: "1.2.3".into(),
            size_bytes: u64::MAX,
            seen_at: Timestamp::from_millis(seen_at),
            promoted_at: None,
            withdrawn: false,
            act: None,
        }
    }

    fn pin(store: Option<StoreId>) -> Pin {
        Pin {
            plugin: "echo".parse().unwrap(),
            store,
            sha256: digest('b'),
            act: act("bob (uid 8)", 6),
        }
    }

    fn alert(at: u64) -> Alert {
        Alert {
            at: Timestamp::from_millis(at),
            kind: "plugin-rolled-back".into(),
            subject: "echo".into(),
            text: "half of its runs failed".into(),
        }
    }

    async fn what_was_done(control: &Control) -> Vec<String> {
        let deeds = control.deeds(u32::MAX).await.unwrap().into_iter();
        deeds
            .map(|it| format!("{}: {} {}", it.act.by, it.what, it.subject))
            .collect()
    }

    #[tokio::test]
    async fn everything_is_there_again_when_the_file_is_opened_again() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.db");
        let control = Control::open(&path).unwrap();
        let plugin: PluginName = "echo".parse().unwrap();
        control
            .set_order(&store("shop"), Some(paused()))
            .await
            .unwrap();
        let pins = [pin(None), pin(Some(store("shop")))];
        for pin in &pins {
            let put = control.set_pin(&plugin, pin.store.as_ref(), Some(pin.clone()));
            put.await.unwrap();
        }
        let mut withdrawn = version('c', 9);
        withdrawn.promoted_at = Some(Timestamp::from_millis(10));
        withdrawn.withdrawn = true;
        withdrawn.act = Some(act("the host", 11));
        for version in [&version('b', 8), &withdrawn] {
            control.put_version(version).await.unwrap();
        }
        control.alert(&alert(12)).await.unwrap();
        let done = what_was_done(&control).await;
        drop(control);

        let control = Control::open(&path).unwrap();
        let orders = control.orders().await.unwrap();
        assert_eq!(orders, BTreeMap::from([(store("shop"), paused())]));
        assert_eq!(control.pins().await.unwrap(), pins);
        let versions = control.versions().await.unwrap();
        assert_eq!(versions, [withdrawn, version('b', 8)], "newest first");
        assert_eq!(control.alerts(5).await.unwrap(), [alert(12)]);
        assert_eq!(what_was_done(&control).await, done);
        assert_eq!(
            done,
            [
                "the host: withdraw cccccccccccc plugin echo",
                "bob (uid 8): pin bbbbbbbbbbbb plugin echo in store shop",
                "bob (uid 8): pin bbbbbbbbbbbb plugin echo",
                "alice (uid 7): pause store shop",
            ]
        );
    }

    #[tokio::test]
    async fn what_is_lifted_or_forgotten_is_gone_and_only_people_leave_a_deed() {
        let folder = TempDir::new().unwrap();
        let control = Control::open(&folder.path().join("control.db")).unwrap();
        let (plugin, shop) = ("echo".parse().unwrap(), store("shop"));
        for by_hand in [true, false] {
            control.set_order(&shop, Some(paused())).await.unwrap();
            let put = control.set_pin(&plugin, Some(&shop), Some(pin(Some(shop.clone()))));
            put.await.unwrap();
            if by_hand {
                control.lift_order(&shop, &act("carol", 1)).await.unwrap();
                let why = act("carol", 2);
                let lift = control.lift_pin(&plugin, Some(&shop), &why);
                lift.await.unwrap();
            } else {
                control.set_order(&shop, None).await.unwrap();
                control.set_pin(&plugin, Some(&shop), None).await.unwrap();
            }
            assert!(control.orders().await.unwrap().is_empty());
            assert!(control.pins().await.unwrap().is_empty());
        }
        let done = what_was_done(&control).await;
        let by_carol: Vec<_> = done.iter().filter(|it| it.starts_with("carol")).collect();
        assert_eq!(
            by_carol,
            [
                "carol: unpin plugin echo in store shop",
                "carol: resume store shop"
            ]
        );
        assert_eq!(done.len(), 6);

        control.put_version(&version('b', 1)).await.unwrap();
        control.forget_version(&plugin, &digest('b')).await.unwrap();
        assert!(control.versions().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn trials_outlive_the_process_until_they_are_forgotten() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.db");
        let trial = |stage, deaths| Trial {
            stage,
            suspicion: Suspicion {
                deaths,
                alone: 1,
                peers: 2,
            },
        };
        let of = |changes: &[(&str, Option<Trial>)]| -> BTreeMap<StoreId, Option<Trial>> {
            changes.iter().map(|(id, it)| (store(id), *it)).collect()
        };
        let first = [
            ("desk", Some(trial(TrialStage::WithHost, 0))),
            ("lab", Some(trial(TrialStage::Waits, 3))),
            ("shop", Some(trial(TrialStage::Later, 2))),
        ];
        let control = Control::open(&path).unwrap();
        control.put_trials(of(&first)).await.unwrap();
        let second = [("desk", Some(trial(TrialStage::Later, 9))), ("lab", None)];
        control.put_trials(of(&second)).await.unwrap();
        drop(control);

        let control = Control::open(&path).unwrap();
        let kept = BTreeMap::from([
            (store("desk"), trial(TrialStage::Later, 9)),
            (store("shop"), trial(TrialStage::Later, 2)),
        ]);
        assert_eq!(control.trials().await.unwrap(), kept);
        control.forget_trials().await.unwrap();
        assert!(control.trials().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn orders_of_an_older_version_are_kept_and_a_store_can_be_quarantined_beside_them() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.db");
        let older = rusqlite::Connection::open(&path).unwrap();
        older.execute_batch(schema::SCHEMA.steps[0]).unwrap();
        let insert = "INSERT INTO store_order VALUES ('shop', 'paused', 'alice (uid 7)', 'the ä tests say so', 5)";
        older.execute(insert, []).unwrap();
        let id = schema::SCHEMA.application_id;
        older.pragma_update(None, "application_id", id).unwrap();
        older.pragma_update(None, "user_version", 1).unwrap();
        drop(older);

        let control = Control::open(&path).unwrap();
        let quarantined = StoreOrder {
            kind: OrderKind::Quarantined,
            act: act("the host", 6),
        };
        let desk = store("desk");
        let put = control.set_order(&desk, Some(quarantined.clone()));
        put.await.unwrap();
        let orders = BTreeMap::from([(desk, quarantined), (store("shop"), paused())]);
        assert_eq!(control.orders().await.unwrap(), orders);
        assert_eq!(
            what_was_done(&control).await,
            ["the host: quarantine store desk"]
        );
    }

    #[tokio::test]
    async fn a_version_that_is_written_anew_leaves_its_deed_once() {
        let folder = TempDir::new().unwrap();
        let control = Control::open(&folder.path().join("control.db")).unwrap();
        let mut promoted = version('b', 1);
        control.put_version(&promoted).await.unwrap();
        promoted.act = Some(act("alice", 2));
        for at in [2, 3] {
            promoted.promoted_at = Some(Timestamp::from_millis(at));
            control.put_version(&promoted).await.unwrap();
        }
        promoted.withdrawn = true;
        promoted.act = Some(act("alice", 4));
        control.put_version(&promoted).await.unwrap();
        assert_eq!(control.versions().await.unwrap(), [promoted]);
        assert_eq!(
            what_was_done(&control).await,
            [
                "alice: withdraw bbbbbbbbbbbb plugin echo",
                "alice: promote bbbbbbbbbbbb plugin echo"
            ]
        );
    }

    #[tokio::test]
    async fn only_the_latest_alerts_and_deeds_are_kept() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.db");
        drop(Control::open(&path).unwrap());
        // As if many had come before, which takes too long one by one.
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
                 INSERT INTO deed (what, subject, by, why, at) SELECT 'x', 'y', 'z', '', n FROM n;
                 INSERT INTO alert (at, kind, subject, text) SELECT at, 'k', 's', 't' FROM deed WHERE id <= 1000;",
            )
            .unwrap();
        let control = Control::open(&path).unwrap();
        for at in [20_000, 20_001] {
            control.alert(&alert(at)).await.unwrap();
            control
                .set_order(&store("shop"), Some(paused()))
                .await
                .unwrap();
        }
        let alerts = control.alerts(u32::MAX).await.unwrap();
        let times = |at: usize| alerts[at].at.as_millis();
        assert_eq!((alerts.len(), times(0), times(999)), (1000, 20_001, 3));
        let deeds = control.deeds(u32::MAX).await.unwrap();
        assert_eq!(deeds.len(), 10_000);
        assert_eq!(deeds[9999].act.at, Timestamp::from_millis(3));
        assert_eq!(control.alerts(1).await.unwrap(), [alert(20_001)]);
    }

    #[test]
    fn a_file_of_another_program_or_of_a_newer_version_is_left_as_it_is() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.db");
        drop(Control::open(&path).unwrap());
        let newer = rusqlite::Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 9).unwrap();
        drop(newer);
        let error = Control::open(&path).err().unwrap();
        let name = path.display();
        assert_eq!(
            error.to_string(),
            format!(
                "orders {name}: the file has format 9, and this version knows formats up to 2; run the newer version \
                 again, or move the file away to begin without orders"
            )
        );

        let path = folder.path().join("theirs.db");
        let theirs = rusqlite::Connection::open(&path).unwrap();
        theirs.execute_batch("CREATE TABLE theirs (n)").unwrap();
        drop(theirs);
        let error = Control::open(&path).err().unwrap();
        assert_eq!(error, Error::Foreign { path: path.clone() });
        let theirs = rusqlite::Connection::open(&path).unwrap();
        let tables = "SELECT count(*) FROM sqlite_schema";
        assert_eq!(theirs.query_row(tables, [], |row| row.get(0)), Ok(1));
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_with_the_way_out() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.db");
        let is_corrupt = || matches!(Control::open(&path), Err(Error::Corrupt { .. }));
        let control = Control::open(&path).unwrap();
        control
            .set_order(&store("shop"), Some(paused()))
            .await
            .unwrap();
        drop(control);
        let bytes = std::fs::read(&path).unwrap();
        assert!(!is_corrupt());

        let rows = rusqlite::Connection::open(&path).unwrap();
        let nameless = "UPDATE store_order SET store = '../shop'";
        rows.execute(nameless, []).unwrap();
        drop(rows);
        let error = Control::open(&path).err().unwrap().to_string();
        assert!(error.contains("\"../shop\""), "{error}");
        assert!(error.contains("restore it from a backup"), "{error}");

        std::fs::write(&path, b"no SQLite file at all, though long enough").unwrap();
        assert!(is_corrupt());
        let mut torn = bytes;
        torn[4096..8192].fill(0xa5);
        std::fs::write(&path, torn).unwrap();
        assert!(is_corrupt());
    }
}
