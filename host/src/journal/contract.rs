//! What every journal must hold, whatever it is made of. Each rule has a store of its own in the journal it is given.

pub(super) mod tasks;
pub(super) mod usage;

use std::sync::Arc;

use super::{Error, Journal, KvPage, Lease};
use crate::event::{Draft, Event, SeqNum};
use crate::id::{BackendId, PluginName, StoreId};
use crate::stamp::{RunId, Stamp, Trigger};
use crate::store::{
    BreakerRecord, Cause, Commit, DeadLetter, Durability, Failure, KvWrite, Landed, Mode,
    OutboxEntry, RationRecord, Snapshot, SubscriptionRecord,
};
use crate::time::Timestamp;

/// Holds `journal` to every rule.
pub(super) async fn check(journal: &Journal) {
    a_store_that_nobody_claimed_has_nothing(journal).await;
    a_fresh_store_is_empty(journal).await;
    what_was_committed_is_loaded(journal).await;
    a_later_list_wins_over_an_earlier_one(journal).await;
    a_removed_subscription_leaves_only_its_drafts(journal).await;
    a_second_claim_fences_the_first(journal).await;
    a_commit_that_does_not_know_the_last_one_is_fenced(journal).await;
    commits_in_flight_take_effect_in_order(journal).await;
    a_fenced_commit_between_others_harms_none_of_them(journal).await;
    kv_is_listed_in_the_order_of_bytes(journal).await;
    a_page_of_kv_is_bounded(journal).await;
    dead_letters_are_listed_in_pages(journal).await;
    usage::check(journal).await;
    tasks::check(journal).await;
    an_archived_journal_makes_room_for_a_fresh_one(journal).await;
    a_fenced_lease_archives_nothing(journal).await;
}

pub(super) fn store(id: &str) -> StoreId {
    id.parse().unwrap()
}

pub(super) fn plugin(name: &str) -> PluginName {
    name.parse().unwrap()
}

pub(super) fn stamp(name: &str, seq: u64) -> Stamp {
    Stamp {
        run: RunId {
            plugin: plugin(name),
            trigger: Trigger::Event(SeqNum::new(seq)),
        },
        depth: 1,
    }
}

pub(super) fn subscription(name: &str, cursor: u64) -> SubscriptionRecord {
    SubscriptionRecord {
        plugin: plugin(name),
        cursor: SeqNum::new(cursor),
        start: SeqNum::new(3),
        react_from: SeqNum::new(4),
        attempts: 2,
        failures: vec![failure(1)],
    }
}

fn failure(attempt: u32) -> Failure {
    Failure {
        attempt,
        at: Timestamp::from_millis(1_700_000_000_000),
        error: "it said: \"no\"\n".into(),
        build: (attempt == 2).then(|| "1.2.0 (sha256 0123456789ab)".into()),
    }
}

pub(super) fn entry(name: &str, seq: u64, order: u64) -> OutboxEntry {
    let draft = |text: &str| Draft {
        name: "v1.ChatMessageSent".into(),
        args: format!("{{\"text\":\"{text}\"}}").into(),
    };
    OutboxEntry {
        order,
        stamp: stamp(name, seq),
        drafts: vec![draft("first"), draft("zweitens, mit ü")],
        parked: None,
    }
}

pub(super) fn letter(name: &str, seq: u64) -> DeadLetter {
    DeadLetter {
        stamp: stamp(name, seq),
        mode: Mode::Reacting,
        landed: Landed::No,
        cause: Cause::Event(Event {
            seq: SeqNum::new(seq),
            parent: SeqNum::new(seq - 1),
            name: "v1.ChatMessageSent".into(),
            args: "{\"text\":\"?\"}".into(),
            client_id: "somebody".into(),
            session_id: "static".into(),
            created_at: Some(Timestamp::from_millis(5)),
        }),
        failures: vec![failure(1), failure(2)],
        at: Timestamp::from_millis(u64::MAX),
    }
}

pub(super) fn ration(owner: Option<&str>, fuel: i64) -> RationRecord {
    RationRecord {
        owner: owner.map(plugin),
        at: Timestamp::from_millis(1_700_000_000_000),
        fuel: Some(fuel),
        runs: None,
        commits: Some(0),
    }
}

