//! The tables of what plugins remember, and of how much that is. Totals are derived: one that is missing, as in a file
//! from before there were any, is counted when it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::KvPage;
use super::column;
use super::error::Fault;
use super::read::KvQuery;
use crate::id::PluginName;
use crate::sqlite::Checksum;
use crate::store::{KvTotals, KvWrite};

/// Sets and deletes keys, in order.
pub(super) fn write_all(
    connection: &Connection,
    writes: &[(PluginName, KvWrite)],
) -> Result<(), Fault> {
    for of_plugin in writes.chunk_by(|(one, _), (next, _)| one == next) {
        let plugin = &of_plugin[0].0;
        let mut totals = totals(connection, plugin)?;
        for (_, write) in of_plugin {
            let old = size(connection, plugin, &write.key)?;
            let value = write.value.as_ref();
            let new = value.map(|value| (write.key.len() + value.len()) as u64);
            let (was, is) = (u64::from(old.is_some()), u64::from(new.is_some()));
            // Totals that are too low are found at the next load; nothing may overflow until then.
            totals.entries = (totals.entries + is).saturating_sub(was);
            totals.bytes = (totals.bytes + new.unwrap_or(0)).saturating_sub(old.unwrap_or(0));
            set(connection, plugin, write)?;
        }
        put_totals(connection, plugin, totals)?;
    }
    Ok(())
}

fn set(connection: &Connection, plugin: &PluginName, write: &KvWrite) -> Result<(), Fault> {
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
    for statement in [
        "DELETE FROM kv WHERE plugin = ?",
        "DELETE FROM kv_total WHERE plugin = ?",
    ] {
        connection
            .prepare_cached(statement)?
            .execute([plugin.as_str()])?;
    }
    Ok(())
}

/// How much `plugin` remembers.
pub(super) fn totals(connection: &Connection, plugin: &PluginName) -> Result<KvTotals, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT plugin, entries, bytes, checksum FROM kv_total WHERE plugin = ?")?;
    let mut rows = statement.query([plugin.as_str()])?;
    if let Some(row) = rows.next()? {
        return Ok(read_totals(row)?.1);
    }
    // The length of text is in characters, that of a blob in bytes.
    let mut statement = connection.prepare_cached(
        "SELECT count(*), ifnull(sum(length(CAST(key AS BLOB)) + length(value)), 0) FROM kv WHERE plugin = ?",
    )?;
    let mut rows = statement.query([plugin.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(KvTotals::default());
    };
    Ok(KvTotals {
        entries: column::number(row, 0)?,
        bytes: column::number(row, 1)?,
    })
}

/// Bytes of each of these entries, its key included; none for one that is not there.
pub(super) fn sizes(
    connection: &Connection,
    plugin: &PluginName,
    keys: &[Arc<str>],
) -> Result<Vec<Option<u64>>, Fault> {
    let keys = keys.iter();
    keys.map(|key| size(connection, plugin, key)).collect()
}

/// SQLite knows a value's length without reading it.
fn size(connection: &Connection, plugin: &PluginName, key: &str) -> Result<Option<u64>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT length(value) FROM kv WHERE plugin = ? AND key = ?")?;
    let mut rows = statement.query((plugin.as_str(), key))?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(column::number(row, 0)? + key.len() as u64))
}

fn put_totals(connection: &Connection, plugin: &PluginName, totals: KvTotals) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "REPLACE INTO kv_total (plugin, entries, bytes, checksum) VALUES (?, ?, ?, ?)",
    )?;
    statement.execute((
        plugin.as_str(),
        totals.entries.cast_signed(),
        totals.bytes.cast_signed(),
        totals_checksum(plugin.as_str(), totals),
    ))?;
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

/// Checks every row, and that the totals are those of the entries. A flipped bit in a key hides its row from `get`; only
/// here is it found.
pub(super) fn verify(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("SELECT plugin, key, value, checksum FROM kv")?;
    let mut rows = statement.query([])?;
    let mut counted: BTreeMap<String, KvTotals> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (key, value) = read(row)?;
        let plugin = column::text(row, 0)?;
        let bytes = (key.len() + value.len()) as u64;
        match counted.get_mut(plugin) {
            Some(totals) => {
                totals.entries += 1;
                totals.bytes += bytes;
            }
            None => {
                let entries = 1;
                counted.insert(plugin.to_owned(), KvTotals { entries, bytes });
            }
        }
    }
    let mut statement =
        connection.prepare_cached("SELECT plugin, entries, bytes, checksum FROM kv_total")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (plugin, totals) = read_totals(row)?;
        if totals != counted.get(plugin).copied().unwrap_or_default() {
            let what = format!("the kv total of {plugin} is not that of its entries");
            return Err(Fault::corrupt(what));
        }
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

fn read_totals<'a>(row: &'a Row<'_>) -> Result<(&'a str, KvTotals), Fault> {
    let plugin = column::text(row, 0)?;
    let totals = KvTotals {
        entries: column::number(row, 1)?,
        bytes: column::number(row, 2)?,
    };
    if row.get::<_, i64>(3)? != totals_checksum(plugin, totals) {
        return Err(Fault::corrupt_row(&format!("the kv total of {plugin}")));
    }
    Ok((plugin, totals))
}

fn totals_checksum(plugin: &str, totals: KvTotals) -> i64 {
    Checksum::of("kv_total")
        .text(plugin)
        .number(totals.entries)
        .number(totals.bytes)
        .get()
}
