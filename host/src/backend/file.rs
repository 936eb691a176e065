//! One store's log on the disk: a table of events that only grows. Every row carries a checksum, and events are numbered
//! without a gap, so a flipped byte and a lost row are both noticed when they are read. Knows nothing of threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row};

use crate::backend::error::Error;
use crate::backend::page::PageSize;
use crate::backend::{LogSettings, path_of};
use crate::event::{Event, SeqNum};
use crate::id::{BackendId, StoreId};
use crate::sqlite::{Checksum, Fault, Schema, wal_of};
use crate::store::Durability;
use crate::time::Timestamp;

const SCHEMA: Schema = Schema {
    // "QML1" in ASCII. Not registered anywhere.
    application_id: 0x514d_4c31,
    steps: &["
CREATE TABLE log (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    store      TEXT NOT NULL,
    backend_id TEXT NOT NULL,    -- the log's identity, made with the file
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    seq        INTEGER NOT NULL PRIMARY KEY, -- 1, 2, 3, …; the parent of an event is the one before it
    name       TEXT NOT NULL,
    args       TEXT NOT NULL,                -- JSON, as the client wrote it
    client_id  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,             -- Unix milliseconds
    checksum   INTEGER NOT NULL
) STRICT;
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
"],
};

/// How long another program that holds the file is waited for. It holds up the thread's other stores as well.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Pages that an open file may keep in memory, in KiB. Appending touches the last few, reading each once.
const CACHE_KIB: i64 = 128;

/// SQLite's default, said because its limits are in pages.
const PAGE_BYTES: u64 = 4096;

/// Pages in the WAL (1 MiB) before it is folded into the file and begun anew. A sync is cheaper once the WAL does not
/// grow any more; folding it costs two or three.
const WAL_PAGES: u32 = 256;

/// A WAL that may stay beside a closed file: about a millisecond of reading at the next open.
const WAL_BYTES_KEPT: u64 = 1 << 20;

/// More than there are statements, so that each is compiled once.
const STATEMENTS: usize = 16;

/// A log's file, open.
pub(super) struct LogFile {
    connection: Connection,
    path: PathBuf,
}

/// What a log is when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) backend_id: BackendId,
    pub(super) head: SeqNum,
}

/// Events that were read in one go.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) events: Vec<Event>,
    /// The last event of the log at that time.
    pub(super) head: SeqNum,
}

impl LogFile {
    /// Opens the store's log for appending; makes one if there is none. A file that is not ours, is newer than we are or
    /// belongs to another store is left as it is.
    pub(super) fn open(
        folder: &Path,
        store: &StoreId,
        settings: &LogSettings,
    ) -> Result<(Self, Identity), Error> {
        let path = path_of(folder, store);
        let opened = Self::open_for_writing(&path, settings, store);
        let (file, found) = opened.map_err(|fault| Error::at(&path, fault))?;
        if found.store != store.as_str() {
            return Err(Error::Foreign {
                what: format!("this is the log of store {:?}", found.store),
                path,
            });
        }
        let identity = Identity {
            backend_id: BackendId::new(&found.backend_id),
            head: found.head,
        };
        Ok((file, identity))
    }

