//! A file's content at one moment, copied while others go on writing.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Fault;

/// Whoever writes holds the file for milliseconds, unless a program hangs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Copies the SQLite file at `source` to `target`, which must not be there. It is not synced; it is one file, and has the
/// same tables, rows and versions. Blocks for as long as the disk needs. False if there is no file at `source`.
///
/// It is all one read transaction: in WAL mode nobody waits for it, but what is written meanwhile stays in the WAL until
/// it is over.
///
/// # Errors
/// Either file's; then there may be something at `target`.
pub fn copy(source: &Path, target: &Path) -> Result<bool, Fault> {
    if !source.try_exists()? {
        return Ok(false);
    }
    // Not SQLITE_OPEN_READ_ONLY: a file in WAL mode that nobody has open needs its -shm file made to be read.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(source, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", 0)?;
    let Some(target) = target.to_str() else {
        return Err(Fault::Other("the path to copy to is not UTF-8".to_owned()));
    };
    connection.execute("VACUUM INTO ?", [target])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_copy_is_of_one_moment_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.db");
        let writer = Connection::open(&source).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA application_id = 7; PRAGMA user_version = 3;
                 CREATE TABLE pair (n INTEGER NOT NULL PRIMARY KEY, twice INTEGER NOT NULL) STRICT;",
            )
            .unwrap();
        let write = |n: i64| writer.execute("INSERT INTO pair VALUES (?, ?)", [n, 2 * n]);
        for n in 0..10_000 {
            write(n).unwrap();
        }

        thread::scope(|scope| {
            let copies: Vec<_> = (0..3)
                .map(|n| folder.path().join(format!("copy-{n}.db")))
                .collect();
            let paths = copies.clone();
            let source = &source;
            let copying = scope.spawn(move || {
                for path in &paths {
                    assert_eq!(copy(source, path), Ok(true));
                }
            });
            // A writer that had to wait would fail: it has no patience at all.
            writer.busy_timeout(Duration::ZERO).unwrap();
            let mut n = 10_000;
            while !copying.is_finished() {
                write(n).unwrap();
                n += 1;
            }
            copying.join().unwrap();
            for path in &copies {
                let copy = Connection::open(path).unwrap();
                let number = |sql| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
                let rows = number("SELECT count(*) FROM pair");
                assert!((10_000..=n).contains(&rows), "{rows} of {n} rows");
                assert_eq!(number("SELECT max(n) + 1 FROM pair"), rows);
                assert_eq!(
                    number("SELECT count(*) FROM pair WHERE twice = 2 * n"),
                    rows
                );
                assert_eq!(number("PRAGMA application_id"), 7);
                assert_eq!(number("PRAGMA user_version"), 3);
            }
        });
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_made_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a.db"), folder.path().join("b.db"));
        assert_eq!(copy(&source, &target), Ok(false));
        assert!(!source.exists() && !target.exists());
        for path in [&source, &target] {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("CREATE TABLE t (n)").unwrap();
        }
        assert!(copy(&source, &target).is_err());
    }
}
