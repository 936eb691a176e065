//! The checker on histories broken by hand: each promise once kept and once broken.

use serde_json::{Value, json};

use super::*;
use crate::history::{CHAT, question};

/// A log in the making.
#[derive(Default)]
struct Log(Vec<LogEvent>);

impl Log {
    fn add(&mut self, name: &str, args: Value, session_id: &str) -> u64 {
        let parent = self.0.len() as u64;
        self.0.push(LogEvent {
            seq: parent + 1,
            parent,
            name: name.to_owned(),
            args,
            client_id: "someone".to_owned(),
            session_id: session_id.to_owned(),
        });
        parent + 1
    }

    fn ask(&mut self, id: &str) -> u64 {
        self.add(CHAT, question(id, "hi"), "static")
    }

    /// Draft `index` of `count` of `plugin`'s run on `trigger`.
    fn draft(&mut self, plugin: &str, trigger: u64, index: u32, count: u32) -> u64 {
        let session = format!("qm1:{plugin}:e{trigger}:1:{index}/{count}");
        let args = json!({ "id": session, "trigger": trigger });
        self.add("v1.Answered", args, &session)
    }

    fn count(&mut self, trigger: u64, number: u64) -> u64 {
        let session = format!("qm1:counter:e{trigger}:1:0/1");
        self.add("v1.Counted", json!({ "number": number }), &session)
    }
}

fn once(event: &LogEvent) -> u32 {
    u32::from(event.is_question())
}

fn thrice(event: &LogEvent) -> u32 {
    3 * once(event)
}

fn echo() -> Derivation {
    Derivation::new("echo", once)
}

fn trio() -> Derivation {
    Derivation::new("trio", thrice)
}

fn counter() -> Derivation {
    Derivation::new("counter", once).counter(|event| event.args["number"].as_u64())
}

#[test]
fn a_log_in_which_every_promise_is_kept_has_no_violation() {
    let mut log = Log::default();
    let (a, b) = (log.ask("a"), log.ask("b"));
    log.draft("echo", a, 0, 1);
    for index in 0..3 {
        log.draft("trio", a, index, 3);
    }
    log.draft("echo", b, 0, 1);
    log.count(a, 1);
    for index in 0..3 {
        log.draft("trio", b, index, 3);
    }
    log.count(b, 2);
    let answered: fn(&LogEvent, &LogEvent) -> bool =
        |trigger, draft| draft.args["trigger"] == trigger.seq;
    let all = [echo().answers(answered), trio(), counter()];
    assert_eq!(violations(&log.0, &all), []);
}

#[test]
fn a_missing_answer_is_found() {
    let mut log = Log::default();
    let (a, b) = (log.ask("a"), log.ask("b"));
    log.draft("echo", a, 0, 1);
    let missing = Violation::Missing {
        plugin: "echo".to_owned(),
        trigger: b,
    };
    assert_eq!(violations(&log.0, &[echo()]), [missing]);
    assert_eq!(violations(&log.0, &[echo().dead([b])]), []);
    assert!(verify(&log.0, &[echo()]).is_err());
}

#[test]
fn a_doubled_answer_is_found() {
    let mut log = Log::default();
    let a = log.ask("a");
    let first = log.draft("echo", a, 0, 1);
    log.ask("b");
    let second = log.draft("echo", a, 0, 1);
    log.draft("echo", 3, 0, 1);
    let found = violations(&log.0, &[echo()]);
    let doubled = Violation::Doubled {
        plugin: "echo".to_owned(),
        trigger: a,
        index: 0,
        at: vec![first, second],
    };
    assert_eq!(found, [doubled]);
}

#[test]
fn a_run_of_which_a_part_is_missing_is_torn() {
    for missing in 0..3 {
        let mut log = Log::default();
        let a = log.ask("a");
        let at = (0..3).filter(|&index| index != missing);
        let at = at.map(|index| log.draft("trio", a, index, 3)).collect();
        let torn = Violation::Torn {
            plugin: "trio".to_owned(),
            trigger: a,
            at,
        };
        assert_eq!(
            violations(&log.0, &[trio()]),
            [torn],
            "without draft {missing}"
        );
    }
}

#[test]
fn a_run_with_something_in_between_or_in_another_order_is_torn() {
    let mut apart = Log::default();
    let a = apart.ask("a");
    apart.draft("trio", a, 0, 3);
    apart.add("v1.Other", Value::Null, "static");
    apart.draft("trio", a, 1, 3);
    apart.draft("trio", a, 2, 3);

    let mut mixed = Log::default();
    let a = mixed.ask("a");
    for index in [1, 0, 2] {
        mixed.draft("trio", a, index, 3);
    }
    for log in [apart, mixed] {
        let found = violations(&log.0, &[trio()]);
        assert!(
            matches!(found.as_slice(), [Violation::Torn { .. }]),
            "{found:?}"
        );
    }
}

