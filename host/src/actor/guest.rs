//! What a run reaches of its store: its plugin's kv, read from the journal, and the operator's log.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::{debug, error, info, trace, warn};

use crate::id::{PluginName, StoreId};
use crate::journal::Journal;
use crate::runtime::{KvPage, KvSource, Level, LogSink, ScheduleSource, Tasks};
use crate::store::KvTotals;

/// One plugin's kv and tasks in one store. Reads see the last commit, and between two runs of a plugin lies a commit.
pub(super) struct OfJournal {
    pub(super) journal: Journal,
    pub(super) store: StoreId,
    pub(super) plugin: PluginName,
}

impl KvSource for OfJournal {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        async move {
            let value = self.journal.kv_get(&self.store, &self.plugin, key).await;
            Ok(value
                .map_err(|error| error.to_string())?
                .map(|value| value.to_vec()))
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
        bytes_max: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>> {
        async move {
            let (store, plugin) = (&self.store, &self.plugin);
            let page = self
                .journal
                .kv_list(store, plugin, prefix, after, limit, bytes_max)
                .await;
            let entries = page.map_err(|error| error.to_string())?.entries.into_iter();
            Ok(entries
                .map(|(key, value)| (key.to_string(), value.to_vec()))
                .collect())
        }
        .boxed()
    }

    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>> {
        async move {
            let totals = self.journal.kv_totals(&self.store, &self.plugin).await;
            totals.map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn sizes<'a>(
        &'a self,
        keys: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<u64>>, String>> {
        async move {
            let sizes = self.journal.kv_sizes(&self.store, &self.plugin, keys).await;
            sizes.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

impl ScheduleSource for OfJournal {
    fn tasks(&self) -> BoxFuture<'_, Result<Tasks, String>> {
        async move {
            let tasks = self.journal.scheduled(&self.store, &self.plugin).await;
            tasks.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// A plugin's lines, among the host's own.
pub(super) struct GuestLog {
    pub(super) store: StoreId,
    pub(super) plugin: PluginName,
    pub(super) stamp: String,
}

impl LogSink for GuestLog {
    fn write(&self, level: Level, line: &str) {
        let Self {
            store,
            plugin,
            stamp,
        } = self;
        match level {
            Level::Trace => trace!(target: "plugin", %store, %plugin, %stamp, "{line}"),
            Level::Debug => debug!(target: "plugin", %store, %plugin, %stamp, "{line}"),
            Level::Info => info!(target: "plugin", %store, %plugin, %stamp, "{line}"),
            Level::Warn => warn!(target: "plugin", %store, %plugin, %stamp, "{line}"),
            Level::Error => error!(target: "plugin", %store, %plugin, %stamp, "{line}"),
        }
    }
}
