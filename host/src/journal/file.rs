//! One store's SQLite file while it is open: how it is opened and closed, and the transactions on it. Knows nothing of
//! threads and queues.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::Fault;
use super::meta::Meta;
use super::{Proof, Token};
use super::{
    dead_letter, execution, kv, landed, outbox, ration, schema, subscription, task, usage,
};
use crate::sqlite::{wal_of, with_suffix};
use crate::store::{Commit, Durability, Snapshot};

/// How long another program that holds the file is waited for. It holds up the other stores of the thread as well, so
/// it is about what they can bear; a shell that only reads never holds it.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Pages that an open file may keep in memory, in KiB: what one commit touches. What does not fit is in the system's
/// cache; commits were not measurably slower than with ten times as much.
const CACHE_KIB: i64 = 64;

/// Pages in the WAL (1 MiB) before it is folded into the file. More would be more to read at each open, about a
/// microsecond a page; less would be more syncs.
const WAL_PAGES: u32 = 256;

/// SQLite's default, said because its limits are in pages.
const PAGE_BYTES: u64 = 4096;

/// More than there are statements, so that each is compiled once.
const STATEMENTS: usize = 80;

/// Whether a file that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

/// One store's file, open.
pub(super) struct StoreFile {
    connection: Connection,
    path: PathBuf,
    /// What `PRAGMA synchronous` is set to.
    synced: bool,
}

impl StoreFile {
    /// Opens the file at `path`; `None` if it is not there and shall not be made. A file that is not ours or is newer
    /// than we are is not touched.
    pub(super) fn open(
        path: &Path,
        missing: Missing,
        bytes_max: u64,
    ) -> Result<Option<Self>, Fault> {
        // One thread at a time has the file, so SQLite need not lock the connection.
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match missing {
            Missing::Create => flags |= OpenFlags::SQLITE_OPEN_CREATE,
            Missing::Refuse if !path.try_exists()? => return Ok(None),
            Missing::Refuse => {}
        }
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Folding the WAL costs several syncs: `put_away` and `close` decide when.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let pragma = |name, value: i64| connection.pragma_update(None, name, value);
        let pages_max = i64::try_from(bytes_max / PAGE_BYTES).unwrap_or(i64::MAX);
        pragma("cache_size", -CACHE_KIB)?;
        pragma("cell_size_check", 1)?;
        pragma("trusted_schema", 0)?;
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(()))?;
        pragma_synchronous(&connection, false)?;
        schema::migrate(&mut connection)?;
        let path = path.to_owned();
        Ok(Some(Self {
            connection,
            path,
            synced: false,
        }))
    }

    /// Makes `token` the one that may write; answers the number of the last commit. Not synced: a power cut that takes
    /// it back has ended the earlier lease as well, since both lived on this machine.
    pub(super) fn claim(&mut self, token: Token) -> Result<u64, Fault> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut meta = Meta::read(&transaction)?;
        meta.token = token;
        meta.write(&transaction)?;
        transaction.commit()?;
        Ok(meta.chain)
    }

    /// All that a start needs, with every row of the file checked: also those that it does not need.
    pub(super) fn load(&mut self, proof: Proof) -> Result<Snapshot, Fault> {
        let transaction = self.connection.transaction()?;
        let meta = Meta::held_by(&transaction, proof)?;
        let report: String =
            transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if report != "ok" {
            return Err(Fault::corrupt(report));
        }
        kv::verify(&transaction)?;
        usage::verify(&transaction)?;
        Ok(Snapshot {
            backend_id: meta.backend_id,
            scanned: meta.scanned,
            clock: meta.clock,
            subscriptions: subscription::all(&transaction)?,
            outbox: outbox::all(&transaction)?,
            dead_letters: dead_letter::runs(&transaction)?,
            rations: ration::all(&transaction)?,
            breakers: ration::breakers(&transaction)?,
            tasks: task::all(&transaction)?,
            executions: execution::verify(&transaction)?,
            landed_occurrences: landed::all(&transaction)?,
        })
    }

    /// Writes `commits` in one transaction, in order. If this fails, nothing of any is written. Else answers for each
    /// whether its lease held; of one whose lease did not, nothing is written.
    pub(super) fn commit(
        &mut self,
        commits: &[(Proof, Durability, &Commit)],
    ) -> Result<Vec<bool>, Fault> {
        let synced = |(_, durability, commit): &(Proof, Durability, &Commit)| match durability {
            Durability::Normal => commit.synced,
            Durability::Full => true,
        };
        self.set_synced(commits.iter().any(synced))?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut held = Vec::with_capacity(commits.len());
        for (proof, _, commit) in commits {
            match apply(&transaction, *proof, commit) {
                Ok(()) => held.push(true),
                Err(Fault::Fenced) => held.push(false),
                Err(fault) => return Err(fault),
            }
        }
        transaction.commit()?;
        Ok(held)
    }

    /// The file's rows, for reading.
    pub(super) fn rows(&self) -> &Connection {
        &self.connection
    }

    /// Closes the file for a while. A short WAL stays, and the next open reads it. A long one is folded: SQLite begins
    /// it anew only in a file that stays open, so it would grow with each commit, and be copied with each.
    pub(super) fn put_away(self) -> Result<(), Fault> {
        let wal_bytes = fs::metadata(wal_of(&self.path)).map_or(0, |wal| wal.len());
        if wal_bytes < u64::from(WAL_PAGES) * PAGE_BYTES {
            return Ok(());
        }
        self.close()
    }

    /// Folds the WAL into the file and closes it, so that one file is left. If that does not work, the WAL stays, and
    /// the next open reads it.
    pub(super) fn close(self) -> Result<(), Fault> {
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(())
    }

    /// Gives the file a name under which no store looks for it, and answers that name.
    pub(super) fn archive(self, proof: Proof) -> Result<PathBuf, Fault> {
        Meta::held_by(&self.connection, proof)?;
        let path = self.path.clone();
        self.close()?;
        if wal_of(&path).try_exists()? {
            // Without it the archived file would lack its last commits.
            let reason =
                "its -wal file could not be folded into it; is another program reading it?";
            return Err(Fault::from(io::Error::other(reason)));
        }
        let archived = unused_archive_name(&path)?;
        fs::rename(&path, &archived)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(archived)
    }

    /// Whether the next transaction is on the disk before its commit returns.
    fn set_synced(&mut self, synced: bool) -> Result<(), Fault> {
        if self.synced != synced {
            pragma_synchronous(&self.connection, synced)?;
            self.synced = synced;
        }
        Ok(())
    }
}

