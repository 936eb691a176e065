//! What a store does when its settings, or what surrounds it, change while it lives.

use super::*;

fn changed(change: impl FnOnce(&mut Settings)) -> Input {
    let mut settings = settings(History::Ignore);
    change(&mut settings);
    Input::Reconfigure {
        settings: Box::new(settings),
    }
}

fn available(available: bool) -> Input {
    changed(|it| it.subscriptions[0].available = available)
}

fn wants(pattern: &str) -> Input {
    let pattern = pattern.parse().expect("a pattern");
    changed(|it| it.subscriptions[0].patterns = vec![pattern])
}

fn failed() -> RunOutcome {
    RunOutcome::Retry {
        error: "no luck".into(),
    }
}

/// Live, idle at event 4, with event 5 in the log and its run in flight.
fn running() -> (Told, RunRequest) {
    let log = vec![said(4), said(5)];
    let mut told = Told::live(settings(History::Ignore), snapshot(4), log);
    let run = told.runs().remove(0);
    (told, run)
}

/// Live and idle at event 4.
fn idle() -> Told {
    let mut told = Told::live(settings(History::Ignore), snapshot(4), vec![said(4)]);
    told.effects();
    told
}

#[test]
fn equal_settings_change_nothing() {
    let mut told = idle();
    told.tell(changed(|_| {}));
    assert_eq!(told.effects(), []);
    assert!(!told.state.is_restarting());
}

#[test]
fn a_new_client_id_is_in_the_next_draft_and_the_socket_stays() {
    let (mut told, run) = running();
    told.tell(changed(|it| it.client_id = "renamed".into()));
    assert_eq!(told.effects(), [], "neither socket nor run notices");
    told.finish(&run, answers(1));
    let effects = told.effects();
    let Some(Effect::Push { drafts, .. }) = effects.first() else {
        panic!("a push is wanted: {effects:?}")
    };
    assert_eq!(&*drafts[0].client_id, "renamed");
}

#[test]
fn what_to_do_about_a_reset_can_be_said_while_it_lives() {
    let mut told = idle();
    told.tell(changed(|it| it.on_reset = OnReset::StartOver));
    told.tell(Input::PullRefused {
        generation: GENERATION,
        request: RequestId(1),
        error: "another log".into(),
        mismatch: Some(BackendId::new("log-2")),
    });
    let last = told.effects().pop();
    assert!(matches!(last, Some(Effect::StartOver { .. })), "{last:?}");
}

#[test]
fn new_patterns_hold_from_the_next_event_on() {
    let mut told = idle();
    told.tell(wants("noise"));
    told.pulled(1, vec![said(5), event(6, "noise", "static")]);
    let seqs: Vec<_> = told.runs().iter().map(|it| it.cause.seq().get()).collect();
    assert_eq!(seqs, [6]);
}

#[test]
fn own_events_are_delivered_from_the_moment_on_that_it_is_said() {
    let mut told = idle();
    let own = |seq| event(seq, "say", "qm1:echo:e2:1:0/1");
    told.pulled(1, vec![own(5)]);
    assert_eq!(told.runs(), []);
    told.tell(changed(|it| it.subscriptions[0].own_events = true));
    told.pulled(1, vec![own(6)]);
    assert_eq!(told.runs().len(), 1);
}

#[test]
fn attempts_at_an_event_that_is_no_longer_wanted_are_not_held_against_the_next() {
    let (mut told, run) = running();
    told.finish(&run, failed());
    told.effects();
    told.tell(wants("noise"));
    told.later(Duration::from_secs(60));
    told.pulled(1, vec![event(6, "noise", "static")]);
    let run = told.runs().remove(0);
    assert_eq!((run.cause.seq().get(), run.attempt), (6, 1));
    told.finish(&run, failed());
    told.effects();
    let record = &told.commits.last().expect("a commit").subscriptions[0];
    assert_eq!((record.attempts, record.failures.len()), (1, 1));
}

