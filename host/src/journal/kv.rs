//! The table of what plugins remember.

use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::KvPage;
use super::column;
use super::error::Fault;
use super::thread::KvQuery;
use crate::id::PluginName;
use crate::sqlite::Checksum;
use crate::store::KvWrite;

/// Sets or deletes one key.
pub(super) fn write(
    connection: &Connection,
    plugin: &PluginName,
    write: &KvWrite,
) -> Result<(), Fault> {
    let (plugin, key) = (plugin.as_str(), &*write.key);
    if let Some(value) = &write.value {
        let mut statement = connection
            .prepare_cached("REPLACE INTO kv (plugin, key, value, checksum) VALUES (?, ?, ?, ?)")?;
        statement.execute((plugin, key, &**value, checksum(plugin, key, value)))?;
    } else {
        let mut statement =
            connection.prepare_cached("DELETE FROM kv WHERE plugin = ? AND key = ?")?;
        statement.execute((plugin, key))?;
    }
    Ok(())
}

/// Removes all that `plugin` remembers.
pub(super) fn remove_all(connection: &Connection, plugin: &PluginName) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM kv WHERE plugin = ?")?;
    statement.execute([plugin.as_str()])?;
    Ok(())
}

/// The value of one key.
pub(super) fn get(
    connection: &Connection,
    plugin: &PluginName,
    key: &str,
) -> Result<Option<Arc<[u8]>>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT plugin, key, value, checksum FROM kv WHERE plugin = ? AND key = ?",
    )?;
    let mut rows = statement.query((plugin.as_str(), key))?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (_, value) = read(row)?;
    Ok(Some(value.into()))
}

/// A page of entries, in the order of their keys' bytes.
pub(super) fn list(connection: &Connection, query: &KvQuery) -> Result<KvPage, Fault> {
    let KvQuery {
        plugin,
        prefix,
        after,
        limit,
        bytes_max,
    } = query;
    // The text that follows `after` at once, in the order of bytes, is itself and a zero byte.
    let next = after
        .as_ref()
        .map(|after| format!("{after}\0"))
        .unwrap_or_default();
    let mut statement = connection.prepare_cached(
        "SELECT plugin, key, value, checksum FROM kv WHERE plugin = ? AND key >= ? ORDER BY key",
    )?;
    let mut rows = statement.query((plugin.as_str(), next.as_str().max(&**prefix)))?;
    let mut page = KvPage::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let (key, value) = read(row)?;
        if !key.starts_with(&**prefix) {
            break;
        }
        bytes += key.len() + value.len();
        let full = page.entries.len() >= *limit || bytes > *bytes_max;
        // One entry that is larger than a page is a page of its own: else nobody could get past it.
        if full && !(page.entries.is_empty() && *limit > 0) {
            page.more = true;
            break;
        }
        page.entries.push((key.into(), value.into()));
    }
    Ok(page)
}

/// Checks every row. A flipped bit in a key hides its row from `get`; only here is it found.
pub(super) fn verify(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("SELECT plugin, key, value, checksum FROM kv")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

fn read<'a>(row: &'a Row<'_>) -> Result<(&'a str, &'a [u8]), Fault> {
    let (plugin, key) = (column::text(row, 0)?, column::text(row, 1)?);
    let value = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    if row.get::<_, i64>(3)? != checksum(plugin, key, value) {
        return Err(Fault::corrupt_row(&format!(
            "the kv entry {key:?} of {plugin}"
        )));
    }
    Ok((key, value))
}

fn checksum(plugin: &str, key: &str, value: &[u8]) -> i64 {
    Checksum::of("kv").text(plugin).text(key).bytes(value).get()
}
