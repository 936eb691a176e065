//! How connections end, and what clients are told then.

use super::*;

/// As much as one push holds.
const LARGE: usize = 800_000;

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_connection_with_its_reason() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    // It is read while it is still being sent, so the rest may find nobody.
    let large = Message::text("x".repeat(LIMITS.message_bytes_max + 1));
    client.say(large).await;
    let (code, reason) = client.closed().await;
    assert_eq!(code, 1009);
    assert_eq!(
        reason,
        "a frame of more than 1048576 bytes (limits.message_size)"
    );
    host.until_metric("qm_sync_connections", 0).await;
}

#[tokio::test]
async fn a_token_that_expires_ends_the_connection() {
    let rules = Rules {
        jwt: true,
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let now = Clock::start().now().as_millis() as f64 / 1000.0;
    // Good for the 30 seconds of other clocks, and for a moment of them still.
    let token = signed(&json!({ "store": "shop", "exp": now - 27.5 }));
    let header = format!("Bearer {token}");
    let client = host
        .connect("storeId=shop", &[("authorization", &header)])
        .await;
    let (code, reason) = client.expect("it is let in").closed().await;
    assert_eq!(code, 4401);
    assert_eq!(
        reason,
        "the token has expired; get a new one and connect again"
    );
}

#[tokio::test]
async fn clients_are_told_when_the_host_stops() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let (one, two) = (host.enter().await, host.enter().await);
    let (one, two, ()) = tokio::join!(one.closed(), two.closed(), host.endpoint.close());
    let going_away = (1001, "going away".to_owned());
    assert_eq!((one, two), (going_away.clone(), going_away));
    assert!(host.endpoint.connections.is_empty());
    host.backend.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_sent_away_and_holds_up_nobody() {
    let host = Host::with(vec![("shop", Rules::default())], |endpoint| {
        endpoint.patience.transfer = Duration::from_millis(300);
    })
    .await;
    let mut lazy = host.enter().await;
    lazy.pull_live(0).await;
    let mut busy = host.enter().await;
    let text = "x".repeat(LARGE);
    let mut seq = 0;
    // Until the sockets' own buffers are full too, which the system sizes.
    while host.endpoint.connections.len() > 1 {
        seq += 1;
        assert!(seq < 1000, "it is still there");
        assert!(busy.pushed(seq, seq..=seq, &text).await);
    }
    drop(lazy);
    assert!(busy.pushed(seq + 1, seq + 1..=seq + 1, "").await);
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_told_so() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut slow = host.enter().await;
    slow.pull_live(0).await;
    let mut busy = host.enter().await;
    let text = "x".repeat(LARGE);
    // More than any socket buffers, and than may wait for a client.
    for seq in 1..=40 {
        assert!(busy.pushed(seq, seq..=seq, &text).await);
    }
    let (code, reason) = slow.closed().await;
    assert_eq!(code, 1008);
    assert!(reason.starts_with("too slow: "), "{reason}");
    host.until_metric("qm_sync_slow_readers_total", 1).await;
}

#[tokio::test]
async fn a_client_that_is_silent_is_asked_and_then_given_up() {
    let host = Host::with(vec![("shop", Rules::default())], |endpoint| {
        endpoint.patience.quiet = Duration::from_millis(100);
        // Much longer, so that a busy machine does not look like a silent client.
        endpoint.patience.answer = Duration::from_secs(2);
    })
    .await;
    // One that answers pings stays, whatever else it does not say.
    let mut alive = host.enter().await;
    let mut stream = TcpStream::connect(host.address)
        .await
        .expect("a connection");
    let head = format!(
        "GET /sync?storeId=shop&transport=ws HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer s3cret\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        host.address,
        generate_key()
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let listen = async {
        for _ in 0..5 {
            let ping = timeout(SOON, alive.0.next()).await.expect("in time");
            assert!(matches!(ping, Some(Ok(Message::Ping(_)))), "{ping:?}");
        }
    };
    let mut said = Vec::new();
    let silent = async {
        // A ping (RFC 6455, 5.2: 0x89, no payload), and then the end.
        timeout(SOON, stream.read_to_end(&mut said))
            .await
            .expect("in time")
            .expect("an end");
    };
    tokio::join!(listen, silent);
    assert!(
        said.starts_with(b"HTTP/1.1 101 ") && said.ends_with(&[0x89, 0]),
        "{said:?}"
    );
    alive.send(&json!({ "_tag": "Ping" })).await;
    while let ping = timeout(SOON, alive.0.next()).await.expect("in time")
        && !matches!(ping, Some(Ok(Message::Text(_))))
    {
        assert!(matches!(ping, Some(Ok(Message::Ping(_)))), "{ping:?}");
    }
}
