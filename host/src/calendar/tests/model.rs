//! Timetables against a model that asks a zone for its offset minute by minute, over every policy, and over zones that
//! never were.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::zone::Zone;
use super::*;

/// Zones whose clocks do something odd: half hours, midnights, Ramadans, lost days, two hours at once.
const ZONES: [&str; 20] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Caracas",
    "America/New_York",
    "America/Nuuk",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
    "UTC",
];

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// What must be due, and what must be omitted, in seconds, around an instant.
struct Model {
    due: Vec<i64>,
    omitted: Vec<(i64, String)>,
}

/// Walks three days to both sides, and tells of two.
fn model(timetable: &Timetable, pattern: &str, center: i64) -> Model {
    let zone = timetable.zone.jiff();
    let offset = |at: i64| {
        let instant = jiff::Timestamp::from_second(at).expect("a time");
        i64::from(zone.to_offset(instant).seconds())
    };
    let pattern: croner::Cron = pattern.parse().expect("a pattern");
    let matches = |wall: i64| {
        let wall = super::super::cron::civil(wall).expect("a time");
        pattern.is_time_matching(&wall).expect("it can be compared")
    };
    let minutes = || (center - 3 * DAY..center + 3 * DAY).step_by(60);
    let mut shown: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for at in minutes() {
        shown.entry(at + offset(at)).or_default().push(at);
    }
    // Instants of wall times that no clock showed, by the offset before the jump; the first jump counts.
    let mut lost: BTreeMap<i64, i64> = BTreeMap::new();
    for at in minutes() {
        let (before, after) = (offset(at - MINUTE), offset(at));
        for wall in (at + before..at + after).step_by(60) {
            if !shown.contains_key(&wall) {
                lost.entry(wall).or_insert(wall - before);
            }
        }
    }
    let mut model = Model {
        due: Vec::new(),
        omitted: Vec::new(),
    };
    for (wall, instants) in shown.iter().filter(|(wall, _)| matches(**wall)) {
        let chosen = match timetable.fold {
            Fold::First => &instants[..1],
            Fold::Last => &instants[instants.len() - 1..],
            Fold::Both => &instants[..],
        };
        model.due.extend(chosen);
        let left = instants.iter().filter(|at| !chosen.contains(at));
        model.omitted.extend(left.map(|at| (*at, text(*wall))));
    }
    for (wall, at) in lost.iter().filter(|(wall, _)| matches(**wall)) {
        match timetable.gap {
            Gap::Shift => model.due.push(*at),
            Gap::Skip => model.omitted.push((*at, text(*wall))),
        }
    }
    let near = |at: &i64| (center - 2 * DAY..center + 2 * DAY).contains(at);
    model.due.retain(near);
    model.due.sort_unstable();
    model.due.dedup();
    model.omitted.retain(|(at, _)| near(at));
    model.omitted.sort_unstable();
    model
}

fn text(wall: i64) -> String {
    let wall = super::super::cron::civil(wall).expect("a time");
    wall.to_string()
}

fn second(at: Timestamp) -> i64 {
    assert_eq!(at.as_millis() % 1000, 0, "{at} is no whole second");
    i64::try_from(at.as_millis() / 1000).expect("a time")
}

fn stamp(second: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(second).expect("after 1970") * 1000)
}

fn agrees_with_the_model(
    timetable: &Timetable,
    pattern: &str,
    center: i64,
) -> Result<(), TestCaseError> {
    let model = model(timetable, pattern, center);
    let (after, before) = (stamp(center - 2 * DAY - 1), stamp(center + 2 * DAY));
    let forwards: Vec<i64> = between(timetable, after, before)
        .into_iter()
        .map(second)
        .collect();
    prop_assert_eq!(&forwards, &model.due, "forwards");
    let previous = |at: &Timestamp| timetable.last_before(*at);
    let mut backwards: Vec<i64> = std::iter::successors(timetable.last_before(before), previous)
        .take_while(|due| *due > after)
        .map(second)
        .collect();
    backwards.reverse();
    prop_assert_eq!(&backwards, &model.due, "backwards");
    let mut omitted: Vec<(i64, String)> = timetable
        .omitted(after, before)
        .into_iter()
        .map(|omitted| (second(omitted.at), omitted.wall))
        .collect();
    // The bound on what is told is tried elsewhere; and two may have one instant.
    omitted.sort_unstable();
    let instants = |list: &[(i64, String)]| -> Vec<i64> {
        let mut instants: Vec<i64> = list.iter().map(|(at, _)| *at).collect();
        instants.dedup();
        instants.truncate(OMITTED_MAX);
        instants
    };
    prop_assert_eq!(instants(&omitted), instants(&model.omitted), "omitted");
    prop_assert!(
        omitted.iter().all(|told| model.omitted.contains(told)),
        "{:?}",
        omitted
    );
    Ok(())
}

