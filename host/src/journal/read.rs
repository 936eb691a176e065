//! What may be read of a store's journal while it is written: the verbs, which wait for the thread that writes it, and
//! how that thread serves them. Each read has every confirmed commit in it, and changes nothing.

use std::sync::Arc;

use super::file::StoreFile;
use super::files::Files;
use super::report::{By, UsageRow};
use super::thread::{Answer, Verb, reply};
use super::{Error, Journal, KvPage};
use super::{dead_letter, kv, usage};
use crate::id::{PluginName, StoreId};
use crate::stamp::RunId;
use crate::store::{DeadLetter, KvTotals};
use crate::time::Timestamp;

/// What to read.
pub(super) enum Query {
    KvGet(PluginName, Arc<str>, Answer<Option<Arc<[u8]>>>),
    KvList(KvQuery, Answer<KvPage>),
    KvTotals(PluginName, Answer<KvTotals>),
    KvSizes(PluginName, Arc<[Arc<str>]>, Answer<Vec<Option<u64>>>),
    DeadLetter(RunId, Answer<Option<DeadLetter>>),
    DeadLetters(Option<RunId>, usize, Answer<Vec<DeadLetter>>),
    Usage(Timestamp, By, Answer<Vec<UsageRow>>),
}

pub(super) struct KvQuery {
    pub(super) plugin: PluginName,
    pub(super) prefix: Arc<str>,
    pub(super) after: Option<Arc<str>>,
    pub(super) limit: usize,
    pub(super) bytes_max: usize,
}

impl Journal {
    /// The value of one key, with every confirmed commit in it.
    pub async fn kv_get(
        &self,
        store: &StoreId,
        plugin: &PluginName,
        key: &str,
    ) -> Result<Option<Arc<[u8]>>, Error> {
        let (plugin, key) = (plugin.clone(), key.into());
        self.read(store, |answer| Query::KvGet(plugin, key, answer))
            .await
    }

    /// The entries whose keys begin with `prefix` and follow `after`: at most `limit`, and at most `bytes_max` bytes
    /// of keys and values, unless the first alone has more.
    pub async fn kv_list(
        &self,
        store: &StoreId,
        plugin: &PluginName,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<KvPage, Error> {
        let query = KvQuery {
            plugin: plugin.clone(),
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit,
            bytes_max,
        };
        self.read(store, |answer| Query::KvList(query, answer))
            .await
    }

    /// How much a plugin keeps, with every confirmed commit in it.
    pub async fn kv_totals(&self, store: &StoreId, plugin: &PluginName) -> Result<KvTotals, Error> {
        let plugin = plugin.clone();
        self.read(store, |answer| Query::KvTotals(plugin, answer))
            .await
    }

    /// Bytes of each of these entries, its key included; none for one that is not there.
    pub async fn kv_sizes(
        &self,
        store: &StoreId,
        plugin: &PluginName,
        keys: &[Arc<str>],
    ) -> Result<Vec<Option<u64>>, Error> {
        let (plugin, keys) = (plugin.clone(), keys.into());
        self.read(store, |answer| Query::KvSizes(plugin, keys, answer))
            .await
    }

    /// What the runs of a store used since the hour of `since` began, for each plugin that ever ran there. Where hours are
    /// no longer kept, it is the day.
    pub async fn usage(
        &self,
        store: &StoreId,
        since: Timestamp,
        by: By,
    ) -> Result<Vec<UsageRow>, Error> {
        self.read(store, |answer| Query::Usage(since, by, answer))
            .await
    }

    /// The dead letter of `run`.
    pub async fn dead_letter(
        &self,
        store: &StoreId,
        run: &RunId,
    ) -> Result<Option<DeadLetter>, Error> {
        self.read(store, |answer| Query::DeadLetter(run.clone(), answer))
            .await
    }

    /// At most `limit` dead letters that follow the one of `after`, in the order of their runs' names.
    pub async fn dead_letters(
        &self,
        store: &StoreId,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        let after = after.cloned();
        self.read(store, |answer| Query::DeadLetters(after, limit, answer))
            .await
    }

    async fn read<T>(
        &self,
        store: &StoreId,
        query: impl FnOnce(Answer<T>) -> Query,
    ) -> Result<T, Error> {
        self.ask(store, |answer| Verb::Read(query(answer))).await
    }
}

impl Query {
    /// Reads of a file that is not there what a fresh one has.
    pub(super) fn serve(self, files: &mut Files, store: &StoreId) {
        match self {
            Self::KvGet(plugin, key, answer) => {
                let found = files.with(store, |file| kv::get(file.rows(), &plugin, &key));
                reply(answer, found.map(Option::flatten));
            }
            Self::KvList(query, answer) => {
                let page = files.with(store, |file| kv::list(file.rows(), &query));
                reply(answer, page.map(Option::unwrap_or_default));
            }
            Self::KvTotals(plugin, answer) => {
                let totals = files.with(store, |file| kv::totals(file.rows(), &plugin));
                reply(answer, totals.map(Option::unwrap_or_default));
            }
            Self::KvSizes(plugin, keys, answer) => {
                let sizes = files.with(store, |file| kv::sizes(file.rows(), &plugin, &keys));
                reply(
                    answer,
                    sizes.map(|it| it.unwrap_or_else(|| vec![None; keys.len()])),
                );
            }
            Self::DeadLetter(run, answer) => {
                let found = files.with(store, |file| dead_letter::get(file.rows(), &run));
                reply(answer, found.map(Option::flatten));
            }
            Self::DeadLetters(after, limit, answer) => {
                let list =
                    |file: &mut StoreFile| dead_letter::list(file.rows(), after.as_ref(), limit);
                let letters = files.with(store, list);
                reply(answer, letters.map(Option::unwrap_or_default));
            }
            Self::Usage(since, by, answer) => {
                let report = |file: &mut StoreFile| usage::report(file.rows(), store, since, by);
                let rows = files.with(store, report);
                reply(answer, rows.map(Option::unwrap_or_default));
            }
        }
    }
}
