//! The tables of what runs used: the last runs one by one, and the sums of each plugin, by hour for some weeks and by day
//! for a year before. They are written with every run, so a run costs one new row and one that is added to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::column;
use super::error::Fault;
use super::report::{By, Reckoning, RunShown, UsageRow};
use crate::id::{PluginName, StoreId};
use crate::sqlite::Checksum;
use crate::store::{Ending, Refusals, Usage, UsageRecord, UsageTotals};
use crate::time::Timestamp;

/// Runs that are kept one by one: an hour of a busy store, weeks of a quiet one.
pub(super) const RUNS_KEPT: i64 = 1_000;

/// So many more are let pile up, because to forget a hundred costs hardly more than to forget one.
const RUNS_SURPLUS: i64 = 100;

/// Days whose hours are kept: a month, and some days to look at it.
pub(super) const HOURS_KEPT_DAYS: u64 = 35;

/// Days that are kept: a year, and the month that it is compared with.
pub(super) const DAYS_KEPT: u64 = 400;

const HOUR_MILLIS: u64 = 3_600_000;

const RUN: &str = "run, attempt, at, ending, fuel, wall_us, memory_peak, host_calls, host_bytes, drafts, log_lines_dropped, \
     refusals, checksum";

const SUM: &str = "hours, number, plugin, runs, failed, fuel, wall_us, memory_peak, host_calls, host_bytes, drafts, \
     refusals, checksum";

/// How long the time of one sum is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Hour,
    Day,
}

/// What a plugin used in one span.
struct Sum {
    span: Span,
    /// Its number since the Unix epoch.
    number: u64,
    plugin: PluginName,
    totals: UsageTotals,
}

/// Adds runs that ended.
pub(super) fn add(connection: &Connection, records: &[UsageRecord]) -> Result<(), Fault> {
    if records.is_empty() {
        return Ok(());
    }
    add_runs(connection, records)?;
    let mut sums: BTreeMap<(u64, &PluginName), UsageTotals> = BTreeMap::new();
    for record in records {
        let hour = record.at.as_millis() / HOUR_MILLIS;
        let sum = sums.entry((hour, &record.run.plugin)).or_default();
        sum.add(&UsageTotals::of(record));
    }
    for ((hour, plugin), totals) in sums {
        let new = add_to(connection, Span::Hour, hour, plugin, &totals)?;
        // Once in each hour of a plugin is often enough.
        if new {
            fold_hours(connection, hour / Span::Day.hours())?;
        }
    }
    Ok(())
}

/// What was used since the beginning of the hour of `since`, or of its day where hours are no longer kept.
pub(super) fn report(
    connection: &Connection,
    store: &StoreId,
    since: Timestamp,
    by: By,
) -> Result<Vec<UsageRow>, Fault> {
    if by == By::Run {
        return runs(connection, store, since);
    }
    let hour = since.as_millis() / HOUR_MILLIS;
    let mut reckoning = Reckoning::new(store, by);
    let mut take = |sum: Sum| {
        let millis = sum.number * sum.span.hours() * HOUR_MILLIS;
        reckoning.add(sum.plugin, Timestamp::from_millis(millis), &sum.totals);
    };
    // A day says nothing of its hours.
    if by != By::Hour {
        let days = hour / Span::Day.hours()..u64::MAX;
        each_sum(connection, Span::Day, days, &mut take)?;
    }
    each_sum(connection, Span::Hour, hour..u64::MAX, &mut take)?;
    Ok(reckoning.rows())
}

/// Checks every row.
pub(super) fn verify(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&format!("SELECT {RUN} FROM run_usage"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read_run(row)?;
    }
    for span in [Span::Hour, Span::Day] {
        each_sum(connection, span, 0..u64::MAX, &mut |_| ())?;
    }
    Ok(())
}

