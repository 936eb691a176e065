//! Due times at the clocks' changes and at the calendar's odd days, and what else a timetable promises.

mod model;

use super::*;

/// Each row: zone, pattern, gap, fold, the instant to begin after, and the due times from there on. They were computed
/// wall time by wall time with Python's `zoneinfo` over the same version of the IANA database (2026f), where `fold` is
/// 0 or 1 as PEP 495 has it.
const GAPS: &str = "
Europe/Berlin | 30 2 * * * | shift | first | 2026-03-27T12:00:00Z | 2026-03-28T01:30:00Z 2026-03-29T01:30:00Z 2026-03-30T00:30:00Z
Europe/Berlin | 30 2 * * * | skip | first | 2026-03-27T12:00:00Z | 2026-03-28T01:30:00Z 2026-03-30T00:30:00Z 2026-03-31T00:30:00Z
America/New_York | 30 2 * * * | shift | first | 2026-03-07T00:00:00Z | 2026-03-07T07:30:00Z 2026-03-08T07:30:00Z 2026-03-09T06:30:00Z
America/New_York | 30 2 * * * | skip | first | 2026-03-07T00:00:00Z | 2026-03-07T07:30:00Z 2026-03-09T06:30:00Z 2026-03-10T06:30:00Z
Africa/Casablanca | 30 2 * * * | shift | first | 2026-03-21T00:00:00Z | 2026-03-21T02:30:00Z 2026-03-22T02:30:00Z 2026-03-23T01:30:00Z
Africa/Casablanca | 30 2 * * * | skip | first | 2026-03-21T00:00:00Z | 2026-03-21T02:30:00Z 2026-03-23T01:30:00Z 2026-03-24T01:30:00Z
Australia/Lord_Howe | 15 2 * * * | shift | first | 2026-10-02T00:00:00Z | 2026-10-02T15:45:00Z 2026-10-03T15:45:00Z 2026-10-04T15:15:00Z
Australia/Lord_Howe | 15 2 * * * | skip | first | 2026-10-02T00:00:00Z | 2026-10-02T15:45:00Z 2026-10-04T15:15:00Z 2026-10-05T15:15:00Z
Pacific/Apia | 0 9 * * * | shift | first | 2011-12-28T20:00:00Z | 2011-12-29T19:00:00Z 2011-12-30T19:00:00Z 2011-12-31T19:00:00Z
Pacific/Apia | 0 9 * * * | skip | first | 2011-12-28T20:00:00Z | 2011-12-29T19:00:00Z 2011-12-30T19:00:00Z 2011-12-31T19:00:00Z
Pacific/Apia | 0 9 30 12 * | shift | first | 2011-01-01T00:00:00Z | 2011-12-30T19:00:00Z 2012-12-29T19:00:00Z
Pacific/Apia | 0 9 30 12 * | skip | first | 2011-01-01T00:00:00Z | 2012-12-29T19:00:00Z 2013-12-29T19:00:00Z
Pacific/Apia | 0 9 * * FRI | shift | first | 2011-12-22T00:00:00Z | 2011-12-23T19:00:00Z 2011-12-30T19:00:00Z 2012-01-05T19:00:00Z 2012-01-12T19:00:00Z
Pacific/Apia | 0 9 * * FRI | skip | first | 2011-12-22T00:00:00Z | 2011-12-23T19:00:00Z 2012-01-05T19:00:00Z 2012-01-12T19:00:00Z 2012-01-19T19:00:00Z
UTC | 30 2 * * * | shift | first | 2026-03-27T12:00:00Z | 2026-03-28T02:30:00Z 2026-03-29T02:30:00Z 2026-03-30T02:30:00Z
UTC | 30 2 * * * | skip | first | 2026-03-27T12:00:00Z | 2026-03-28T02:30:00Z 2026-03-29T02:30:00Z 2026-03-30T02:30:00Z
Europe/Berlin | 30 2,3 * * * | shift | first | 2026-03-28T12:00:00Z | 2026-03-29T01:30:00Z 2026-03-30T00:30:00Z 2026-03-30T01:30:00Z
Europe/Berlin | 30 2,3 * * * | skip | first | 2026-03-28T12:00:00Z | 2026-03-29T01:30:00Z 2026-03-30T00:30:00Z 2026-03-30T01:30:00Z
Europe/Berlin | 0 * * * * | shift | first | 2026-03-28T23:30:00Z | 2026-03-29T00:00:00Z 2026-03-29T01:00:00Z 2026-03-29T02:00:00Z 2026-03-29T03:00:00Z
Europe/Berlin | 0 * * * * | skip | first | 2026-03-28T23:30:00Z | 2026-03-29T00:00:00Z 2026-03-29T01:00:00Z 2026-03-29T02:00:00Z 2026-03-29T03:00:00Z
Europe/Berlin | */10 * * * * | shift | first | 2026-03-29T00:35:00Z | 2026-03-29T00:40:00Z 2026-03-29T00:50:00Z 2026-03-29T01:00:00Z 2026-03-29T01:10:00Z
Europe/Berlin | */10 * * * * | skip | first | 2026-03-29T00:35:00Z | 2026-03-29T00:40:00Z 2026-03-29T00:50:00Z 2026-03-29T01:00:00Z 2026-03-29T01:10:00Z
Europe/Berlin | */10 2 * * * | shift | first | 2026-03-28T12:00:00Z | 2026-03-29T01:00:00Z 2026-03-29T01:10:00Z 2026-03-29T01:20:00Z 2026-03-29T01:30:00Z 2026-03-29T01:40:00Z 2026-03-29T01:50:00Z 2026-03-30T00:00:00Z
Europe/Berlin | */10 2 * * * | skip | first | 2026-03-28T12:00:00Z | 2026-03-30T00:00:00Z 2026-03-30T00:10:00Z 2026-03-30T00:20:00Z 2026-03-30T00:30:00Z 2026-03-30T00:40:00Z 2026-03-30T00:50:00Z 2026-03-31T00:00:00Z
Africa/Casablanca | */30 * * * * | shift | first | 2026-03-22T01:15:00Z | 2026-03-22T01:30:00Z 2026-03-22T02:00:00Z 2026-03-22T02:30:00Z 2026-03-22T03:00:00Z
Africa/Casablanca | */30 * * * * | skip | first | 2026-03-22T01:15:00Z | 2026-03-22T01:30:00Z 2026-03-22T02:00:00Z 2026-03-22T02:30:00Z 2026-03-22T03:00:00Z
Australia/Lord_Howe | */10 * * * * | shift | first | 2026-10-03T15:15:00Z | 2026-10-03T15:20:00Z 2026-10-03T15:30:00Z 2026-10-03T15:40:00Z 2026-10-03T15:50:00Z
Australia/Lord_Howe | */10 * * * * | skip | first | 2026-10-03T15:15:00Z | 2026-10-03T15:20:00Z 2026-10-03T15:30:00Z 2026-10-03T15:40:00Z 2026-10-03T15:50:00Z
";

