//! What a plugin keeps in a store, as one run changes it, and whether there is room for more. It is exact where that
//! matters: far from the limits each write is counted as if nothing had been there; near them it is looked up what was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::runtime::Limits;
use crate::runtime::bindings::KvError;
use crate::runtime::kv::Unknown;
use crate::store::{KvTotals, Limit, Refusals};

/// What is kept, and what the run makes of it.
#[derive(Default)]
pub(super) struct Room {
    /// What was kept at the run's start, if somebody has asked.
    base: Option<KvTotals>,
    /// Sizes at the run's start of the entries that were looked up; none was not there.
    old: BTreeMap<Arc<str>, Option<u64>>,
    /// Sizes that the run gave to the keys that it wrote; none was deleted.
    new: BTreeMap<Arc<str>, Option<u64>>,
    /// Those of them that were not looked up.
    unseen: BTreeSet<Arc<str>>,
    /// What the run adds, counting what was not looked up as nothing.
    added: Difference,
}

#[derive(Clone, Copy, Default)]
struct Difference {
    entries: i64,
    bytes: i64,
}

impl Room {
    pub(super) fn learn_totals(&mut self, totals: KvTotals) {
        self.base = Some(totals);
    }

    pub(super) fn learn_sizes(&mut self, sizes: impl Iterator<Item = (Arc<str>, Option<u64>)>) {
        for (key, size) in sizes {
            // Until now it counted as nothing.
            if self.unseen.remove(&key) {
                self.added = self.added.plus(None, size);
            }
            self.old.insert(key, size);
        }
    }

    /// What has to be found out before `key` can get an entry of `size` bytes.
    pub(super) fn unknown(&self, limits: &Limits, key: &str, size: u64) -> Option<Unknown> {
        let Some(base) = self.base else {
            return Some(Unknown::Totals);
        };
        let after = self.after(key, Some(size)).on(base);
        if after.entries <= limits.kv_entries_max && after.bytes <= limits.kv_total_bytes_max {
            return None;
        }
        let mut unknown: Vec<Arc<str>> = self.unseen.iter().cloned().collect();
        if !self.old.contains_key(key) && !self.new.contains_key(key) {
            unknown.push(key.into());
        }
        (!unknown.is_empty()).then_some(Unknown::Sizes(unknown))
    }

    /// Gives `key` an entry of `size` bytes, or none. Refuses if that adds to what the plugin keeps, and is then too much:
    /// what makes it less is let through even where a limit has been lowered below it.
    pub(super) fn take(
        &mut self,
        limits: &Limits,
        refusals: &mut Refusals,
        key: &Arc<str>,
        size: Option<u64>,
    ) -> Result<(), KvError> {
        let after = self.after(key, size);
        if let Some(text) = self.refusal(limits, refusals, after) {
            // Or a guest that is refused again and again would fill the host's memory with keys.
            if !self.new.contains_key(key) {
                self.old.remove(key);
            }
            return Err(KvError::TooMuch(text));
        }
        if !self.old.contains_key(key) {
            self.unseen.insert(Arc::clone(key));
        }
        self.added = after;
        self.new.insert(Arc::clone(key), size);
        Ok(())
    }

    /// Why the run may not add so much, if it may not.
    fn refusal(
        &self,
        limits: &Limits,
        refusals: &mut Refusals,
        after: Difference,
    ) -> Option<String> {
        let KvTotals { entries, bytes } = after.on(self.base.unwrap_or_default());
        let (entries_max, bytes_max) = (limits.kv_entries_max, limits.kv_total_bytes_max);
        if entries > entries_max && after.entries > self.added.entries {
            refusals.note(Limit::KvEntries, entries, entries_max);
            let text = format!("the plugin may keep {entries_max} entries in this store");
            return Some(text);
        }
        if bytes > bytes_max && after.bytes > self.added.bytes {
            refusals.note(Limit::KvSize, bytes, bytes_max);
            let text = format!(
                "the plugin would keep {bytes} bytes in this store; it may keep {bytes_max}"
            );
            return Some(text);
        }
        None
    }

    /// What the run adds once `key` has an entry of this size, or none.
    fn after(&self, key: &str, size: Option<u64>) -> Difference {
        let own = self.new.get(key).copied();
        let before = own.unwrap_or_else(|| self.old.get(key).copied().flatten());
        self.added.plus(size, before)
    }
}