#[test]
fn a_shorter_patience_shortens_the_wait_that_has_begun() {
    let patient = Retry {
        first: Duration::from_secs(600),
        longest: Duration::from_secs(600),
        attempts_max: 5,
    };
    let mut first = settings(History::Ignore);
    first.timing.run = patient;
    let mut told = Told::live(first, snapshot(4), vec![said(4), said(5)]);
    let run = told.runs().remove(0);
    told.finish(&run, failed());
    told.later(Duration::from_secs(10));
    assert_eq!(told.runs(), [], "it waits for minutes");
    told.tell(changed(|_| {}));
    told.later(Duration::from_secs(2));
    assert_eq!(told.runs().len(), 1);
}

#[test]
fn a_plugin_that_leaves_parks_and_its_run_still_counts() {
    let (mut told, run) = running();
    told.tell(available(false));
    assert!(!told.state.is_restarting());
    told.pulled(1, vec![said(6)]);
    told.finish(&run, answers(1));
    let (_, drafts) = told.push().expect("what it answered is pushed");
    assert_eq!(drafts.len(), 1);
    assert_eq!(told.runs(), [], "no other run begins");
    let status = told.state.status().subscriptions.remove(0);
    let cursor = status.cursor.map(SeqNum::get);
    assert_eq!((status.state, cursor), (SubscriptionState::Parked, Some(5)));
}

#[test]
fn a_run_of_a_plugin_that_left_still_hears_that_another_host_answered() {
    let (mut told, run) = running();
    told.tell(available(false));
    told.pulled(1, vec![event(6, "answer", "qm1:echo:e5:1:0/1")]);
    told.finish(&run, answers(1));
    assert_eq!(told.push(), None);
    assert_eq!(
        told.state.held().landed,
        0,
        "a parked plugin remembers nothing"
    );
}

#[test]
fn a_plugin_that_is_back_has_the_log_scanned_again() {
    let mut told = idle();
    told.tell(available(false));
    assert_eq!(told.effects(), []);
    told.tell(available(true));
    assert!(told.state.is_restarting());
    assert_eq!(told.effects(), [Effect::Restart]);
}

/// What a plugin that lacks a grant has: nothing runs, but it says what it wants of the past.
fn barred(it: &mut Settings) {
    it.subscriptions[0].available = false;
}

/// What a plugin that is not in the catalog has.
fn absent(it: &mut Settings) {
    barred(it);
    it.subscriptions[0].described = false;
}

/// Caught up for the first time with a log of three events, under `settings`.
fn newcomer(change: fn(&mut Settings)) -> Told {
    let mut settings = settings(History::Ignore);
    change(&mut settings);
    let snapshot = Snapshot {
        subscriptions: Vec::new(),
        ..snapshot(0)
    };
    let mut told = Told::live(settings, snapshot, vec![said(1), said(2), said(3)]);
    told.effects();
    told
}

#[test]
fn a_plugin_that_lacks_a_grant_gets_its_start_and_nothing_runs() {
    let mut told = newcomer(barred);
    assert_eq!(told.runs(), []);
    let status = told.state.status().subscriptions.remove(0);
    let cursor = status.cursor.map(SeqNum::get);
    assert_eq!((status.state, cursor), (SubscriptionState::Parked, Some(3)));
    let record = &told
        .commits
        .last()
        .expect("the start is written")
        .subscriptions[0];
    assert_eq!((record.start.get(), record.cursor.get()), (3, 3));
    // What is said meanwhile waits for it.
    told.pulled(1, vec![said(4)]);
    assert_eq!(told.runs(), []);
    assert_eq!(told.state.status().subscriptions[0].lag_events, 1);
    told.tell(available(true));
    assert_eq!(told.effects(), [Effect::Restart]);
}

