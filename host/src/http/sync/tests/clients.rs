//! What clients that were let in may do.

use super::*;

#[tokio::test]
async fn what_one_client_pushes_every_other_gets() {
    let host = Host::new(vec![("shop", Rules::default()), ("other", open())]).await;
    let (mut alice, mut bob) = (host.enter().await, host.enter().await);
    let mut stranger = host
        .connect("storeId=other", &[])
        .await
        .expect("it is open");
    host.until_metric("qm_sync_connections", 3).await;
    bob.pull_live(0).await;
    stranger.pull_live(0).await;
    assert!(alice.pushed(0, 1..=2, "hi").await);
    let chunk = bob.frame().await;
    let batch = chunk["values"][0]["batch"].as_array().expect("events");
    let seqs: Vec<&Value> = batch
        .iter()
        .map(|it| &it["eventEncoded"]["seqNum"])
        .collect();
    assert_eq!(seqs, [1, 2]);
    // Another store has nothing of it.
    stranger.send(&json!({ "_tag": "Ping" })).await;
    assert_eq!(stranger.frame().await, json!({ "_tag": "Pong" }));
    assert!(!alice.pushed(1, 2..=2, "too late").await);
    host.until_metric("qm_sync_events_total", 2).await;
    host.until_metric("qm_sync_pushes_total{outcome=\"accepted\"}", 1)
        .await;
    host.until_metric("qm_sync_pushes_total{outcome=\"server-ahead\"}", 1)
        .await;
    drop((alice, bob, stranger));
    host.until_metric("qm_sync_connections", 0).await;
}

#[tokio::test]
async fn a_read_only_token_pulls_and_does_not_push() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let token = [("authorization", "Bearer look")];
    let mut client = host
        .connect("storeId=shop", &token)
        .await
        .expect("it is let in");
    client.pull_live(0).await;
    assert!(!client.pushed(1, 1..=1, "hi").await);
    assert!(host.enter().await.pushed(0, 1..=1, "hi").await);
    assert_eq!(client.frame().await["requestId"], "0");
}

#[tokio::test]
async fn a_binary_frame_is_taken_for_the_text_that_it_holds() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    client.say(Message::binary(r#"{"_tag":"Ping"}"#)).await;
    assert_eq!(client.frame().await, json!({ "_tag": "Pong" }));
    client.say(Message::binary(vec![0xff, 0xfe])).await;
    assert_eq!(client.closed().await.0, 1003);
}

#[tokio::test]
async fn a_client_with_more_events_than_its_store_takes_is_slowed_and_not_refused() {
    let limits = Limits {
        events_per_second: 100,
        ..LIMITS
    };
    let rules = Rules {
        limits,
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let mut client = host.enter().await;
    let start = tokio::time::Instant::now();
    // One second's worth is free, and so is what exceeds it; what comes next has to wait for it.
    assert!(client.pushed(0, 1..=150, "").await);
    assert!(client.pushed(1, 151..=151, "").await);
    client.push(2, 152..=152, "").await;
    client.send(&json!({ "_tag": "Ping" })).await;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        answers.push(client.frame().await["_tag"].clone());
    }
    assert!(answers.contains(&json!("Exit")), "{answers:?}");
    assert!(answers.contains(&json!("Pong")), "{answers:?}");
    assert!(start.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn keep_alive_is_answered_while_a_client_is_slowed() {
    let limits = Limits {
        events_per_second: 1,
        ..LIMITS
    };
    let rules = Rules {
        limits,
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let mut client = host.enter().await;
    assert!(client.pushed(0, 1..=1000, "").await);
    assert!(client.pushed(1, 1001..=1001, "").await);
    for _ in 0..3 {
        client.send(&json!({ "_tag": "Ping" })).await;
        assert_eq!(client.frame().await, json!({ "_tag": "Pong" }));
    }
}

#[tokio::test]
async fn an_idle_connection_is_a_small_task() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let store = "shop".parse().expect("an id");
    let open = Arc::clone(&host.endpoint.offer().stores[&store]);
    let client = open
        .served
        .log
        .connect(Rights::ReadWrite)
        .await
        .expect("a client");
    let place = host
        .endpoint
        .doors
        .enter(&store, [127, 0, 0, 1].into(), &LIMITS, 1000);
    let admitted = Admitted {
        open,
        grant: Grant {
            rights: Rights::ReadWrite,
            expires: None,
        },
        place: place.expect("a place"),
        client,
    };
    let task = host.endpoint.serve(std::future::ready(None), admitted);
    let bytes = size_of_val(&task);
    // What is not in here is a kilobyte on the heap and the socket's buffer of four.
    assert!(bytes < 2560, "{bytes} bytes");
}
