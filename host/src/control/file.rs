//! The SQLite file: each change as one transaction that is on the disk when it returns. Whatever somebody
//! does by hand leaves a row in `deed` in the same transaction. Knows nothing of threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior};

use crate::act::Act;
use crate::control::schema::SCHEMA;
use crate::control::{Alert, Deed, OrderKind, Pin, StoreOrder, Version};
use crate::id::{PluginDigest, PluginName, StoreId};
use crate::sqlite::Fault;
use crate::time::Timestamp;

/// How long another program that holds the file is waited for: a shell that somebody has open, so longer than it takes
/// them to end a transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Alerts that are kept: more than anybody reads, less than a megabyte.
const ALERTS_MAX: i64 = 1000;

/// Deeds that are kept: those of years, in a few megabytes.
const DEEDS_MAX: i64 = 10_000;

/// The file, open.
#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
}

impl File {
    /// Opens the file at `path`; makes one if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "cell_size_check", 1)?;
        connection.pragma_update(None, "trusted_schema", 0)?;
        // With WAL, FULL syncs after each transaction.
        connection.pragma_update(None, "synchronous", "FULL")?;
        SCHEMA.migrate(&mut connection, |_| Ok::<_, Fault>(()))?;
        let report: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if report != "ok" {
            return Err(Fault::Corrupt(report));
        }
        let file = Self { connection };
        // Rows that cannot be understood are told at the start, not in the middle of an order.
        file.orders()?;
        file.versions()?;
        file.pins()?;
        file.trials()?;
        Ok(file)
    }

    pub(super) fn orders(&self) -> Result<BTreeMap<StoreId, StoreOrder>, Fault> {
        let sql = "SELECT store, kind, by, why, at FROM store_order";
        let orders = self.rows(sql, [], |row| {
            let kind = match text(row, 1)? {
                "paused" => OrderKind::Paused,
                "drained" => OrderKind::Drained,
                "removed" => OrderKind::Removed,
                "quarantined" => OrderKind::Quarantined,
                other => return Err(unreadable("an order", &format!("kind {other:?}"))),
            };
            let order = StoreOrder {
                kind,
                act: act(row, 2)?,
            };
            Ok((name(row, 0)?, order))
        })?;
        Ok(orders.into_iter().collect())
    }

    pub(super) fn put_order(&mut self, store: &StoreId, order: &StoreOrder) -> Result<(), Fault> {
        let (kind, act) = (order.kind.label(), &order.act);
        self.change(|rows| {
            rows.execute(
                "REPLACE INTO store_order (store, kind, by, why, at) VALUES (?, ?, ?, ?, ?)",
                (store.as_str(), kind, &*act.by, &*act.why, millis(act.at)),
            )?;
            let what = match order.kind {
                OrderKind::Paused => "pause",
                OrderKind::Drained => "drain",
                OrderKind::Removed => "remove",
                OrderKind::Quarantined => "quarantine",
            };
            put_deed(rows, what, &format!("store {store}"), act)
        })
    }

    pub(super) fn drop_order(&mut self, store: &StoreId, act: Option<&Act>) -> Result<(), Fault> {
        self.change(|rows| {
            rows.execute("DELETE FROM store_order WHERE store = ?", [store.as_str()])?;
            match act {
                Some(act) => put_deed(rows, "resume", &format!("store {store}"), act),
                None => Ok(()),
            }
        })
    }

    pub(super) fn versions(&self) -> Result<Vec<Version>, Fault> {
        let sql = "SELECT plugin, sha256, version, size_bytes, seen_at, promoted_at, withdrawn, by, why, at \
                   FROM plugin_version ORDER BY plugin, seen_at DESC, sha256";
        self.rows(sql, [], |row| {
            let by: Option<String> = row.get(7)?;
            let promoted_at: Option<i64> = row.get(5)?;
            Ok(Version {
                plugin: name(row, 0)?,
                sha256: name(row, 1)?,
                version: text(row, 2)?.into(),
                size_bytes: row.get::<_, i64>(3)?.cast_unsigned(),
                seen_at: timestamp(row.get(4)?),
                promoted_at: promoted_at.map(timestamp),
                withdrawn: row.get(6)?,
                act: by.map(|_| act(row, 7)).transpose()?,
            })
        })
    }

    /// Who did it is written down once, however often the catalog writes the rest anew.
    pub(super) fn put_version(&mut self, version: &Version) -> Result<(), Fault> {
        let (plugin, sha256) = (version.plugin.as_str(), version.sha256.as_str());
        let act = version.act.as_ref();
        self.change(|rows| {
            let sql = "SELECT by, why, at FROM plugin_version \
                       WHERE plugin = ? AND sha256 = ? AND by IS NOT NULL";
            let known = rows.query_row(sql, [plugin, sha256], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
            });
            let known: Option<(String, String, i64)> = known.optional()?;
            rows.execute(
                "REPLACE INTO plugin_version (plugin, sha256, version, size_bytes, seen_at, promoted_at, withdrawn, by, \
                 why, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    plugin,
                    sha256,
                    &*version.version,
                    version.size_bytes.cast_signed(),
                    millis(version.seen_at),
                    version.promoted_at.map(millis),
                    version.withdrawn,
                    act.map(|act| &*act.by),
                    act.map(|act| &*act.why),
                    act.map(|act| millis(act.at)),
                ),
            )?;
            let known = known.as_ref().map(|(by, why, at)| (&**by, &**why, *at));
            match act {
                Some(act) if known != Some((&*act.by, &*act.why, millis(act.at))) => {
                    let what = if version.withdrawn { "withdraw" } else { "promote" };
                    let what = format!("{what} {}", version.sha256.short());
                    put_deed(rows, &what, &format!("plugin {plugin}"), act)
                }
                Some(_) | None => Ok(()),
            }
        })
    }

    pub(super) fn forget_version(
        &mut self,
        plugin: &PluginName,
        sha256: &PluginDigest,
    ) -> Result<(), Fault> {
        self.change(|rows| {
            let sql = "DELETE FROM plugin_version WHERE plugin = ? AND sha256 = ?";
            rows.execute(sql, [plugin.as_str(), sha256.as_str()])?;
            Ok(())
        })
    }

    pub(super) fn pins(&self) -> Result<Vec<Pin>, Fault> {
        let sql = "SELECT plugin, store, sha256, by, why, at FROM pin ORDER BY plugin, store";
        self.rows(sql, [], |row| {
            let of_all = text(row, 1)?.is_empty();
            Ok(Pin {
                plugin: name(row, 0)?,
                store: (!of_all).then(|| name(row, 1)).transpose()?,
                sha256: name(row, 2)?,
                act: act(row, 3)?,
            })
        })
    }

    pub(super) fn put_pin(
        &mut self,
        plugin: &PluginName,
        store: Option<&StoreId>,
        pin: &Pin,
    ) -> Result<(), Fault> {
        let act = &pin.act;
        self.change(|rows| {
            rows.execute(
                "REPLACE INTO pin (plugin, store, sha256, by, why, at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    plugin.as_str(),
                    column(store),
                    pin.sha256.as_str(),
                    &*act.by,
                    &*act.why,
                    millis(act.at),
                ),
            )?;
            let what = format!("pin {}", pin.sha256.short());
            put_deed(rows, &what, &subject(plugin, store), act)
        })
    }

    pub(super) fn drop_pin(
        &mut self,
        plugin: &PluginName,
        store: Option<&StoreId>,
        act: Option<&Act>,
    ) -> Result<(), Fault> {
        self.change(|rows| {
            let sql = "DELETE FROM pin WHERE plugin = ? AND store = ?";
            rows.execute(sql, [plugin.as_str(), column(store)])?;
            match act {
                Some(act) => put_deed(rows, "unpin", &subject(plugin, store), act),
                None => Ok(()),
            }
        })
    }

    pub(super) fn put_alert(&mut self, alert: &Alert) -> Result<(), Fault> {
        self.change(|rows| {
            rows.execute(
                "INSERT INTO alert (at, kind, subject, text) VALUES (?, ?, ?, ?)",
                (
                    millis(alert.at),
                    &*alert.kind,
                    &*alert.subject,
                    &*alert.text,
                ),
            )?;
            // Numbers have no gaps, because only the oldest ever go.
            let kept_after = rows.last_insert_rowid() - ALERTS_MAX;
            rows.execute("DELETE FROM alert WHERE id <= ?", [kept_after])?;
            Ok(())
        })
    }

    pub(super) fn alerts(&self, limit: u32) -> Result<Vec<Alert>, Fault> {
        let sql = "SELECT at, kind, subject, text FROM alert ORDER BY id DESC LIMIT ?";
        self.rows(sql, [limit], |row| {
            Ok(Alert {
                at: timestamp(row.get(0)?),
                kind: text(row, 1)?.into(),
                subject: text(row, 2)?.into(),
                text: text(row, 3)?.into(),
            })
        })
    }

    pub(super) fn deeds(&self, limit: u32) -> Result<Vec<Deed>, Fault> {
        let sql = "SELECT what, subject, by, why, at FROM deed ORDER BY id DESC LIMIT ?";
        self.rows(sql, [limit], |row| {
            Ok(Deed {
                what: text(row, 0)?.into(),
                subject: text(row, 1)?.into(),
                act: act(row, 2)?,
            })
        })
    }

    /// All of it, or nothing; on the disk when it returns.
    fn change(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        change(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    /// The same, but on the disk only sooner or later: a crash of the process takes nothing back, a power cut may.
    pub(super) fn change_unsynced(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")?;
        let changed = self.change(change);
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        changed
    }

    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

fn put_deed(rows: &Connection, what: &str, subject: &str, act: &Act) -> Result<(), Fault> {
    rows.execute(
        "INSERT INTO deed (what, subject, by, why, at) VALUES (?, ?, ?, ?, ?)",
        (what, subject, &*act.by, &*act.why, millis(act.at)),
    )?;
    let kept_after = rows.last_insert_rowid() - DEEDS_MAX;
    rows.execute("DELETE FROM deed WHERE id <= ?", [kept_after])?;
    Ok(())
}

/// What a pin is about, for people.
fn subject(plugin: &PluginName, store: Option<&StoreId>) -> String {
    match store {
        Some(store) => format!("plugin {plugin} in store {store}"),
        None => format!("plugin {plugin}"),
    }
}

/// A pin's store as it stands in the key, which cannot be null. No store has the empty id.
fn column(store: Option<&StoreId>) -> &str {
    store.map_or("", StoreId::as_str)
}

fn millis(at: Timestamp) -> i64 {
    at.as_millis().cast_signed()
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis.cast_unsigned())
}

/// A column of text, as it lies in SQLite's memory.
pub(super) fn text<'a>(row: &'a Row<'_>, index: usize) -> Result<&'a str, Fault> {
    let text = row.get_ref(index)?.as_str();
    Ok(text.map_err(rusqlite::Error::from)?)
}

/// A column that holds a name.
pub(super) fn name<T>(row: &Row<'_>, index: usize) -> Result<T, Fault>
where
    T: std::str::FromStr<Err = crate::id::Error>,
{
    let parsed = text(row, index)?.parse();
    parsed.map_err(|error: crate::id::Error| unreadable("a row", &error.to_string()))
}

/// Three columns: who, why, when.
fn act(row: &Row<'_>, first: usize) -> Result<Act, Fault> {
    Ok(Act {
        by: text(row, first)?.into(),
        why: text(row, first + 1)?.into(),
        at: timestamp(row.get(first + 2)?),
    })
}

pub(super) fn unreadable(what: &str, reason: &str) -> Fault {
    Fault::Corrupt(format!("{what} cannot be read: {reason}"))
}