const FOLDS: &str = "
Europe/Berlin | 30 2 * * * | shift | first | 2026-10-24T12:00:00Z | 2026-10-25T00:30:00Z 2026-10-26T01:30:00Z 2026-10-27T01:30:00Z
Europe/Berlin | 30 2 * * * | shift | last | 2026-10-24T12:00:00Z | 2026-10-25T01:30:00Z 2026-10-26T01:30:00Z 2026-10-27T01:30:00Z
Europe/Berlin | 30 2 * * * | shift | both | 2026-10-24T12:00:00Z | 2026-10-25T00:30:00Z 2026-10-25T01:30:00Z 2026-10-26T01:30:00Z
America/New_York | 30 1 * * * | shift | first | 2026-10-31T12:00:00Z | 2026-11-01T05:30:00Z 2026-11-02T06:30:00Z 2026-11-03T06:30:00Z
America/New_York | 30 1 * * * | shift | last | 2026-10-31T12:00:00Z | 2026-11-01T06:30:00Z 2026-11-02T06:30:00Z 2026-11-03T06:30:00Z
America/New_York | 30 1 * * * | shift | both | 2026-10-31T12:00:00Z | 2026-11-01T05:30:00Z 2026-11-01T06:30:00Z 2026-11-02T06:30:00Z
Australia/Lord_Howe | 45 1 * * * | shift | first | 2026-04-03T20:00:00Z | 2026-04-04T14:45:00Z 2026-04-05T15:15:00Z 2026-04-06T15:15:00Z
Australia/Lord_Howe | 45 1 * * * | shift | last | 2026-04-03T20:00:00Z | 2026-04-04T15:15:00Z 2026-04-05T15:15:00Z 2026-04-06T15:15:00Z
Australia/Lord_Howe | 45 1 * * * | shift | both | 2026-04-03T20:00:00Z | 2026-04-04T14:45:00Z 2026-04-04T15:15:00Z 2026-04-05T15:15:00Z
Africa/Casablanca | 30 2 * * * | shift | first | 2026-02-14T12:00:00Z | 2026-02-15T01:30:00Z 2026-02-16T02:30:00Z 2026-02-17T02:30:00Z
Africa/Casablanca | 30 2 * * * | shift | last | 2026-02-14T12:00:00Z | 2026-02-15T02:30:00Z 2026-02-16T02:30:00Z 2026-02-17T02:30:00Z
Africa/Casablanca | 30 2 * * * | shift | both | 2026-02-14T12:00:00Z | 2026-02-15T01:30:00Z 2026-02-15T02:30:00Z 2026-02-16T02:30:00Z
Europe/Berlin | 0 * * * * | shift | first | 2026-10-24T23:30:00Z | 2026-10-25T00:00:00Z 2026-10-25T02:00:00Z 2026-10-25T03:00:00Z 2026-10-25T04:00:00Z
Europe/Berlin | 0 * * * * | shift | last | 2026-10-24T23:30:00Z | 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z 2026-10-25T03:00:00Z 2026-10-25T04:00:00Z
Europe/Berlin | 0 * * * * | shift | both | 2026-10-24T23:30:00Z | 2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z 2026-10-25T03:00:00Z
Australia/Lord_Howe | */15 * * * * | shift | first | 2026-04-04T14:20:00Z | 2026-04-04T14:30:00Z 2026-04-04T14:45:00Z 2026-04-04T15:30:00Z 2026-04-04T15:45:00Z 2026-04-04T16:00:00Z
Australia/Lord_Howe | */15 * * * * | shift | last | 2026-04-04T14:20:00Z | 2026-04-04T15:00:00Z 2026-04-04T15:15:00Z 2026-04-04T15:30:00Z 2026-04-04T15:45:00Z 2026-04-04T16:00:00Z
Australia/Lord_Howe | */15 * * * * | shift | both | 2026-04-04T14:20:00Z | 2026-04-04T14:30:00Z 2026-04-04T14:45:00Z 2026-04-04T15:00:00Z 2026-04-04T15:15:00Z 2026-04-04T15:30:00Z
America/New_York | */20 * * * * | shift | first | 2026-11-01T04:50:00Z | 2026-11-01T05:00:00Z 2026-11-01T05:20:00Z 2026-11-01T05:40:00Z 2026-11-01T07:00:00Z 2026-11-01T07:20:00Z 2026-11-01T07:40:00Z 2026-11-01T08:00:00Z
America/New_York | */20 * * * * | shift | last | 2026-11-01T04:50:00Z | 2026-11-01T06:00:00Z 2026-11-01T06:20:00Z 2026-11-01T06:40:00Z 2026-11-01T07:00:00Z 2026-11-01T07:20:00Z 2026-11-01T07:40:00Z 2026-11-01T08:00:00Z
America/New_York | */20 * * * * | shift | both | 2026-11-01T04:50:00Z | 2026-11-01T05:00:00Z 2026-11-01T05:20:00Z 2026-11-01T05:40:00Z 2026-11-01T06:00:00Z 2026-11-01T06:20:00Z 2026-11-01T06:40:00Z 2026-11-01T07:00:00Z
Europe/Berlin | 0 3 * * * | shift | first | 2026-10-24T12:00:00Z | 2026-10-25T02:00:00Z 2026-10-26T02:00:00Z
Europe/Berlin | 0 3 * * * | shift | last | 2026-10-24T12:00:00Z | 2026-10-25T02:00:00Z 2026-10-26T02:00:00Z
Europe/Berlin | 0 3 * * * | shift | both | 2026-10-24T12:00:00Z | 2026-10-25T02:00:00Z 2026-10-26T02:00:00Z
UTC | 30 2 * * * | shift | both | 2026-10-24T12:00:00Z | 2026-10-25T02:30:00Z 2026-10-26T02:30:00Z 2026-10-27T02:30:00Z
";

