//! The tables of a journal.

use rusqlite::Connection;

use super::error::Fault;
use super::meta::Meta;
use crate::sqlite::{self, Schema};

/// "QMJ1" in ASCII: tells our files from other SQLite files. Not registered anywhere.
const APPLICATION_ID: i64 = 0x514d_4a31;

/// Every table is `WITHOUT ROWID`: one B-tree, in the order of its key; only executions have indexes beside it. Numbers that are
/// `u64` in the code are the same 64 bits here. JSON columns hold what `serde_json` makes of the types in `store`.
const MIGRATIONS: [&str; 4] = [FIRST, RATIONS, USAGE, TASKS];

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

/// `execution_due` is for the history of a store. It is written once for an execution, when its row is made, because nothing
/// that changes later is in it. `open_execution` has the few that are not over, so each change of a state writes it, but it
/// is hardly ever more than one page.
const TASKS: &str = "
CREATE TABLE task (
    plugin   TEXT NOT NULL,
    task     TEXT NOT NULL,
    plan     TEXT NOT NULL,               -- JSON
    origin   TEXT NOT NULL,               -- JSON
    passed   INTEGER NOT NULL,            -- Unix milliseconds
    ahead    TEXT NOT NULL,               -- JSON
    unseen   TEXT NOT NULL,               -- JSON
    paused   TEXT,                        -- JSON
    gone     INTEGER NOT NULL,            -- 0 or 1
    checksum INTEGER NOT NULL,
    grown    INTEGER NOT NULL DEFAULT 40, -- executions that were over since its history was cut; in no checksum
    PRIMARY KEY (plugin, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE processed_task_executions (
    plugin   TEXT NOT NULL,
    task     TEXT NOT NULL,
    due      INTEGER NOT NULL, -- Unix milliseconds, as all times here
    since    INTEGER,
    state    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    depth    INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failures TEXT NOT NULL,    -- JSON
    started  INTEGER,
    ended    INTEGER,
    fuel     INTEGER NOT NULL,
    drafts   INTEGER NOT NULL,
    note     TEXT,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (plugin, task, due)
) STRICT, WITHOUT ROWID;
CREATE INDEX execution_due ON processed_task_executions (due, plugin, task);
CREATE INDEX open_execution ON processed_task_executions (due, plugin, task) WHERE state IN ('waiting', 'running');
CREATE TABLE landed_occurrence (
    run      TEXT NOT NULL PRIMARY KEY, -- qm1:<plugin>:t/<task>/<due>
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The first version whose files keep what runs used.
pub(super) const KEEPS_USAGE: i64 = 3;

/// The first version whose files keep tasks.
pub(super) const KEEPS_TASKS: i64 = 4;

const SCHEMA: Schema = Schema {
    application_id: APPLICATION_ID,
    steps: &MIGRATIONS,
};

/// Makes the file one of the newest version. A file that is not ours, or is newer than we are, is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    SCHEMA.migrate(connection, |connection| Meta::default().write(connection))
}

/// The version of the file, which is left as it is; 0 if nothing is in it yet. One that is newer than we are is refused.
pub(super) fn version(connection: &Connection) -> Result<i64, Fault> {
    let found = SCHEMA.version(connection)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(sqlite::Fault::Newer { found, known }.into());
    }
    Ok(found)
}
