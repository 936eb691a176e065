//! Where tasks and executions are looked at: the running server is asked; where none runs, the journal is read as it was
//! left. And which task is meant by a name.

use std::path::Path;

use anyhow::bail;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cli::control::{Client, Error};
use crate::cli::{store, stores, usage};
use crate::id::StoreId;
use crate::journal::{self, ExecutionFilter, ExecutionsReport, TasksReport};
use crate::journal::{ExecutionShown, TaskShown};
use crate::store::{ExecutionState, TaskKey};
use crate::supervisor::spread;

/// The tasks of a store, by plugin and id.
pub(super) async fn tasks(client: &Client, store: &StoreId) -> anyhow::Result<Vec<TaskShown>> {
    match client.get(&path(store)).await {
        Ok(TasksReport { tasks }) => Ok(tasks),
        Err(Error::NoServer { data }) if data.join("journals").is_dir() => {
            left_tasks(&data.join("journals"), store)
        }
        Err(error) => Err(store::suggest(error, store, client).await.into()),
    }
}

/// The same, of the running server only.
pub(super) async fn served_tasks(
    client: &Client,
    store: &StoreId,
) -> anyhow::Result<Vec<TaskShown>> {
    match client.get(&path(store)).await {
        Ok(TasksReport { tasks }) => Ok(tasks),
        Err(error) => Err(store::suggest(error, store, client).await.into()),
    }
}

/// Executions of a store, latest due time first.
pub(super) async fn executions(
    client: &Client,
    store: &StoreId,
    filter: &ExecutionFilter,
) -> anyhow::Result<Vec<ExecutionShown>> {
    let path = format!("{}/executions?{}", path(store), query(filter));
    match client.get(&path).await {
        Ok(ExecutionsReport { executions }) => Ok(executions),
        Err(Error::NoServer { data }) if data.join("journals").is_dir() => {
            left_executions(&data.join("journals"), store, filter)
        }
        Err(error) => Err(store::suggest(error, store, client).await.into()),
    }
}

/// The task that `name` means: `<plugin>/<task>`, or `<task>` alone if only one plugin has it.
///
/// # Errors
/// No task has that name, or several have.
pub(super) fn find<'a>(
    tasks: &'a [TaskShown],
    name: &str,
    store: &StoreId,
) -> anyhow::Result<&'a TaskShown> {
    if let Some(task) = tasks.iter().find(|task| task.key.to_string() == name) {
        return Ok(task);
    }
    let named = tasks.iter().filter(|task| &*task.key.task == name);
    let named: Vec<&TaskShown> = named.collect();
    match named[..] {
        [task] => Ok(task),
        [] => bail!("{}", unknown(tasks, name, store)),
        _ => {
            let names: Vec<String> = named.iter().map(|task| task.key.to_string()).collect();
            let names = names.join(" or ");
            bail!("several plugins of store {store} have a task {name}; say {names}")
        }
    }
}

/// Where the control API has an order about a task.
pub(super) fn order_path(store: &StoreId, key: &TaskKey, order: &str) -> String {
    let task = utf8_percent_encode(&key.task, NON_ALPHANUMERIC);
    format!("{}/{}/{task}/{order}", path(store), key.plugin)
}

fn path(store: &StoreId) -> String {
    format!("/api/v1/stores/{store}/tasks")
}

/// The same as a query of the control API.
pub(super) fn query(filter: &ExecutionFilter) -> String {
    let mut query = format!("limit={}", filter.limit);
    if let Some(plugin) = &filter.plugin {
        query += &format!("&plugin={plugin}");
    }
    if let Some(task) = &filter.task {
        query += &format!("&task={}", utf8_percent_encode(task, NON_ALPHANUMERIC));
    }
    if let Some(before) = filter.before {
        query += &format!("&before={}", before.as_millis());
    }
    if !filter.states.is_empty() {
        let states = filter
            .states
            .iter()
            .map(|state| ExecutionState::as_str(*state));
        query += &format!("&state={}", states.collect::<Vec<_>>().join(","));
    }
    query
}

fn left_tasks(folder: &Path, store: &StoreId) -> anyhow::Result<Vec<TaskShown>> {
    let Some(records) = journal::tasks_of(folder, store)? else {
        bail!("{}", no_journal(folder, store)?);
    };
    let mut last = Vec::new();
    for record in records.iter().filter(|record| !record.gone) {
        let filter = ExecutionFilter::of(&record.key, 1);
        let found = journal::executions_of(folder, store, &filter)?;
        last.extend(found.unwrap_or_default());
    }
    Ok(TasksReport::of(records, &last, spread(store)).tasks)
}

fn left_executions(
    folder: &Path,
    store: &StoreId,
    filter: &ExecutionFilter,
) -> anyhow::Result<Vec<ExecutionShown>> {
    let Some(executions) = journal::executions_of(folder, store, filter)? else {
        bail!("{}", no_journal(folder, store)?);
    };
    let tasks = journal::tasks_of(folder, store)?.unwrap_or_default();
    Ok(ExecutionsReport::of(executions, &tasks, spread(store)).executions)
}

fn no_journal(folder: &Path, store: &StoreId) -> anyhow::Result<String> {
    Ok(usage::unknown(store, &journal::stores(folder)?, folder))
}

fn unknown(tasks: &[TaskShown], name: &str, store: &StoreId) -> String {
    let whole = tasks.iter().map(|task| task.key.to_string());
    let whole: Vec<String> = whole.collect();
    let known = whole.iter().map(String::as_str);
    let known: Vec<&str> = known.chain(tasks.iter().map(|it| &*it.key.task)).collect();
    let near = stores::near(name, &known);
    let way_out = if tasks.is_empty() {
        "it has none".to_owned()
    } else if near.is_empty() {
        format!("`quartermaster task list {store}` shows those there are")
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    format!("store {store} has no task {name}; {way_out}")
}
