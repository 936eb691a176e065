//! What may be read of a store's journal while it is written: the verbs, which wait for the thread that writes it, and
//! how that thread serves them. Each read has every confirmed commit in it, and changes nothing.

use std::sync::Arc;

use rusqlite::Connection;

use super::error::Fault;
use super::execution::{self, ExecutionFilter};
use super::files::Files;
use super::report::{By, UsageRow};
use super::thread::{Answer, Verb, reply};
use super::{Error, Journal, KvPage};
use super::{dead_letter, kv, task, usage};
use crate::id::{PluginName, StoreId};
use crate::stamp::RunId;
use crate::store::{DeadLetter, ExecutionRecord, KvTotals, TaskKey, TaskPlan, TaskRecord};
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
    Tasks(Answer<Vec<TaskRecord>>),
    Scheduled(PluginName, Answer<Vec<TaskRecord>>),
    Execution(TaskKey, Timestamp, Answer<Option<ExecutionRecord>>),
    Executions(ExecutionFilter, Answer<Vec<ExecutionRecord>>),
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

    /// Every task of a store, by plugin and id.
    pub async fn tasks(&self, store: &StoreId) -> Result<Vec<TaskRecord>, Error> {
        self.read(store, Query::Tasks).await
    }

    /// What is planned for `plugin` by runs of its own, and not removed, by id.
    pub async fn scheduled(
        &self,
        store: &StoreId,
        plugin: &PluginName,
    ) -> Result<Vec<(Arc<str>, Arc<TaskPlan>)>, Error> {
        let plugin = plugin.clone();
        let scheduled = |answer| Query::Scheduled(plugin, answer);
        let records = self.read(store, scheduled).await?.into_iter();
        Ok(records.map(|it| (it.key.task, it.plan)).collect())
    }

    /// What became of the occurrence of a task that was due then, as far as it is still known.
    pub async fn execution(
        &self,
        store: &StoreId,
        key: &TaskKey,
        due: Timestamp,
    ) -> Result<Option<ExecutionRecord>, Error> {
        let key = key.clone();
        self.read(store, |answer| Query::Execution(key, due, answer))
            .await
    }

    /// Executions that pass `filter`, latest due time first.
    pub async fn executions(
        &self,
        store: &StoreId,
        filter: ExecutionFilter,
    ) -> Result<Vec<ExecutionRecord>, Error> {
        self.read(store, |answer| Query::Executions(filter, answer))
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
    /// Reads, and answers. A file that is not there has what a fresh one has.
    pub(super) fn serve(self, files: &mut Files, store: &StoreId) {
        match self {
            Self::KvGet(plugin, key, answer) => {
                answer_with(files, store, answer, |rows| kv::get(rows, &plugin, &key));
            }
            Self::KvList(query, answer) => {
                answer_with(files, store, answer, |rows| kv::list(rows, &query));
            }
            Self::KvTotals(plugin, answer) => {
                answer_with(files, store, answer, |rows| kv::totals(rows, &plugin));
            }
            Self::KvSizes(plugin, keys, answer) => {
                let sizes = files.with(store, |file| kv::sizes(file.rows(), &plugin, &keys));
                reply(
                    answer,
                    sizes.map(|it| it.unwrap_or_else(|| vec![None; keys.len()])),
                );
            }
            Self::DeadLetter(run, answer) => {
                answer_with(files, store, answer, |rows| dead_letter::get(rows, &run));
            }
            Self::DeadLetters(after, limit, answer) => {
                answer_with(files, store, answer, |rows| {
                    dead_letter::list(rows, after.as_ref(), limit)
                });
            }
            Self::Usage(since, by, answer) => {
                answer_with(files, store, answer, |rows| {
                    usage::report(rows, store, since, by)
                });
            }
            Self::Tasks(answer) => answer_with(files, store, answer, task::all),
            Self::Scheduled(plugin, answer) => {
                answer_with(files, store, answer, |rows| task::scheduled(rows, &plugin));
            }
            Self::Execution(key, due, answer) => {
                answer_with(files, store, answer, |rows| execution::get(rows, &key, due));
            }
            Self::Executions(filter, answer) => {
                answer_with(files, store, answer, |rows| execution::list(rows, &filter));
            }
        }
    }
}

fn answer_with<T: Default>(
    files: &mut Files,
    store: &StoreId,
    answer: Answer<T>,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) {
    let found = files.with(store, |file| read(file.rows()));
    reply(answer, found.map(Option::unwrap_or_default));
}
