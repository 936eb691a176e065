//! Random lives of a journal beside a model of the same rules in memory: whatever was committed, claimed, restarted or
//! archived, what is read is what the model has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::contract::{self, store};
use super::execution;
use super::{By, ExecutionFilter, Journal, JournalConfig};
use crate::event::{Draft, SeqNum};
use crate::id::{BackendId, PluginName};
use crate::stamp::{RunId, Stamp, Trigger};
use crate::store::{
    BreakerRecord, Cause, Commit, DeadLetter, Durability, Ending, ExecutionRecord, ExecutionState,
    Failure, KvTotals, KvWrite, Landed, Limit, Mode, OccurrenceKind, Origin, OutboxEntry, Pause,
    RationRecord, Refusal, Refusals, Snapshot, Stretch, SubscriptionRecord, TaskKey, TaskPlan,
    TaskRecord, Usage, UsageRecord, UsageTotals,
};
use crate::time::Timestamp;

const PLUGINS: [&str; 3] = ["a", "a-b", "b"];

/// One step of a life.
#[derive(Clone, Debug)]
enum Step {
    /// Commits that are in flight together.
    Commits(Vec<Commit>),
    /// A new claim, without a word to the old one.
    Claim,
    /// The file is closed and claimed again.
    Release,
    /// The journal is shut down and opened again.
    Restart,
    /// The journal is dropped, as in a process that ends, and opened again.
    Drop,
    Archive,
}

/// What the journal should hold.
#[derive(Default)]
struct Model {
    backend_id: Option<BackendId>,
    scanned: SeqNum,
    clock: Timestamp,
    subscriptions: BTreeMap<PluginName, SubscriptionRecord>,
    kv: BTreeMap<(PluginName, Arc<str>), Arc<[u8]>>,
    outbox: BTreeMap<RunId, OutboxEntry>,
    dead_letters: BTreeMap<RunId, DeadLetter>,
    rations: BTreeMap<Option<PluginName>, RationRecord>,
    breakers: BTreeMap<PluginName, BreakerRecord>,
    usage: Vec<UsageRecord>,
    tasks: BTreeMap<TaskKey, TaskRecord>,
    /// Too few for any to be forgotten.
    executions: BTreeMap<(TaskKey, Timestamp), ExecutionRecord>,
    landed: BTreeSet<RunId>,
}

impl Model {
    /// Takes out of `commit` what would be a mistake of whoever decided it: executions that are done already when they come.
    fn correct(&self, commit: &mut Commit) {
        let removed = &commit.subscriptions_removed;
        let done = self
            .executions
            .values()
            .filter(|it| it.state == ExecutionState::Done && !removed.contains(&it.key.plugin));
        let mut done: BTreeSet<_> = done.map(|it| (it.key.clone(), it.due)).collect();
        commit.executions.retain(|record| {
            let of = (record.key.clone(), record.due);
            let wanted = !done.contains(&of);
            if record.state == ExecutionState::Done {
                done.insert(of);
            }
            wanted
        });
    }

