//! The one row that says which log a journal belongs to, who may write to it, and how far it is.

use rusqlite::Connection;

use super::column;
use super::error::Fault;
use super::{Proof, Token};
use crate::event::SeqNum;
use crate::id::BackendId;
use crate::sqlite::Checksum;
use crate::time::Timestamp;

/// The row.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) backend_id: Option<BackendId>,
    /// Of the latest claim; all zero before the first.
    pub(super) token: Token,
    /// The number of the latest commit. A file that lost its last commits, or was replaced by a backup, has another.
    pub(super) chain: u64,
    pub(super) scanned: SeqNum,
    pub(super) clock: Timestamp,
}

impl Meta {
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT backend_id, token, chain, scanned, clock, checksum FROM meta WHERE id = 1",
        )?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Err(Fault::corrupt("its row in meta is missing"));
        };
        let backend_id: Option<String> = row.get(0)?;
        let meta = Self {
            backend_id: backend_id.as_deref().map(BackendId::new),
            token: Token(row.get(1)?),
            chain: column::number(row, 2)?,
            scanned: SeqNum::new(column::number(row, 3)?),
            clock: Timestamp::from_millis(column::number(row, 4)?),
        };
        if row.get::<_, i64>(5)? != meta.checksum() {
            return Err(Fault::corrupt_row("its row in meta"));
        }
        Ok(meta)
    }

    /// The row, if the lease behind `proof` is the latest and knows the latest commit.
    pub(super) fn held_by(connection: &Connection, proof: Proof) -> Result<Self, Fault> {
        let meta = Self::read(connection)?;
        let held = meta.token == proof.token && meta.chain == proof.chain;
        held.then_some(meta).ok_or(Fault::Fenced)
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "REPLACE INTO meta (id, backend_id, token, chain, scanned, clock, checksum) VALUES (1, ?, ?, ?, ?, ?, ?)",
        )?;
        statement.execute((
            self.backend_id.as_ref().map(BackendId::as_str),
            self.token.0,
            self.chain.cast_signed(),
            self.scanned.get().cast_signed(),
            self.clock.as_millis().cast_signed(),
            self.checksum(),
        ))?;
        Ok(())
    }

    fn checksum(&self) -> i64 {
        Checksum::of("meta")
            .optional(self.backend_id.as_ref().map(BackendId::as_str))
            .bytes(&self.token.0)
            .number(self.chain)
            .number(self.scanned.get())
            .number(self.clock.as_millis())
            .get()
    }
}