const DATES: &str = "
UTC | 0 0 L * * | shift | first | 2026-01-15T00:00:00Z | 2026-01-31T00:00:00Z 2026-02-28T00:00:00Z 2026-03-31T00:00:00Z 2026-04-30T00:00:00Z
UTC | 0 0 30 * * | shift | first | 2026-01-15T00:00:00Z | 2026-01-30T00:00:00Z 2026-03-30T00:00:00Z 2026-04-30T00:00:00Z
UTC | 0 0 31 * * | shift | first | 2026-01-15T00:00:00Z | 2026-01-31T00:00:00Z 2026-03-31T00:00:00Z 2026-05-31T00:00:00Z 2026-07-31T00:00:00Z
UTC | 0 0 29 2 * | shift | first | 2090-01-01T00:00:00Z | 2092-02-29T00:00:00Z 2096-02-29T00:00:00Z 2104-02-29T00:00:00Z
UTC | 0 0 29 2 * | shift | first | 2023-03-01T00:00:00Z | 2024-02-29T00:00:00Z 2028-02-29T00:00:00Z
UTC | 0 9 * * 1#2 | shift | first | 2026-01-01T00:00:00Z | 2026-01-12T09:00:00Z 2026-02-09T09:00:00Z 2026-03-09T09:00:00Z
UTC | 0 9 * * MON#5 | shift | first | 2026-01-01T00:00:00Z | 2026-03-30T09:00:00Z 2026-06-29T09:00:00Z 2026-08-31T09:00:00Z
UTC | 0 9 * * 5L | shift | first | 2026-01-01T00:00:00Z | 2026-01-30T09:00:00Z 2026-02-27T09:00:00Z 2026-03-27T09:00:00Z
UTC | 0 9 * * FRIL | shift | first | 2026-01-01T00:00:00Z | 2026-01-30T09:00:00Z 2026-02-27T09:00:00Z 2026-03-27T09:00:00Z
UTC | 0 9 15W * * | shift | first | 2026-01-20T00:00:00Z | 2026-02-16T09:00:00Z 2026-03-16T09:00:00Z 2026-04-15T09:00:00Z 2026-05-15T09:00:00Z
UTC | 0 9 1W * * | shift | first | 2026-07-20T00:00:00Z | 2026-08-03T09:00:00Z 2026-09-01T09:00:00Z 2026-10-01T09:00:00Z
UTC | 0 9 31W * * | shift | first | 2026-01-01T00:00:00Z | 2026-01-30T09:00:00Z 2026-03-31T09:00:00Z 2026-05-29T09:00:00Z
UTC | 0 9 LW * * | shift | first | 2026-01-01T00:00:00Z | 2026-01-30T09:00:00Z 2026-02-27T09:00:00Z 2026-03-31T09:00:00Z
UTC | 30 9 * JAN,JUL MON-FRI | shift | first | 2026-01-30T00:00:00Z | 2026-01-30T09:30:00Z 2026-07-01T09:30:00Z 2026-07-02T09:30:00Z
UTC | 0 0 13 * FRI | shift | first | 2026-02-01T00:00:00Z | 2026-02-06T00:00:00Z 2026-02-13T00:00:00Z 2026-02-20T00:00:00Z 2026-02-27T00:00:00Z 2026-03-06T00:00:00Z
UTC | 0 0 ? * SAT-SUN | shift | first | 2026-02-01T00:00:00Z | 2026-02-07T00:00:00Z 2026-02-08T00:00:00Z 2026-02-14T00:00:00Z
UTC | 0 0 * * 7 | shift | first | 2026-02-01T00:00:00Z | 2026-02-08T00:00:00Z 2026-02-15T00:00:00Z
UTC | */20 30 4 1 * * | shift | first | 2026-02-01T00:00:00Z | 2026-02-01T04:30:00Z 2026-02-01T04:30:20Z 2026-02-01T04:30:40Z 2026-03-01T04:30:00Z
UTC | 30 */15 * * * * | shift | first | 2026-02-01T00:00:31Z | 2026-02-01T00:15:30Z 2026-02-01T00:30:30Z 2026-02-01T00:45:30Z
UTC | 59 59 23 31 12 * | shift | first | 2026-02-01T00:00:00Z | 2026-12-31T23:59:59Z 2027-12-31T23:59:59Z
UTC | 0 9-17/4 * * * | shift | first | 2026-02-01T10:00:00Z | 2026-02-01T13:00:00Z 2026-02-01T17:00:00Z 2026-02-02T09:00:00Z
UTC | @hourly | shift | first | 2026-02-01T10:00:00Z | 2026-02-01T11:00:00Z 2026-02-01T12:00:00Z
UTC | @daily | shift | first | 2026-02-01T10:00:00Z | 2026-02-02T00:00:00Z 2026-02-03T00:00:00Z
UTC | @weekly | shift | first | 2026-02-01T10:00:00Z | 2026-02-08T00:00:00Z 2026-02-15T00:00:00Z
UTC | @monthly | shift | first | 2026-02-01T10:00:00Z | 2026-03-01T00:00:00Z 2026-04-01T00:00:00Z
UTC | @yearly | shift | first | 2026-02-01T10:00:00Z | 2027-01-01T00:00:00Z 2028-01-01T00:00:00Z
Europe/Berlin | 0 0 L * * | shift | first | 2026-02-15T00:00:00Z | 2026-02-27T23:00:00Z 2026-03-30T22:00:00Z 2026-04-29T22:00:00Z
America/New_York | 0 0 31 * * | shift | first | 2026-01-31T12:00:00Z | 2026-03-31T04:00:00Z 2026-05-31T04:00:00Z 2026-07-31T04:00:00Z
Europe/Berlin | 0 0 29 2 * | shift | first | 2096-03-01T00:00:00Z | 2104-02-28T23:00:00Z
Pacific/Apia | 0 0 1 * MON#1 | shift | first | 2026-01-01T12:00:00Z | 2026-01-04T11:00:00Z 2026-01-31T11:00:00Z 2026-02-01T11:00:00Z
Australia/Lord_Howe | 15,45 0 LW * * | shift | first | 2026-03-30T12:00:00Z | 2026-03-30T13:15:00Z 2026-03-30T13:45:00Z 2026-04-29T13:45:00Z 2026-04-29T14:15:00Z
Africa/Casablanca | 0 0 1 1,3,4 * | shift | first | 2024-12-01T12:00:00Z | 2024-12-31T23:00:00Z 2025-03-01T00:00:00Z 2025-04-01T00:00:00Z 2025-12-31T23:00:00Z
";

