//! The machine's rules told one by one: inputs in, effects out. The simulation (`sim`) tries them all against each other.

mod clockwork;
mod living;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::{Draft, Event, SeqNum};
use crate::id::{BackendId, PluginName};
use crate::stamp::{RunId, Stamp, Trigger};
use crate::time::Timestamp;

/// A machine with a clock, and what it last wanted done.
struct Told {
    state: StoreState,
    now: Timestamp,
    commits: Vec<Commit>,
}

/// A draft's parent and stamp.
type Pushed = (u64, Arc<str>);

const GENERATION: Generation = Generation(1);

fn echo() -> PluginName {
    "echo".parse().expect("a plugin name")
}

fn backend() -> BackendId {
    BackendId::new("log-1")
}

fn settings(history: History) -> Settings {
    Settings {
        client_id: "quartermaster".into(),
        subscriptions: vec![SubscriptionSettings {
            plugin: echo(),
            available: true,
            described: true,
            patterns: vec!["say".parse().expect("a pattern")],
            own_events: false,
            history,
            build: None,
            fuel_per_run: 1_000,
            ration: RationSettings::default(),
            tasks: Declared::new(),
            trace: None,
        }],
        on_reset: OnReset::Stop,
        limits: Limits::default(),
        // No check of its own comes between the steps of a story.
        timing: Timing {
            check_period: Duration::from_secs(86_400),
            ..Timing::default()
        },
        ration: RationSettings::default(),
        runs_max: 8,
        dead_letters_max: 100,
        spread: 0,
    }
}

/// A journal of a store that was caught up and idle at `cursor`.
fn snapshot(cursor: u64) -> Snapshot {
    let cursor = SeqNum::new(cursor);
    let record = SubscriptionRecord {
        plugin: echo(),
        cursor,
        start: SeqNum::ROOT,
        react_from: SeqNum::ROOT,
        attempts: 0,
        failures: Vec::new(),
    };
    Snapshot {
        backend_id: Some(backend()),
        scanned: cursor,
        subscriptions: vec![record],
        ..Snapshot::default()
    }
}

fn event(seq: u64, name: &str, session_id: &str) -> Event {
    Event {
        seq: SeqNum::new(seq),
        parent: SeqNum::new(seq - 1),
        name: name.into(),
        args: "{}".into(),
        client_id: "alice".into(),
        session_id: session_id.into(),
        created_at: Some(Timestamp::from_millis(seq)),
    }
}

fn said(seq: u64) -> Event {
    event(seq, "say", "static")
}

fn answers(count: usize) -> RunOutcome {
    let draft = Draft {
        name: "answer".into(),
        args: "{}".into(),
    };
    RunOutcome::finished(vec![draft; count], Vec::new())
}

fn run_id(seq: u64) -> RunId {
    RunId {
        plugin: echo(),
        trigger: Trigger::Event(SeqNum::new(seq)),
    }
}

