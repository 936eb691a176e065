//! Versions of a file's tables. A file says in its header what it is (`application_id`) and which version of the tables it
//! has (`user_version`); what it lacks is added step by step.

use rusqlite::{Connection, TransactionBehavior};

use super::Fault;

/// One kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Tells its files from other SQLite files.
    pub application_id: i64,
    /// Step n turns a file of version n into one of version n + 1. A step that was released never changes.
    pub steps: &'static [&'static str],
}

impl Schema {
    /// Makes the file one of the newest version; `fill` puts into a new file what it begins with, in the same transaction.
    /// A file that is not of this kind, or is newer than we are, is left as it is.
    pub fn migrate<E: From<Fault> + From<rusqlite::Error>>(
        &self,
        connection: &mut Connection,
        fill: impl FnOnce(&Connection) -> Result<(), E>,
    ) -> Result<(), E> {
        let known = self.steps.len();
        let found = self.version(connection)?;
        let version = usize::try_from(found).unwrap_or(usize::MAX);
        if version > known {
            let known = i64::try_from(known).unwrap_or(i64::MAX);
            return Err(Fault::Newer { found, known }.into());
        }
        // It stays so in the file's header, but a copy made with `VACUUM INTO` does not have it.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        if version == known {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in &self.steps[version..] {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", self.application_id)?;
        transaction.pragma_update(None, "user_version", known as i64)?;
        if version == 0 {
            fill(&transaction)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The version of the tables; 0 for a file in which nothing is yet.
    pub fn version(&self, connection: &Connection) -> Result<i64, Fault> {
        let number =
            |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let (application_id, version) = (number("application_id")?, number("user_version")?);
        if application_id == self.application_id {
            return Ok(version);
        }
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let empty = application_id == 0 && version == 0 && tables == 0;
        if empty { Ok(0) } else { Err(Fault::Foreign) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE first (n INTEGER NOT NULL) STRICT";

    const fn with(steps: &'static [&'static str]) -> Schema {
        Schema {
            application_id: 0x7465_7374,
            steps,
        }
    }

    fn fill(connection: &Connection) -> Result<(), Fault> {
        connection.execute("INSERT INTO first VALUES (7)", [])?;
        Ok(())
    }

    #[test]
    fn an_older_file_gets_the_steps_it_lacks_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let mut connection = Connection::open(&path).unwrap();
        with(&[FIRST]).migrate(&mut connection, fill).unwrap();
        drop(connection);

        let later = with(&[FIRST, "CREATE TABLE later (n INTEGER NOT NULL) STRICT"]);
        let mut connection = Connection::open(&path).unwrap();
        later.migrate(&mut connection, fill).unwrap();
        connection
            .execute("INSERT INTO later VALUES (1)", [])
            .unwrap();
        let rows: Vec<i64> = connection
            .prepare("SELECT n FROM first")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows, [7], "the first content is put in once");
        assert_eq!(later.version(&connection), Ok(2));

        let refused = with(&[FIRST]).migrate(&mut connection, fill);
        assert_eq!(refused, Err(Fault::Newer { found: 2, known: 1 }));
    }

    #[test]
    fn a_failing_step_leaves_the_older_version() {
        let mut connection = Connection::open_in_memory().unwrap();
        with(&[FIRST]).migrate(&mut connection, fill).unwrap();
        let failing = with(&[
            FIRST,
            "CREATE TABLE later (n INTEGER) STRICT; CREATE TABLE first (n INTEGER)",
        ]);
        assert!(failing.migrate(&mut connection, fill).is_err());
        assert_eq!(failing.version(&connection), Ok(1));
        assert!(with(&[FIRST]).migrate(&mut connection, fill).is_ok());
    }

    #[test]
    fn a_file_of_another_program_is_left_as_it_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE theirs (n INTEGER)")
            .unwrap();
        assert_eq!(
            with(&[FIRST]).migrate(&mut connection, fill),
            Err(Fault::Foreign)
        );
    }
}
