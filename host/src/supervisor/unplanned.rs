//! Tasks that are configured and cannot be planned: told once for each change. Their stores run all the same.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::Supervisor;
use crate::config::Problem;
use crate::id::StoreId;

/// What cannot be planned, by its store.
pub(super) type Unplanned = BTreeMap<StoreId, Vec<Problem>>;

/// Stores that are told one by one; one edit of what holds for all may cause thousands.
const TOLD_MAX: usize = 20;

impl Supervisor {
    /// Tells which tasks cannot be planned since the last time, and where they can again.
    pub(super) fn tell_unplanned(&mut self) {
        let stores = self.stores.iter();
        let unplanned: Unplanned = stores
            .filter(|(_, running)| !running.unplanned.is_empty())
            .map(|(store, running)| (store.clone(), running.unplanned.clone()))
            .collect();
        let news = unplanned.iter();
        let mut news = news.filter(|(store, problems)| self.unplanned.get(store) != Some(problems));
        for (store, problems) in news.by_ref().take(TOLD_MAX) {
            for problem in problems {
                warn!(%store, %problem, "task is not planned; all else goes on");
            }
        }
        let more = news.count();
        if more > 0 {
            warn!(more, "more stores have tasks that are not planned");
        }
        let mended = self.unplanned.keys();
        let mended = mended.filter(|store| !unplanned.contains_key(store));
        for store in mended.take(TOLD_MAX) {
            info!(%store, "every task is planned again");
        }
        self.unplanned = unplanned;
    }
}
