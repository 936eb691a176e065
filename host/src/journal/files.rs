//! The files of one thread's stores. An open file holds about 250 KiB and opening one takes about half a millisecond,
//! so few are open as long as stores write now and then; when the same ones are opened again and again, more may be.

use std::collections::HashMap;
use std::mem;
use std::path::PathBuf;

use super::error::{Error, Fault};
use super::file::{Missing, StoreFile};
use super::{JournalConfig, Proof};
use crate::id::StoreId;
use crate::sqlite::wal_of;

/// Files that are open while no store is busy: room for a start's few commits, and no more.
const CALM: usize = 4;

/// Openings of one file between two looks for idle ones that are nothing special: a start has three or four.
/// Each further one makes room for one more open file.
const CALM_OPENINGS: u32 = 8;

/// All of the thread's stores have a file, some are open.
pub(super) struct Files {
    folder: PathBuf,
    bytes_max: u64,
    open_max: usize,
    /// How many may be open now; at most `open_max`.
    room: usize,
    /// The least recently used first.
    open: Vec<OpenFile>,
    /// How often each was opened since the last look for idle ones.
    openings: HashMap<StoreId, u32>,
}

struct OpenFile {
    store: StoreId,
    file: StoreFile,
    /// Since the last look for idle ones.
    used: bool,
}

impl Files {
    /// The files in `folder`, none open.
    pub(super) fn new(folder: PathBuf, config: &JournalConfig) -> Self {
        let open_max = config.open_files_max.max(1);
        Self {
            folder,
            bytes_max: config.file_bytes_max,
            open_max,
            room: CALM.min(open_max),
            open: Vec::new(),
            openings: HashMap::new(),
        }
    }

    /// Whether no file is open.
    pub(super) fn is_closed(&self) -> bool {
        self.open.is_empty()
    }

    /// Does `work` on the store's file, which is made if it is not there.
    pub(super) fn with_or_new<T>(
        &mut self,
        store: &StoreId,
        work: impl FnOnce(&mut StoreFile) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let done = self.try_with(store, Missing::Create, work);
        done.and_then(|done| done.ok_or(Fault::Fenced))
            .map_err(|fault| fault.at(store, &self.path(store)))
    }

    /// Does `work` on the file of a store that somebody has claimed: if it is gone, so is the lease.
    pub(super) fn with_claimed<T>(
        &mut self,
        store: &StoreId,
        work: impl FnOnce(&mut StoreFile) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let done = self.with(store, work)?;
        done.ok_or_else(|| Fault::Fenced.at(store, &self.path(store)))
    }

    /// Does `work` on the store's file; `None` if it has none.
    pub(super) fn with<T>(
        &mut self,
        store: &StoreId,
        work: impl FnOnce(&mut StoreFile) -> Result<T, Fault>,
    ) -> Result<Option<T>, Error> {
        self.try_with(store, Missing::Refuse, work)
            .map_err(|fault| fault.at(store, &self.path(store)))
    }

    fn try_with<T>(
        &mut self,
        store: &StoreId,
        missing: Missing,
        work: impl FnOnce(&mut StoreFile) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let Some(mut file) = self.take(store, missing)? else {
            return Ok(None);
        };
        match work(&mut file) {
            Err(fault) if !matches!(fault, Fault::Fenced) => {
                // Dropped with its transaction: what a failed disk left in its memory is not believed.
                Err(fault)
            }
            outcome => {
                self.open.push(OpenFile {
                    store: store.clone(),
                    file,
                    used: true,
                });
                outcome.map(Some)
            }
        }
    }

    /// The store's file, taken from the open ones or opened, so that there is room to put it back.
    fn take(&mut self, store: &StoreId, missing: Missing) -> Result<Option<StoreFile>, Fault> {
        if let Some(place) = self.open.iter().position(|open| open.store == *store) {
            return Ok(Some(self.open.remove(place).file));
        }
        let Some(file) = StoreFile::open(&self.path(store), missing, self.bytes_max)? else {
            return Ok(None);
        };
        let openings = self.openings.entry(store.clone()).or_default();
        *openings += 1;
        if *openings > CALM_OPENINGS {
            self.room = (self.room + 1).min(self.open_max);
        }
        if self.open.len() >= self.room {
            self.open.remove(0).put_away();
        }
        Ok(Some(file))
    }