struct Row {
    text: &'static str,
    timetable: Timetable,
    after: Timestamp,
    due: Vec<Timestamp>,
}

fn rows(table: &'static str) -> Vec<Row> {
    table.trim().lines().map(row).collect()
}

fn row(text: &'static str) -> Row {
    let cells: Vec<&str> = text.split(" | ").collect();
    let [zone, pattern, gap, fold, after, due] = cells[..] else {
        panic!("a row has six cells: {text}")
    };
    let policy = |name: &str| serde_json::Value::from(name);
    Row {
        text,
        timetable: Timetable {
            gap: serde_json::from_value(policy(gap)).expect("a gap"),
            fold: serde_json::from_value(policy(fold)).expect("a fold"),
            ..cron(pattern, zone)
        },
        after: at(after),
        due: due.split(' ').map(at).collect(),
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_iso(text).unwrap_or_else(|| panic!("{text} is no time"))
}

fn cron(pattern: &str, zone: &str) -> Timetable {
    Timetable {
        zone: zone.parse().expect("a zone"),
        ..Timetable::new(Rhythm::Cron(pattern.parse().expect("a pattern")))
    }
}

fn every(period: Duration, phase: Duration) -> Timetable {
    Timetable::new(Rhythm::Every { period, phase })
}

/// The due times within two instants, both exclusive, forwards.
fn between(timetable: &Timetable, after: Timestamp, before: Timestamp) -> Vec<Timestamp> {
    let next = |at: &Timestamp| timetable.next_after(*at);
    std::iter::successors(timetable.next_after(after), next)
        .take_while(|due| *due < before)
        .collect()
}

fn texts(times: &[Timestamp]) -> Vec<String> {
    times.iter().map(Timestamp::to_string).collect()
}

#[track_caller]
fn agrees(table: &'static str) {
    for row in rows(table) {
        let last = *row.due.last().expect("a row has due times");
        let beyond = last + Duration::from_millis(1);
        let forwards = between(&row.timetable, row.after, beyond);
        assert_eq!(texts(&forwards), texts(&row.due), "{}", row.text);
        let previous = |at: &Timestamp| row.timetable.last_before(*at);
        let backwards = std::iter::successors(row.timetable.last_before(beyond), previous);
        let mut backwards: Vec<_> = backwards.take_while(|due| *due > row.after).collect();
        backwards.reverse();
        assert_eq!(texts(&backwards), texts(&row.due), "back: {}", row.text);
    }
}

#[test]
fn a_time_that_the_clock_jumps_over_is_shifted_or_skipped() {
    agrees(GAPS);
}

#[test]
fn a_time_that_the_clock_shows_twice_is_due_first_last_or_twice() {
    agrees(FOLDS);
}

#[test]
fn the_months_ends_and_the_odd_days_are_where_the_calendar_has_them() {
    agrees(DATES);
}

#[test]
fn the_wall_clock_of_a_due_time_is_shown_with_its_offset_and_zone() {
    let berlin = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        berlin.wall(at("2026-03-29T01:30:00Z")),
        "2026-03-29T03:30:00+02:00[Europe/Berlin]"
    );
    let utc = every(Duration::from_millis(1500), Duration::ZERO);
    assert_eq!(
        utc.wall(at("2026-03-29T01:30:01.5Z")),
        "2026-03-29T01:30:01.5+00:00[UTC]"
    );
    assert_eq!(
        berlin.wall(Timestamp::from_millis(300_000_000_000_000)),
        "11476-08-15T05:20:00.000Z"
    );
}