    fn open_for_writing(
        path: &Path,
        settings: &LogSettings,
        store: &StoreId,
    ) -> Result<(Self, Found), Fault> {
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        let pages_max = i64::try_from(settings.bytes_max / PAGE_BYTES).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(()))?;
        // With WAL, NORMAL syncs when it is folded and FULL after each transaction as well. A log that is just made is
        // synced in any case: clients remember its identity.
        connection.pragma_update(None, "synchronous", "FULL")?;
        SCHEMA.migrate(&mut connection, |connection| {
            let backend_id = new_backend_id()?;
            let checksum = log_checksum(store.as_str(), &backend_id);
            connection.execute(
                "INSERT INTO log (id, store, backend_id, checksum) VALUES (1, ?, ?, ?)",
                (store.as_str(), &backend_id, checksum),
            )?;
            Ok::<_, Fault>(())
        })?;
        match settings.durability {
            Durability::Normal => connection.pragma_update(None, "synchronous", "NORMAL")?,
            Durability::Full => {}
        }
        let path = path.to_owned();
        let file = Self { connection, path };
        let found = file.identify()?;
        Ok((file, found))
    }

    /// Opens a log that a writer has opened before, for reading only.
    pub(super) fn open_to_read(folder: &Path, store: &StoreId) -> Result<Self, Fault> {
        let path = path_of(folder, store);
        let connection = connect(&path, OpenFlags::empty())?;
        connection.pragma_update(None, "query_only", true)?;
        SCHEMA.version(&connection)?;
        Ok(Self { connection, path })
    }

    /// Begins a transaction; what is appended lasts once it is committed.
    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.run("BEGIN IMMEDIATE")
    }

    /// Ends the transaction.
    pub(super) fn commit(&self) -> Result<(), Fault> {
        self.run("COMMIT")
    }

    /// Appends `event`, whose number is the next.
    pub(super) fn append(&self, event: &Event, created_at: Timestamp) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO event (seq, name, args, client_id, session_id, created_at, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?;
        statement.execute((
            event.seq.get().cast_signed(),
            &*event.name,
            &*event.args,
            &*event.client_id,
            &*event.session_id,
            created_at.as_millis().cast_signed(),
            event_checksum(event, created_at),
        ))?;
        Ok(())
    }

    /// The events after `after`: as many as fit a page, and no more than `events_max`.
    pub(super) fn read(
        &self,
        after: SeqNum,
        events_max: usize,
        mut size: PageSize,
    ) -> Result<Events, Fault> {
        let head = self.head()?;
        let mut events: Vec<Event> = Vec::new();
        if after >= head {
            return Ok(Events { events, head });
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, name, args, client_id, session_id, created_at, checksum FROM event \
             WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        )?;
        let limit = i64::try_from(events_max).unwrap_or(i64::MAX);
        let mut rows =
            statement.query((after.get().cast_signed(), head.get().cast_signed(), limit))?;
        let mut expected = after.next();
        let whole = loop {
            let Some(row) = rows.next().map_err(|error| unreadable(expected, error))? else {
                break events.len() == events_max || expected == head.next();
            };
            let event = event_of(row, expected)?;
            if !size.add(&event) {
                break true;
            }
            events.push(event);
            expected = expected.next();
        };
        if !whole {
            return Err(Fault::Corrupt(format!("event {expected} is missing")));
        }
        Ok(Events { events, head })
    }

    /// Closes it for a while. A short WAL stays, and the next open reads it: folding it costs several syncs.
    pub(super) fn put_away(self) -> Result<(), Fault> {
        let wal_bytes = fs::metadata(wal_of(&self.path)).map_or(0, |wal| wal.len());
        if wal_bytes < WAL_BYTES_KEPT {
            return Ok(());
        }
        self.close()
    }

    /// Folds the WAL into it and closes it, so that one file is left unless somebody else reads it.
    pub(super) fn close(self) -> Result<(), Fault> {
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        self.connection.close().map_err(|(_, error)| error.into())
    }

    fn run(&self, statement: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }

    fn head(&self) -> Result<SeqNum, Fault> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT ifnull(max(seq), 0) FROM event")?;
        let head: i64 = statement.query_row([], |row| row.get(0))?;
        Ok(SeqNum::new(head.cast_unsigned()))
    }

    /// Whose log it is and how long. Its last event is looked at: what is appended stands on it.
    fn identify(&self) -> Result<Found, Fault> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT store, backend_id, checksum FROM log WHERE id = 1")?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Err(Fault::Corrupt("its row in log is missing".to_owned()));
        };
        let (store, backend_id): (String, String) = (row.get(0)?, row.get(1)?);
        if row.get::<_, i64>(2)? != log_checksum(&store, &backend_id) {
            return Err(Fault::corrupt_row("its row in log"));
        }
        let head = self.head()?;
        if head > SeqNum::ROOT {
            let before = SeqNum::new(head.get() - 1);
            self.read(before, 1, PageSize::empty(&BackendId::new(&backend_id)))?;
        }
        Ok(Found {
            store,
            backend_id,
            head,
        })
    }
}

/// What stands in a file.
struct Found {
    store: String,
    backend_id: String,
    head: SeqNum,
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    // One thread at a time has the connection, so SQLite need not lock it.
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "cell_size_check", 1)?;
    connection.pragma_update(None, "trusted_schema", 0)?;
    Ok(connection)
}

fn event_of(row: &Row<'_>, expected: SeqNum) -> Result<Event, Fault> {
    let seq = SeqNum::new(row.get::<_, i64>(0)?.cast_unsigned());
    if seq != expected {
        return Err(Fault::Corrupt(format!("event {expected} is missing")));
    }
    let text = |index| {
        let text = row.get_ref(index)?.as_str();
        text.map_err(|_| Fault::corrupt_row(&format!("event {seq}")))
    };
    let created_at = Timestamp::from_millis(row.get::<_, i64>(5)?.cast_unsigned());
    let event = Event {
        seq,
        parent: SeqNum::new(seq.get().saturating_sub(1)),
        name: text(1)?.into(),
        args: text(2)?.into(),
        client_id: text(3)?.into(),
        session_id: text(4)?.into(),
        created_at: Some(created_at),
    };
    if row.get::<_, i64>(6)? != event_checksum(&event, created_at) {
        return Err(Fault::corrupt_row(&format!("event {seq}")));
    }
    Ok(event)
}

/// SQLite says what is wrong with a file, not which event it was at.
fn unreadable(expected: SeqNum, error: rusqlite::Error) -> Fault {
    match Fault::from(error) {
        Fault::Corrupt(what) => Fault::Corrupt(format!("event {expected} cannot be read: {what}")),
        fault @ (Fault::Newer { .. } | Fault::Foreign | Fault::Disk(_) | Fault::Other(_)) => fault,
    }
}

fn event_checksum(event: &Event, created_at: Timestamp) -> i64 {
    Checksum::of("event")
        .number(event.seq.get())
        .text(&event.name)
        .text(&event.args)
        .text(&event.client_id)
        .text(&event.session_id)
        .number(created_at.as_millis())
        .get()
}

fn log_checksum(store: &str, backend_id: &str) -> i64 {
    Checksum::of("log").text(store).text(backend_id).get()
}

/// 126 random bits as 21 letters, as LiveStore's backends spell theirs.
fn new_backend_id() -> Result<String, Fault> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let mut random = [0; 21];
    getrandom::fill(&mut random)
        .map_err(|error| Fault::Other(format!("the system gave no random numbers: {error}")))?;
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 64)]));
    Ok(letters.iter().collect())
}
