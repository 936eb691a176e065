//! A plugin's kv as a run sees it: the caller's map as of the run's start, under the run's own writes, which stay within
//! what a run may write and the plugin may keep.

mod room;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::runtime::Limits;
use crate::runtime::bindings::{Entry, KvError};
use crate::store::{KvTotals, KvWrite, Limit, Refusals};
use room::Room;

/// Bytes of a key, by the contract.
pub(super) const KEY_BYTES_MAX: usize = 512;
/// Bytes of a value, by the contract.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 20;
/// Entries that one `list` answers at most, by the contract.
pub(super) const LIST_ENTRIES_MAX: u32 = 256;
/// Bytes after which one `list` stops, by the contract.
pub(super) const LIST_BYTES_MAX: usize = 1 << 20;

/// Entries in ascending order of their keys' bytes.
pub type KvPage = Vec<(String, Vec<u8>)>;

/// Reads one plugin's kv in one store. All reads of a run see the same state, that of the run's start. An error is one
/// line for the operator.
pub trait KvSource: Send + Sync {
    /// The value of `key`.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>>;

    /// The first entries whose key starts with `prefix` and comes after `after`: at most `limit`, and none after the
    /// one that takes the page past `bytes_max` bytes. Empty only if there are none.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
        bytes_max: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>>;

    /// How much there is.
    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>>;

    /// Bytes of each of these entries, its key included; none for one that is not there.
    fn sizes<'a>(&'a self, keys: &'a [Arc<str>])
    -> BoxFuture<'a, Result<Vec<Option<u64>>, String>>;
}

/// A page with a run's own writes laid over it.
#[derive(Default)]
pub(super) struct Merged {
    /// In ascending order; at least one if there is any.
    pub(super) entries: Vec<Entry>,
    /// Bytes of those that the run wrote itself.
    pub(super) own_bytes: usize,
}

/// What a run has written so far. The last write to a key wins.
#[derive(Default)]
pub(super) struct Overlay {
    writes: BTreeMap<Arc<str>, Option<Arc<[u8]>>>,
    bytes: usize,
    room: Room,
}

/// What must be known before it can be decided whether the plugin may keep a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// How much there is: see [`Overlay::learn_totals`].
    Totals,
    /// How large these entries are: see [`Overlay::learn_sizes`].
    Sizes(Vec<Arc<str>>),
}

impl Overlay {
    /// What the run itself made of `key`, if it did: a value, or nothing.
    pub(super) fn get(&self, key: &str) -> Option<Option<Vec<u8>>> {
        let write = self.writes.get(key)?;
        Some(write.as_ref().map(|value| value.to_vec()))
    }

    /// What has to be found out before `key` is set to a value of `value_bytes`. While the plugin keeps far less than it
    /// may, that is its totals, once.
    pub(super) fn unknown(
        &self,
        limits: &Limits,
        key: &str,
        value_bytes: usize,
    ) -> Option<Unknown> {
        let bytes = (key.len() + value_bytes) as u64;
        self.room.unknown(limits, key, bytes)
    }

    /// Takes in how much there was at the run's start.
    pub(super) fn learn_totals(&mut self, totals: KvTotals) {
        self.room.learn_totals(totals);
    }

    /// Takes in how large entries were at the run's start.
    pub(super) fn learn_sizes(&mut self, keys: Vec<Arc<str>>, sizes: Vec<Option<u64>>) {
        self.room.learn_sizes(keys.into_iter().zip(sizes));
    }

