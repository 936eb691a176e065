//! LiveStore's HTTP transport.

use super::*;

fn frames(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.has("content-type: application/json"), "{answer:?}");
    serde_json::from_str(&answer.body).expect("a list")
}

fn pull(id: u64) -> String {
    let payload = json!({ "storeId": "shop", "cursor": { "_tag": "None" } });
    request("SyncHttpRpc.Pull", id, payload).to_string()
}

#[tokio::test]
async fn a_push_a_pull_and_a_ping_are_each_one_request() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let push = push("SyncHttpRpc.Push", 7, 1..=250, "ö").to_string();
    let pushed = frames(&host.post("", &push).await);
    assert_eq!(
        pushed,
        [json!({ "_tag": "Exit", "requestId": "7", "exit": { "_tag": "Success", "value": {} } })]
    );
    host.until_metric("qm_sync_events_total", 250).await;

    let pulled = frames(&host.post("", &pull(3)).await);
    let (exit, chunks) = pulled.split_last().expect("frames");
    assert_eq!(
        *exit,
        json!({ "_tag": "Exit", "requestId": "3", "exit": { "_tag": "Success" } })
    );
    let seqs: Vec<u64> = chunks
        .iter()
        .flat_map(|chunk| chunk["values"][0]["batch"].as_array().expect("events"))
        .map(|item| item["eventEncoded"]["seqNum"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, (1..=250).collect::<Vec<_>>());
    assert!(chunks.len() >= 3);

    let ping = request("SyncHttpRpc.Ping", 0, json!({ "storeId": "shop" })).to_string();
    let pong = frames(&host.post("", &ping).await);
    assert_eq!(
        pong[0]["exit"]["value"],
        json!({ "_tag": "SyncMessage.Pong" })
    );
    host.until_metric("qm_sync_connections", 0).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_answered_in_the_list_too() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    for (body, tag) in [
        ("{", "Defect"),
        ("[]", "Defect"),
        (r#"{"_tag":"Ping"}"#, "Pong"),
    ] {
        let answer = frames(&host.post("", body).await);
        assert_eq!(answer[0]["_tag"], tag, "{body}");
        assert_eq!(answer.len(), 1, "{body}");
    }
    assert_eq!(
        frames(&host.post("", r#"{"_tag":"Eof"}"#).await),
        [] as [Value; 0]
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let large = "x".repeat(LIMITS.message_bytes_max + 1);
    host.post("", &large)
        .await
        .assert(413, "limits.message_size");
}

#[tokio::test]
async fn the_answer_to_a_pull_of_a_large_log_ends_whole() {
    let host = Host::new(vec![("shop", Rules::default())]).await;
    let mut client = host.enter().await;
    let text = "x".repeat(700_000);
    for seq in 1..=20 {
        assert!(client.pushed(seq, seq..=seq, &text).await);
    }
    let pulled = frames(&host.post("", &pull(0)).await);
    assert_eq!(pulled.len(), 21);
}
