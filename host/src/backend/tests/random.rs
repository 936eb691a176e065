//! Clients that do at random what clients may do, at the same time, and what must hold all the same: each pull sees an
//! unbroken chain from its cursor on, and what is acked, and nothing else, is in the log, once.

use std::collections::BTreeMap;

use super::*;

/// What one client knows to be in the log.
#[derive(Default)]
struct Known {
    /// The names of its acked events, by their places.
    acked: BTreeMap<u64, String>,
}

/// A client with one live pull, which pushes now and then, reconnects now and then, and never acks in a hurry.
async fn live(scene: &Scene, number: u64, rounds: usize, random: &mut fastrand::Rng) -> Known {
    const PULL: RequestId = RequestId(1);
    let mut known = Known::default();
    let mut head = 0;
    let mut client = scene.connect("shop").await;
    client.pull(PULL, None, PullKind::Live);
    let mut pushes: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    let mut round = 0;
    while round < rounds || !pushes.is_empty() {
        if pushes.is_empty() {
            round += 1;
            if random.u8(..) < 20 {
                let cursor = Cursor {
                    backend_id: client.backend_id().as_str().to_owned(),
                    seq: SeqNum::new(head),
                };
                client = scene.connect("shop").await;
                client.pull(PULL, Some(cursor), PullKind::Live);
            }
            // Several in a row, each after the one before: if the first is refused, so are the others.
            let mut after = head;
            for index in 0..random.u64(1..4) {
                let last = after + random.u64(1..6);
                let name = format!("{number}.{round}.{index}");
                let batch: Vec<Event> = (after + 1..=last).map(|seq| event(seq, &name)).collect();
                client
                    .push(RequestId(100 + index), batch.clone(), None)
                    .await;
                pushes.insert(100 + index, batch);
                after = last;
            }
        }
        match next(&mut client).await {
            Reply::Page { page, .. } => {
                for event in page.events() {
                    assert_eq!(event.seq.get(), head + 1, "a pull is an unbroken chain");
                    head += 1;
                }
                client.ack(PULL);
            }
            Reply::Pushed { request } => {
                for event in pushes.remove(&request.0).unwrap() {
                    assert!(event.seq.get() <= head, "the ack came before the echo");
                    known.acked.insert(event.seq.get(), event.name.to_string());
                }
            }
            Reply::PushRefused { request, refusal } => {
                assert!(matches!(refusal, Refusal::ServerAhead { .. }), "{refusal}");
                pushes.remove(&request.0).unwrap();
            }
            other @ (Reply::PullRefused { .. }
            | Reply::Ended { .. }
            | Reply::Interrupted { .. }) => panic!("{other:?}"),
        }
    }
    known
}

#[test]
fn clients_that_do_what_they_like_see_one_log() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let scene = std::sync::Arc::new(Scene::new());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let scene = scene.clone();
            tasks.spawn(async move {
                let mut random = fastrand::Rng::with_seed(number);
                live(&scene, number, 40, &mut random).await
            });
        }
        let mut acked = BTreeMap::new();
        while let Some(known) = tasks.join_next().await {
            for (seq, name) in known.unwrap().acked {
                assert_eq!(acked.insert(seq, name), None, "{seq} was acked twice");
            }
        }
        let mut client = scene.connect("shop").await;
        let (events, _) = read(&mut client, 0).await.unwrap();
        let log: BTreeMap<u64, String> = events
            .iter()
            .map(|event| (event.seq.get(), event.name.to_string()))
            .collect();
        assert_eq!(log, acked);
        assert_eq!(seqs(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    });
}
