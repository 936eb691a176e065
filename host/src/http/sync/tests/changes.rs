//! What is served changes while clients are connected.

use super::*;

/// The rules of `shop` when its first token is no longer good.
fn revoked() -> Rules {
    Rules {
        tokens: &[("look", Rights::ReadOnly)],
        ..Rules::default()
    }
}

fn limited(limits: Limits) -> Rules {
    Rules {
        limits,
        ..Rules::default()
    }
}

impl Socket {
    /// It is open, and answered.
    async fn assert_open(&mut self) {
        self.send(&json!({ "_tag": "Ping" })).await;
        assert_eq!(self.frame().await, json!({ "_tag": "Pong" }));
    }
}

#[tokio::test]
async fn a_store_that_is_added_is_served_and_one_that_is_removed_is_not() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let token = [("authorization", "Bearer s3cret")];
    let refused = host.connect("storeId=desk", &token).await.err();
    refused.expect("refused").assert(404, "");
    let client = host.enter().await;
    host.apply(vec![("desk", Rules::default())]);
    let mut desk = host
        .connect("storeId=desk", &token)
        .await
        .expect("it is let in");
    let (code, reason) = client.closed().await;
    assert_eq!(
        (code, &*reason),
        (4404, "this store is no longer served here")
    );
    let refused = host.connect("storeId=shop", &token).await.err();
    refused.expect("refused").assert(404, "");
    assert!(desk.pushed(0, 1..=1, "").await);
    host.until_metric("qm_sync_connections", 1).await;
}

#[tokio::test]
async fn a_revoked_token_is_out_at_once_and_other_stores_do_not_notice() {
    let stores = |shop| vec![("shop", shop), ("desk", Rules::default())];
    let host = Host::new(stores(Rules::default())).await;
    let token = [("authorization", "Bearer s3cret")];
    let client = host.enter().await;
    let mut desk = host
        .connect("storeId=desk", &token)
        .await
        .expect("it is let in");
    host.apply(stores(revoked()));
    let (code, reason) = client.closed().await;
    assert_eq!(code, 1012);
    assert_eq!(
        reason,
        "the rules of this store have changed; connect again"
    );
    let refused = host.connect("storeId=shop", &token).await.err();
    refused.expect("refused").assert(401, "");
    assert!(desk.pushed(0, 1..=1, "").await);
}

#[tokio::test]
async fn other_limits_send_nobody_away_and_count_for_whoever_comes() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let rules = Rules {
        limits,
        ..Rules::default()
    };
    host.apply(vec![("shop", rules)]);
    assert!(client.pushed(0, 1..=1, "").await);
    let token = [("authorization", "Bearer s3cret")];
    let refused = host.connect("storeId=shop", &token).await.err();
    refused.expect("refused").assert(503, "limits.connections");
}

#[tokio::test]
async fn nobody_is_sent_away_by_an_edit_that_is_not_about_them() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    let store = "shop".parse().expect("an id");
    let before = Arc::clone(&host.endpoint.offer().stores[&store]);
    for _ in 0..3 {
        host.apply(vec![("shop", Rules::default()), ("desk", open())]);
    }
    let after = Arc::clone(&host.endpoint.offer().stores[&store]);
    assert!(Arc::ptr_eq(&before, &after));
    client.assert_open().await;
    host.until_metric("qm_sync_connections", 1).await;
}

#[tokio::test]
async fn a_store_that_comes_back_goes_on_with_its_log() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    assert!(client.pushed(1, 1..=1, "hi").await);
    host.apply(Vec::new());
    assert_eq!(client.closed().await.0, 4404);
    host.apply(vec![("shop", Rules::default())]);
    let mut client = host.enter().await;
    assert!(!client.pushed(1, 1..=1, "not the first").await);
    assert!(client.pushed(2, 2..=2, "the second").await);
}

#[tokio::test]
async fn other_origins_are_other_rules() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let client = host.enter().await;
    let rules = Rules {
        origins: Origins::Only(Vec::new()),
        ..Rules::default()
    };
    host.apply(vec![("shop", rules)]);
    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn another_pace_is_for_those_who_are_inside_and_they_leave_with_the_others() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    let limits = Limits {
        events_per_second: 1,
        ..LIMITS
    };
    host.apply(vec![("shop", limited(limits))]);
    // The first is let through, what it costs is waited for by those after it: the third would wait for an hour, and
    // nothing more is read meanwhile.
    assert!(client.pushed(1, 1..=3600, "").await);
    assert!(client.pushed(2, 3601..=3601, "").await);
    client.assert_open().await;
    client.push(3, 3602..=3602, "").await;
    let second = host.enter().await;
    host.apply(vec![("shop", revoked())]);
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(second.closed().await.0, 1012);
    host.apply(vec![("shop", Rules::default())]);
    assert!(!host.enter().await.pushed(1, 3601..=3601, "").await);
    // It had to go while it waited, so what it said last is not in the log.
    assert!(host.enter().await.pushed(1, 3602..=3602, "").await);
}

#[tokio::test]
async fn another_limit_on_messages_is_for_the_next_connection() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut before = host.enter().await;
    let limits = Limits {
        message_bytes_max: 2000,
        ..LIMITS
    };
    host.apply(vec![("shop", limited(limits))]);
    let mut after = host.enter().await;
    let long = "x".repeat(4000);
    assert!(before.pushed(1, 1..=1, &long).await);
    after.push(1, 2..=2, &long).await;
    assert_eq!(after.closed().await.0, 1009);
    before.assert_open().await;
}

#[tokio::test]
async fn a_call_whose_token_is_revoked_while_its_body_comes_is_not_done() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let body = push("SyncHttpRpc.Push", 1, 1..=1, "hi").to_string();
    let (first, rest) = body.split_at(10);
    let connected = TcpStream::connect(host.address).await;
    let mut stream = connected.expect("a connection");
    let head = format!(
        "POST /sync?storeId=shop&transport=http HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer s3cret\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{first}",
        host.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    host.until_metric("qm_sync_connections", 1).await;
    host.apply(vec![("shop", revoked())]);
    // The answer comes without the rest of the body.
    let mut answer = vec![0; 4096];
    let read = timeout(SOON, stream.read(&mut answer)).await;
    let bytes = read.expect("in time").expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..bytes]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    stream.write_all(rest.as_bytes()).await.ok();
    host.until_metric("qm_sync_connections", 0).await;
    host.apply(vec![("shop", Rules::default())]);
    assert!(host.enter().await.pushed(1, 1..=1, "the first").await);
}

#[tokio::test]
async fn a_host_that_stops_serves_nobody_whatever_is_applied() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let client = host.enter().await;
    let (closed, ()) = tokio::join!(client.closed(), host.endpoint.close());
    assert_eq!(closed.0, 1001);
    host.apply(vec![("desk", open())]);
    let late = host.connect("storeId=desk", &[]).await.expect("a socket");
    assert_eq!(late.closed().await.0, 1001);
}