impl Difference {
    /// With an entry of size `new` where there was one of size `old`.
    fn plus(self, new: Option<u64>, old: Option<u64>) -> Self {
        let entries = |size: Option<u64>| i64::from(size.is_some());
        let bytes = |size: Option<u64>| i64::try_from(size.unwrap_or(0)).unwrap_or(i64::MAX);
        Self {
            entries: self.entries + entries(new) - entries(old),
            bytes: self.bytes + bytes(new) - bytes(old),
        }
    }

    fn on(self, base: KvTotals) -> KvTotals {
        KvTotals {
            entries: base.entries.saturating_add_signed(self.entries),
            bytes: base.bytes.saturating_add_signed(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys with the sizes of their entries.
    type Map = BTreeMap<Arc<str>, u64>;

    fn totals(map: &Map) -> KvTotals {
        KvTotals {
            entries: map.len() as u64,
            bytes: map.values().sum(),
        }
    }

    fn limits(entries_max: u64, bytes_max: u64) -> Limits {
        Limits {
            kv_entries_max: entries_max,
            kv_total_bytes_max: bytes_max,
            ..Limits::default()
        }
    }

    /// Puts or deletes as the host does it; answers whether it was let through, and how many sizes were looked up.
    fn write(
        room: &mut Room,
        base: &Map,
        limits: &Limits,
        key: &Arc<str>,
        size: Option<u64>,
    ) -> (bool, usize) {
        let mut looked_up = 0;
        while let Some(unknown) = size.and_then(|size| room.unknown(limits, key, size)) {
            match unknown {
                Unknown::Totals => room.learn_totals(totals(base)),
                Unknown::Sizes(keys) => {
                    looked_up += keys.len();
                    room.learn_sizes(keys.into_iter().map(|key| {
                        let size = base.get(&key).copied();
                        (key, size)
                    }));
                }
            }
        }
        let taken = room.take(limits, &mut Refusals::default(), key, size);
        (taken.is_ok(), looked_up)
    }

    fn sizes() -> impl Strategy<Value = (Arc<str>, u64)> {
        ("[a-h]".prop_map(Arc::from), 1_u64..50)
    }

    fn writes() -> impl Strategy<Value = (Arc<str>, Option<u64>)> {
        ("[a-h]".prop_map(Arc::from), prop::option::of(1_u64..50))
    }

    proptest! {
        #[test]
        fn a_write_is_refused_exactly_if_it_adds_and_there_would_be_too_much(
            base in prop::collection::btree_map("[a-h]".prop_map(Arc::from), 1_u64..50, 0..8),
            writes in prop::collection::vec(writes(), 0..30),
            entries_max in 0_u64..8,
            bytes_max in 0_u64..250,
        ) {
            let limits = limits(entries_max, bytes_max);
            let (mut room, mut map) = (Room::default(), base.clone());
            for (key, size) in writes {
                let (before, mut after) = (totals(&map), map.clone());
                match size {
                    Some(size) => after.insert(key.clone(), size),
                    None => after.remove(&key),
                };
                let kept = totals(&after);
                let too_much = kept.entries > entries_max && kept.entries > before.entries
                    || kept.bytes > bytes_max && kept.bytes > before.bytes;
                let (taken, _) = write(&mut room, &base, &limits, &key, size);
                prop_assert_eq!(taken, !too_much, "{} {:?} over {:?}", key, size, map);
                if taken {
                    map = after;
                }
            }
        }

        #[test]
        fn far_from_the_limits_nothing_is_looked_up(writes in prop::collection::vec(sizes(), 0..30)) {
            let mut room = Room::default();
            for (key, size) in writes {
                let done = write(&mut room, &Map::new(), &limits(100, 10_000), &key, Some(size));
                prop_assert_eq!(done, (true, 0));
            }
        }
    }

    #[test]
    fn a_guest_that_is_refused_again_and_again_leaves_nothing_behind() {
        let mut room = Room::default();
        for number in 0..1_000 {
            let key = format!("key-{number}").into();
            let (taken, looked_up) = write(&mut room, &Map::new(), &limits(0, 0), &key, Some(9));
            assert_eq!((taken, looked_up), (false, 1));
        }
        assert!(room.old.is_empty() && room.new.is_empty() && room.unseen.is_empty());
    }
}