    fn apply(&mut self, commit: Commit) {
        self.scanned = commit.scanned;
        self.clock = commit.clock;
        self.backend_id = commit.adopt.or(self.backend_id.take());
        for removed in commit.subscriptions_removed {
            self.subscriptions.remove(&removed);
            self.kv.retain(|(plugin, _), _| *plugin != removed);
            self.dead_letters.retain(|run, _| run.plugin != removed);
            self.rations.remove(&Some(removed.clone()));
            self.breakers.remove(&removed);
            self.tasks.retain(|key, _| key.plugin != removed);
            self.executions.retain(|(key, _), _| key.plugin != removed);
        }
        for record in commit.subscriptions {
            self.subscriptions.insert(record.plugin.clone(), record);
        }
        for (plugin, KvWrite { key, value }) in commit.kv {
            match value {
                Some(value) => self.kv.insert((plugin, key), value),
                None => self.kv.remove(&(plugin, key)),
            };
        }
        for entry in commit.outbox {
            self.outbox.insert(entry.stamp.run.clone(), entry);
        }
        for run in commit.outbox_removed {
            self.outbox.remove(&run);
        }
        for letter in commit.dead_letters {
            self.dead_letters.insert(letter.stamp.run.clone(), letter);
        }
        for run in commit.dead_letters_landed {
            if let Some(letter) = self.dead_letters.get_mut(&run) {
                letter.landed = Landed::Yes;
            }
        }
        let gone = commit.dead_letters_removed.into_iter();
        for run in gone.chain(commit.dead_letters_dropped) {
            self.dead_letters.remove(&run);
        }
        self.usage.extend(commit.usage);
        for record in commit.rations {
            self.rations.insert(record.owner.clone(), record);
        }
        for record in commit.breakers {
            if record.failures == 0 {
                self.breakers.remove(&record.plugin);
            } else {
                self.breakers.insert(record.plugin.clone(), record);
            }
        }
        for record in commit.tasks {
            self.tasks.insert(record.key.clone(), record);
        }
        let forgets = !commit.tasks_removed.is_empty();
        for key in commit.tasks_removed {
            self.tasks.remove(&key);
        }
        if forgets {
            let kept_since = commit.clock - execution::ORPHANS_KEPT;
            self.executions.retain(|(key, due), record| {
                record.state.is_open() || *due >= kept_since || self.tasks.contains_key(key)
            });
        }
        for record in commit.executions {
            let of = (record.key.clone(), record.due);
            self.executions.insert(of, record);
        }
        self.landed.extend(commit.landed_occurrences);
        for run in commit.landed_forgotten {
            self.landed.remove(&run);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let letters = self.dead_letters.values();
        let executions = self.executions.values();
        sorted(Snapshot {
            backend_id: self.backend_id.clone(),
            scanned: self.scanned,
            clock: self.clock,
            subscriptions: self.subscriptions.values().cloned().collect(),
            outbox: self.outbox.values().cloned().collect(),
            dead_letters: letters
                .map(|letter| (letter.stamp.run.clone(), letter.landed))
                .collect(),
            rations: self.rations.values().cloned().collect(),
            breakers: self.breakers.values().cloned().collect(),
            tasks: self.tasks.values().cloned().collect(),
            executions: executions
                .filter(|it| it.state.is_open())
                .cloned()
                .collect(),
            landed_occurrences: self.landed.iter().cloned().collect(),
        })
    }
}

/// What may come in any order, in one.
fn sorted(mut snapshot: Snapshot) -> Snapshot {
    snapshot
        .subscriptions
        .sort_by(|a, b| a.plugin.cmp(&b.plugin));
    snapshot
        .outbox
        .sort_by(|a, b| (a.order, &a.stamp).cmp(&(b.order, &b.stamp)));
    snapshot.dead_letters.sort_by(|a, b| a.0.cmp(&b.0));
    snapshot.rations.sort_by(|a, b| a.owner.cmp(&b.owner));
    snapshot.breakers.sort_by(|a, b| a.plugin.cmp(&b.plugin));
    snapshot.tasks.sort_by(|a, b| a.key.cmp(&b.key));
    snapshot
        .executions
        .sort_by(|a, b| (&a.key, a.due).cmp(&(&b.key, b.due)));
    snapshot.landed_occurrences.sort();
    snapshot
}

fn plugins() -> impl Strategy<Value = PluginName> {
    select(&PLUGINS[..]).prop_map(contract::plugin)
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, any::<u64>(), Just(u64::MAX)]
}

fn texts() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![
        select(vec!["", "k", "k/1", "k\0", "ü", "\u{10ffff}"]).prop_map(Arc::from),
        any::<String>().prop_map(Arc::from),
    ]
}

fn runs() -> impl Strategy<Value = RunId> {
    let trigger = prop_oneof![
        3 => (1..5_u64).prop_map(|seq| Trigger::Event(SeqNum::new(seq))),
        1 => (texts(), numbers()).prop_map(|(task, due)| Trigger::Occurrence {
            task,
            due: Timestamp::from_millis(due),
        }),
    ];
    (plugins(), trigger).prop_map(|(plugin, trigger)| RunId { plugin, trigger })
}

fn stamps() -> impl Strategy<Value = Stamp> {
    (runs(), any::<u32>()).prop_map(|(run, depth)| Stamp { run, depth })
}

fn failures() -> impl Strategy<Value = Vec<Failure>> {
    let failure = (any::<u32>(), numbers(), texts(), option::of(texts())).prop_map(
        |(attempt, at, error, build)| Failure {
            attempt,
            at: Timestamp::from_millis(at),
            error,
            build,
        },
    );
    vec(failure, 0..3)
}

fn subscriptions() -> impl Strategy<Value = SubscriptionRecord> {
    (
        plugins(),
        [numbers(), numbers(), numbers()],
        any::<u32>(),
        failures(),
    )
        .prop_map(
            |(plugin, [cursor, start, react_from], attempts, failures)| SubscriptionRecord {
                plugin,
                cursor: SeqNum::new(cursor),
                start: SeqNum::new(start),
                react_from: SeqNum::new(react_from),
                attempts,
                failures,
            },
        )
}