#[test]
fn a_run_whose_events_disagree_about_its_size_is_torn() {
    let mut log = Log::default();
    let a = log.ask("a");
    log.draft("trio", a, 0, 2);
    log.draft("trio", a, 1, 3);
    log.draft("trio", a, 2, 3);
    let found = violations(&log.0, &[trio()]);
    assert!(
        matches!(found.as_slice(), [Violation::Torn { .. }]),
        "{found:?}"
    );
}

#[test]
fn a_run_of_another_size_than_owed_is_found() {
    let mut log = Log::default();
    let a = log.ask("a");
    log.draft("trio", a, 0, 2);
    log.draft("trio", a, 1, 2);
    let wrong = Violation::WrongSize {
        plugin: "trio".to_owned(),
        trigger: a,
        owed: 3,
        found: 2,
    };
    assert_eq!(violations(&log.0, &[trio()]), [wrong]);
}

#[test]
fn answers_that_overtake_each_other_are_found() {
    let mut log = Log::default();
    let (a, b, c) = (log.ask("a"), log.ask("b"), log.ask("c"));
    log.draft("echo", b, 0, 1);
    log.draft("echo", a, 0, 1);
    log.draft("echo", c, 0, 1);
    let late = Violation::OutOfOrder {
        plugin: "echo".to_owned(),
        trigger: a,
        behind: b,
    };
    assert_eq!(violations(&log.0, &[echo()]), [late]);
}

#[test]
fn an_answer_that_nobody_asked_for_is_found() {
    let mut log = Log::default();
    let a = log.ask("a");
    let other = log.add("v1.Other", Value::Null, "static");
    log.draft("echo", a, 0, 1);
    let strays = [
        log.draft("echo", other, 0, 1), // not for it
        log.draft("echo", 99, 0, 1),    // not there
        log.draft("ghost", a, 0, 1),    // nobody we know
    ];
    let found = violations(&log.0, &[echo()]);
    let mut at = Vec::new();
    for violation in &found {
        let Violation::Unexpected { at: place, .. } = violation else {
            panic!("{violation}");
        };
        at.push(*place);
    }
    assert_eq!(at, strays);
}

#[test]
fn what_was_before_the_start_must_not_be_answered() {
    let mut log = Log::default();
    let (a, b) = (log.ask("a"), log.ask("b"));
    log.draft("echo", b, 0, 1);
    assert_eq!(violations(&log.0, &[echo().from(a)]), []);
    let at = log.draft("echo", a, 0, 1);
    let found = violations(&log.0, &[echo().from(a)]);
    let stray = Violation::Unexpected {
        plugin: "echo".to_owned(),
        trigger: a,
        at,
    };
    assert!(found.contains(&stray), "{found:?}");
}

#[test]
fn a_dead_letter_that_was_answered_is_found() {
    let mut log = Log::default();
    let a = log.ask("a");
    log.draft("echo", a, 0, 1);
    let both = Violation::AnsweredThoughDead {
        plugin: "echo".to_owned(),
        trigger: a,
    };
    assert_eq!(violations(&log.0, &[echo().dead([a])]), [both]);
}

#[test]
fn a_counter_that_repeats_or_skips_is_found() {
    for (second, right) in [(2, true), (1, false), (3, false)] {
        let mut log = Log::default();
        let (a, b) = (log.ask("a"), log.ask("b"));
        log.count(a, 1);
        log.count(b, second);
        let wrong = Violation::Counter {
            plugin: "counter".to_owned(),
            trigger: b,
            expected: 2,
            found: Some(second),
        };
        let expected = if right { vec![] } else { vec![wrong] };
        assert_eq!(violations(&log.0, &[counter()]), expected);
    }
}

#[test]
fn an_answer_to_something_else_is_found() {
    let mut log = Log::default();
    let a = log.ask("a");
    let at = log.add("v1.Answered", json!({ "trigger": 7 }), "qm1:echo:e1:1:0/1");
    let fits: fn(&LogEvent, &LogEvent) -> bool =
        |trigger, draft| draft.args["trigger"] == trigger.seq;
    let wrong = Violation::WrongAnswer {
        plugin: "echo".to_owned(),
        trigger: a,
        at,
    };
    assert_eq!(violations(&log.0, &[echo().answers(fits)]), [wrong]);
}

#[test]
fn a_log_that_is_no_chain_is_found() {
    let mut log = Log::default();
    log.ask("a");
    log.ask("b");
    log.ask("c");
    log.0.remove(1);
    let gap = Violation::Gap { after: 1, found: 3 };
    assert!(violations(&log.0, &[]).contains(&gap));
}
