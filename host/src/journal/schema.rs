//! The tables, and how a file of an older version comes to have them. A file says in its header what it is
//! (`application_id`) and which version of the tables it has (`user_version`).

use rusqlite::{Connection, TransactionBehavior};

use super::error::Fault;
use super::meta::Meta;

/// "QMJ1" in ASCII: tells our files from other SQLite files. Not registered anywhere.
const APPLICATION_ID: i64 = 0x514d_4a31;

/// Step n turns a file of version n into one of version n + 1. A step that was released never changes.
///
/// Every table is `WITHOUT ROWID`: one B-tree, in the order of its key, no index beside it. Numbers that are
/// `u64` in the code are the same 64 bits here. JSON columns hold what `serde_json` makes of the types in `store`.
const MIGRATIONS: [&str; 1] = ["
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
"];

/// Makes the file one of the newest version. A file that is not ours, or is newer than we are, is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    migrate_with(connection, &MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, migrations: &[&str]) -> Result<(), Fault> {
    let known = migrations.len();
    let found = version(connection)?;
    let version = usize::try_from(found).unwrap_or(usize::MAX);
    if version > known {
        let known = i64::try_from(known).unwrap_or(i64::MAX);
        return Err(Fault::Newer { found, known });
    }
    // It stays so in the file's header, but a copy made with `VACUUM INTO` does not have it.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if version == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &migrations[version..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known as i64)?;
    if version == 0 {
        Meta::default().write(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The version of the tables; 0 for a file in which nothing is yet.
fn version(connection: &Connection) -> Result<i64, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application_id, version) = (number("application_id")?, number("user_version")?);
    if application_id == APPLICATION_ID {
        return Ok(version);
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application_id == 0 && version == 0 && tables == 0;
    if empty { Ok(0) } else { Err(Fault::Foreign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_gets_the_steps_it_lacks_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection).unwrap();
        let claimed = Meta {
            chain: 7,
            ..Meta::default()
        };
        claimed.write(&connection).unwrap();
        drop(connection);

        let steps = [
            MIGRATIONS[0],
            "CREATE TABLE later (n INTEGER NOT NULL) STRICT",
        ];
        let mut connection = Connection::open(&path).unwrap();
        migrate_with(&mut connection, &steps).unwrap();
        connection
            .execute("INSERT INTO later VALUES (1)", [])
            .unwrap();
        assert_eq!(Meta::read(&connection).unwrap().chain, 7);
        assert_eq!(version(&connection).unwrap(), 2);

        let refused = migrate(&mut connection);
        assert!(
            matches!(refused, Err(Fault::Newer { found: 2, known: 1 })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_failing_step_leaves_the_older_version() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let steps = [
            MIGRATIONS[0],
            "CREATE TABLE later (n INTEGER) STRICT; CREATE TABLE kv (n INTEGER)",
        ];
        assert!(migrate_with(&mut connection, &steps).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(migrate(&mut connection).is_ok());
    }
}