impl Told {
    fn new(settings: Settings, snapshot: Snapshot) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let state = StoreState::new(settings, snapshot, 7, (now, 0));
        Self {
            state,
            now,
            commits: Vec::new(),
        }
    }

    /// Live at the head of a log of `events`, with every commit confirmed.
    fn live(settings: Settings, snapshot: Snapshot, events: Vec<Event>) -> Self {
        let mut told = Self::new(settings, snapshot);
        assert_eq!(
            told.effects(),
            [Effect::Connect {
                generation: GENERATION
            }]
        );
        told.tell(Input::Connected {
            generation: GENERATION,
        });
        told.pulled(0, events);
        told.tell(Input::PullEnded {
            generation: GENERATION,
            request: RequestId(0),
        });
        told
    }

    fn tell(&mut self, input: Input) {
        self.state.handle(input, self.now);
    }

    fn pulled(&mut self, request: u64, events: Vec<Event>) {
        let request = RequestId(request);
        self.tell(Input::Pulled {
            generation: GENERATION,
            request,
            backend_id: backend(),
            events,
        });
    }

    /// The wait passes.
    fn later(&mut self, wait: Duration) {
        self.now = self.now + wait;
        self.state.handle_timeout(self.now);
    }

    /// What is wanted, commits confirmed on the way, acks left out.
    fn effects(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(effect) = self.state.poll_effect() {
            if let Effect::Commit(commit) = effect {
                self.commits.push(*commit);
                self.tell(Input::Committed);
            } else if !matches!(effect, Effect::Ack { .. }) {
                effects.push(effect);
            }
        }
        effects
    }

    fn runs(&mut self) -> Vec<RunRequest> {
        let mut runs = Vec::new();
        for effect in self.effects() {
            if let Effect::Run(request) = effect {
                runs.push(*request);
            }
        }
        runs
    }

    /// The one push that is wanted: its request, and each draft's parent and stamp.
    fn push(&mut self) -> Option<(RequestId, Vec<Pushed>)> {
        for effect in self.effects() {
            if let Effect::Push {
                request, drafts, ..
            } = effect
            {
                let pushed = drafts
                    .into_iter()
                    .map(|it| (it.parent.get(), it.session_id));
                return Some((request, pushed.collect()));
            }
        }
        None
    }

    fn finish(&mut self, request: &RunRequest, outcome: RunOutcome) {
        self.tell(Input::RunFinished {
            token: request.token,
            end: RunEnd {
                outcome,
                ending: Ending::Finished,
                usage: Usage::default(),
                build: Some("1.2.0".into()),
            },
        });
    }

    fn answered(&mut self, request: RequestId, answer: PushAnswer) {
        self.tell(Input::PushAnswered {
            generation: GENERATION,
            request,
            answer,
        });
    }
}

#[test]
fn an_event_is_answered_after_the_head_and_settled_by_its_echo() {
    let mut told = Told::live(
        settings(History::Ignore),
        snapshot(4),
        vec![said(4), said(5)],
    );
    let runs = told.runs();
    let [run] = &runs[..] else {
        panic!("one run is wanted: {runs:?}")
    };
    assert_eq!(
        (run.stamp.run.clone(), run.attempt, run.mode),
        (run_id(5), 1, Mode::Reacting)
    );
    told.finish(run, answers(2));
    let (_, drafts) = told.push().expect("a push");
    assert_eq!(
        drafts,
        [
            (5, "qm1:echo:e5:1:0/2".into()),
            (6, "qm1:echo:e5:1:1/2".into())
        ]
    );
    let commit = told.commits.last().expect("a commit before the push");
    assert_eq!(commit.outbox.len(), 1);
    assert_eq!(commit.subscriptions[0].cursor, SeqNum::new(5));

    told.pulled(
        1,
        vec![
            event(6, "answer", "qm1:echo:e5:1:0/2"),
            event(7, "answer", "qm1:echo:e5:1:1/2"),
        ],
    );
    assert_eq!(
        told.state.status().outbox,
        0,
        "the echo settles it, without any ack"
    );
    told.later(Duration::from_secs(2));
    told.effects();
    assert_eq!(
        told.commits.last().map(|it| it.outbox_removed.clone()),
        Some(vec![run_id(5)])
    );
}

#[test]
fn a_refused_push_waits_for_the_events_that_refused_it_and_is_renumbered() {
    let mut told = Told::live(
        settings(History::Ignore),
        snapshot(4),
        vec![said(4), said(5)],
    );
    let run = told.runs().remove(0);
    told.finish(&run, answers(1));
    let (request, _) = told.push().expect("a push");
    told.answered(
        request,
        PushAnswer::ServerAhead {
            head: SeqNum::new(6),
        },
    );
    assert_eq!(
        told.push(),
        None,
        "the head that was told is not the head that was scanned"
    );
    told.pulled(1, vec![event(6, "noise", "static")]);
    let (_, drafts) = told.push().expect("a push on the new head");
    assert_eq!(drafts, [(6, "qm1:echo:e5:1:0/1".into())]);
}

