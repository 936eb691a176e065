//! The tables of a journal.

use rusqlite::Connection;

use super::error::Fault;
use super::meta::Meta;
use crate::sqlite::{self, Schema};

/// "QMJ1" in ASCII: tells our files from other SQLite files. Not registered anywhere.
const APPLICATION_ID: i64 = 0x514d_4a31;

/// Every table is `WITHOUT ROWID`: one B-tree, in the order of its key, no index beside it. Numbers that are
/// `u64` in the code are the same 64 bits here. JSON columns hold what `serde_json` makes of the types in `store`.
const MIGRATIONS: [&str; 3] = [FIRST, RATIONS, USAGE];

const FIRST: &str = "
CREATE TABLE meta (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    backend_id TEXT,
    token      BLOB NOT NULL,    -- of the latest claim
    chain      INTEGER NOT NULL, -- number of the latest commit
    scanned    INTEGER NOT NULL,
    clock      INTEGER NOT NULL, -- Unix milliseconds
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE subscription (
    plugin     TEXT NOT NULL PRIMARY KEY,
    cursor     INTEGER NOT NULL,
    start      INTEGER NOT NULL,
    react_from INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    failures   TEXT NOT NULL,    -- JSON
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE kv (
    plugin   TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    run      TEXT NOT NULL PRIMARY KEY, -- qm1:<plugin>:<trigger>
    position INTEGER NOT NULL,
    depth    INTEGER NOT NULL,
    drafts   TEXT NOT NULL,             -- JSON
    parked   TEXT,                      -- the reason
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letter (
    run      TEXT NOT NULL PRIMARY KEY, -- qm1:<plugin>:<trigger>
    depth    INTEGER NOT NULL,
    mode     TEXT NOT NULL,             -- JSON
    landed   INTEGER NOT NULL,          -- 0 or 1
    event    TEXT NOT NULL,             -- JSON
    failures TEXT NOT NULL,             -- JSON
    at       INTEGER NOT NULL,          -- Unix milliseconds
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const RATIONS: &str = "
CREATE TABLE ration (
    owner    TEXT NOT NULL PRIMARY KEY, -- a plugin; empty for the store
    at       INTEGER NOT NULL,          -- Unix milliseconds
    fuel     INTEGER,                   -- what is left; NULL is without limit
    runs     INTEGER,
    commits  INTEGER,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE breaker (
    plugin     TEXT NOT NULL PRIMARY KEY,
    failures   INTEGER NOT NULL, -- in a row
    open_until INTEGER,          -- Unix milliseconds
    build      TEXT,
    checksum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a plugin keeps in kv is added up when it next writes, so an older file has no `kv_total` to be made of.
const USAGE: &str = "
CREATE TABLE run_usage (
    number            INTEGER NOT NULL PRIMARY KEY, -- counts up
    run               TEXT NOT NULL,                -- qm1:<plugin>:<trigger>
    attempt           INTEGER NOT NULL,
    at                INTEGER NOT NULL,             -- Unix milliseconds
    ending            TEXT NOT NULL,
    fuel              INTEGER NOT NULL,
    wall_us           INTEGER NOT NULL,             -- microseconds
    memory_peak       INTEGER NOT NULL,             -- bytes
    host_calls        INTEGER NOT NULL,
    host_bytes        INTEGER NOT NULL,
    drafts            INTEGER NOT NULL,
    log_lines_dropped INTEGER NOT NULL,
    refusals          TEXT NOT NULL,                -- JSON
    checksum          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    hours       INTEGER NOT NULL, -- how long it is about: 1 or 24
    number      INTEGER NOT NULL, -- of the hour or day since the Unix epoch
    plugin      TEXT NOT NULL,
    runs        INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    fuel        INTEGER NOT NULL,
    wall_us     INTEGER NOT NULL, -- microseconds
    memory_peak INTEGER NOT NULL, -- bytes, the largest
    host_calls  INTEGER NOT NULL,
    host_bytes  INTEGER NOT NULL,
    drafts      INTEGER NOT NULL,
    refusals    TEXT NOT NULL,    -- JSON: limits, and how often
    checksum    INTEGER NOT NULL,
    PRIMARY KEY (hours, number, plugin)
) STRICT, WITHOUT ROWID;
CREATE TABLE kv_total (
    plugin   TEXT NOT NULL PRIMARY KEY,
    entries  INTEGER NOT NULL,
    bytes    INTEGER NOT NULL, -- of keys and values
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The first version whose files keep what runs used.
const KEEPS_USAGE: i64 = 3;

const SCHEMA: Schema = Schema {
    application_id: APPLICATION_ID,
    steps: &MIGRATIONS,
};

/// Makes the file one of the newest version. A file that is not ours, or is newer than we are, is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    SCHEMA.migrate(connection, |connection| Meta::default().write(connection))
}

/// Whether the file, which is left as it is, keeps what runs used.
pub(super) fn keeps_usage(connection: &Connection) -> Result<bool, Fault> {
    let found = SCHEMA.version(connection)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(sqlite::Fault::Newer { found, known }.into());
    }
    Ok(found >= KEEPS_USAGE)
}