fn kv_writes() -> impl Strategy<Value = (PluginName, KvWrite)> {
    let value = option::of(vec(any::<u8>(), 0..20).prop_map(Arc::from));
    (plugins(), texts(), value).prop_map(|(plugin, key, value)| (plugin, KvWrite { key, value }))
}

fn entries() -> impl Strategy<Value = OutboxEntry> {
    let draft = (texts(), texts()).prop_map(|(name, args)| Draft { name, args });
    let parked = option::of(texts());
    (numbers(), stamps(), vec(draft, 1..3), parked).prop_map(|(order, stamp, drafts, parked)| {
        OutboxEntry {
            order,
            stamp,
            drafts,
            parked,
        }
    })
}

fn letters() -> impl Strategy<Value = DeadLetter> {
    let mode = select(vec![Mode::Projecting, Mode::Reacting]);
    let landed = select(vec![Landed::No, Landed::Yes]);
    (stamps(), mode, landed, texts(), failures(), numbers()).prop_map(
        |(stamp, mode, landed, args, failures, at)| {
            let mut letter = contract::letter("a", 1);
            if let Cause::Event(event) = &mut letter.cause {
                event.args = args;
                event.created_at = (at > 3).then(|| Timestamp::from_millis(at));
            }
            DeadLetter {
                stamp,
                mode,
                landed,
                failures,
                at: Timestamp::from_millis(at),
                cause: letter.cause,
            }
        },
    )
}

fn rations() -> impl Strategy<Value = RationRecord> {
    let left = || option::of(any::<i64>());
    (option::of(plugins()), numbers(), [left(), left(), left()]).prop_map(
        |(owner, at, [fuel, runs, commits])| RationRecord {
            owner,
            at: Timestamp::from_millis(at),
            fuel,
            runs,
            commits,
        },
    )
}

fn breakers() -> impl Strategy<Value = BreakerRecord> {
    let failures = prop_oneof![Just(0), any::<u32>()];
    (
        plugins(),
        failures,
        option::of(numbers()),
        option::of(texts()),
    )
        .prop_map(|(plugin, failures, until, build)| BreakerRecord {
            plugin,
            failures,
            open_until: until.map(Timestamp::from_millis),
            build,
        })
}

/// Within a few days, so that no hour is ever too old.
fn usages() -> impl Strategy<Value = UsageRecord> {
    let at = (0_u64..100).prop_map(|hours| Timestamp::from_millis(hours * 3_599_999));
    let refusal = (select(&Limit::ALL[..]), numbers(), numbers(), any::<u32>()).prop_map(
        |(limit, asked, max, times)| Refusal {
            limit,
            asked,
            max,
            times,
        },
    );
    let numbers = (
        [numbers(), numbers(), numbers(), numbers(), numbers()],
        vec(refusal, 0..3),
    );
    let rest = (select(&Ending::ALL[..]), any::<u32>(), any::<u32>());
    (runs(), at, numbers, rest).prop_map(
        |(run, at, ([fuel, wall, calls, bytes, lines], refused), (ending, attempt, drafts))| {
            let mut refusals = Refusals::default();
            for refusal in refused {
                refusals.add(refusal);
            }
            UsageRecord {
                run,
                attempt,
                at,
                ending,
                usage: Usage {
                    fuel,
                    wall: std::time::Duration::from_micros(wall),
                    memory_peak_bytes: usize::try_from(calls).unwrap(),
                    host_calls: calls,
                    host_bytes: bytes,
                    log_lines_dropped: lines,
                    refusals,
                },
                drafts,
            }
        },
    )
}

fn times() -> impl Strategy<Value = Timestamp> {
    numbers().prop_map(Timestamp::from_millis)
}

fn keys() -> impl Strategy<Value = TaskKey> {
    let task = prop_oneof![3 => select(vec!["t", "t/1"]).prop_map(Arc::from), 1 => texts()];
    (plugins(), task).prop_map(|(plugin, task)| TaskKey { plugin, task })
}

