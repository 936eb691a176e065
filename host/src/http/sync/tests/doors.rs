//! Who gets in, and what the others are told.

use super::*;

const EVIL: &str = "https://evil.example";

/// JSON as LiveStore puts it into a URL.
fn payload(value: &Value) -> String {
    let once = form_encoded(&value.to_string());
    format!("storeId=shop&payload={}", form_encoded(&once))
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn a_token_lets_a_client_in_wherever_it_shows_it() {
    let rules = Rules {
        jwt: true,
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let token = signed(&json!({ "store": ["shop"], "exp": 4_000_000_000_u64 }));
    for payload in [
        payload(&json!({ "authToken": "s3cret" })),
        payload(&json!({ "authToken": token })),
        payload(&json!("s3cret")),
    ] {
        host.connect(&payload, &[]).await.expect("it is let in");
    }
    for header in ["Bearer s3cret".to_owned(), format!("Bearer {token}")] {
        let headers = [("authorization", header.as_str())];
        host.connect("storeId=shop", &headers)
            .await
            .expect("it is let in");
    }
}

#[tokio::test]
async fn who_has_no_good_token_is_told_why_and_the_token_is_not_repeated() {
    let rules = Rules {
        jwt: true,
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let none = host
        .connect("storeId=shop", &[])
        .await
        .err()
        .expect("refused");
    none.assert(
        401,
        "no token; give it as `authToken` of LiveStore's syncPayload",
    );
    assert!(none.has("www-authenticate: Bearer"), "{none:?}");
    let expired = signed(&json!({ "store": "shop", "exp": 1_000_000 }));
    let elsewhere = signed(&json!({ "store": "other" }));
    for (token, status, text) in [
        ("canary", 401, "the token is not valid here"),
        (&expired, 401, "the token has expired"),
        (&elsewhere, 403, "the token is not for this store"),
    ] {
        let header = format!("Bearer {token}");
        let refused = host
            .connect("storeId=shop", &[("authorization", &header)])
            .await;
        let refused = refused.err().expect("refused");
        refused.assert(status, text);
        assert!(!refused.body.contains(token), "{refused:?}");
    }
    host.until_metric("qm_sync_refused_total{reason=\"denied\"}", 4)
        .await;
}

#[tokio::test]
async fn a_store_without_rules_is_for_this_machine_only() {
    let host = Host::new(vec![("shop", open())]).await;
    let told = "this store has no access rules, so it is served to this machine only";
    for headers in [
        [("host", "evil.example")],
        [("x-forwarded-for", "127.0.0.1")],
        [("forwarded", "for=127.0.0.1")],
    ] {
        let refused = host.connect("storeId=shop", &headers).await;
        refused.err().expect("refused").assert(403, told);
    }
    let page = host.connect("storeId=shop", &[("origin", EVIL)]).await;
    page.err().expect("refused").assert(403, "access.origins");
    for origin in ["http://localhost:5173", "http://127.0.0.1:3000"] {
        let page = host.connect("storeId=shop", &[("origin", origin)]).await;
        page.expect("it is let in");
    }
}

#[tokio::test]
async fn pages_of_other_origins_stay_outside_even_with_a_token() {
    let rules = Rules {
        origins: Origins::Only(vec!["https://app.example.com".to_owned()]),
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules), ("any", Rules::default())]).await;
    let token = ("authorization", "Bearer s3cret");
    let connect = async |store: &str, origin: &str| {
        let headers = [token, ("origin", origin)];
        host.connect(&format!("storeId={store}"), &headers).await
    };
    connect("shop", "https://app.example.com")
        .await
        .expect("it is let in");
    connect("any", EVIL).await.expect("it is let in");
    let refused = connect("shop", EVIL).await.err().expect("refused");
    refused.assert(403, "access.origins");
    assert!(
        !refused
            .headers
            .iter()
            .any(|header| header.starts_with("access-control-"))
    );
}

#[tokio::test]
async fn a_browser_may_ask_first_and_its_page_may_read_what_went_wrong() {
    let rules = Rules {
        origins: Origins::Only(vec!["https://app.example.com".to_owned()]),
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let ask = async |origin: &str| {
        let head = format!(
            "OPTIONS /sync?storeId=shop&transport=http HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,traceparent",
            host.address
        );
        host.request(&head, "").await
    };
    let allowed = ask("https://app.example.com").await;
    allowed.assert(204, "");
    for header in [
        "access-control-allow-origin: https://app.example.com",
        "access-control-allow-methods: GET, POST, OPTIONS",
        "access-control-allow-headers: content-type,traceparent",
        "vary: Origin",
    ] {
        assert!(allowed.has(header), "{header} in {allowed:?}");
    }
    ask(EVIL).await.assert(403, "access.origins");
    let origin = "\r\nOrigin: https://app.example.com";
    for path in [
        "/sync?storeId=shop&transport=http",
        "/sync?storeId=unknown&transport=http",
        "/sync?storeId=shop",
    ] {
        let answer = host.get(path, origin).await;
        assert!(answer.status >= 400, "{answer:?}");
        assert!(
            answer.has("access-control-allow-origin: https://app.example.com"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_url_is_answered_with_what_a_right_one_looks_like() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let token = "\r\nAuthorization: Bearer s3cret";
    let about = host.get("/sync", "").await;
    about.assert(200, "makeWsSync({ url: 'ws://<this host>/sync' })");
    host.get("/sync?storeId=shop", "").await.assert(
        400,
        "the parameter transport is missing; expected /sync?storeId=<id>&transport=ws",
    );
    host.get("/sync?storeId=wh%22at&transport=ws", "")
        .await
        .assert(404, "no store \"wh\\\"at\" is kept here");
    let upgrade = host.get("/sync?storeId=shop&transport=ws", token).await;
    upgrade.assert(426, "Upgrade: websocket");
    assert!(upgrade.has("upgrade: websocket"), "{upgrade:?}");
    let post = host.get("/sync?storeId=shop&transport=http", token).await;
    post.assert(405, "POST");
    assert!(post.has("allow: POST, OPTIONS"), "{post:?}");
    let upgrading = format!("{token}\r\nConnection: upgrade\r\nUpgrade: websocket");
    let old = format!(
        "{upgrading}\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: {}",
        generate_key()
    );
    host.get("/sync?storeId=shop&transport=ws", &old)
        .await
        .assert(426, "version 13");
    let keyless = format!("{upgrading}\r\nSec-WebSocket-Version: 13");
    host.get("/sync?storeId=shop&transport=ws", &keyless)
        .await
        .assert(400, "Sec-WebSocket-Key is missing");
}

#[tokio::test]
async fn connections_beyond_a_limit_are_refused_until_one_ends() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let rules = Rules {
        limits,
        ..Rules::default()
    };
    let host = Host::new(vec![("shop", rules)]).await;
    let token = [("authorization", "Bearer s3cret")];
    let first = host.enter().await;
    let refused = host
        .connect("storeId=shop", &token)
        .await
        .err()
        .expect("refused");
    refused.assert(
        503,
        "too many connections of this store (limits.connections)",
    );
    assert!(refused.has("retry-after: 5"), "{refused:?}");
    drop(first);
    host.until_metric("qm_sync_connections", 0).await;
    host.enter().await;
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_when_to_come_again() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let addresses = Addresses {
        connections: 10,
        connects_per_minute: 2,
        trusted_proxies: vec!["127.0.0.1".parse().expect("an address")],
    };
    let shop = || served(&host.backend, vec![("shop", Rules::default())]);
    host.endpoint.apply(addresses.clone(), shop());
    let guess = async |from: &str| {
        let headers = [("authorization", "Bearer guess"), ("x-forwarded-for", from)];
        host.connect("storeId=shop", &headers)
            .await
            .err()
            .expect("refused")
    };
    guess("1.1.1.1").await.assert(401, "");
    guess("1.1.1.1").await.assert(401, "");
    let refused = guess("1.1.1.1").await;
    refused.assert(429, "server.connects_per_minute");
    assert!(
        refused
            .headers
            .iter()
            .any(|header| header.starts_with("retry-after: "))
    );
    guess("2.2.2.2").await.assert(401, "");
    // What was counted stays counted when something else changes, until this limit itself does.
    let more_connections = Addresses {
        connections: 11,
        ..addresses.clone()
    };
    host.endpoint.apply(more_connections, shop());
    guess("1.1.1.1").await.assert(429, "");
    let more_knocks = Addresses {
        connects_per_minute: 3,
        ..addresses
    };
    host.endpoint.apply(more_knocks, shop());
    guess("1.1.1.1").await.assert(401, "");
}

#[tokio::test]
async fn a_log_that_cannot_be_used_is_told_as_unavailable_with_the_reason() {
    let host = Host::new(vec![("shop", Rules::default()), ("other", open())]).await;
    let file = host.folder.path().join("shop.db");
    fs::write(
        file,
        "this is no log of ours, and long enough to be looked at ".repeat(100),
    )
    .expect("a file");
    let token = [("authorization", "Bearer s3cret")];
    let refused = host
        .connect("storeId=shop", &token)
        .await
        .err()
        .expect("refused");
    refused.assert(
        503,
        "the store cannot be served: the log is damaged: file is not a database",
    );
    host.connect("storeId=other", &[])
        .await
        .expect("another store is not concerned");
}