prop_compose! {
    fn patterns()(
        minute in prop::sample::select(vec!["0", "30", "5,55", "*/10", "*/7", "*", "59"]),
        hour in prop::sample::select(vec!["*", "0", "1", "2", "3", "23", "*/2", "0-3", "1,12"]),
        day in prop::sample::select(vec!["*", "*", "*", "1", "L", "LW", "15W", "*/2", "28-31"]),
        month in prop::sample::select(vec!["*", "*", "*", "3-4", "OCT", "*/2"]),
        weekday in prop::sample::select(vec!["*", "*", "*", "SUN", "7L", "6#1", "MON-FRI"]),
    ) -> String {
        format!("{minute} {hour} {day} {month} {weekday}")
    }
}

fn gaps() -> impl Strategy<Value = Gap> {
    prop_oneof![Just(Gap::Shift), Just(Gap::Skip)]
}

fn folds() -> impl Strategy<Value = Fold> {
    prop_oneof![Just(Fold::First), Just(Fold::Last), Just(Fold::Both)]
}

prop_compose! {
    fn timetables()(
        pattern in patterns(),
        zone in prop::sample::select(&ZONES[..]),
        gap in gaps(),
        fold in folds(),
    ) -> (Timetable, String) {
        (Timetable { gap, fold, ..cron(&pattern, zone) }, pattern)
    }
}

/// From 1975, when the last offset with odd seconds was gone, to 2060, when zones have only their last rule.
fn seconds() -> impl Strategy<Value = i64> {
    157_766_400..2_840_140_800i64
}