#[test]
fn a_note_says_what_the_change_of_the_clocks_did() {
    let note = |pattern: &str, zone: &str, due: &str| {
        let note = cron(pattern, zone).note(at(due))?;
        Some(note.to_string())
    };
    let berlin = |due: &str| note("30 2 * * *", "Europe/Berlin", due);
    assert_eq!(
        berlin("2026-03-29T01:30:00Z").as_deref(),
        Some("02:30 does not exist that day: shifted to 03:30")
    );
    assert_eq!(
        berlin("2026-10-25T00:30:00Z").as_deref(),
        Some("first of two: the clock shows this time twice")
    );
    assert_eq!(
        berlin("2026-10-25T01:30:00Z").as_deref(),
        Some("second of two: the clock shows this time twice")
    );
    assert_eq!(berlin("2026-10-26T01:30:00Z"), None);
    assert_eq!(
        note("0 9 30 12 *", "Pacific/Apia", "2011-12-30T19:00:00Z").as_deref(),
        Some("2011-12-30 09:00 does not exist: shifted to 2011-12-31 09:00")
    );
    // It is due at 03:30 anyway.
    let both = note("30 2,3 * * *", "Europe/Berlin", "2026-03-29T01:30:00Z");
    assert_eq!(both, None);
    assert_eq!(
        note("15 30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:15Z").as_deref(),
        Some("02:30:15 does not exist that day: shifted to 03:30:15")
    );
    assert_eq!(
        every(Duration::from_secs(60), Duration::ZERO).note(at("2026-03-29T01:30:00Z")),
        None
    );
}

