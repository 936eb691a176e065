//! Pulls and pushes of well-behaved clients.

use super::*;

const LIVE: RequestId = RequestId(1);

#[test]
fn what_is_pushed_is_pulled_by_everyone_and_survives_a_restart() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=3).await.unwrap();
        append(&mut client, 4..=4).await.unwrap();
        let id = client.backend_id().clone();
        drop(client);

        let scene = scene.restart().await;
        let mut client = scene.connect("shop").await;
        assert_eq!((client.backend_id(), client.head().get()), (&id, 4));
        let (events, _) = read(&mut client, 0).await.unwrap();
        assert_eq!(seqs(&events), [1, 2, 3, 4]);
        assert_eq!(&*events[3].args, r#"{"n":4}"#);
        assert!(events.iter().all(|event| event.created_at.is_some()));
        let other = scene.connect("garden").await;
        assert_ne!(other.backend_id(), &id);
        let files: Vec<bool> = ["shop.db", "shop.db-wal", "garden.db"]
            .map(|name| scene.folder.path().join(name).exists())
            .into();
        assert!(files[0] && files[2]);
    });
}

#[test]
fn a_shutdown_leaves_one_whole_file() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=3).await.unwrap();
        read(&mut client, 0).await.unwrap();
        scene.backend.shutdown().await;
        assert!(matches!(client.next().await, Err(Lost::Shutdown)));
        assert!(!scene.folder.path().join("shop.db-wal").exists());
        let refused = scene.log("shop").connect(Rights::ReadOnly).await;
        assert!(matches!(refused, Err(Error::Closed)));
    });
}

#[test]
fn pages_are_the_originals() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=300).await.unwrap();
        let (events, sizes) = read(&mut client, 0).await.unwrap();
        assert_eq!(sizes, [100, 100, 56, 44]);
        assert_eq!(seqs(&events), (1..=300).collect::<Vec<_>>());
        let (events, sizes) = read(&mut client, 298).await.unwrap();
        assert_eq!((seqs(&events), sizes), (vec![299, 300], vec![2]));
        let (_, sizes) = read(&mut client, 300).await.unwrap();
        assert_eq!(sizes, [0]);
        let (_, sizes) = read(&mut client, 999).await.unwrap();
        assert_eq!(sizes, [0], "a cursor past the head is no error");
    });
}

#[test]
fn a_page_waits_for_the_ack_of_the_one_before() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        append(&mut client, 1..=150).await.unwrap();
        client.pull(LIVE, None, PullKind::Finite);
        assert!(matches!(next(&mut client).await, Reply::Page { .. }));
        // The answer to a push comes before a page would have to.
        append(&mut client, 151..=151).await.unwrap();
        client.ack(LIVE);
        let Reply::Page { page, .. } = next(&mut client).await else {
            panic!("no page")
        };
        assert_eq!(page.events().len(), 51);
        client.interrupt(LIVE);
        assert!(matches!(next(&mut client).await, Reply::Interrupted { .. }));
    });
}

#[test]
fn a_live_pull_goes_on_with_what_is_appended_and_the_echo_comes_before_the_ack() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut writer = scene.connect("shop").await;
        append(&mut writer, 1..=120).await.unwrap();
        writer.pull(LIVE, None, PullKind::Live);
        let mut seen = Vec::new();
        while seen.len() < 120 {
            let Reply::Page { page, .. } = next(&mut writer).await else {
                panic!("no page")
            };
            seen.extend(seqs(page.events()));
            writer.ack(LIVE);
        }
        writer
            .push(RequestId(2), vec![event(121, "b"), event(122, "c")], None)
            .await;
        let Reply::Page { page, .. } = next(&mut writer).await else {
            panic!("the ack came before the echo")
        };
        seen.extend(seqs(page.events()));
        assert!(matches!(next(&mut writer).await, Reply::Pushed { .. }));
        assert_eq!(seen, (1..=122).collect::<Vec<_>>());
    });
}

