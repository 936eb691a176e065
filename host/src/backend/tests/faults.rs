//! Clients that misbehave, disks that fail, files that are not what they were.

use std::fs;

use rusqlite::Connection;

use super::*;
use crate::store::Durability;

const LIVE: RequestId = RequestId(1);

#[test]
fn a_client_that_does_not_read_loses_its_connection_and_holds_up_nobody() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut slow = scene.connect("shop").await;
        slow.pull(LIVE, None, PullKind::Live);
        assert!(matches!(next(&mut slow).await, Reply::Page { .. }));
        // It follows once its second look has come back, which nobody sees from outside: this one takes until then.
        let mut quick = scene.connect("shop").await;
        append(&mut quick, 1..=1).await.unwrap();
        assert!(matches!(next(&mut slow).await, Reply::Page { .. }));
        for seq in 2..=30 {
            let mut event = event(seq, "large");
            event.args = format!("\"{}\"", "x".repeat(800_000)).into();
            push(&mut quick, vec![event]).await.unwrap();
        }
        let lost = loop {
            match slow.next().await {
                Ok(_) => {}
                Err(lost) => break lost,
            }
        };
        assert!(matches!(lost, Lost::SlowReader { .. }));
        // It comes back and goes on from its cursor.
        let mut back = scene.connect("shop").await;
        assert_eq!(read(&mut back, 1).await.unwrap().0.len(), 29);
    });
}

#[test]
fn an_invalid_batch_leaves_the_log_as_it_was() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=2).await.unwrap();
        let mut batch: Vec<Event> = (3..=40).map(|seq| event(seq, "a")).collect();
        batch[20].seq = SeqNum::new(99);
        let refused = push(&mut client, batch).await.unwrap_err();
        assert!(matches!(refused, Refusal::Unknown { .. }));
        assert_eq!(read(&mut client, 0).await.unwrap().0.len(), 2);
        append(&mut client, 3..=3).await.unwrap();
    });
}

#[test]
fn a_full_log_refuses_pushes_and_is_still_read() {
    runtime().block_on(async {
        let scene = Scene::new();
        let store = "shop".parse().unwrap();
        let settings = |bytes_max| LogSettings {
            durability: Durability::Full,
            bytes_max,
        };
        let log = scene.backend.log(&store, settings(200_000));
        let mut client = log.connect(Rights::ReadWrite).await.unwrap();
        let (mut head, refused) = (
            0,
            loop {
                let mut event = event(client.head().get() + 1, "a");
                event.args = format!("\"{}\"", "x".repeat(20_000)).into();
                if let Err(refusal) = push(&mut client, vec![event]).await {
                    break refusal;
                }
                client = log.connect(Rights::ReadWrite).await.unwrap();
            },
        );
        assert!(refused.to_string().contains("full"), "{refused}");
        let (events, _) = read(&mut client, 0).await.unwrap();
        head += events.len() as u64;
        assert!(head > 2);
        // More room, by configuration: it takes events again, at the same place.
        drop(client);
        let larger = scene.backend.log(&store, settings(1 << 30));
        let mut client = larger.connect(Rights::ReadWrite).await.unwrap();
        assert_eq!(client.head().get(), head);
        append(&mut client, head + 1..=head + 1).await.unwrap();
    });
}

#[test]
fn a_flipped_byte_is_found_and_named_and_nothing_more_is_served() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=300).await.unwrap();
        drop(client);
        scene.backend.shutdown().await;
        let path = scene.folder.path().join("shop.db");
        let mut bytes = fs::read(&path).unwrap();
        let needle = br#"{"n":123}"#;
        let at = bytes
            .windows(needle.len())
            .position(|window| window == needle)
            .unwrap();
        bytes[at + 5] = b'7';
        fs::write(&path, &bytes).unwrap();

        let scene = scene.restart().await;
        let mut client = scene.connect("shop").await;
        let refused = read(&mut client, 100).await.unwrap_err().to_string();
        assert!(refused.contains("event 123"), "{refused}");
        assert!(matches!(client.next().await, Err(Lost::Log(_))));
        let refused = scene.log("shop").connect(Rights::ReadWrite).await;
        let Err(Error::Corrupt { what, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(what.contains("event 123"), "{what}");
        assert_eq!(fs::read(&path).unwrap().len(), bytes.len());
        // Others are none the worse.
        let mut other = scene.connect("garden").await;
        append(&mut other, 1..=1).await.unwrap();
    });
}

#[test]
fn a_lost_event_is_found() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=9).await.unwrap();
        drop(client);
        scene.backend.shutdown().await;
        let file = Connection::open(scene.folder.path().join("shop.db")).unwrap();
        let refused = file.execute("DELETE FROM event WHERE seq = 4", []);
        assert!(refused.unwrap_err().to_string().contains("only grows"));
        file.execute_batch("DROP TRIGGER event_is_never_deleted; DELETE FROM event WHERE seq = 4")
            .unwrap();
        drop(file);
        let scene = scene.restart().await;
        let mut client = scene.connect("shop").await;
        let refused = read(&mut client, 0).await.unwrap_err().to_string();
        assert!(refused.contains("event 4 is missing"), "{refused}");
    });
}

#[test]
fn another_stores_log_and_other_programs_files_are_left_alone() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=1).await.unwrap();
        drop(client);
        scene.backend.shutdown().await;
        let folder = scene.folder.path().to_owned();
        fs::copy(folder.join("shop.db"), folder.join("copy.db")).unwrap();
        let theirs = Connection::open(folder.join("theirs.db")).unwrap();
        theirs.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
        drop(theirs);
        fs::write(
            folder.join("text.db"),
            "not a database at all, but long enough to be one",
        )
        .unwrap();
        let scene = scene.restart().await;
        for (store, expected) in [
            ("copy", "this is the log of store \"shop\""),
            ("theirs", "was not written by quartermaster"),
            ("text", "not a database"),
        ] {
            let refused = scene.log(store).connect(Rights::ReadWrite).await;
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    });
}

#[test]
fn one_process_has_the_folder() {
    let scene = Scene::new();
    let second = Backend::open(&BackendConfig::new(scene.folder.path()));
    assert!(matches!(second, Err(Error::Locked { .. })));
}

#[test]
fn a_file_that_is_closed_for_a_while_goes_on_where_it_was() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::open(&BackendConfig {
            writers: 1,
            readers: 1,
            open_files_max: 1,
            ..BackendConfig::new(folder.path())
        })
        .unwrap();
        let mut clients = Vec::new();
        for store in ["a", "b", "c"] {
            let log = backend.log(&store.parse().unwrap(), LogSettings::default());
            clients.push(log.connect(Rights::ReadWrite).await.unwrap());
        }
        for seq in 1..=5 {
            for client in &mut clients {
                append(client, seq..=seq).await.unwrap();
                assert_eq!(read(client, 0).await.unwrap().0.len(), seq as usize);
            }
        }
        backend.shutdown().await;
    });
}