fn add_runs(connection: &Connection, records: &[UsageRecord]) -> Result<(), Fault> {
    let mut last = connection.prepare_cached("SELECT ifnull(max(number), 0) FROM run_usage")?;
    let mut number: i64 = last.query_row([], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO run_usage (number, {RUN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?;
    for record in records {
        number += 1;
        let (run, refusals) = (
            record.run.to_string(),
            column::to_json(&record.usage.refusals),
        );
        let totals = UsageTotals::of(record);
        statement.execute(params![
            number,
            run,
            record.attempt,
            record.at.as_millis().cast_signed(),
            record.ending.as_str(),
            totals.fuel.cast_signed(),
            totals.wall_us.cast_signed(),
            totals.memory_peak_bytes.cast_signed(),
            totals.host_calls.cast_signed(),
            totals.host_bytes.cast_signed(),
            record.drafts,
            record.usage.log_lines_dropped.cast_signed(),
            refusals,
            run_checksum(&run, record, &totals, &refusals),
        ])?;
        if number % RUNS_SURPLUS == 0 {
            connection
                .prepare_cached("DELETE FROM run_usage WHERE number <= ?")?
                .execute([number - RUNS_KEPT])?;
        }
    }
    Ok(())
}

/// The last runs that ended at or after `since`, in the order in which they were written.
fn runs(
    connection: &Connection,
    store: &StoreId,
    since: Timestamp,
) -> Result<Vec<UsageRow>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {RUN} FROM run_usage ORDER BY number DESC LIMIT {RUNS_KEPT}"
    ))?;
    let mut rows = statement.query([])?;
    let mut shown = Vec::new();
    while let Some(row) = rows.next()? {
        let record = read_run(row)?;
        if record.at >= since {
            shown.push(UsageRow {
                store: store.clone(),
                plugin: record.run.plugin.clone(),
                at: Some(record.at),
                run: Some(RunShown {
                    id: record.run.to_string(),
                    attempt: record.attempt,
                    ending: record.ending,
                }),
                totals: UsageTotals::of(&record),
            });
        }
    }
    shown.reverse();
    Ok(shown)
}

/// Makes days of those hours that are kept no longer, and forgets the oldest days. `today` is the number of a day.
fn fold_hours(connection: &Connection, today: u64) -> Result<(), Fault> {
    let first_hour = today.saturating_sub(HOURS_KEPT_DAYS) * Span::Day.hours();
    let mut old = Vec::new();
    each_sum(connection, Span::Hour, 0..first_hour, &mut |sum| {
        old.push(sum);
    })?;
    for Sum {
        number,
        plugin,
        totals,
        ..
    } in old
    {
        let day = number / Span::Day.hours();
        add_to(connection, Span::Day, day, &plugin, &totals)?;
    }
    forget(connection, Span::Hour, first_hour)?;
    forget(connection, Span::Day, today.saturating_sub(DAYS_KEPT))
}

/// Adds to a plugin's sum; answers whether there was none.
fn add_to(
    connection: &Connection,
    span: Span,
    number: u64,
    plugin: &PluginName,
    more: &UsageTotals,
) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SUM} FROM usage WHERE hours = ? AND number = ? AND plugin = ?"
    ))?;
    let mut rows = statement.query(params![
        span.hours().cast_signed(),
        number.cast_signed(),
        plugin.as_str()
    ])?;
    let known = rows.next()?.map(read_sum).transpose()?;
    let new = known.is_none();
    let mut sum = known.unwrap_or_else(|| Sum {
        span,
        number,
        plugin: plugin.clone(),
        totals: UsageTotals::default(),
    });
    sum.totals.add(more);
    put(connection, &sum)?;
    Ok(new)
}

fn put(connection: &Connection, sum: &Sum) -> Result<(), Fault> {
    let totals = &sum.totals;
    let refusals = column::to_json(&totals.refusals);
    let mut statement = connection.prepare_cached(&format!(
        "REPLACE INTO usage ({SUM}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?;
    statement.execute(params![
        sum.span.hours().cast_signed(),
        sum.number.cast_signed(),
        sum.plugin.as_str(),
        totals.runs.cast_signed(),
        totals.failed.cast_signed(),
        totals.fuel.cast_signed(),
        totals.wall_us.cast_signed(),
        totals.memory_peak_bytes.cast_signed(),
        totals.host_calls.cast_signed(),
        totals.host_bytes.cast_signed(),
        totals.drafts.cast_signed(),
        refusals,
        sum_checksum(sum, &refusals),
    ])?;
    Ok(())
}

/// Hands over each sum of these spans, in the order of their times.
fn each_sum(
    connection: &Connection,
    span: Span,
    numbers: Range<u64>,
    take: &mut impl FnMut(Sum),
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SUM} FROM usage WHERE hours = ? AND number >= ? AND number < ? ORDER BY number, plugin"
    ))?;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (start, end) = (number(numbers.start), number(numbers.end));
    let mut rows = statement.query(params![span.hours().cast_signed(), start, end])?;
    while let Some(row) = rows.next()? {
        take(read_sum(row)?);
    }
    Ok(())
}

