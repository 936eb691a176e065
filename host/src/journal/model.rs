//! Random lives of a journal beside a model of the same rules in memory: whatever was committed, claimed, restarted or
//! archived, what is read is what the model has.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::contract::{self, store};
use super::{By, Journal, JournalConfig};
use crate::event::{Draft, SeqNum};
use crate::id::{BackendId, PluginName};
use crate::stamp::{RunId, Stamp, Trigger};
use crate::store::{
    BreakerRecord, Cause, Commit, DeadLetter, Durability, Ending, Failure, KvTotals, KvWrite,
    Landed, Limit, Mode, OutboxEntry, RationRecord, Refusal, Refusals, Snapshot,
    SubscriptionRecord, Usage, UsageRecord, UsageTotals,
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
}

impl Model {
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
    }

    fn snapshot(&self) -> Snapshot {
        let letters = self.dead_letters.values();
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
            tasks: Vec::new(),
            executions: Vec::new(),
            landed_occurrences: Vec::new(),
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
    (head, lists).prop_map(|((scanned, clock, adopt, synced, removed), lists)| Commit {
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
        ..Commit::default()
    })
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
                for commit in commits {
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