#[test]
fn what_a_policy_leaves_out_is_told() {
    let told = |timetable: &Timetable, after: &str, before: &str| -> Vec<String> {
        let omitted = timetable.omitted(at(after), at(before));
        omitted.iter().map(|o| format!("{} {o}", o.at)).collect()
    };
    let berlin = Timetable {
        gap: Gap::Skip,
        ..cron("0,30 2 * * *", "Europe/Berlin")
    };
    let year = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    assert_eq!(
        told(&berlin, year.0, year.1),
        [
            "2026-03-29T01:00:00.000Z 2026-03-29 02:00 does not exist: skipped",
            "2026-03-29T01:30:00.000Z 2026-03-29 02:30 does not exist: skipped",
            "2026-10-25T01:00:00.000Z 2026-10-25 02:00 comes twice: the second is left out",
            "2026-10-25T01:30:00.000Z 2026-10-25 02:30 comes twice: the second is left out",
        ]
    );
    let last = Timetable {
        fold: Fold::Last,
        ..cron("30 2 * * *", "Europe/Berlin")
    };
    assert_eq!(
        told(&last, year.0, year.1),
        ["2026-10-25T00:30:00.000Z 2026-10-25 02:30 comes twice: the first is left out"]
    );
    let both = Timetable {
        fold: Fold::Both,
        ..last.clone()
    };
    assert_eq!(told(&both, year.0, year.1), [""; 0]);
    // Both ends are exclusive, and bounds of the timetable count.
    let (due, later) = ("2026-10-25T00:30:00Z", "2026-10-25T00:30:01Z");
    assert_eq!(told(&last, due, year.1), [""; 0]);
    assert_eq!(told(&last, year.0, due), [""; 0]);
    assert_eq!(told(&last, year.0, later).len(), 1);
    let ended = Timetable {
        until: Some(at(due)),
        ..last.clone()
    };
    assert_eq!(told(&ended, year.0, year.1), [""; 0]);
    let begun = Timetable {
        from: Some(at(later)),
        ..last
    };
    assert_eq!(told(&begun, year.0, year.1), [""; 0]);
    let century =
        cron("* * * * *", "Europe/Berlin").omitted(at(year.0), at("2126-01-01T00:00:00Z"));
    assert_eq!(century.len(), OMITTED_MAX);
}

#[test]
fn a_period_counts_from_the_epoch_and_its_phase() {
    let hourly = every(Duration::from_secs(3600), Duration::from_secs(300));
    for (after, next) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:05:00Z"),
        ("2026-03-29T00:04:59.999Z", "2026-03-29T00:05:00Z"),
        ("2026-03-29T00:05:00Z", "2026-03-29T01:05:00Z"),
        ("2026-03-29T00:05:00.001Z", "2026-03-29T01:05:00Z"),
    ] {
        assert_eq!(hourly.next_after(at(after)), Some(at(next)), "{after}");
    }
    for (before, last) in [
        ("1970-01-01T00:05:00.001Z", "1970-01-01T00:05:00Z"),
        ("2026-03-29T00:05:00Z", "2026-03-28T23:05:00Z"),
        ("2026-03-29T00:05:00.001Z", "2026-03-29T00:05:00Z"),
    ] {
        assert_eq!(hourly.last_before(at(before)), Some(at(last)), "{before}");
    }
    assert_eq!(hourly.last_before(at("1970-01-01T00:05:00Z")), None);
}

