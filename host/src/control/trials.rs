//! Rows about stores on trial. They change whenever stores start, so they are not synced: what they must outlive is the
//! process, not the machine.

use std::collections::BTreeMap;

use crate::control::file::{File, name, text, unreadable};
use crate::control::{Suspicion, Trial, TrialStage};
use crate::id::StoreId;
use crate::sqlite::Fault;

impl File {
    pub(super) fn trials(&self) -> Result<BTreeMap<StoreId, Trial>, Fault> {
        let sql = "SELECT store, stage, deaths, alone, peers FROM trial";
        let trials = self.rows(sql, [], |row| {
            let stage = match text(row, 1)? {
                "waits" => TrialStage::Waits,
                "with-host" => TrialStage::WithHost,
                "later" => TrialStage::Later,
                other => return Err(unreadable("a trial", &format!("stage {other:?}"))),
            };
            let suspicion = Suspicion {
                deaths: row.get(2)?,
                alone: row.get(3)?,
                peers: row.get(4)?,
            };
            Ok((name(row, 0)?, Trial { stage, suspicion }))
        })?;
        Ok(trials.into_iter().collect())
    }

    /// Puts each trial into the place of what was known of its store; with none the store is forgotten.
    pub(super) fn put_trials(
        &mut self,
        changes: &BTreeMap<StoreId, Option<Trial>>,
    ) -> Result<(), Fault> {
        self.change_unsynced(|rows| {
            let mut put = rows.prepare(
                "REPLACE INTO trial (store, stage, deaths, alone, peers) VALUES (?, ?, ?, ?, ?)",
            )?;
            let mut forget = rows.prepare("DELETE FROM trial WHERE store = ?")?;
            for (store, trial) in changes {
                match trial {
                    Some(Trial { stage, suspicion }) => put.execute((
                        store.as_str(),
                        stage.label(),
                        suspicion.deaths,
                        suspicion.alone,
                        suspicion.peers,
                    ))?,
                    None => forget.execute([store.as_str()])?,
                };
            }
            Ok(())
        })
    }

    pub(super) fn forget_trials(&mut self) -> Result<(), Fault> {
        self.change_unsynced(|rows| {
            rows.execute("DELETE FROM trial", [])?;
            Ok(())
        })
    }
}