pub(super) fn breaker(name: &str, failures: u32) -> BreakerRecord {
    BreakerRecord {
        plugin: plugin(name),
        failures,
        open_until: Some(Timestamp::NEVER),
        build: None,
    }
}

pub(super) fn put(name: &str, key: &str, value: &str) -> (PluginName, KvWrite) {
    let value = Some(value.as_bytes().into());
    (
        plugin(name),
        KvWrite {
            key: key.into(),
            value,
        },
    )
}

pub(super) fn delete(name: &str, key: &str) -> (PluginName, KvWrite) {
    let key = key.into();
    (plugin(name), KvWrite { key, value: None })
}

pub(super) async fn claim(journal: &Journal, id: &str) -> Lease {
    journal.claim(&store(id), Durability::Normal).await.unwrap()
}

/// Commits and waits.
pub(super) async fn write(
    journal: &Journal,
    lease: &mut Lease,
    commit: Commit,
) -> Result<(), Error> {
    journal.commit(lease, commit).await?.await
}

pub(super) async fn all_kv(journal: &Journal, id: &str, name: &str) -> Vec<(String, String)> {
    let page = journal
        .kv_list(&store(id), &plugin(name), "", None, usize::MAX, usize::MAX)
        .await
        .unwrap();
    assert!(!page.more, "an unbounded page has all");
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    page.entries
        .iter()
        .map(|(key, value)| (key.to_string(), text(value)))
        .collect()
}

fn fenced(id: &str) -> Error {
    Error::Fenced { store: store(id) }
}

async fn a_store_that_nobody_claimed_has_nothing(journal: &Journal) {
    let (id, echo) = (store("unclaimed"), plugin("echo"));
    assert_eq!(journal.kv_get(&id, &echo, "a").await, Ok(None));
    let page = journal.kv_list(&id, &echo, "", None, 10, 10).await;
    assert_eq!(page, Ok(KvPage::default()));
    assert_eq!(journal.dead_letters(&id, None, 10).await, Ok(Vec::new()));
    let run = stamp("echo", 1).run;
    assert_eq!(journal.dead_letter(&id, &run).await, Ok(None));
}

async fn a_fresh_store_is_empty(journal: &Journal) {
    let lease = claim(journal, "fresh").await;
    assert_eq!(journal.load(&lease).await, Ok(Snapshot::default()));
    assert_eq!(all_kv(journal, "fresh", "echo").await, []);
    journal.release(lease).await.unwrap();
}