fn tasks() -> impl Strategy<Value = TaskRecord> {
    let stretches = || {
        let stretch = (times(), times()).prop_map(|(after, to)| Stretch { after, to });
        vec(stretch, 0..3)
    };
    let origin = prop_oneof![
        Just(Origin::Declared),
        any::<u32>().prop_map(|depth| Origin::Scheduled { depth }),
    ];
    let pause = (times(), texts(), texts()).prop_map(|(since, by, note)| Pause { since, by, note });
    let text = (texts(), option::of(any::<u32>()));
    let rest = (times(), stretches(), stretches(), option::of(pause));
    (keys(), text, origin, rest, any::<bool>()).prop_map(
        |(key, (payload, attempts_max), origin, (passed, ahead, unseen, paused), gone)| {
            let plan = contract::tasks::task("a", "t").plan;
            TaskRecord {
                key,
                plan: Arc::new(TaskPlan {
                    payload,
                    attempts_max,
                    ..(*plan).clone()
                }),
                origin,
                passed,
                ahead,
                unseen,
                paused,
                gone,
            }
        },
    )
}

/// Due within a few moments, so that many are written again, and their order is that of the journal.
fn executions() -> impl Strategy<Value = ExecutionRecord> {
    let times = [
        option::of(times()),
        option::of(times()),
        option::of(times()),
    ];
    let words = (
        select(&ExecutionState::ALL[..]),
        select(&OccurrenceKind::ALL[..]),
        option::of(texts()),
    );
    let numbers = ([any::<u32>(), any::<u32>(), any::<u32>()], numbers());
    (keys(), 0..5_u64, times, words, failures(), numbers).prop_map(
        |(key, due, [since, started, ended], (state, kind, note), failures, numbers)| {
            let ([depth, attempts, drafts], fuel) = numbers;
            ExecutionRecord {
                key,
                due: Timestamp::from_millis(due),
                since,
                state,
                kind,
                depth,
                attempts,
                failures,
                started,
                ended,
                fuel,
                drafts,
                note,
            }
        },
    )
}