    /// Writes `key`, or refuses, notes that, and stays as it was. A value is written once nothing is unknown.
    pub(super) fn write(
        &mut self,
        limits: &Limits,
        refusals: &mut Refusals,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), KvError> {
        check_key(key)?;
        let value_bytes = value.as_ref().map_or(0, Vec::len);
        let bytes = self.bytes + key.len() + value_bytes;
        let keys = self.writes.len() + usize::from(!self.writes.contains_key(key));
        let mut refuse = |limit, asked: usize, max: usize, text: String| {
            refusals.note(limit, asked as u64, max as u64);
            Err(KvError::TooMuch(text))
        };
        if value_bytes > VALUE_BYTES_MAX {
            let text =
                format!("the value has {value_bytes} bytes; at most {VALUE_BYTES_MAX} are allowed");
            return refuse(Limit::KvValue, value_bytes, VALUE_BYTES_MAX, text);
        }
        if bytes > limits.kv_bytes_max {
            let text = format!("a run may write {} bytes", limits.kv_bytes_max);
            return refuse(Limit::KvBytesPerRun, bytes, limits.kv_bytes_max, text);
        }
        if keys > limits.kv_keys_max {
            let text = format!("a run may write {} keys", limits.kv_keys_max);
            return refuse(Limit::KvKeysPerRun, keys, limits.kv_keys_max, text);
        }
        let size = value.as_ref().map(|_| (key.len() + value_bytes) as u64);
        let key = key.into();
        self.room.take(limits, refusals, &key, size)?;
        self.bytes = bytes;
        self.writes.insert(key, value.map(Arc::from));
        Ok(())
    }

    /// Lays the run's writes over a page that the source gave for `prefix` after `after`, and ends the result where a page
    /// of `list` ends. The answer is complete up to its own last key: a page says nothing of what comes after its last
    /// entry, unless it is empty.
    pub(super) fn merge(
        &self,
        prefix: &str,
        after: Option<&str>,
        page: KvPage,
        (limit, bytes_max): (usize, usize),
    ) -> Merged {
        let end = page.last().map(|(key, _)| key.clone());
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let own = self.writes.range::<str, _>((start, Bound::Unbounded));
        let mut own = own
            .take_while(|(key, _)| {
                key.starts_with(prefix) && end.as_deref().is_none_or(|end| &***key <= end)
            })
            .peekable();
        let mut page = page.into_iter().peekable();
        let mut merged = Merged::default();
        let mut bytes = 0;
        // Value by value, so that a run which has written much does not have all of it copied for each page.
        while merged.entries.len() < limit && bytes < bytes_max {
            let (read, written) = (page.peek(), own.peek());
            let order = match (read, written) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((read, _)), Some((written, _))) => read.as_str().cmp(written),
            };
            let read = if order.is_le() { page.next() } else { None };
            let entry = if order.is_lt() {
                read.map(|(key, value)| Entry { key, value })
            } else {
                own.next().and_then(|(key, value)| {
                    let (key, value) = (key.as_ref().to_owned(), value.as_ref()?.to_vec());
                    merged.own_bytes += key.len() + value.len();
                    Some(Entry { key, value })
                })
            };
            bytes += entry
                .as_ref()
                .map_or(0, |entry| entry.key.len() + entry.value.len());
            merged.entries.extend(entry);
        }
        merged
    }

    /// The writes, by key.
    pub(super) fn into_writes(self) -> Vec<KvWrite> {
        let writes = self.writes.into_iter();
        writes.map(|(key, value)| KvWrite { key, value }).collect()
    }
}