async fn what_was_committed_is_loaded(journal: &Journal) {
    let mut lease = claim(journal, "loaded").await;
    let parked = OutboxEntry {
        parked: Some("too large".into()),
        ..entry("echo", 8, u64::MAX)
    };
    let commit = Commit {
        scanned: SeqNum::new(u64::MAX),
        clock: Timestamp::NEVER,
        adopt: Some(BackendId::new("b-1")),
        subscriptions: vec![subscription("echo", 9), subscription("count", u64::MAX)],
        kv: vec![put("echo", "k", "v"), put("count", "k", "")],
        outbox: vec![parked.clone(), entry("echo", 9, 1)],
        dead_letters: vec![letter("echo", 10)],
        rations: vec![ration(Some("echo"), -3), ration(None, i64::MAX)],
        breakers: vec![breaker("echo", 7)],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    // What a later commit does not mention stays.
    let commit = Commit {
        scanned: SeqNum::new(1),
        clock: Timestamp::from_millis(2),
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let expected = Snapshot {
        backend_id: Some(BackendId::new("b-1")),
        scanned: SeqNum::new(1),
        clock: Timestamp::from_millis(2),
        subscriptions: vec![subscription("count", u64::MAX), subscription("echo", 9)],
        outbox: vec![entry("echo", 9, 1), parked],
        dead_letters: vec![(stamp("echo", 10).run, Landed::No)],
        rations: vec![ration(None, i64::MAX), ration(Some("echo"), -3)],
        breakers: vec![breaker("echo", 7)],
        tasks: Vec::new(),
        executions: Vec::new(),
        landed_occurrences: Vec::new(),
    };
    assert_eq!(journal.load(&lease).await, Ok(expected));
    let value = journal
        .kv_get(&store("loaded"), &plugin("count"), "k")
        .await;
    assert_eq!(value, Ok(Some(Arc::from(&b""[..]))));
    let dead = journal
        .dead_letter(&store("loaded"), &stamp("echo", 10).run)
        .await;
    assert_eq!(dead, Ok(Some(letter("echo", 10))));
    journal.release(lease).await.unwrap();
}

async fn a_later_list_wins_over_an_earlier_one(journal: &Journal) {
    let mut lease = claim(journal, "lists").await;
    let commit = Commit {
        subscriptions: vec![subscription("echo", 1)],
        kv: vec![put("echo", "old", "1")],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let commit = Commit {
        subscriptions_removed: vec![plugin("echo")],
        subscriptions: vec![subscription("echo", 2), subscription("echo", 3)],
        kv: vec![
            put("echo", "a", "1"),
            put("echo", "a", "2"),
            put("echo", "b", "1"),
            delete("echo", "b"),
            delete("echo", "never"),
        ],
        outbox: vec![
            entry("echo", 1, 1),
            entry("echo", 2, 2),
            entry("echo", 2, 7),
        ],
        outbox_removed: vec![stamp("echo", 1).run, stamp("echo", 99).run],
        dead_letters: vec![letter("echo", 1), letter("echo", 2), letter("echo", 3)],
        dead_letters_landed: vec![
            stamp("echo", 1).run,
            stamp("echo", 2).run,
            stamp("echo", 99).run,
        ],
        dead_letters_removed: vec![stamp("echo", 2).run, stamp("echo", 98).run],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.subscriptions, [subscription("echo", 3)]);
    assert_eq!(loaded.outbox, [entry("echo", 2, 7)]);
    let (first, third) = (stamp("echo", 1).run, stamp("echo", 3).run);
    assert_eq!(
        loaded.dead_letters,
        [(first.clone(), Landed::Yes), (third, Landed::No)]
    );
    let landed = journal.dead_letter(&store("lists"), &first).await.unwrap();
    assert_eq!(
        landed,
        Some(DeadLetter {
            landed: Landed::Yes,
            ..letter("echo", 1)
        })
    );
    assert_eq!(
        all_kv(journal, "lists", "echo").await,
        [("a".to_owned(), "2".to_owned())]
    );
    journal.release(lease).await.unwrap();
}

async fn a_removed_subscription_leaves_only_its_drafts(journal: &Journal) {
    let mut lease = claim(journal, "removed").await;
    // The names lie around the removed one, and one is its beginning.
    let others = ["ech", "ech0", "echo-2", "echoes"];
    let mut commit = Commit {
        subscriptions: vec![subscription("echo", 1)],
        kv: vec![put("echo", "k", "v")],
        outbox: vec![entry("echo", 1, 1)],
        dead_letters: vec![letter("echo", 2)],
        ..Commit::default()
    };
    for other in others {
        commit.subscriptions.push(subscription(other, 1));
        commit.kv.push(put(other, "k", "v"));
        commit.dead_letters.push(letter(other, 2));
    }
    write(journal, &mut lease, commit).await.unwrap();
    let commit = Commit {
        subscriptions_removed: vec![plugin("echo"), plugin("never-there")],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let loaded = journal.load(&lease).await.unwrap();
    let left: Vec<_> = loaded.subscriptions.iter().map(|s| &s.plugin).collect();
    assert_eq!(left, others.map(plugin).iter().collect::<Vec<_>>());
    let mut dead: Vec<_> = loaded.dead_letters.iter().map(|d| &d.0.plugin).collect();
    dead.sort();
    assert_eq!(dead, others.map(plugin).iter().collect::<Vec<_>>());
    assert_eq!(loaded.outbox, [entry("echo", 1, 1)]);
    assert_eq!(all_kv(journal, "removed", "echo").await, []);
    for other in others {
        assert_eq!(all_kv(journal, "removed", other).await.len(), 1, "{other}");
    }
    journal.release(lease).await.unwrap();
}

async fn a_second_claim_fences_the_first(journal: &Journal) {
    let mut first = claim(journal, "fenced").await;
    write(journal, &mut first, Commit::default()).await.unwrap();
    let mut second = claim(journal, "fenced").await;
    let commit = Commit {
        scanned: SeqNum::new(9),
        ..Commit::default()
    };
    assert_eq!(
        write(journal, &mut first, commit).await,
        Err(fenced("fenced"))
    );
    assert_eq!(journal.load(&first).await, Err(fenced("fenced")));
    assert_eq!(
        journal.load(&second).await.unwrap().scanned,
        SeqNum::ROOT,
        "a fenced commit wrote something"
    );
    // A fenced owner that cleans up does not take the store from its new owner.
    journal.release(first).await.unwrap();
    write(journal, &mut second, Commit::default())
        .await
        .unwrap();
    journal.release(second).await.unwrap();
}

async fn a_commit_that_does_not_know_the_last_one_is_fenced(journal: &Journal) {
    let mut lease = claim(journal, "chained").await;
    write(journal, &mut lease, Commit::default()).await.unwrap();
    // As if the journal had lost a commit.
    lease.proof.chain += 1;
    let next = write(journal, &mut lease, Commit::default()).await;
    assert_eq!(next, Err(fenced("chained")));
    assert_eq!(journal.load(&lease).await, Err(fenced("chained")));
    let lease = claim(journal, "chained").await;
    assert!(journal.load(&lease).await.is_ok());
    journal.release(lease).await.unwrap();
}

async fn commits_in_flight_take_effect_in_order(journal: &Journal) {
    let mut lease = claim(journal, "in-flight").await;
    let mut confirmations = Vec::new();
    for n in 1..=1000 {
        let commit = Commit {
            scanned: SeqNum::new(n),
            kv: vec![put("echo", "last", &n.to_string())],
            synced: n == 50,
            ..Commit::default()
        };
        confirmations.push(journal.commit(&mut lease, commit).await.unwrap());
    }
    for confirmed in futures_util::future::join_all(confirmations).await {
        confirmed.unwrap();
    }
    let loaded = journal.load(&lease).await.unwrap();
    assert_eq!(loaded.scanned, SeqNum::new(1000));
    assert_eq!(
        all_kv(journal, "in-flight", "echo").await,
        [("last".to_owned(), "1000".to_owned())]
    );
    journal.release(lease).await.unwrap();
}

async fn a_fenced_commit_between_others_harms_none_of_them(journal: &Journal) {
    let mut old = claim(journal, "mixed").await;
    let mut new = claim(journal, "mixed").await;
    let at = |n| Commit {
        scanned: SeqNum::new(n),
        kv: vec![put("echo", &format!("k{n}"), "v")],
        ..Commit::default()
    };
    let (first, fenced_one, last) = (
        journal.commit(&mut new, at(1)).await.unwrap(),
        journal.commit(&mut old, at(2)).await.unwrap(),
        journal.commit(&mut new, at(3)).await.unwrap(),
    );
    let answers = futures_util::future::join3(first, fenced_one, last).await;
    assert_eq!(answers, (Ok(()), Err(fenced("mixed")), Ok(())));
    let keys: Vec<_> = all_kv(journal, "mixed", "echo").await;
    assert_eq!(keys.iter().map(|e| &*e.0).collect::<Vec<_>>(), ["k1", "k3"]);
    journal.release(new).await.unwrap();
}

async fn kv_is_listed_in_the_order_of_bytes(journal: &Journal) {
    let mut keys = vec![
        "",
        "a",
        "a\0",
        "a\0b",
        "a/1",
        "a/10",
        "a/2",
        "aa",
        "b",
        "B",
        "ä",
        "äß",
        "z\u{7f}",
        "z\u{80}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
    ];
    let mut lease = claim(journal, "listed").await;
    let commit = Commit {
        kv: keys
            .iter()
            .rev()
            .map(|key| put("echo", key, key))
            .chain([put("ech", "a", "1"), put("echo-2", "a", "2")])
            .collect(),
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    keys.sort_unstable();
    let (id, echo) = (store("listed"), plugin("echo"));
    for prefix in keys.iter().chain(&["x", "a/", "\u{10fffe}"]) {
        for after in keys.iter().map(Some).chain([None, Some(&"a/11")]) {
            let page = journal
                .kv_list(&id, &echo, prefix, after.copied(), 100, usize::MAX)
                .await
                .unwrap();
            let listed: Vec<&str> = page.entries.iter().map(|entry| &*entry.0).collect();
            let expected: Vec<&str> = keys
                .iter()
                .copied()
                .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key > after))
                .collect();
            assert_eq!(listed, expected, "prefix {prefix:?} after {after:?}");
            assert!(!page.more);
        }
    }
    for key in keys {
        let value = journal.kv_get(&id, &echo, key).await.unwrap();
        assert_eq!(value.as_deref(), Some(key.as_bytes()), "{key:?}");
    }
    journal.release(lease).await.unwrap();
}

async fn a_page_of_kv_is_bounded(journal: &Journal) {
    let mut lease = claim(journal, "paged").await;
    let big = "x".repeat(100);
    let commit = Commit {
        kv: vec![
            put("echo", "k1", "12345678"),
            put("echo", "k2", "12345678"),
            put("echo", "k3", &big),
            put("echo", "k4", ""),
        ],
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let (id, echo) = (store("paged"), plugin("echo"));
    // (after, limit, bytes) to (keys, more)
    let cases = [
        ((None, 4, 1000), (vec!["k1", "k2", "k3", "k4"], false)),
        ((None, 3, 1000), (vec!["k1", "k2", "k3"], true)),
        ((None, 4, 20), (vec!["k1", "k2"], true)),
        ((None, 4, 19), (vec!["k1"], true)),
        ((None, 4, 0), (vec!["k1"], true)),
        ((None, 0, 1000), (vec![], true)),
        ((Some("k2"), 4, 20), (vec!["k3"], true)),
        ((Some("k3"), 4, 20), (vec!["k4"], false)),
        ((Some("k4"), 4, 20), (vec![], false)),
    ];
    for ((after, limit, bytes_max), expected) in cases {
        let page = journal
            .kv_list(&id, &echo, "k", after, limit, bytes_max)
            .await
            .unwrap();
        let keys: Vec<&str> = page.entries.iter().map(|entry| &*entry.0).collect();
        assert_eq!(
            (keys, page.more),
            expected,
            "after {after:?}, {limit} entries, {bytes_max} bytes"
        );
    }
    journal.release(lease).await.unwrap();
}

async fn dead_letters_are_listed_in_pages(journal: &Journal) {
    let mut lease = claim(journal, "dead").await;
    let commit = Commit {
        dead_letters: (1..=7).map(|seq| letter("echo", seq)).collect(),
        ..Commit::default()
    };
    write(journal, &mut lease, commit).await.unwrap();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|letter: &DeadLetter| &letter.stamp.run);
        let page = journal
            .dead_letters(&store("dead"), after, 3)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        listed.extend(page);
    }
    let all: Vec<_> = (1..=7).map(|seq| letter("echo", seq)).collect();
    assert_eq!(listed, all);
    journal.release(lease).await.unwrap();
}

async fn an_archived_journal_makes_room_for_a_fresh_one(journal: &Journal) {
    let mut archived = Vec::new();
    for round in 1..=2 {
        let mut lease = claim(journal, "archived").await;
        assert_eq!(journal.load(&lease).await, Ok(Snapshot::default()));
        let commit = Commit {
            scanned: SeqNum::new(round),
            kv: vec![put("echo", "k", "v")],
            ..Commit::default()
        };
        write(journal, &mut lease, commit).await.unwrap();
        archived.push(journal.archive(lease).await.unwrap());
        assert_eq!(all_kv(journal, "archived", "echo").await, []);
    }
    assert_ne!(
        archived[0], archived[1],
        "the first archive was overwritten"
    );
    let lease = claim(journal, "archived").await;
    assert_eq!(journal.load(&lease).await, Ok(Snapshot::default()));
    journal.release(lease).await.unwrap();
}

async fn a_fenced_lease_archives_nothing(journal: &Journal) {
    let old = claim(journal, "kept").await;
    let mut new = claim(journal, "kept").await;
    let commit = Commit {
        scanned: SeqNum::new(5),
        ..Commit::default()
    };
    write(journal, &mut new, commit).await.unwrap();
    assert_eq!(journal.archive(old).await, Err(fenced("kept")));
    let loaded = journal.load(&new).await.unwrap();
    assert_eq!(loaded.scanned, SeqNum::new(5));
    // A lease without a journal can write nothing, and makes none.
    let mut stale = claim(journal, "kept").await;
    let proof = stale.proof;
    journal.archive(stale).await.unwrap();
    stale = Lease {
        store: store("kept"),
        durability: Durability::Full,
        proof,
    };
    let late = write(journal, &mut stale, Commit::default()).await;
    assert_eq!(late, Err(fenced("kept")));
}