#[test]
fn many_clients_that_push_at_once_make_one_log() {
    runtime().block_on(async {
        let scene = Scene::new();
        const CLIENTS: u64 = 8;
        const EACH: usize = 25;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..CLIENTS {
            let mut client = scene.connect("shop").await;
            tasks.spawn(async move {
                let (mut head, mut done) = (0, 0);
                while done < EACH {
                    let name = format!("{number}.{done}");
                    match push(&mut client, vec![event(head + 1, &name)]).await {
                        Ok(()) => (head, done) = (head + 1, done + 1),
                        Err(Refusal::ServerAhead { head: actual, .. }) => head = actual.get(),
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        let mut follower = scene.connect("shop").await;
        follower.pull(LIVE, None, PullKind::Live);
        let mut seen: Vec<Event> = Vec::new();
        while seen.len() < CLIENTS as usize * EACH {
            if let Reply::Page { page, .. } = next(&mut follower).await {
                seen.extend_from_slice(page.events());
                follower.ack(LIVE);
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(seqs(&seen), (1..=seen.len() as u64).collect::<Vec<_>>());
        let mut names: Vec<&str> = seen.iter().map(|event| &*event.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), seen.len(), "an event is in the log twice");
    });
}

#[test]
fn who_may_only_read_only_reads() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut writer = scene.connect("shop").await;
        append(&mut writer, 1..=1).await.unwrap();
        let mut reader = scene.log("shop").connect(Rights::ReadOnly).await.unwrap();
        let refused = append(&mut reader, 2..=2).await.unwrap_err();
        assert!(refused.to_string().starts_with("ReadOnly"), "{refused}");
        assert_eq!(seqs(&read(&mut reader, 0).await.unwrap().0), [1]);
    });
}

#[test]
fn a_cursor_of_another_log_is_refused() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut client = scene.connect("shop").await;
        let cursor = Cursor {
            backend_id: "another".to_owned(),
            seq: SeqNum::ROOT,
        };
        client.pull(LIVE, Some(cursor), PullKind::Live);
        let Reply::PullRefused { refusal, .. } = next(&mut client).await else {
            panic!("it was taken")
        };
        assert!(matches!(refusal, Refusal::BackendIdMismatch { .. }));
    });
}

#[test]
fn a_session_speaks_frames() {
    runtime().block_on(async {
        let scene = Scene::new();
        let client = scene.connect("shop").await;
        let id = client.backend_id().clone();
        let mut session = Session::new(client, Transport::WebSocket);
        let event = r#"{"name":"a","args":{"x":[1,"ü"]},"seqNum":1,"parentSeqNum":0,"clientId":"c","sessionId":"s"}"#;
        let push = format!(
            r#"{{"_tag":"Request","id":"0","tag":"SyncWsRpc.Push","payload":{{"storeId":"shop","batch":[{event}],"backendId":{{"_tag":"None"}}}},"headers":[]}}"#
        );
        session.take(r#"{"_tag":"Ping"}"#).await;
        session.take(&push).await;
        session.take("{").await;
        assert_eq!(session.next().await.unwrap(), r#"{"_tag":"Pong"}"#);
        assert!(session.next().await.unwrap().starts_with(r#"{"_tag":"Defect""#));
        assert_eq!(
            session.next().await.unwrap(),
            r#"{"_tag":"Exit","requestId":"0","exit":{"_tag":"Success","value":{}}}"#
        );
        assert!(session.is_idle());
        let pull = r#"{"_tag":"Request","id":"1","tag":"SyncWsRpc.Pull","payload":{"storeId":"shop","live":false,"cursor":{"_tag":"None"}},"headers":[]}"#;
        session.take(pull).await;
        let chunk = session.next().await.unwrap();
        assert!(chunk.contains(event) && chunk.contains(id.as_str()), "{chunk}");
        session.take(r#"{"_tag":"Ack","requestId":"1"}"#).await;
        assert_eq!(
            session.next().await.unwrap(),
            r#"{"_tag":"Exit","requestId":"1","exit":{"_tag":"Success"}}"#
        );
    });
}

#[test]
fn the_actor_has_the_same_log_without_a_socket() {
    use crate::event::{Draft, NumberedDraft};
    use crate::store::{Generation, Input, PushAnswer};

    runtime().block_on(async {
        let scene = Scene::new();
        let generation = Generation(3);
        let mut local = Local::open(&scene.log("shop"), generation).await.unwrap();
        local.pull(RequestId(0), SeqNum::ROOT, None, PullKind::Finite);
        let Input::Pulled {
            backend_id, events, ..
        } = local.receive().await
        else {
            panic!("no page")
        };
        assert!(events.is_empty());
        local.ack(RequestId(0));
        assert!(matches!(local.receive().await, Input::PullEnded { .. }));
        let draft = NumberedDraft {
            seq: SeqNum::new(1),
            parent: SeqNum::ROOT,
            draft: Draft {
                name: "a".into(),
                args: "{}".into(),
            },
            client_id: "quartermaster".into(),
            session_id: "qm1:echo:e42:1:0/1".into(),
        };
        for expected in [
            PushAnswer::Accepted,
            PushAnswer::ServerAhead {
                head: SeqNum::new(1),
            },
        ] {
            local
                .push(RequestId(1), &backend_id, std::slice::from_ref(&draft))
                .await;
            let Input::PushAnswered { answer, .. } = local.receive().await else {
                panic!("no answer")
            };
            assert_eq!(answer, expected);
        }
        let mut client = scene.connect("shop").await;
        let (events, _) = read(&mut client, 0).await.unwrap();
        assert_eq!(&*events[0].session_id, "qm1:echo:e42:1:0/1");
    });
}
