//! What a journal must hold about what runs used, and about how much plugins keep.

use std::time::Duration;

use super::{claim, delete, fenced, plugin, put, store, subscription, write};
use crate::event::SeqNum;
use crate::journal::usage::{DAYS_KEPT, HOURS_KEPT_DAYS, RUNS_KEPT};
use crate::journal::{By, Journal, UsageRow};
use crate::stamp::{RunId, Trigger};
use crate::store::{Commit, Ending, KvTotals, Limit, Refusals, Usage, UsageRecord};
use crate::time::Timestamp;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// 2026-11-28T00:00:00Z.
const MIDNIGHT: u64 = 1_795_824_000_000;

pub(super) async fn check(journal: &Journal) {
    what_runs_used_is_added_up_by_hour_and_day(journal).await;
    a_lost_commit_loses_its_usage_and_a_repeated_one_doubles_nothing(journal).await;
    a_removed_subscription_keeps_its_usage(journal).await;
    only_the_last_runs_are_kept_one_by_one(journal).await;
    old_hours_become_days_and_old_days_are_forgotten(journal).await;
    the_totals_of_kv_are_those_of_its_entries(journal).await;
}

/// A run of a plugin that ended at `at` and used all kinds of things.
pub(in crate::journal) fn record(name: &str, seq: u64, at: u64) -> UsageRecord {
    let mut refusals = Refusals::default();
    refusals.note(Limit::Drafts, 101, 100);
    UsageRecord {
        run: RunId {
            plugin: plugin(name),
            trigger: Trigger::Event(SeqNum::new(seq)),
        },
        attempt: 1,
        at: Timestamp::from_millis(at),
        ending: match seq % 2 {
            0 => Ending::Finished,
            _ => Ending::Trapped,
        },
        usage: Usage {
            fuel: seq,
            wall: Duration::from_micros(10 * seq),
            memory_peak_bytes: 65_536,
            host_calls: 2,
            host_bytes: 30,
            log_lines_dropped: 1,
            refusals,
        },
        drafts: 3,
    }
}

fn used(usage: Vec<UsageRecord>) -> Commit {
    Commit {
        usage,
        ..Commit::default()
    }
}

/// Plugin, hours since midnight, runs and fuel.
type Line = (String, Option<u64>, u64, u64);

async fn lines(journal: &Journal, id: &str, since: u64, by: By) -> Vec<Line> {
    let since = Timestamp::from_millis(since);
    let rows = journal.usage(&store(id), since, by).await.unwrap();
    let line = |row: &UsageRow| {
        let at = row
            .at
            .map(|at| at.as_millis().wrapping_sub(MIDNIGHT) / HOUR);
        (row.plugin.to_string(), at, row.totals.runs, row.totals.fuel)
    };
    rows.iter().map(line).collect()
}

fn line(name: &str, hour: Option<u64>, runs: u64, fuel: u64) -> Line {
    (name.to_owned(), hour, runs, fuel)
}