pub(super) fn check_key(key: &str) -> Result<(), KvError> {
    match key.len() {
        0 => Err(KvError::BadKey("the key is empty".to_owned())),
        1..=KEY_BYTES_MAX => Ok(()),
        length => Err(KvError::BadKey(format!(
            "the key has {length} bytes; at most {KEY_BYTES_MAX} are allowed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn page(
        map: &BTreeMap<String, Vec<u8>>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> KvPage {
        map.iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| &***key > after))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn keys() -> impl Strategy<Value = String> {
        "[ab]{1,3}|aä|a\u{10ffff}"
    }

    proptest! {
        #[test]
        fn pages_over_an_overlay_are_the_map_with_the_writes_applied(
            base in prop::collection::btree_map(keys(), prop::collection::vec(any::<u8>(), 0..3), 0..12),
            writes in prop::collection::vec((keys(), prop::option::of(prop::collection::vec(any::<u8>(), 0..3))), 0..12),
            prefix in "[ab]{0,2}",
            source_limit in 1usize..4,
            limit in 1usize..4,
        ) {
            let mut overlay = Overlay::default();
            let mut expected = base.clone();
            for (key, value) in writes {
                overlay.learn_totals(KvTotals::default());
                overlay.write(&Limits::default(), &mut Refusals::default(), &key, value.clone()).expect("within the limits");
                match value {
                    Some(value) => expected.insert(key, value),
                    None => expected.remove(&key),
                };
            }
            let mut seen = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let page = page(&base, &prefix, after.as_deref(), source_limit);
                let last = page.last().map(|(key, _)| key.clone());
                let merged = overlay.merge(&prefix, after.as_deref(), page, (limit, usize::MAX)).entries;
                let next = merged.last().map(|entry| entry.key.clone()).or(last);
                seen.extend(merged.into_iter().map(|entry| (entry.key, entry.value)));
                let Some(next) = next else { break };
                after = Some(next);
            }
            let all = expected.into_iter().filter(|(key, _)| key.starts_with(&prefix));
            prop_assert_eq!(seen, all.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_ends_at_its_limit_or_after_its_bytes() {
        let page = || {
            let entry = |key: &str, size| (key.to_owned(), vec![0; size]);
            vec![entry("a", 100), entry("c", 1)]
        };
        let mut overlay = Overlay::default();
        let written = overlay.write(
            &Limits::default(),
            &mut Refusals::default(),
            "b",
            Some(vec![0]),
        );
        written.expect("within the limits");
        for (limit, bytes_max, kept, own_bytes) in [
            (2, 1000, 2, 2),
            (9, 1000, 3, 2),
            (9, 102, 2, 2),
            (9, 1, 1, 0),
            (1, 1000, 1, 0),
        ] {
            let merged = overlay.merge("", None, page(), (limit, bytes_max));
            let found = (merged.entries.len(), merged.own_bytes);
            assert_eq!(found, (kept, own_bytes), "limit {limit}, {bytes_max} bytes");
        }
    }

    #[test]
    fn a_run_writes_only_so_much() {
        let limits = Limits {
            kv_keys_max: 2,
            kv_bytes_max: 2 * VALUE_BYTES_MAX,
            ..Limits::default()
        };
        let mut overlay = Overlay::default();
        overlay.learn_totals(KvTotals::default());
        let mut refusals = Refusals::default();
        let mut write = |key: &str, value: Option<usize>| {
            overlay.write(&limits, &mut refusals, key, value.map(|size| vec![0; size]))
        };
        let refused = |result| matches!(result, Err(KvError::TooMuch(_)));
        assert!(refused(write("a", Some(VALUE_BYTES_MAX + 1))));
        assert!(write("a", Some(VALUE_BYTES_MAX)).is_ok());
        assert!(refused(write("a", Some(VALUE_BYTES_MAX))));
        assert!(write("b", None).is_ok());
        assert!(refused(write("c", None)));
        assert!(write("a", None).is_ok());
        let key = "k".repeat(KEY_BYTES_MAX + 1);
        for key in ["", &key] {
            assert!(matches!(write(key, None), Err(KvError::BadKey(_))));
        }
        assert_eq!(overlay.into_writes().len(), 2);
        let noted: Vec<_> = refusals.iter().map(|it| (it.limit, it.asked)).collect();
        let value = VALUE_BYTES_MAX as u64;
        assert_eq!(
            noted,
            [
                (Limit::KvValue, value + 1),
                (Limit::KvBytesPerRun, 2 * value + 2),
                (Limit::KvKeysPerRun, 3)
            ]
        );
    }
}