#[test]
fn a_stamp_that_comes_in_while_its_run_goes_on_drops_the_drafts_but_not_the_kv() {
    let mut told = Told::live(
        settings(History::Ignore),
        snapshot(4),
        vec![said(4), said(5)],
    );
    let run = told.runs().remove(0);
    told.pulled(1, vec![event(6, "answer", "qm1:echo:e5:1:0/1")]);
    let kv = vec![KvWrite {
        key: "k".into(),
        value: None,
    }];
    let RunOutcome::Finished { drafts, .. } = answers(1) else {
        unreachable!()
    };
    told.finish(&run, RunOutcome::finished(drafts, kv));
    assert_eq!(told.push(), None);
    let commit = told.commits.last().expect("a commit");
    assert_eq!((commit.kv.len(), commit.outbox.len()), (1, 0));
}

#[test]
fn a_new_subscription_that_ignores_history_starts_at_the_head() {
    let log = (1..=300).map(said).collect();
    let mut told = Told::live(settings(History::Ignore), Snapshot::default(), log);
    assert_eq!(told.runs(), []);
    let synced: Vec<_> = told.commits.iter().filter(|commit| commit.synced).collect();
    assert!(!synced.is_empty(), "the start is synced");
    told.pulled(1, vec![said(301)]);
    assert_eq!(told.runs().len(), 1);
}

#[test]
fn a_projecting_run_cannot_commit_and_the_next_event_reacts() {
    let mut told = Told::live(
        settings(History::Project),
        Snapshot::default(),
        vec![said(1)],
    );
    let run = told.runs().remove(0);
    assert_eq!(run.mode, Mode::Projecting);
    told.finish(&run, answers(1));
    assert_eq!(told.push(), None);
    told.pulled(1, vec![said(2)]);
    assert_eq!(told.runs().remove(0).mode, Mode::Reacting);
}

#[test]
fn a_failing_trigger_becomes_a_dead_letter_after_its_attempts_and_the_next_one_runs() {
    let log = vec![said(4), said(5), said(6)];
    let mut told = Told::live(settings(History::Ignore), snapshot(4), log);
    for attempt in 1..=5 {
        let run = told.runs().remove(0);
        assert_eq!((run.attempt, run.cause.seq().get()), (attempt, 5));
        told.finish(&run, RunOutcome::Retry { error: "no".into() });
        if attempt < 5 {
            assert_eq!(told.runs(), [], "the next attempt waits");
        }
        told.later(Duration::from_secs(61));
    }
    assert_eq!(told.runs().remove(0).cause.seq().get(), 6);
    let letters: Vec<_> = told
        .commits
        .iter()
        .flat_map(|commit| &commit.dead_letters)
        .collect();
    assert!(matches!(&letters[..], [letter] if letter.failures.len() == 5));
    let builds = letters[0].failures.iter().map(|it| it.build.as_deref());
    assert!(
        builds.into_iter().all(|build| build == Some("1.2.0")),
        "a dead letter says which version failed"
    );
}

#[test]
fn an_attempt_that_was_counted_and_never_ended_is_not_tried_for_ever() {
    let mut journal = snapshot(4);
    journal.subscriptions[0].attempts = 5;
    let mut told = Told::live(settings(History::Ignore), journal, vec![said(4), said(5)]);
    assert_eq!(told.runs(), []);
    let letter = told
        .commits
        .iter()
        .flat_map(|commit| &commit.dead_letters)
        .next();
    let failure = letter
        .and_then(|letter| letter.failures.first())
        .expect("a dead letter");
    assert_eq!(&*failure.error, "the host stopped during this attempt");
}

#[test]
fn the_first_attempt_is_counted_in_the_commit_of_the_run_before() {
    let log = vec![said(4), said(5), said(6)];
    let mut told = Told::live(settings(History::Ignore), snapshot(4), log);
    let run = told.runs().remove(0);
    told.finish(&run, answers(1));
    let commits = told.commits.len();
    let second = told.runs().remove(0);
    assert_eq!(second.cause.seq().get(), 6);
    assert_eq!(told.commits.len(), commits + 1, "no commit of its own");
    assert_eq!(
        told.commits.last().map(|it| it.subscriptions[0].attempts),
        Some(1)
    );
}