/// Removes the sums before the span of this number.
fn forget(connection: &Connection, span: Span, number: u64) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM usage WHERE hours = ? AND number < ?")?
        .execute([span.hours().cast_signed(), number.cast_signed()])?;
    Ok(())
}

fn read_run(row: &Row<'_>) -> Result<UsageRecord, Fault> {
    let (run, refusals) = (column::text(row, 0)?, column::text(row, 11)?);
    let corrupt = || Fault::corrupt_row(&format!("what the run {run} used"));
    let stamp = column::to_stamp(run, 0).ok_or_else(corrupt)?;
    let ending = column::text(row, 3)?;
    let known = Ending::ALL.into_iter().find(|it| it.as_str() == ending);
    let name = || format!("what the run {run} was refused");
    let record = UsageRecord {
        run: stamp.run,
        attempt: row.get(1)?,
        at: Timestamp::from_millis(column::number(row, 2)?),
        ending: known.ok_or_else(corrupt)?,
        usage: Usage {
            fuel: column::number(row, 4)?,
            wall: Duration::from_micros(column::number(row, 5)?),
            memory_peak_bytes: usize::try_from(column::number(row, 6)?).map_err(|_| corrupt())?,
            host_calls: column::number(row, 7)?,
            host_bytes: column::number(row, 8)?,
            log_lines_dropped: column::number(row, 10)?,
            refusals: column::from_json::<Refusals>(refusals, name)?,
        },
        drafts: row.get(9)?,
    };
    let totals = UsageTotals::of(&record);
    if row.get::<_, i64>(12)? != run_checksum(run, &record, &totals, refusals) {
        return Err(corrupt());
    }
    Ok(record)
}

fn read_sum(row: &Row<'_>) -> Result<Sum, Fault> {
    let plugin = column::text(row, 2)?;
    let corrupt = || Fault::corrupt_row(&format!("what {plugin} used"));
    let hours = column::number(row, 0)?;
    let span = [Span::Hour, Span::Day]
        .into_iter()
        .find(|it| it.hours() == hours);
    let refusals = column::text(row, 11)?;
    let sum = Sum {
        span: span.ok_or_else(corrupt)?,
        number: column::number(row, 1)?,
        plugin: plugin.parse().map_err(|_| corrupt())?,
        totals: UsageTotals {
            runs: column::number(row, 3)?,
            failed: column::number(row, 4)?,
            fuel: column::number(row, 5)?,
            wall_us: column::number(row, 6)?,
            memory_peak_bytes: column::number(row, 7)?,
            host_calls: column::number(row, 8)?,
            host_bytes: column::number(row, 9)?,
            drafts: column::number(row, 10)?,
            refusals: column::from_json(refusals, || format!("what {plugin} was refused"))?,
        },
    };
    if row.get::<_, i64>(12)? != sum_checksum(&sum, refusals) {
        return Err(corrupt());
    }
    Ok(sum)
}

/// `totals` are those of the record: numbers as they stand in the row.
fn run_checksum(run: &str, record: &UsageRecord, totals: &UsageTotals, refusals: &str) -> i64 {
    let checksum = Checksum::of("run_usage")
        .text(run)
        .number(record.attempt.into())
        .number(record.at.as_millis())
        .text(record.ending.as_str())
        .number(record.usage.log_lines_dropped);
    with_totals(checksum, totals).text(refusals).get()
}

fn sum_checksum(sum: &Sum, refusals: &str) -> i64 {
    let checksum = Checksum::of("usage")
        .number(sum.span.hours())
        .number(sum.number)
        .text(sum.plugin.as_str());
    with_totals(checksum, &sum.totals).text(refusals).get()
}

fn with_totals(checksum: Checksum, totals: &UsageTotals) -> Checksum {
    [
        totals.runs,
        totals.failed,
        totals.fuel,
        totals.wall_us,
        totals.memory_peak_bytes,
        totals.host_calls,
        totals.host_bytes,
        totals.drafts,
    ]
    .into_iter()
    .fold(checksum, Checksum::number)
}

impl Span {
    fn hours(self) -> u64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
        }
    }
}
