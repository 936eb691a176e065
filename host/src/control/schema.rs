//! The tables of the file, step by step from its first version.

use crate::sqlite::Schema;

pub(super) const SCHEMA: Schema = Schema {
    // "QMC1" in ASCII. Not registered anywhere.
    application_id: 0x514d_4331,
    steps: &[
        "
CREATE TABLE store_order (
    store TEXT NOT NULL PRIMARY KEY,
    kind  TEXT NOT NULL CHECK (kind IN ('paused', 'drained', 'removed')),
    by    TEXT NOT NULL,
    why   TEXT NOT NULL,
    at    INTEGER NOT NULL       -- Unix milliseconds, as everywhere below
) STRICT, WITHOUT ROWID;
CREATE TABLE plugin_version (
    plugin      TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    version     TEXT NOT NULL,
    size_bytes  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    promoted_at INTEGER,
    withdrawn   INTEGER NOT NULL CHECK (withdrawn IN (0, 1)),
    by          TEXT,            -- all three or none
    why         TEXT,
    at          INTEGER,
    PRIMARY KEY (plugin, sha256)
) STRICT, WITHOUT ROWID;
CREATE TABLE pin (
    plugin TEXT NOT NULL,
    store  TEXT NOT NULL,        -- empty for all
    sha256 TEXT NOT NULL,
    by     TEXT NOT NULL,
    why    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (plugin, store)
) STRICT, WITHOUT ROWID;
CREATE TABLE alert (
    id      INTEGER NOT NULL PRIMARY KEY, -- 1, 2, 3, …; the oldest go
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    text    TEXT NOT NULL
) STRICT;
CREATE TABLE deed (
    id      INTEGER NOT NULL PRIMARY KEY, -- 1, 2, 3, …; the oldest go
    what    TEXT NOT NULL,
    subject TEXT NOT NULL,
    by      TEXT NOT NULL,
    why     TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
",
        "
CREATE TABLE store_order_2 (
    store TEXT NOT NULL PRIMARY KEY,
    kind  TEXT NOT NULL CHECK (kind IN ('paused', 'drained', 'removed', 'quarantined')),
    by    TEXT NOT NULL,
    why   TEXT NOT NULL,
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO store_order_2 SELECT store, kind, by, why, at FROM store_order;
DROP TABLE store_order;
ALTER TABLE store_order_2 RENAME TO store_order;
CREATE TABLE trial (
    store  TEXT NOT NULL PRIMARY KEY,
    stage  TEXT NOT NULL CHECK (stage IN ('waits', 'with-host', 'later')),
    deaths INTEGER NOT NULL,     -- of the process in a row, each while this store was on trial
    alone  INTEGER NOT NULL,     -- those of them that can hardly be anybody else's fault
    peers  INTEGER NOT NULL      -- stores on trial at the last of them, with this one
) STRICT, WITHOUT ROWID;
",
    ],
};