async fn what_runs_used_is_added_up_by_hour_and_day(journal: &Journal) {
    let mut lease = claim(journal, "used").await;
    let first = [
        record("echo", 1, MIDNIGHT + 1),
        record("count", 10, MIDNIGHT + 2),
    ];
    let second = [
        record("echo", 2, MIDNIGHT + HOUR - 1),
        record("echo", 4, MIDNIGHT + HOUR),
        record("echo", 8, MIDNIGHT + DAY),
    ];
    write(journal, &mut lease, used(first.to_vec()))
        .await
        .unwrap();
    write(journal, &mut lease, used(second.to_vec()))
        .await
        .unwrap();
    assert_eq!(
        lines(journal, "used", 0, By::Hour).await,
        [
            line("count", Some(0), 1, 10),
            line("echo", Some(0), 2, 3),
            line("echo", Some(1), 1, 4),
            line("echo", Some(24), 1, 8),
        ]
    );
    assert_eq!(
        lines(journal, "used", MIDNIGHT + 2 * HOUR - 1, By::Hour).await,
        [line("echo", Some(1), 1, 4), line("echo", Some(24), 1, 8)]
    );
    assert_eq!(
        lines(journal, "used", 0, By::Day).await,
        [
            line("count", Some(0), 1, 10),
            line("echo", Some(0), 3, 7),
            line("echo", Some(24), 1, 8),
        ]
    );
    assert_eq!(
        lines(journal, "used", 0, By::Total).await,
        [line("count", None, 1, 10), line("echo", None, 4, 15)]
    );
    let since = Timestamp::from_millis(MIDNIGHT + 2);
    let runs = journal.usage(&store("used"), since, By::Run).await.unwrap();
    let ids: Vec<&str> = runs
        .iter()
        .map(|row| &*row.run.as_ref().unwrap().id)
        .collect();
    assert_eq!(
        ids,
        ["qm1:count:e10", "qm1:echo:e2", "qm1:echo:e4", "qm1:echo:e8"]
    );
    let (id, start) = (store("used"), Timestamp::default());
    let totals = journal.usage(&id, start, By::Total).await.unwrap();
    let totals = &totals[1].totals;
    assert_eq!((totals.failed, totals.wall_us, totals.drafts), (1, 150, 12));
    assert_eq!(
        (
            totals.memory_peak_bytes,
            totals.host_calls,
            totals.host_bytes
        ),
        (65_536, 8, 120)
    );
    assert_eq!(totals.refusals, [(Limit::Drafts, 4)].into());
    // Also in a file that was closed in between.
    journal.release(lease).await.unwrap();
    let lease = claim(journal, "used").await;
    assert!(journal.load(&lease).await.is_ok());
    assert_eq!(lines(journal, "used", 0, By::Day).await.len(), 3);
    journal.release(lease).await.unwrap();
}

async fn a_lost_commit_loses_its_usage_and_a_repeated_one_doubles_nothing(journal: &Journal) {
    let mut first = claim(journal, "lost").await;
    let commit = used(vec![record("echo", 2, MIDNIGHT)]);
    write(journal, &mut first, commit.clone()).await.unwrap();
    let mut second = claim(journal, "lost").await;
    let lost = write(journal, &mut first, commit.clone()).await;
    assert_eq!(lost, Err(fenced("lost")));
    assert_eq!(
        lines(journal, "lost", 0, By::Total).await,
        [line("echo", None, 1, 2)]
    );
    // The life that lost it runs once more, and that counts.
    write(journal, &mut second, commit).await.unwrap();
    assert_eq!(
        lines(journal, "lost", 0, By::Total).await,
        [line("echo", None, 2, 4)]
    );
    assert_eq!(lines(journal, "lost", 0, By::Run).await.len(), 2);
    journal.release(second).await.unwrap();
}

