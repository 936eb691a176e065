//! The tables of a journal.

use rusqlite::Connection;

use super::error::Fault;
use super::meta::Meta;
use crate::sqlite::Schema;

/// "QMJ1" in ASCII: tells our files from other SQLite files. Not registered anywhere.
const APPLICATION_ID: i64 = 0x514d_4a31;

/// Every table is `WITHOUT ROWID`: one B-tree, in the order of its key, no index beside it. Numbers that are
/// `u64` in the code are the same 64 bits here. JSON columns hold what `serde_json` makes of the types in `store`.
const MIGRATIONS: [&str; 2] = [FIRST, RATIONS];

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

/// Makes the file one of the newest version. A file that is not ours, or is newer than we are, is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let schema = Schema {
        application_id: APPLICATION_ID,
        steps: &MIGRATIONS,
    };
    schema.migrate(connection, |connection| Meta::default().write(connection))
}