/// With WAL, NORMAL syncs when it is folded and FULL after each transaction as well.
fn pragma_synchronous(connection: &Connection, synced: bool) -> rusqlite::Result<()> {
    let level = if synced { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", level)
}

/// `<store>.db.archived-<n>` with the lowest free n. Only a name that ends in `.db` can be a store's.
fn unused_archive_name(path: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let name = with_suffix(path, &format!(".archived-{number}"));
        if !name.try_exists()? {
            return Ok(name);
        }
        number += 1;
    }
}

/// Writes one commit's rows. The check comes first: of a commit whose lease did not hold nothing is written.
fn apply(connection: &Connection, proof: Proof, commit: &Commit) -> Result<(), Fault> {
    let mut meta = Meta::held_by(connection, proof)?;
    meta.chain += 1;
    meta.scanned = commit.scanned;
    meta.clock = commit.clock;
    if let Some(backend_id) = &commit.adopt {
        meta.backend_id = Some(backend_id.clone());
    }
    meta.write(connection)?;
    for plugin in &commit.subscriptions_removed {
        subscription::remove(connection, plugin)?;
        kv::remove_all(connection, plugin)?;
        dead_letter::remove_all(connection, plugin)?;
        ration::remove_all(connection, plugin)?;
        task::remove_all(connection, plugin)?;
        execution::remove_all(connection, plugin)?;
    }
    for record in &commit.subscriptions {
        subscription::put(connection, record)?;
    }
    kv::write_all(connection, &commit.kv)?;
    for entry in &commit.outbox {
        outbox::put(connection, entry)?;
    }
    for run in &commit.outbox_removed {
        outbox::remove(connection, run)?;
    }
    for letter in &commit.dead_letters {
        dead_letter::put(connection, letter)?;
    }
    for run in &commit.dead_letters_landed {
        dead_letter::set_landed(connection, run)?;
    }
    let gone = commit.dead_letters_removed.iter();
    for run in gone.chain(&commit.dead_letters_dropped) {
        dead_letter::remove(connection, run)?;
    }
    usage::add(connection, &commit.usage)?;
    for record in &commit.rations {
        ration::put(connection, record)?;
    }
    for record in &commit.breakers {
        ration::put_breaker(connection, record)?;
    }
    apply_tasks(connection, commit)
}

/// The part that is about tasks.
fn apply_tasks(connection: &Connection, commit: &Commit) -> Result<(), Fault> {
    for record in &commit.tasks {
        task::put(connection, record)?;
    }
    for key in &commit.tasks_removed {
        task::remove(connection, key)?;
    }
    if !commit.tasks_removed.is_empty() {
        execution::remove_orphans(connection, commit.clock)?;
    }
    for record in &commit.executions {
        execution::put(connection, record)?;
    }
    for run in &commit.landed_occurrences {
        landed::put(connection, run)?;
    }
    for run in &commit.landed_forgotten {
        landed::remove(connection, run)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_synced_if_it_or_its_store_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut file = StoreFile::open(&path, Missing::Create, 1 << 30)
            .unwrap()
            .unwrap();
        let token = Token([7; 16]);
        let mut chain = file.claim(token).unwrap();
        let mut level_after = |commits: &[(Durability, bool)]| {
            let commits: Vec<_> = commits
                .iter()
                .map(|(durability, synced)| {
                    let synced = *synced;
                    (
                        *durability,
                        Commit {
                            synced,
                            ..Commit::default()
                        },
                    )
                })
                .collect();
            let mut batch = Vec::new();
            for (durability, commit) in &commits {
                batch.push((Proof { token, chain }, *durability, commit));
                chain += 1;
            }
            assert!(file.commit(&batch).unwrap().iter().all(|held| *held));
            let level = file
                .rows()
                .pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
            level.unwrap()
        };
        const NORMAL: i64 = 1;
        const FULL: i64 = 2;
        assert_eq!(level_after(&[(Durability::Normal, false)]), NORMAL);
        assert_eq!(level_after(&[(Durability::Normal, true)]), FULL);
        assert_eq!(level_after(&[(Durability::Normal, false)]), NORMAL);
        assert_eq!(level_after(&[(Durability::Full, false)]), FULL);
        let mixed = [
            (Durability::Normal, false),
            (Durability::Normal, true),
            (Durability::Normal, false),
        ];
        assert_eq!(level_after(&mixed), FULL);
    }
}