#[test]
fn a_chain_of_runs_ends_at_the_depth_limit() {
    let deep = event(5, "say", "qm1:other:e4:16:0/1");
    let mut told = Told::live(settings(History::Ignore), snapshot(4), vec![said(4), deep]);
    assert_eq!(told.runs(), []);
    assert_eq!(told.state.status().dead_letters, 1);
}

#[test]
fn a_backend_that_lost_the_head_stops_the_store() {
    let told = Told::live(settings(History::Ignore), snapshot(4), Vec::new());
    let reason = StopReason::Truncated {
        head: SeqNum::new(4),
    };
    assert_eq!(told.state.stop_reason(), Some(&reason));
}

#[test]
fn another_log_stops_the_store_before_anything_of_it_is_taken() {
    let mut told = Told::live(settings(History::Ignore), snapshot(4), vec![said(4)]);
    let backend_id = BackendId::new("log-2");
    let request = RequestId(1);
    told.tell(Input::Pulled {
        generation: GENERATION,
        request,
        backend_id,
        events: vec![said(5)],
    });
    assert!(matches!(
        told.state.stop_reason(),
        Some(StopReason::BackendReset { .. })
    ));
    assert_eq!(told.state.status().head, SeqNum::new(4));
    assert_eq!(told.runs(), []);
}

#[test]
fn a_draft_that_the_backend_refuses_alone_is_parked_and_the_others_go_on() {
    let log = vec![said(4), said(5), said(6)];
    let mut told = Told::live(settings(History::Ignore), snapshot(4), log);
    let first = told.runs().remove(0);
    told.finish(&first, answers(1));
    let (request, _) = told.push().expect("a push");
    // The second run joins the queue while the first push is answered.
    told.answered(
        request,
        PushAnswer::Unknown {
            error: "rejected".into(),
        },
    );
    for _ in 0..2 {
        told.later(Duration::from_secs(20));
        let (request, drafts) = told.push().expect("it is pushed again");
        assert_eq!(drafts.len(), 1);
        told.answered(
            request,
            PushAnswer::Unknown {
                error: "rejected".into(),
            },
        );
    }
    assert_eq!(
        (
            told.state.status().parked_pushes,
            told.state.status().outbox
        ),
        (1, 0)
    );
    told.effects();
    told.pulled(1, vec![event(7, "answer", "qm1:echo:e5:1:0/1")]);
    assert_eq!(
        told.state.status().parked_pushes,
        0,
        "a parked draft hears its stamp"
    );
}

#[test]
fn a_stopped_host_gives_back_the_attempt_it_counted_ahead() {
    let mut told = Told::live(
        settings(History::Ignore),
        snapshot(4),
        vec![said(4), said(5)],
    );
    let run = told.runs().remove(0);
    told.finish(&run, RunOutcome::finished(Vec::new(), Vec::new()));
    told.effects();
    told.tell(Input::Drain);
    assert_eq!(told.effects(), [Effect::Drained]);
    assert_eq!(
        told.commits.last().map(|it| it.subscriptions[0].attempts),
        Some(0)
    );
}

#[test]
fn a_stamp_of_the_same_run_is_never_queued_twice() {
    let drafts = vec![Draft {
        name: "answer".into(),
        args: "{}".into(),
    }];
    let stamp = Stamp {
        run: run_id(5),
        depth: 1,
    };
    let mut journal = snapshot(4);
    journal.outbox = vec![OutboxEntry {
        order: 0,
        stamp,
        drafts,
        parked: None,
    }];
    let mut told = Told::live(settings(History::Ignore), journal, vec![said(4), said(5)]);
    let run = told.runs().remove(0);
    told.finish(&run, answers(1));
    told.effects();
    assert_eq!(told.state.status().outbox, 1);
}