#[test]
fn a_single_time_is_due_once() {
    let once = Timetable::new(Rhythm::At(Timestamp::from_millis(1500)));
    let millis = Timestamp::from_millis;
    assert_eq!(once.next_after(millis(1499)), Some(millis(1500)));
    assert_eq!(once.next_after(millis(1500)), None);
    assert_eq!(once.last_before(millis(1501)), Some(millis(1500)));
    assert_eq!(once.last_before(millis(1500)), None);
}

#[test]
fn nothing_is_due_outside_of_the_bounds() {
    let (from, until) = (at("2026-03-01T12:00:00Z"), at("2026-03-03T12:00:00Z"));
    let rhythms = [
        cron("0 12 * * *", "UTC").rhythm,
        every(Duration::from_secs(86_400), Duration::from_secs(43_200)).rhythm,
    ];
    for rhythm in rhythms {
        let timetable = Timetable {
            from: Some(from),
            until: Some(until),
            ..Timetable::new(rhythm)
        };
        let all = between(&timetable, Timestamp::from_millis(0), Timestamp::NEVER);
        assert_eq!(all, [from, at("2026-03-02T12:00:00Z")], "{timetable:?}");
        assert_eq!(
            timetable.last_before(Timestamp::NEVER),
            Some(at("2026-03-02T12:00:00Z"))
        );
        assert_eq!(timetable.last_before(from), None);
    }
    let outside = Timetable {
        until: Some(until),
        ..Timetable::new(Rhythm::At(until))
    };
    assert_eq!(outside.next_after(from), None);
}

#[test]
fn a_zone_whose_rule_changed_without_a_jump_goes_on() {
    let hourly = Timetable {
        fold: Fold::Last,
        ..cron("0 * * * *", "America/St_Johns")
    };
    let due = between(
        &hourly,
        at("2011-03-13T04:00:00Z"),
        at("2011-03-13T07:00:00Z"),
    );
    assert_eq!(
        texts(&due),
        [
            "2011-03-13T04:30:00.000Z",
            "2011-03-13T05:30:00.000Z",
            "2011-03-13T06:30:00.000Z",
        ]
    );
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let edges = [0, 1, 999, 1000, 253_402_207_200_000, u64::MAX - 1, u64::MAX];
    let odd = Timetable {
        gap: Gap::Skip,
        fold: Fold::Last,
        ..cron("* * * * * *", "Pacific/Apia")
    };
    for timetable in [
        cron("* * * * * *", "UTC"),
        odd,
        cron("0 0 31 2 *", "Europe/Berlin"),
        every(Duration::ZERO, Duration::ZERO),
        every(Duration::from_millis(1), Duration::MAX),
        every(Duration::MAX, Duration::MAX),
        every(Duration::from_secs(60), Duration::from_secs(90)),
    ] {
        for edge in edges.map(Timestamp::from_millis) {
            let (next, last) = (timetable.next_after(edge), timetable.last_before(edge));
            assert!(next.is_none_or(|next| next > edge), "{timetable:?} {edge}");
            assert!(last.is_none_or(|last| last < edge), "{timetable:?} {edge}");
            assert!(timetable.omitted(edge, Timestamp::NEVER).len() <= OMITTED_MAX);
            timetable.note(edge);
            timetable.wall(edge);
        }
    }
    let seconds = cron("* * * * * *", "UTC");
    let millis = Timestamp::from_millis;
    assert_eq!(seconds.next_after(millis(0)), Some(millis(1000)));
    assert_eq!(seconds.last_before(millis(1000)), Some(millis(0)));
    assert_eq!(seconds.last_before(millis(0)), None);
}

#[test]
fn a_time_that_never_comes_ends_the_search() {
    // The last Sunday of March is the day on which Berlin's clocks have no 02:30.
    let never = Timetable {
        gap: Gap::Skip,
        ..cron("30 2 * 3 7L", "Europe/Berlin")
    };
    assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
    assert!(matches!(
        never.check(),
        Err(TimetableError::NeverDue { .. })
    ));
    let shifted = Timetable {
        gap: Gap::Shift,
        ..never
    };
    assert_eq!(
        shifted.next_after(at("2026-01-01T00:00:00Z")),
        Some(at("2026-03-29T01:30:00Z"))
    );
    assert_eq!(shifted.check(), Ok(()));
}