async fn a_removed_subscription_keeps_its_usage(journal: &Journal) {
    let mut lease = claim(journal, "left").await;
    let commit = Commit {
        subscriptions: vec![subscription("echo", 1)],
        kv: vec![put("echo", "k", "v")],
        ..used(vec![record("echo", 2, MIDNIGHT)])
    };
    write(journal, &mut lease, commit).await.unwrap();
    let commit = Commit {
        subscriptions_removed: vec![plugin("echo")],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    for by in By::ALL {
        assert_eq!(lines(journal, "left", 0, by).await.len(), 1, "{by:?}");
    }
    let totals = journal.kv_totals(&store("left"), &plugin("echo")).await;
    assert_eq!(totals, Ok(KvTotals::default()));
    journal.release(lease).await.unwrap();
}

async fn only_the_last_runs_are_kept_one_by_one(journal: &Journal) {
    let mut lease = claim(journal, "many").await;
    let all = RUNS_KEPT.unsigned_abs() + 250;
    let records: Vec<_> = (0..all)
        .map(|seq| record("echo", seq, MIDNIGHT + seq))
        .collect();
    for some in records.chunks(70) {
        write(journal, &mut lease, used(some.to_vec()))
            .await
            .unwrap();
    }
    let kept = lines(journal, "many", 0, By::Run).await;
    let fuel: Vec<u64> = kept.iter().map(|line| line.3).collect();
    assert_eq!(fuel, (250..all).collect::<Vec<_>>());
    let total = lines(journal, "many", 0, By::Total).await;
    assert_eq!(total[0].2, all, "a run that is forgotten still counts");
    journal.release(lease).await.unwrap();
}

async fn old_hours_become_days_and_old_days_are_forgotten(journal: &Journal) {
    let mut lease = claim(journal, "old").await;
    let mut at = async |millis: u64| {
        let commit = used(vec![record("echo", 2, millis)]);
        write(journal, &mut lease, commit).await.unwrap();
    };
    at(MIDNIGHT + HOUR).await;
    at(MIDNIGHT + 5 * HOUR).await;
    at(MIDNIGHT + DAY).await;
    let later = MIDNIGHT + HOURS_KEPT_DAYS * DAY + 23 * HOUR;
    at(later).await;
    let hours = lines(journal, "old", 0, By::Hour).await;
    assert_eq!(hours.len(), 4, "a day was folded that is not over");
    at(later + HOUR).await;
    let hours = lines(journal, "old", 0, By::Hour).await;
    assert_eq!(hours.len(), 3);
    let days = lines(journal, "old", 0, By::Day).await;
    assert_eq!(
        days[..2],
        [line("echo", Some(0), 2, 4), line("echo", Some(24), 1, 2)]
    );
    assert_eq!(
        lines(journal, "old", 0, By::Total).await,
        [line("echo", None, 5, 10)]
    );
    // A plugin's clock that goes back adds to the day that it is about.
    at(MIDNIGHT + 5 * HOUR).await;
    at(later + 2 * HOUR).await;
    let days = lines(journal, "old", 0, By::Day).await;
    assert_eq!(days[0], line("echo", Some(0), 3, 6));
    at(MIDNIGHT + (DAYS_KEPT + 1) * DAY).await;
    let days = lines(journal, "old", 0, By::Day).await;
    assert_eq!(days[0], line("echo", Some(24), 1, 2));
    journal.release(lease).await.unwrap();
}

async fn the_totals_of_kv_are_those_of_its_entries(journal: &Journal) {
    let (id, echo) = (store("totals"), plugin("echo"));
    let of = async || {
        let totals = journal.kv_totals(&id, &echo).await.unwrap();
        (totals.entries, totals.bytes)
    };
    assert_eq!(of().await, (0, 0));
    let mut lease = claim(journal, "totals").await;
    for (kv, totals) in [
        (
            vec![put("echo", "ü", "123"), put("count", "x", "1")],
            (1, 5),
        ),
        (vec![put("echo", "ü", "1"), put("echo", "b", "")], (2, 4)),
        (
            vec![put("echo", "ü", "12"), put("echo", "ü", "1234")],
            (2, 7),
        ),
        (vec![delete("echo", "b"), delete("echo", "never")], (1, 6)),
        (
            vec![
                put("echo", "c", "1"),
                put("count", "x", "2"),
                delete("echo", "c"),
            ],
            (1, 6),
        ),
    ] {
        let commit = Commit {
            kv,
            ..Commit::default()
        };
        write(journal, &mut lease, commit).await.unwrap();
        assert_eq!(of().await, totals);
        assert!(journal.load(&lease).await.is_ok());
    }
    let keys = ["b".into(), "ü".into(), "".into()];
    let sizes = journal.kv_sizes(&id, &echo, &keys).await;
    assert_eq!(sizes, Ok(vec![None, Some(6), None]));
    journal.release(lease).await.unwrap();
}
