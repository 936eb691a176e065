//! Frames as real clients send them and as the original answers them, then everything else that can arrive.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::time::Timestamp;

const WS: Transport = Transport::WebSocket;

fn request(id: &Value, tag: &str, payload: &Value) -> String {
    json!({"_tag": "Request", "id": id, "tag": tag, "payload": payload, "headers": []}).to_string()
}

fn pull_with(cursor: &Value) -> String {
    let payload = json!({"storeId": "s", "live": true, "cursor": cursor});
    request(&json!("7"), "SyncWsRpc.Pull", &payload)
}

fn cursor_at(seq: &str) -> String {
    pull_with(&json!("CURSOR")).replace(
        "\"CURSOR\"",
        &format!(r#"{{"_tag":"Some","value":{{"backendId":"b","eventSequenceNumber":{seq}}}}}"#),
    )
}

fn push_of(events: &str) -> String {
    format!(
        r#"{{"_tag":"Request","id":"7","tag":"SyncWsRpc.Push","payload":{{"storeId":"s","batch":{events},"backendId":{{"_tag":"None"}}}}}}"#
    )
}

fn event_with(args: &str) -> String {
    format!(r#"{{"name":"n",{args}"seqNum":1,"parentSeqNum":0,"clientId":"c","sessionId":"s"}}"#)
}

fn batch(text: &str) -> Vec<Event> {
    match decode(text, WS) {
        Ok(Frame::Request {
            id: 7,
            call: Call::Push { batch, .. },
        }) => batch,
        other => panic!("{text}: {other:?}"),
    }
}

fn cursor(text: &str) -> Option<PullCursor> {
    match decode(text, WS) {
        Ok(Frame::Request {
            id: 7,
            call: Call::Pull { cursor, .. },
        }) => cursor,
        other => panic!("{text}: {other:?}"),
    }
}

fn call_problem(text: &str, transport: Transport) -> String {
    match decode(text, transport) {
        Err(Malformed::Call { id: 7, problem }) => problem,
        other => panic!("{text}: {other:?}"),
    }
}

fn frame_problem(text: &str) -> String {
    match decode(text, WS) {
        Err(Malformed::Frame(problem)) => problem,
        other => panic!("{text}: {other:?}"),
    }
}

fn event(seq: u64, args: &str) -> Event {
    Event {
        seq: SeqNum::new(seq),
        parent: SeqNum::new(seq - 1),
        name: "v1.\"X\\\u{1}\u{7f}\n\t\r\u{8}\u{c}ü".into(),
        args: args.into(),
        client_id: "alice".into(),
        session_id: "static".into(),
        created_at: Some(Timestamp::from_millis(1_795_432_393_359)),
    }
}

#[test]
fn the_frames_of_a_real_client_are_read() {
    assert_eq!(
        decode(
            r#"{"_tag":"Request","id":"0","tag":"SyncWsRpc.Pull","traceId":"livestore-noop-trace-1","payload":{"storeId":"cap2","live":true,"cursor":{"_tag":"None"}},"spanId":"1","sampled":false,"headers":[]}"#,
            WS
        ),
        Ok(Frame::Request {
            id: 0,
            call: Call::Pull {
                live: true,
                cursor: None
            }
        })
    );
    assert_eq!(
        decode(
            r#"{"_tag":"Request","id":"12","tag":"SyncWsRpc.Push","payload":{"storeId":"cap2","payload":{"authToken":"t"},"batch":[{"name":"v1.ChatMessageSent","args":{"id":"cc210b4b","text":"hello 0"},"seqNum":1,"parentSeqNum":0,"clientId":"alice","sessionId":"static"}],"backendId":{"_tag":"Some","value":"OfBX"}},"headers":[]}"#,
            WS
        ),
        Ok(Frame::Request {
            id: 12,
            call: Call::Push {
                batch: vec![Event {
                    seq: SeqNum::new(1),
                    parent: SeqNum::ROOT,
                    name: "v1.ChatMessageSent".into(),
                    args: r#"{"id":"cc210b4b","text":"hello 0"}"#.into(),
                    client_id: "alice".into(),
                    session_id: "static".into(),
                    created_at: None,
                }],
                backend_id: Some("OfBX".to_owned()),
            }
        })
    );
    for (text, frame) in [
        (r#"{"_tag":"Ping"}"#, Frame::Ping),
        ("{\"_tag\":\"Ping\"}\n", Frame::Ping),
        (r#"{"_tag":"Eof"}"#, Frame::Eof),
        (
            r#"{"_tag":"Ack","requestId":"3"}"#,
            Frame::Ack { request: 3 },
        ),
        (
            r#"{"_tag":"Interrupt","requestId":"3"}"#,
            Frame::Interrupt { request: 3 },
        ),
    ] {
        assert_eq!(decode(text, WS), Ok(frame));
    }
}

#[test]
fn each_transport_has_its_own_calls() {
    let payload = json!({"storeId": "s", "cursor": {"_tag": "None"}});
    let pull = request(&json!("7"), "SyncHttpRpc.Pull", &payload);
    let finite = Call::Pull {
        live: false,
        cursor: None,
    };
    assert_eq!(
        decode(&pull, Transport::Http),
        Ok(Frame::Request {
            id: 7,
            call: finite
        })
    );
    let ping = request(&json!("7"), "SyncHttpRpc.Ping", &json!({"storeId": "s"}));
    assert_eq!(
        decode(&ping, Transport::Http),
        Ok(Frame::Request {
            id: 7,
            call: Call::Ping
        })
    );
    for text in [&pull, &ping] {
        assert!(frame_problem(text).starts_with("Unknown request tag: SyncHttpRpc.P"));
    }
    let wrong = pull_with(&json!({"_tag": "None"}));
    assert!(decode(&wrong, Transport::Http).is_err());
    call_problem(
        &request(&json!("7"), "SyncHttpRpc.Ping", &json!({})),
        Transport::Http,
    );
}

#[test]
fn what_belongs_to_no_call_is_answered_with_a_defect() {
    for text in ["", "hello", "{", r#"{"_tag":"Ping"} x"#, "{\"a\":\"\n\"}"] {
        let problem = frame_problem(text);
        assert!(problem.starts_with("the frame is not JSON: "), "{problem}");
    }
    for (text, problem) in [
        ("5", "undefined"),
        ("null", "undefined"),
        (r#""x""#, "undefined"),
        ("[]", "undefined"),
        (r#"[{"_tag":"Ping"}]"#, "undefined"),
        ("{}", "undefined"),
        (r#"{"_tag":5}"#, "5"),
        (r#"{"_tag":null}"#, "null"),
        (r#"{"_tag":"Later"}"#, "Later"),
        (r#"{"_tag":"Request","id":"1"}"#, ""),
        (r#"{"_tag":"Request","id":"1","tag":7}"#, "7"),
        (
            r#"{"_tag":"Request","id":"1","tag":"SyncWsRpc.Nope"}"#,
            "SyncWsRpc.Nope",
        ),
    ] {
        let expected = format!("Unknown request tag: {problem}");
        assert_eq!(frame_problem(text), expected, "{text}");
    }
    for id in [
        json!(7),
        json!("abc"),
        json!(""),
        json!("-1"),
        json!("1.5"),
        json!("0x10"),
        json!(null),
    ] {
        let problem = frame_problem(&request(&id, "SyncWsRpc.Pull", &json!({})));
        assert!(problem.starts_with("Invalid request id: "), "{problem}");
    }
    for text in [
        r#"{"_tag":"Ack"}"#,
        r#"{"_tag":"Ack","requestId":"x"}"#,
        r#"{"_tag":"Interrupt","requestId":{}}"#,
    ] {
        let problem = frame_problem(text);
        assert!(problem.starts_with("Invalid request id: "), "{problem}");
    }
    let long = format!(r#"{{"_tag":"{}"}}"#, "ü".repeat(100_000));
    assert!(frame_problem(&long).len() < 300);
}

#[test]
fn what_a_call_asks_for_must_be_understood() {
    let pull = |payload: Value| request(&json!("7"), "SyncWsRpc.Pull", &payload);
    let none = json!({"_tag": "None"});
    for (text, problem) in [
        (
            r#"{"_tag":"Request","id":"7","tag":"SyncWsRpc.Pull"}"#.to_owned(),
            "payload: ",
        ),
        (pull(json!(null)), "payload: "),
        (pull(json!([])), "payload: "),
        (
            pull(json!({"live": true, "cursor": none})),
            "payload.storeId: ",
        ),
        (
            pull(json!({"storeId": 1, "live": true, "cursor": none})),
            "payload.storeId: ",
        ),
        (
            pull(json!({"storeId": "s", "cursor": none})),
            "payload.live: ",
        ),
        (
            pull(json!({"storeId": "s", "live": 1, "cursor": none})),
            "payload.live: ",
        ),
        (
            pull(json!({"storeId": "s", "live": true})),
            "payload.cursor: ",
        ),
        (pull_with(&json!(null)), "payload.cursor: "),
        (pull_with(&json!({"_tag": "Some"})), "payload.cursor: "),
        (
            pull_with(&json!({"_tag": "Nope", "value": 1})),
            "payload.cursor: ",
        ),
        (
            pull_with(&json!({"_tag": "Some", "value": 1})),
            "payload.cursor.value: ",
        ),
        (
            pull_with(&json!({"_tag": "Some", "value": {"eventSequenceNumber": 1}})),
            "payload.cursor.value.backendId: ",
        ),
        (
            pull_with(&json!({"_tag": "Some", "value": {"backendId": "b"}})),
            "payload.cursor.value.eventSequenceNumber: ",
        ),
        (
            request(&json!("7"), "SyncWsRpc.Push", &json!({"storeId": "s"})),
            "payload.batch: ",
        ),
        (
            push_of("[]").replace(r#""backendId""#, r#""x""#),
            "payload.backendId: ",
        ),
        (
            push_of("[]").replace("{\"_tag\":\"None\"}", r#"{"_tag":"Some","value":5}"#),
            "payload.backendId.value: ",
        ),
        (push_of("{}"), "payload.batch: "),
        (push_of("[null]"), "payload.batch: event 0: "),
    ] {
        let found = call_problem(&text, WS);
        assert!(found.starts_with(problem), "{text}: {found}");
    }
}

#[test]
fn a_bad_event_is_refused_by_place_and_field() {
    for (field, value) in [
        ("seqNum", "-1"),
        ("seqNum", "1.5"),
        ("seqNum", "\"1\""),
        ("seqNum", "9007199254740992"),
        ("seqNum", "1e400"),
        ("seqNum", "99999999999999999999999"),
        ("parentSeqNum", "null"),
        ("parentSeqNum", "true"),
        ("name", "5"),
        ("name", r#""\ud800""#),
        ("clientId", "null"),
        ("sessionId", "[]"),
    ] {
        let good = event_with("");
        let bad = good.replacen(
            &format!("\"{field}\""),
            &format!("\"{field}\":{value},\"x\""),
            1,
        );
        let problem = call_problem(&push_of(&format!("[{good},{bad}]")), WS);
        let expected = format!("payload.batch: event 1: {field}: expected ");
        assert!(problem.starts_with(&expected), "{value}: {problem}");
        let missing = good.replacen(&format!("\"{field}\""), "\"x\"", 1);
        let problem = call_problem(&push_of(&format!("[{missing}]")), WS);
        assert!(
            problem.starts_with(&expected.replace('1', "0")),
            "{problem}"
        );
    }
}

#[test]
fn a_number_counts_however_it_is_spelled() {
    for (spelled, seq) in [
        ("0", 0),
        ("-0", 0),
        ("1.0", 1),
        ("1e2", 100),
        ("10E-1", 1),
        ("0.0e0", 0),
        ("9007199254740991", 9_007_199_254_740_991),
        // Every event lies after it.
        ("-1", 0),
        ("-9007199254740991", 0),
    ] {
        let found = cursor(&cursor_at(spelled)).expect("a cursor");
        assert_eq!(found.seq, SeqNum::new(seq), "{spelled}");
        assert_eq!(found.backend_id, "b");
    }
    for spelled in [
        "1.5",
        "\"1\"",
        "9007199254740992",
        "-1e300",
        "1e400",
        "null",
        "{}",
    ] {
        let problem = call_problem(&cursor_at(spelled), WS);
        assert!(problem.contains("eventSequenceNumber"), "{problem}");
    }
    let spelled = event_with("")
        .replace(":1,", ":1.0,")
        .replace(":0,", ":0e7,");
    assert_eq!(
        batch(&push_of(&format!("[{spelled}]")))[0].seq,
        SeqNum::new(1)
    );
    // Where a frame only refers to a call, the original takes a number too.
    for id in ["5", "\"5\"", "\" 5\\n\"", "\"005\""] {
        let ack = format!(r#"{{"_tag":"Ack","requestId":{id}}}"#);
        assert_eq!(decode(&ack, WS), Ok(Frame::Ack { request: 5 }));
    }
}

#[test]
fn keys_may_come_twice_in_any_order_escaped_and_with_strangers() {
    let text = r#" {"payload":1, "x":[{"_tag":"Ping"}], "_tag":"Ping","\u005ftag":"Request","id":7,"id":"7","tag":5,"tag":"SyncWsRpc.Pull",
        "payload":{"cursor":{"value":4,"_tag":"None"},"live":3,"live":false,"storeId":"s","payload":null}} "#;
    let call = Call::Pull {
        live: false,
        cursor: None,
    };
    assert_eq!(decode(text, WS), Ok(Frame::Request { id: 7, call }));
    let twice = event_with("").replace(
        "\"name\"",
        "\"name\":5,\"args\":1,\"args\":2,\"y\":{},\"name\"",
    );
    assert_eq!(&*batch(&push_of(&format!("[ {twice} ]")))[0].args, "2");
}

#[test]
fn arguments_stay_the_text_that_was_sent_and_missing_ones_are_null() {
    let odd = r#"{"z":1e400,"a":{"\ud800":[ 1.50, -0 ]},"z":"ü"}"#;
    let args = |field: &str| {
        batch(&push_of(&format!("[{}]", event_with(field))))[0]
            .args
            .clone()
    };
    assert_eq!(&*args(&format!("\"args\" : {odd} ,")), odd);
    assert_eq!(&*args(""), "null");
    assert_eq!(&*args("\"args\":null,"), "null");
    assert_eq!(&*args("\"args\":\"\","), "\"\"");
}

#[test]
fn what_events_have_in_common_is_kept_once() {
    let events = batch(&push_of(&format!("[{0},{0}]", event_with(""))));
    assert!(Arc::ptr_eq(&events[0].client_id, &events[1].client_id));
    assert!(Arc::ptr_eq(&events[0].session_id, &events[1].session_id));
    assert!(Arc::ptr_eq(&events[0].name, &events[1].name));
    assert_eq!(batch(&push_of("[]")), []);
}

#[test]
fn deep_nesting_is_kept_or_skipped_and_never_overflows() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let args = format!("\"args\":{deep},");
    let events = batch(&push_of(&format!("[{}]", event_with(&args))));
    assert_eq!(events[0].args.len(), deep.len());
    let skipped = format!(r#"{{"_tag":"Ping","x":{deep}}}"#);
    assert_eq!(decode(&skipped, WS), Ok(Frame::Ping));
    frame_problem(&deep);
    frame_problem(&"[".repeat(500_000));
    frame_problem(&"{\"a\":".repeat(200_000));
    call_problem(&push_of(&deep), WS);
    call_problem(&pull_with(&json!("DEEP")).replace("\"DEEP\"", &deep), WS);
}

#[test]
fn pages_are_spelled_as_the_original_spells_them() {
    let mut told = event(1, r#"{ "b":1, "a":[] }"#);
    told.name = "v1.ChatMessageSent".into();
    assert_eq!(
        chunk(0, &page_body(&[told.clone()], 0, "OfBX")),
        r#"{"_tag":"Chunk","requestId":"0","values":[{"batch":[{"eventEncoded":{"name":"v1.ChatMessageSent","args":{ "b":1, "a":[] },"seqNum":1,"parentSeqNum":0,"clientId":"alice","sessionId":"static"},"metadata":{"_tag":"Some","value":{"_tag":"SyncMessage.SyncMetadata","createdAt":"2026-11-23T11:13:13.359Z"}}}],"pageInfo":{"_tag":"NoMore"},"backendId":"OfBX"}]}"#
    );
    assert_eq!(
        chunk(u64::MAX, &page_body(&[], 0, "a\"b")),
        r#"{"_tag":"Chunk","requestId":"18446744073709551615","values":[{"batch":[],"pageInfo":{"_tag":"NoMore"},"backendId":"a\"b"}]}"#
    );
    told.created_at = None;
    let page: Value =
        serde_json::from_str(&page_body(&[told.clone(), told], 150, "b")).expect("JSON");
    assert_eq!(
        page["pageInfo"],
        json!({"_tag": "MoreKnown", "remaining": 150})
    );
    assert_eq!(page["batch"][1]["metadata"], json!({"_tag": "None"}));
}

#[test]
fn a_page_is_as_long_as_it_was_measured() {
    let mut old = event(4, "null");
    old.created_at = None;
    let mut far = event((1 << 53) - 1, "[\"ü\"]");
    far.created_at = Some(Timestamp::NEVER);
    let events = [event(1, "{}"), event(10, "\"x\""), old, far];
    for count in 1..=events.len() {
        let events = &events[..count];
        let measured: usize = events.iter().map(page_event_bytes).sum();
        let page = page_body(events, 0, "OfBX\n").len();
        assert_eq!(page_envelope_bytes("OfBX\n") + measured, page);
    }
}

#[test]
fn the_ends_of_calls_are_spelled_as_the_original_spells_them() {
    let ahead = Refusal::ServerAhead {
        head: SeqNum::new(1),
        provided: SeqNum::ROOT,
    };
    let mismatch = Refusal::BackendIdMismatch {
        expected: BackendId::new("O0Lb"),
        received: "no\"pe".to_owned(),
    };
    let unknown = Refusal::Unknown {
        name: "Error",
        message: "disk full".to_owned(),
    };
    for (frame, expected) in [
        (
            exit_push(1),
            r#"{"_tag":"Exit","requestId":"1","exit":{"_tag":"Success","value":{}}}"#,
        ),
        (
            exit_pull(0),
            r#"{"_tag":"Exit","requestId":"0","exit":{"_tag":"Success"}}"#,
        ),
        (
            exit_ping(0),
            r#"{"_tag":"Exit","requestId":"0","exit":{"_tag":"Success","value":{"_tag":"SyncMessage.Pong"}}}"#,
        ),
        (
            exit_failure(1, &ahead),
            r#"{"_tag":"Exit","requestId":"1","exit":{"_tag":"Failure","cause":{"_tag":"Fail","error":{"minimumExpectedNum":1,"providedNum":0,"_tag":"ServerAheadError"}}}}"#,
        ),
        (
            exit_failure(0, &mismatch),
            r#"{"_tag":"Exit","requestId":"0","exit":{"_tag":"Failure","cause":{"_tag":"Fail","error":{"expected":"O0Lb","received":"no\"pe","_tag":"BackendIdMismatchError"}}}}"#,
        ),
        (
            exit_failure(20, &unknown),
            r#"{"_tag":"Exit","requestId":"20","exit":{"_tag":"Failure","cause":{"_tag":"Fail","error":{"cause":{"name":"Error","message":"disk full"},"_tag":"UnknownError"}}}}"#,
        ),
        (
            exit_die(0, "[\"batch\"]\n└─ is missing"),
            r#"{"_tag":"Exit","requestId":"0","exit":{"_tag":"Failure","cause":{"_tag":"Die","defect":"[\"batch\"]\n└─ is missing"}}}"#,
        ),
        (
            exit_interrupted(3),
            r#"{"_tag":"Exit","requestId":"3","exit":{"_tag":"Failure","cause":{"_tag":"Interrupt","fiberId":{"_tag":"Runtime","id":-499,"startTimeMillis":0}}}}"#,
        ),
        (
            defect("Unknown request tag: SyncWsRpc.Nope"),
            r#"{"_tag":"Defect","defect":"Unknown request tag: SyncWsRpc.Nope"}"#,
        ),
        (PONG.to_owned(), r#"{"_tag":"Pong"}"#),
    ] {
        assert_eq!(frame, expected);
    }
}

/// Any JSON, with the protocol's words in it often enough to get past the first checks.
fn json_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "Request",
        "Ack",
        "Interrupt",
        "SyncWsRpc.Pull",
        "SyncWsRpc.Push",
        "None",
        "Some",
        "0",
        "17",
        "\u{0}\"\\\n",
    ]);
    let key = prop::sample::select(vec![
        "_tag",
        "id",
        "tag",
        "payload",
        "requestId",
        "storeId",
        "live",
        "cursor",
        "batch",
        "backendId",
        "value",
        "eventSequenceNumber",
        "name",
        "args",
        "seqNum",
        "parentSeqNum",
        "clientId",
        "sessionId",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..9).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_understood_or_refused(text in ".*", http in any::<bool>()) {
        let transport = if http { Transport::Http } else { WS };
        prop_assert!(decode(&text, transport).is_err());
    }

    #[test]
    fn any_json_is_understood_or_refused(tag in "Pull|Push|Ping", payload in json_value(), id in any::<u64>()) {
        let text = request(&json!(id.to_string()), &format!("SyncWsRpc.{tag}"), &payload);
        match decode(&text, WS) {
            Ok(Frame::Request { id: found, .. }) | Err(Malformed::Call { id: found, .. }) => prop_assert_eq!(found, id),
            Err(Malformed::Frame(problem)) => prop_assert_eq!(problem, "Unknown request tag: SyncWsRpc.Ping"),
            Ok(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_event_comes_back_as_it_was_pushed(
        seq in 0_u64..(1 << 53), parent in 0_u64..(1 << 53), name in ".*", session in ".*", args in json_value(), millis in any::<u32>(),
    ) {
        let sent = json!({"name": name, "args": args, "seqNum": seq, "parentSeqNum": parent, "clientId": "c", "sessionId": session});
        let mut event = batch(&push_of(&format!("[{sent}]"))).remove(0);
        event.created_at = Some(Timestamp::from_millis(millis.into()));
        let page = page_body(std::slice::from_ref(&event), 0, &name);
        prop_assert_eq!(page.len(), page_envelope_bytes(&name) + page_event_bytes(&event));
        let page: Value = serde_json::from_str(&page).expect("a page is JSON");
        prop_assert_eq!(&page["batch"][0]["eventEncoded"], &serde_json::from_str::<Value>(&sent.to_string()).expect("JSON"));
        prop_assert_eq!(page["backendId"].as_str(), Some(&*name));
    }
}
