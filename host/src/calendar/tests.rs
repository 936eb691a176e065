//! Due times at the clocks' changes, for every policy.

use super::*;

fn daily(cron: &str, zone: &str) -> Timetable {
    Timetable {
        zone: zone.parse().expect("a zone"),
        ..Timetable::new(Rhythm::Cron(cron.parse().expect("a pattern")))
    }
}

#[test]
fn a_daily_task_within_the_gap_is_due_an_hour_later_on_that_day() {
    let timetable = daily("30 2 * * *", "Europe/Berlin");
    let mut at = Timestamp::parse_iso("2026-03-27T12:00:00Z").expect("a time");
    for expected in [
        "2026-03-28T01:30:00.000Z",
        "2026-03-29T01:30:00.000Z",
        "2026-03-30T00:30:00.000Z",
    ] {
        at = timetable.next_after(at).expect("it is due again");
        assert_eq!(at.to_string(), expected);
    }
}

#[test]
fn the_next_leap_day_is_found_with_few_searches() {
    let timetable = daily("0 0 29 2 *", "Europe/Berlin");
    let Rhythm::Cron(cron) = &timetable.rhythm else {
        panic!("it has a pattern")
    };
    let mut walk = timetable.walk(cron, Wanted::Due);
    // 2096-03-01T00:00:00Z.
    let hit = walk.next(3_981_312_000).expect("there is one in 2104");
    assert_eq!(
        timetable.wall(Timestamp::from_millis(hit.at as u64 * 1000)),
        "2104-02-29T00:00:00+01:00[Europe/Berlin]"
    );
    assert!(walk.searches() <= 4, "{} searches", walk.searches());
}