/// A zone with jumps at the given minutes after 2000-01-01 and the offsets after each, in quarters of an hour.
fn made_up(jumps: &[(i64, i64)]) -> Zone {
    let count = u8::try_from(jumps.len()).expect("few jumps");
    let mut body = Vec::new();
    for (minute, _) in jumps {
        body.extend((946_684_800 + minute * 60).to_be_bytes());
    }
    body.extend(1..=count);
    for quarters in std::iter::once(0).chain(jumps.iter().map(|(_, quarters)| *quarters)) {
        let offset = i32::try_from(quarters * 900).expect("an offset");
        body.extend(offset.to_be_bytes());
        body.extend([0, 0]);
    }
    body.extend(b"QM\0");
    // RFC 8536: a header and an empty block of version 1, then those of version 2, then no rule for later.
    let header = |times: u32, types: u32, chars: u32| {
        let mut header = b"TZif2".to_vec();
        header.extend([0; 15 + 12]);
        for number in [times, types, chars] {
            header.extend(number.to_be_bytes());
        }
        header
    };
    let mut bytes = header(0, 1, 3);
    bytes.extend([0; 6]);
    bytes.extend(b"QM\0");
    bytes.extend(header(u32::from(count), u32::from(count) + 1, 3));
    bytes.extend(body);
    bytes.extend(b"\n\n");
    Zone::of(TimeZone::tzif("Made/Up", &bytes).expect("it is a zone"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn due_times_around_a_change_of_the_clocks_are_those_of_the_model(
        (timetable, pattern) in timetables(),
        seed in seconds(),
    ) {
        let instant = jiff::Timestamp::from_second(seed).expect("a time");
        let jump = timetable.zone.jiff().following(instant).next();
        let center = jump.map_or(seed / 60 * 60, |jump| jump.timestamp().as_second());
        agrees_with_the_model(&timetable, &pattern, center)?;
    }

    #[test]
    fn due_times_in_zones_that_never_were_are_those_of_the_model(
        pattern in patterns(),
        gap in gaps(),
        fold in folds(),
        steps in prop::collection::vec((1..600i64, -48..=48i64), 1..6),
    ) {
        let mut minute = -900;
        let jumps: Vec<(i64, i64)> = steps
            .into_iter()
            .map(|(step, quarters)| {
                minute += step;
                (minute, quarters)
            })
            .collect();
        let timetable = Timetable { zone: made_up(&jumps), gap, fold, ..cron(&pattern, "UTC") };
        agrees_with_the_model(&timetable, &pattern, 946_684_800)?;
    }

    #[test]
    fn the_way_back_is_the_way_there(
        (timetable, _) in timetables(),
        millis in 157_766_400_000..2_840_140_800_000u64,
    ) {
        let at = Timestamp::from_millis(millis);
        let Some(next) = timetable.next_after(at) else {
            return Err(TestCaseError::reject("it is never due"));
        };
        prop_assert!(next > at);
        let last = timetable.last_before(next);
        prop_assert!(last.is_none_or(|last| last <= at), "{:?} lies between", last);
        prop_assert_eq!(timetable.last_before(next + Duration::from_millis(1)), Some(next));
        if let Some(last) = last {
            prop_assert_eq!(timetable.next_after(last), Some(next));
            prop_assert_eq!(timetable.next_after(last - Duration::from_millis(1)), Some(last));
        }
    }

    #[test]
    fn due_times_rise_and_a_wall_time_is_due_once_unless_both_are_meant(
        (timetable, _) in timetables(),
        seed in seconds(),
    ) {
        let next = |at: &Timestamp| timetable.next_after(*at);
        let first = timetable.next_after(stamp(seed));
        let due: Vec<Timestamp> = std::iter::successors(first, next).take(60).collect();
        prop_assert!(due.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", due);
        if timetable.fold != Fold::Both {
            let mut walls: Vec<String> = due
                .iter()
                .filter(|due| !matches!(timetable.note(**due), Some(Note::Shifted { .. })))
                .map(|due| timetable.wall(*due)[..19].to_owned())
                .collect();
            let all = walls.len();
            walls.sort_unstable();
            walls.dedup();
            prop_assert_eq!(walls.len(), all);
        }
    }

    #[test]
    fn bounds_only_take_away(
        (timetable, _) in timetables(),
        seed in seconds(),
        (from, length) in (0..4 * DAY, 0..4 * DAY),
    ) {
        let (after, before) = (stamp(seed), stamp(seed + 6 * DAY));
        let (from, until) = (stamp(seed + from), stamp(seed + from + length));
        let bounded = Timetable { from: Some(from), until: Some(until), ..timetable.clone() };
        let mut expected: Vec<Timestamp> = Vec::new();
        let next = |at: &Timestamp| timetable.next_after(*at);
        let all = std::iter::successors(timetable.next_after(after), next);
        expected.extend(all.take_while(|due| *due < before.min(until)).filter(|due| *due >= from).take(50));
        let found: Vec<Timestamp> = between(&bounded, after, before).into_iter().take(50).collect();
        prop_assert_eq!(texts(&found), texts(&expected));
        prop_assert_eq!(bounded.next_after(until), None);
        prop_assert_eq!(bounded.last_before(from), None);
    }

    #[test]
    fn a_call_asks_for_few_wall_times((timetable, _) in timetables(), seed in seconds()) {
        let Rhythm::Cron(cron) = &timetable.rhythm else {
            return Err(TestCaseError::fail("it has a pattern"));
        };
        for wanted in [Wanted::Due, Wanted::Omitted] {
            let mut walk = timetable.walk(cron, wanted);
            walk.next(seed);
            let ahead = walk.searches();
            walk.previous(seed);
            let behind = walk.searches() - ahead;
            let most = if wanted == Wanted::Due { 16 } else { SEARCHES_OF_A_CENTURY };
            prop_assert!(ahead <= most && behind <= most, "{} {} {:?}", ahead, behind, wanted);
        }
    }
}

/// Two jumps of the clock in a year, and a search or two at each.
const SEARCHES_OF_A_CENTURY: u32 = 600;