/// A store with the dead letter of event 3, live and idle at event 4.
fn with_dead_letter(depth: u32) -> (Told, DeadLetter) {
    let stamp = Stamp {
        run: run_id(3),
        depth,
    };
    let letter = DeadLetter {
        stamp,
        mode: Mode::Reacting,
        landed: Landed::No,
        cause: Cause::Event(said(3)),
        failures: Vec::new(),
        at: Timestamp::from_millis(3),
    };
    let journal = Snapshot {
        dead_letters: vec![(run_id(3), Landed::No)],
        ..snapshot(4)
    };
    let told = Told::live(settings(History::Ignore), journal, vec![said(4)]);
    (told, letter)
}

fn redrive(letter: &DeadLetter) -> Input {
    Input::Redrive {
        letter: Box::new(letter.clone()),
    }
}

#[test]
fn a_redrive_waits_until_the_kv_of_the_run_before_it_is_written() {
    let (mut told, letter) = with_dead_letter(1);
    told.pulled(0, vec![said(5)]);
    let run = told.runs().remove(0);
    told.tell(redrive(&letter));
    told.finish(&run, answers(0));
    let wanted: Vec<_> = std::iter::from_fn(|| told.state.poll_effect()).collect();
    assert!(matches!(&wanted[..], [Effect::Commit(_)]), "{wanted:?}");
    told.tell(Input::Committed);
    assert_eq!(told.runs().remove(0).cause.seq().get(), 3);
}

#[test]
fn a_redrive_that_goes_on_is_not_asked_for_again() {
    let (mut told, letter) = with_dead_letter(1);
    told.tell(redrive(&letter));
    let run = told.runs().remove(0);
    told.tell(redrive(&letter));
    told.finish(&run, answers(0));
    assert_eq!(told.runs(), []);
    assert_eq!(told.state.status().dead_letters, 0);
}

#[test]
fn a_dead_letter_past_the_depth_limit_stays_dead() {
    let (mut told, letter) = with_dead_letter(17);
    told.tell(redrive(&letter));
    assert_eq!(told.runs(), []);
    let letters = told.commits.iter().flat_map(|it| &it.dead_letters);
    assert_eq!(letters.map(|it| it.failures.len()).max(), Some(1));
}

#[test]
fn a_refill_that_is_held_back_lets_no_news_into_a_full_window() {
    let mut settings = settings(History::Ignore);
    settings.limits.window_events_max = 2;
    let mut told = Told::live(settings, snapshot(4), vec![said(4), said(5), said(6)]);
    let run = told.runs().remove(0);
    told.pulled(1, vec![said(7)]);
    assert_eq!(
        told.state.held().window,
        2,
        "the window is full, and the scan goes on"
    );
    told.finish(&run, answers(0));
    let pull = |effect| {
        if let Effect::Pull { request, after, .. } = effect {
            return Some((request.0, after.get()));
        }
        None
    };
    let refill = told.effects().into_iter().find_map(pull);
    let Some((refill, 6)) = refill else {
        panic!("what did not fit is pulled again: {refill:?}");
    };
    told.pulled(refill, vec![said(7)]);
    for seq in 8..=20 {
        told.pulled(refill, vec![said(seq)]);
    }
    let status = told.state.status();
    assert_eq!((told.state.held().window, status.head.get()), (2, 20));
}

#[test]
fn a_pull_that_the_backend_forgot_is_noticed_although_others_keep_writing() {
    let mut told = Told::new(settings(History::Ignore), snapshot(4));
    told.tell(Input::Connected {
        generation: GENERATION,
    });
    // One page came; of the rest there are only broadcasts, which know no pages.
    told.pulled(0, vec![said(4), said(5)]);
    told.effects();
    let patience = Timing::default().pull_timeout;
    for seq in 10..20 {
        told.later(patience / 4);
        told.pulled(0, vec![said(seq)]);
    }
    assert!(
        told.effects()
            .iter()
            .any(|it| matches!(it, Effect::Disconnect { .. })),
        "nothing follows event 5 on this socket"
    );
}