#[test]
fn a_timetable_that_nobody_can_mean_is_refused() {
    let refusal = |timetable: Timetable| timetable.check().map_err(|error| error.to_string());
    let secs = Duration::from_secs;
    let bounds = |from, until| Timetable {
        from: Some(at(from)),
        until: Some(at(until)),
        ..cron("0 12 * * *", "Europe/Berlin")
    };
    for (timetable, words) in [
        (
            every(Duration::from_millis(999), Duration::ZERO),
            "a period must be from 1 s to 10 years, found 999ms",
        ),
        (
            every(secs(10 * 366 * 86_400 + 1), Duration::ZERO),
            "a period must be from 1 s to 10 years, found 316224001s",
        ),
        (
            every(secs(60), Duration::from_micros(1)),
            "a period and its phase must be whole milliseconds, found 1µs",
        ),
        (
            every(secs(60), secs(90)),
            "a phase must be shorter than its period of 60s, found 90s; the same rhythm has the phase 30s",
        ),
        (
            cron("0 0 31 2 *", "UTC"),
            "`0 0 31 2 *` is never due: no date of any year fits its day and month",
        ),
        (
            bounds("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
            "its end 2026-03-01T12:00:00.000Z must be after its begin 2026-03-01T12:00:00.000Z",
        ),
        (
            bounds("2026-03-01T12:00:00Z", "2026-03-02T11:00:00Z"),
            "it is never due: `0 12 * * *` names no time within its bounds that the clocks of Europe/Berlin show",
        ),
        (
            Timetable {
                jitter: secs(86_401),
                ..cron("0 12 * * *", "UTC")
            },
            "a jitter must be at most 24 hours, found 86401s",
        ),
    ] {
        assert_eq!(refusal(timetable), Err(words.to_owned()));
    }
    for good in [
        every(secs(1), Duration::from_millis(999)),
        every(secs(10 * 366 * 86_400), Duration::ZERO),
        cron("0 0 29 2 *", "Europe/Berlin"),
        bounds("2026-03-01T12:00:00Z", "2026-03-02T11:00:00.001Z"),
        Timetable::new(Rhythm::At(at("2026-03-01T12:00:00Z"))),
    ] {
        assert_eq!(refusal(good.clone()), Ok(()), "{good:?}");
    }
}

#[test]
fn a_timetable_is_read_back_as_it_was_written() {
    let full = Timetable {
        gap: Gap::Skip,
        fold: Fold::Both,
        from: Some(Timestamp::from_millis(1)),
        until: Some(Timestamp::from_millis(2)),
        jitter: Duration::from_millis(1500),
        ..cron("0 9 * * MON-FRI", "Europe/Berlin")
    };
    let period = every(Duration::from_secs(60), Duration::from_millis(5));
    let once = Timetable::new(Rhythm::At(Timestamp::from_millis(7)));
    for (timetable, text) in [
        (
            full,
            r#"{"rhythm":{"cron":"0 9 * * MON-FRI"},"zone":"Europe/Berlin","gap":"skip","fold":"both","from":1,"until":2,"jitter":1500}"#,
        ),
        (
            period,
            r#"{"rhythm":{"every":{"period":60000,"phase":5}},"zone":"UTC","gap":"shift","fold":"first","jitter":0}"#,
        ),
        (
            once,
            r#"{"rhythm":{"at":7},"zone":"UTC","gap":"shift","fold":"first","jitter":0}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&timetable).expect("it is JSON"), text);
        let read: Timetable = serde_json::from_str(text).expect("it is a timetable");
        assert_eq!(read, timetable);
    }
    let short: Timetable = serde_json::from_str(r#"{"rhythm":{"cron":" 0  9 * * * "}}"#)
        .expect("the rest has defaults");
    assert_eq!(short, cron("0 9 * * *", "UTC"));
}

#[test]
fn a_wrong_pattern_or_zone_is_refused_when_it_is_read() {
    for (text, words) in [
        (
            r#"{"rhythm":{"cron":"0 24 * * *"}}"#,
            "hour: expected 0 to 23",
        ),
        (
            r#"{"rhythm":{"at":1},"zone":"Europe/Berln"}"#,
            "did you mean `Europe/Berlin`?",
        ),
    ] {
        let error = serde_json::from_str::<Timetable>(text).expect_err("it is wrong");
        assert!(error.to_string().contains(words), "{error}");
    }
}