fn commits() -> impl Strategy<Value = Commit> {
    let adopt = option::weighted(0.1, texts().prop_map(|id| BackendId::new(&id)));
    let head = (
        numbers(),
        numbers(),
        adopt,
        proptest::bool::weighted(0.2),
        vec(plugins(), 0..2),
    );
    let lists = (
        vec(subscriptions(), 0..3),
        vec(kv_writes(), 0..6),
        vec(entries(), 0..3),
        vec(runs(), 0..3),
        vec(letters(), 0..3),
        vec(runs(), 0..3),
        vec(runs(), 0..3),
        vec(rations(), 0..3),
        (vec(breakers(), 0..2), vec(usages(), 0..3)),
    );
    let of_tasks = (
        vec(tasks(), 0..3),
        vec(keys(), 0..2),
        vec(executions(), 0..4),
        vec(runs(), 0..3),
        vec(runs(), 0..3),
    );
    let all = (head, lists, of_tasks);
    all.prop_map(
        |((scanned, clock, adopt, synced, removed), lists, of_tasks)| Commit {
            scanned: SeqNum::new(scanned),
            clock: Timestamp::from_millis(clock),
            adopt,
            synced,
            subscriptions_removed: removed,
            subscriptions: lists.0,
            kv: lists.1,
            outbox: lists.2,
            outbox_removed: lists.3,
            dead_letters: lists.4,
            dead_letters_landed: lists.5,
            dead_letters_removed: lists.6,
            rations: lists.7,
            breakers: lists.8.0,
            usage: lists.8.1,
            tasks: of_tasks.0,
            tasks_removed: of_tasks.1,
            executions: of_tasks.2,
            landed_occurrences: of_tasks.3,
            landed_forgotten: of_tasks.4,
            dead_letters_dropped: Vec::new(),
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec(commits(), 1..4).prop_map(Step::Commits),
        1 => Just(Step::Claim),
        1 => Just(Step::Release),
        1 => Just(Step::Restart),
        1 => Just(Step::Drop),
        1 => Just(Step::Archive),
    ]
}

async fn reads_as(journal: &Journal, model: &Model) {
    let id = store("modelled");
    for name in PLUGINS.map(contract::plugin) {
        let page = journal
            .kv_list(&id, &name, "", None, usize::MAX, usize::MAX)
            .await
            .unwrap();
        let expected: Vec<_> = model
            .kv
            .iter()
            .filter(|((plugin, _), _)| *plugin == name)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(page.entries, expected, "kv of {name}");
        let size = |(key, value): &(Arc<str>, Arc<[u8]>)| (key.len() + value.len()) as u64;
        let totals = KvTotals {
            entries: expected.len() as u64,
            bytes: expected.iter().map(size).sum(),
        };
        assert_eq!(journal.kv_totals(&id, &name).await, Ok(totals));
    }
    for (by, millis) in [(By::Hour, 3_600_000), (By::Day, 86_400_000)] {
        let mut expected: BTreeMap<_, UsageTotals> = BTreeMap::new();
        for record in &model.usage {
            let at = record.at.as_millis() / millis * millis;
            let key = (Timestamp::from_millis(at), record.run.plugin.clone());
            expected
                .entry(key)
                .or_default()
                .add(&UsageTotals::of(record));
        }
        let rows = journal.usage(&id, Timestamp::default(), by).await.unwrap();
        let rows = rows.into_iter();
        let read: Vec<_> = rows
            .map(|row| ((row.at.unwrap(), row.plugin), row.totals))
            .collect();
        assert_eq!(read, expected.into_iter().collect::<Vec<_>>(), "{by:?}");
    }
    let rows = journal
        .usage(&id, Timestamp::default(), By::Run)
        .await
        .unwrap();
    let read: Vec<_> = rows.into_iter().map(|row| row.totals).collect();
    let expected: Vec<_> = model.usage.iter().map(UsageTotals::of).collect();
    assert_eq!(read, expected);
    let mut listed = journal.dead_letters(&id, None, usize::MAX).await.unwrap();
    listed.sort_by(|a, b| a.stamp.run.cmp(&b.stamp.run));
    let expected: Vec<_> = model.dead_letters.values().cloned().collect();
    assert_eq!(listed, expected);
    tasks_read_as(journal, model).await;
}

async fn tasks_read_as(journal: &Journal, model: &Model) {
    let id = store("modelled");
    let expected: Vec<_> = model.tasks.values().cloned().collect();
    assert_eq!(journal.tasks(&id).await, Ok(expected));
    let mut expected: Vec<_> = model.executions.values().cloned().collect();
    expected.sort_by(|a, b| (b.due, &b.key).cmp(&(a.due, &a.key)));
    let latest = ExecutionFilter::latest(usize::MAX);
    assert_eq!(journal.executions(&id, latest).await, Ok(expected));
    for record in model.executions.values() {
        let found = journal.execution(&id, &record.key, record.due).await;
        assert_eq!(found.as_ref(), Ok(&Some(record.clone())));
    }
    for name in PLUGINS.map(contract::plugin) {
        let wanted = model
            .tasks
            .values()
            .filter(|it| it.key.plugin == name && it.origin != Origin::Declared && !it.gone);
        let expected: Vec<_> = wanted
            .map(|it| (it.key.task.clone(), it.plan.clone()))
            .collect();
        assert_eq!(journal.scheduled(&id, &name).await, Ok(expected));
    }
}

/// Waits until the threads of a dropped journal have left the folder.
async fn reopen(config: &JournalConfig) -> Journal {
    loop {
        match Journal::open(config) {
            Err(super::Error::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

async fn live(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig::new(folder.path());
    let id = store("modelled");
    let mut journal = Journal::open(&config).unwrap();
    let mut lease = journal.claim(&id, Durability::Normal).await.unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Commits(commits) => {
                let mut confirmations = Vec::new();
                for mut commit in commits {
                    model.correct(&mut commit);
                    model.apply(commit.clone());
                    confirmations.push(journal.commit(&mut lease, commit).await.unwrap());
                }
                for confirmed in futures_util::future::join_all(confirmations).await {
                    confirmed.unwrap();
                }
                reads_as(&journal, &model).await;
                continue;
            }
            Step::Claim => {}
            Step::Release => journal.release(lease).await.unwrap(),
            Step::Restart => {
                journal.shutdown().await;
                journal = Journal::open(&config).unwrap();
            }
            Step::Drop => {
                drop(journal);
                journal = reopen(&config).await;
            }
            Step::Archive => {
                journal.archive(lease).await.unwrap();
                model = Model::default();
            }
        }
        lease = journal.claim(&id, Durability::Normal).await.unwrap();
        let loaded = journal.load(&lease).await.unwrap();
        assert_eq!(sorted(loaded), model.snapshot());
        reads_as(&journal, &model).await;
    }
    let loaded = journal.load(&lease).await.unwrap();
    assert!(loaded.outbox.is_sorted_by_key(|entry| entry.order));
    assert_eq!(sorted(loaded), model.snapshot());
    journal.release(lease).await.unwrap();
    journal.shutdown().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_life_of_a_journal_reads_as_its_model(steps in vec(steps(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live(steps));
    }
}