#[test]
fn a_plugin_that_is_not_there_gets_no_start_until_it_says_what_it_wants() {
    let mut told = newcomer(absent);
    assert_eq!(told.state.status().subscriptions[0].cursor, None);
    // This life is past the moment at which starts are fixed.
    told.tell(changed(barred));
    assert_eq!(told.effects(), [Effect::Restart]);
}

#[test]
fn history_matters_only_until_the_start_is_fixed() {
    let mut told = idle();
    told.tell(changed(|it| {
        it.subscriptions[0].history = History::React;
    }));
    assert_eq!(told.effects(), [], "it began long ago");

    let mut told = Told::new(settings(History::Ignore), Snapshot::default());
    told.effects();
    told.tell(changed(|it| {
        it.subscriptions[0].history = History::React;
    }));
    assert_eq!(told.effects(), [Effect::Restart]);
}

#[test]
fn other_plugins_or_other_limits_begin_again_from_the_journal() {
    let changes: [fn(&mut Settings); 3] = [
        |it| it.subscriptions.clear(),
        |it| it.subscriptions[0].plugin = "other".parse().expect("a plugin name"),
        |it| it.limits.window_events_max /= 2,
    ];
    for change in changes {
        let mut told = idle();
        told.tell(changed(change));
        assert_eq!(told.effects(), [Effect::Restart]);
    }
}

#[test]
fn a_stopped_store_begins_again_when_anything_is_changed() {
    let mut told = idle();
    told.tell(Input::PullRefused {
        generation: GENERATION,
        request: RequestId(1),
        error: "another log".into(),
        mismatch: Some(BackendId::new("log-2")),
    });
    told.effects();
    let session = told.state.status().session;
    assert!(matches!(session, SessionStatus::Stopped(_)), "{session:?}");
    told.tell(changed(|_| {}));
    assert_eq!(told.effects(), [], "equal settings are no change");
    told.tell(changed(|it| it.on_reset = OnReset::StartOver));
    assert_eq!(told.effects(), [Effect::Restart]);
}

#[test]
fn a_restart_waits_for_the_run_in_flight_and_begins_no_other() {
    let (mut told, run) = running();
    told.tell(Input::Renew);
    told.pulled(1, vec![said(6)]);
    assert!(told.state.is_restarting());
    assert_eq!(told.effects(), []);
    told.finish(&run, answers(2));
    assert_eq!(told.effects(), [Effect::Restart]);
    let commit = told.commits.last().expect("the run is written");
    let record = &commit.subscriptions[0];
    assert_eq!(commit.outbox.len(), 1);
    assert_eq!((record.cursor.get(), record.attempts), (5, 0));
}

#[test]
fn a_restart_gives_back_the_attempt_that_was_counted_ahead() {
    let (mut told, run) = running();
    told.finish(&run, answers(0));
    told.effects();
    let attempts = |told: &Told| told.commits.last().map(|it| it.subscriptions[0].attempts);
    assert_eq!(attempts(&told), Some(1));
    told.tell(Input::Renew);
    assert_eq!(told.effects(), [Effect::Restart]);
    assert_eq!(attempts(&told), Some(0));
}

#[test]
fn a_failed_attempt_stays_counted_over_a_restart() {
    let (mut told, run) = running();
    told.tell(Input::Renew);
    told.finish(&run, failed());
    assert_eq!(told.effects(), [Effect::Restart]);
    let record = &told.commits.last().expect("a commit").subscriptions[0];
    assert_eq!((record.attempts, record.failures.len()), (1, 1));
}

#[test]
fn whoever_drains_ends_drained_whatever_else_is_asked() {
    for drain_first in [true, false] {
        let (mut told, run) = running();
        let mut orders = vec![Input::Renew, Input::Drain];
        if drain_first {
            orders.reverse();
        }
        for order in orders {
            told.tell(order);
        }
        told.tell(changed(|it| it.subscriptions.clear()));
        assert!(!told.state.is_restarting());
        told.finish(&run, answers(0));
        assert_eq!(told.effects(), [Effect::Drained]);
    }
}