    /// Leaves the store as one file.
    pub(super) fn close(&mut self, store: &StoreId) -> Result<(), Error> {
        let path = self.path(store);
        let close = |files: &mut Self| {
            let is_open = files.open.iter().any(|open| open.store == *store);
            if !is_open && !wal_of(&path).try_exists()? {
                return Ok(());
            }
            match files.take(store, Missing::Refuse)? {
                Some(file) => file.close(),
                None => Ok(()),
            }
        };
        close(self).map_err(|fault| fault.at(store, &path))
    }

    pub(super) fn archive(&mut self, store: &StoreId, proof: Proof) -> Result<PathBuf, Error> {
        let path = self.path(store);
        self.take(store, Missing::Refuse)
            .and_then(|file| file.ok_or(Fault::Fenced)?.archive(proof))
            .map_err(|fault| fault.at(store, &path))
    }

    /// Closes what was not used since the last call, and leaves no more room than the others need.
    pub(super) fn close_idle(&mut self) {
        let idle = self.open.extract_if(.., |open| !mem::take(&mut open.used));
        idle.for_each(OpenFile::put_away);
        self.room = self.open.len().max(CALM).min(self.open_max);
        self.openings.clear();
    }

    pub(super) fn close_all(&mut self) {
        for OpenFile { store, file, .. } in self.open.drain(..) {
            warn_if_not_folded(&store, file.close());
        }
    }

    fn path(&self, store: &StoreId) -> PathBuf {
        super::path_of(&self.folder, store)
    }
}

impl OpenFile {
    fn put_away(self) {
        warn_if_not_folded(&self.store, self.file.put_away());
    }
}

/// Nothing is lost: the WAL stays, and the next open reads it.
fn warn_if_not_folded(store: &StoreId, closed: Result<(), Fault>) {
    if let Err(fault) = closed {
        tracing::warn!(%store, ?fault, "a journal was closed without folding its WAL");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Token;
    use crate::store::{Commit, Durability};

    fn files(folder: &tempfile::TempDir, open_files_max: usize) -> Files {
        let config = JournalConfig {
            open_files_max,
            ..JournalConfig::new(folder.path())
        };
        Files::new(folder.path().to_owned(), &config)
    }

    fn claim(files: &mut Files, store: &StoreId) -> Proof {
        let token = Token([7; 16]);
        let chain = files.with_or_new(store, |file| file.claim(token)).unwrap();
        Proof { token, chain }
    }

    fn commit(files: &mut Files, store: &StoreId, proof: &mut Proof) {
        let batch = [(*proof, Durability::Normal, &Commit::default())];
        let held = files.with_claimed(store, |file| file.commit(&batch));
        assert_eq!(held, Ok(vec![true]));
        proof.chain += 1;
    }

    #[test]
    fn the_wal_of_a_file_that_is_closed_after_each_commit_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(&folder, 1);
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut proof = claim(&mut files, &a);
        claim(&mut files, &b);
        let (mut longest, mut folded) = (0, false);
        for _ in 0..600 {
            commit(&mut files, &a, &mut proof);
            files.with(&b, |_| Ok(())).unwrap();
            let bytes =
                std::fs::metadata(folder.path().join("a.db-wal")).map_or(0, |wal| wal.len());
            folded |= bytes < longest;
            longest = longest.max(bytes);
        }
        assert!(
            folded && longest < 2 << 20,
            "the WAL grew to {longest} bytes"
        );
    }

    #[test]
    fn busy_stores_get_room_and_lose_it_when_they_are_idle() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(&folder, 8);
        let stores: Vec<StoreId> = (0..12).map(|n| format!("s{n}").parse().unwrap()).collect();
        let mut proofs: Vec<_> = stores
            .iter()
            .map(|store| claim(&mut files, store))
            .collect();
        assert_eq!(files.open.len(), CALM, "a start opens more than it needs");
        for _ in 0..2 * CALM_OPENINGS {
            for (store, proof) in stores.iter().zip(&mut proofs) {
                commit(&mut files, store, proof);
            }
        }
        assert_eq!(files.open.len(), 8, "busy stores have to open each time");
        files.close_idle();
        commit(&mut files, &stores[11], &mut proofs[11]);
        files.close_idle();
        assert_eq!(files.open.len(), 1, "idle files stay open");
        files.close_idle();
        assert!(files.is_closed());
        for (store, proof) in stores.iter().zip(&mut proofs) {
            commit(&mut files, store, proof);
        }
        assert_eq!(files.open.len(), CALM, "the room stayed");
    }
}
