//! Reading and writing a log of this process, which is told the same as over a socket.

use std::fs;
use std::path::Path;

use super::*;
use crate::cli::stores;
use crate::config::{Environment, Location};

/// The log of a store in a host that keeps its data in `folder`.
async fn open(folder: &Path) -> Peer {
    let data = folder.join("data");
    let main = format!("[server]\ndata = {data:?}\n[stores.shop]\nsync = \"embedded\"\n");
    fs::write(folder.join("quartermaster.toml"), main).unwrap();
    let location = Location::Folder(folder.to_owned());
    let id = "shop".parse().unwrap();
    let named = stores::find(&location, &Environment::default(), &id).unwrap();
    let target = Target::of(&named, Intent::Write, None).unwrap();
    assert!(target.is_ours_alone());
    Peer::open(target).await.unwrap()
}

fn event(seq: u64) -> Event {
    Event {
        seq: SeqNum::new(seq),
        parent: SeqNum::new(seq - 1),
        name: "n".into(),
        args: "1".into(),
        client_id: "c".into(),
        session_id: "s".into(),
        created_at: None,
    }
}

/// Appends events up to this one.
async fn append_to(peer: &mut Peer, last: u64) {
    while peer.head().get() < last {
        let first = peer.head().get() + 1;
        let events: Vec<_> = (first..=last.min(first + 99)).map(event).collect();
        assert_eq!(peer.push(&events).await.unwrap(), Pushed::Accepted);
    }
}

#[tokio::test]
async fn the_end_of_a_log_is_found_without_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = open(folder.path()).await;
    for last in [0, 1, 99, 100, 101, 199, 350, 1000] {
        append_to(&mut peer, last).await;
        assert_eq!(peer.end().await.unwrap(), SeqNum::new(last));
    }
    peer.close().await;
}

#[tokio::test]
async fn a_log_is_read_from_any_place_to_its_end_and_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = open(folder.path()).await;
    append_to(&mut peer, 250).await;
    for after in [0, 1, 249, 250, 900] {
        peer.seek(SeqNum::new(after)).await;
        let mut read = Vec::new();
        while let Some(events) = peer.next(Extent::End).await.unwrap() {
            read.extend(events.iter().map(|event| event.seq.get()));
        }
        assert_eq!(read, (after + 1..=250).collect::<Vec<_>>());
    }
    peer.seek(SeqNum::new(248)).await;
    let seen = peer.next(Extent::Live).await.unwrap().unwrap();
    assert_eq!(seen.len(), 2);
    peer.close().await;
}

#[tokio::test]
async fn whoever_has_not_read_the_whole_log_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = open(folder.path()).await;
    append_to(&mut peer, 3).await;
    let head = SeqNum::new(3);
    assert_eq!(
        peer.push(&[event(3)]).await.unwrap(),
        Pushed::Behind { head }
    );
    assert_eq!(
        peer.push(&[event(9)]).await.unwrap(),
        Pushed::Behind { head }
    );
    let mut nameless = event(4);
    nameless.name = "".into();
    let refused = peer.push(&[nameless]).await.unwrap();
    assert!(matches!(refused, Pushed::Unclear(error) if error.contains("its name is empty")));
    assert_eq!(peer.end().await.unwrap(), head);
    peer.close().await;
}
