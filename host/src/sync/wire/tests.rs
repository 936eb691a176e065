//! Captured frames, every spelling of an error, and what is none of these.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else comes fails the test"
)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Draft, NumberedDraft};
use crate::store::PullKind;

const CALLER: Caller<'static> = Caller {
    store_id: "cap2",
    payload: None,
};

fn chunk(text: &str) -> Page {
    match decode(text) {
        Ok(Frame::Chunk {
            page: Some(page), ..
        }) => page,
        other => panic!("not a page: {other:?}"),
    }
}

fn exit(exit: &Value) -> Result<(), Failure> {
    let text = json!({"_tag": "Exit", "requestId": "1", "exit": exit}).to_string();
    match decode(&text) {
        Ok(Frame::Exit {
            request: RequestId(1),
            result,
        }) => result,
        other => panic!("not an exit: {other:?}"),
    }
}

fn failure(cause: &Value) -> Failure {
    exit(&json!({"_tag": "Failure", "cause": cause})).expect_err("it is a failure")
}

fn failure_with(error: &Value) -> Failure {
    failure(&json!({"_tag": "Fail", "error": error}))
}

fn unknown(failure: Failure) -> String {
    match failure {
        Failure::Unknown { error } => error,
        other => panic!("{other:?}"),
    }
}

fn malformed(text: &str) -> String {
    match decode(text) {
        Err(error) => error.to_string(),
        Ok(frame) => panic!("{text} was understood as {frame:?}"),
    }
}

#[test]
fn the_page_of_an_empty_log_says_which_log_it_is() {
    let page = chunk(
        r#"{"_tag":"Chunk","requestId":"0","values":[{"batch":[],"pageInfo":{"_tag":"NoMore"},"backendId":"OfBXtFUgVrWViH5FS2WAt"}]}"#,
    );
    assert_eq!(page.backend_id.as_str(), "OfBXtFUgVrWViH5FS2WAt");
    assert_eq!(page.events, []);
}

#[test]
fn a_broadcast_event_is_read_as_it_was_captured() {
    let page = chunk(
        r#"{"_tag":"Chunk","requestId":"0","values":[{"batch":[{"eventEncoded":{"name":"v1.ChatMessageSent","args":{"id":"cc210b4b","text":"hello 0","role":"user"},"seqNum":1,"parentSeqNum":0,"clientId":"alice","sessionId":"static"},"metadata":{"_tag":"Some","value":{"_tag":"SyncMessage.SyncMetadata","createdAt":"2026-11-23T11:06:33.359Z"}}}],"pageInfo":{"_tag":"NoMore"},"backendId":"OfBX"}]}"#,
    );
    assert_eq!(
        page.events,
        [Event {
            seq: SeqNum::new(1),
            parent: SeqNum::ROOT,
            name: "v1.ChatMessageSent".into(),
            args: r#"{"id":"cc210b4b","text":"hello 0","role":"user"}"#.into(),
            client_id: "alice".into(),
            session_id: "static".into(),
            created_at: Timestamp::parse_iso("2026-11-23T11:06:33.359Z"),
        }]
    );
    assert!(page.events[0].created_at.is_some());
}

#[test]
fn several_values_of_a_chunk_are_one_page() {
    let value = |seq: u64| json!({"batch": [{"eventEncoded": event(seq)}], "backendId": "b"});
    let text =
        |values: Value| json!({"_tag": "Chunk", "requestId": "7", "values": values}).to_string();
    let page = chunk(&text(json!([value(1), value(2)])));
    assert_eq!(
        page.events
            .iter()
            .map(|event| event.seq.get())
            .collect::<Vec<_>>(),
        [1, 2]
    );

    let empty = decode(&text(json!([])));
    assert_eq!(
        empty,
        Ok(Frame::Chunk {
            request: RequestId(7),
            page: None
        })
    );

    let mut other = value(2);
    other["backendId"] = json!("c");
    assert_eq!(
        malformed(&text(json!([value(1), other]))),
        "chunk of request 7: two different backendIds in one chunk"
    );
}

fn event(seq: u64) -> Value {
    json!({"name": "n", "args": null, "seqNum": seq, "parentSeqNum": seq.saturating_sub(1), "clientId": "c", "sessionId": "s"})
}

fn chunk_of(event: &Value, metadata: &Value) -> String {
    let batch = json!([{"eventEncoded": event, "metadata": metadata}]);
    json!({"_tag": "Chunk", "requestId": "3", "values": [{"batch": batch, "backendId": "b"}]})
        .to_string()
}

#[test]
fn arguments_stay_the_text_that_was_sent_and_missing_ones_are_null() {
    let page = |args: &str| {
        let event = format!(
            r#"{{"name":"n",{args}"seqNum":1,"parentSeqNum":0,"clientId":"c","sessionId":"s"}}"#
        );
        let text = format!(
            r#"{{"_tag":"Chunk","requestId":"0","values":[{{"batch":[{{"eventEncoded":{event},"metadata":{{"_tag":"None"}}}}],"backendId":"b"}}]}}"#
        );
        chunk(&text).events[0].clone()
    };
    let odd = r#"{"z":1e400,"a":{"\ud800":[ 1.50, -0 ]},"z":"ü"}"#;
    assert_eq!(&*page(&format!(r#""args":{odd},"#)).args, odd);
    assert_eq!(&*page("").args, "null");
    assert_eq!(&*page(r#""args":null,"#).args, "null");
    assert_eq!(page("").created_at, None);
}

#[test]
fn a_time_that_cannot_be_read_is_no_time() {
    for metadata in [
        json!({"_tag": "Some", "value": {"createdAt": "yesterday"}}),
        json!({"_tag": "Some", "value": {}}),
        json!({"_tag": "None"}),
        Value::Null,
    ] {
        assert_eq!(
            chunk(&chunk_of(&event(1), &metadata)).events[0].created_at,
            None
        );
    }
}

#[test]
fn a_bad_event_is_refused_by_name() {
    for (field, value, reason) in [
        ("seqNum", json!(-1), "sequence number"),
        ("seqNum", json!(1.5), "sequence number"),
        ("seqNum", json!("1"), "sequence number"),
        ("seqNum", json!(1_u64 << 53), "sequence number"),
        ("seqNum", json!(u64::MAX), "sequence number"),
        ("parentSeqNum", json!(null), "sequence number"),
        (
            "name",
            json!(5),
            "invalid type: integer `5`, expected a string",
        ),
        ("clientId", json!(null), "expected a string"),
        ("sessionId", json!([]), "expected a string"),
    ] {
        let mut bad = event(1);
        bad[field] = value;
        let error = malformed(&chunk_of(&bad, &Value::Null));
        assert!(
            error.starts_with("chunk of request 3: ") && error.contains(reason),
            "{field}: {error}"
        );
    }
    for field in ["name", "seqNum", "parentSeqNum", "clientId", "sessionId"] {
        let mut bad = event(1);
        bad.as_object_mut().expect("an object").remove(field);
        let error = malformed(&chunk_of(&bad, &Value::Null));
        assert!(
            error.contains(&format!("missing field `{field}`")),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_frame_is_refused_and_what_is_unknown_is_tolerated() {
    for text in [
        "",
        "hello",
        "[]",
        "3",
        "null",
        "{}",
        r#"{"_tag":5}"#,
        r#"[{"_tag":"Pong"}]"#,
    ] {
        assert!(malformed(text).starts_with("frame: "), "{text}");
    }
    for (text, reason) in [
        (r#"{"_tag":"Chunk","values":[]}"#, "requestId"),
        (
            r#"{"_tag":"Chunk","requestId":"-1","values":[]}"#,
            "requestId",
        ),
        (
            r#"{"_tag":"Exit","requestId":0,"exit":{"_tag":"Success"}}"#,
            "requestId",
        ),
        (
            r#"{"_tag":"Chunk","requestId":"0"}"#,
            "missing field `values`",
        ),
        (
            r#"{"_tag":"Chunk","requestId":"0","values":{}}"#,
            "expected a sequence",
        ),
        (
            r#"{"_tag":"Chunk","requestId":"0","values":[{"batch":[]}]}"#,
            "missing field `backendId`",
        ),
        (
            r#"{"_tag":"Chunk","requestId":"0","values":[{"batch":[],"backendId":""}]}"#,
            "1 to 256 bytes",
        ),
        (r#"{"_tag":"Exit","requestId":"0"}"#, "missing field `exit`"),
        (
            r#"{"_tag":"Exit","requestId":"0","exit":{"_tag":"Maybe"}}"#,
            "expected Success or Failure",
        ),
    ] {
        assert!(
            malformed(text).contains(reason),
            "{text}: {}",
            malformed(text)
        );
    }
    assert_eq!(decode("{\"_tag\":\"Pong\"}\n"), Ok(Frame::Pong));
    assert_eq!(
        decode(r#"{"_tag":"Later","requestId":0,"values":3,"exit":4}"#),
        Ok(Frame::Unknown {
            tag: "Later".to_owned()
        })
    );
}

#[test]
fn a_call_that_went_well_needs_no_value() {
    assert_eq!(exit(&json!({"_tag": "Success"})), Ok(()));
    assert_eq!(exit(&json!({"_tag": "Success", "value": {}})), Ok(()));
}

#[test]
fn typed_errors_are_read_in_every_spelling() {
    let ahead = json!({"minimumExpectedNum": 1, "providedNum": 0, "_tag": "ServerAheadError"});
    let mismatch =
        json!({"expected": "O0Lb", "received": "nope", "_tag": "BackendIdMismatchError"});
    let plain = json!({"name": "BackendIdMismatchError", "message": "{ \"expected\": \"O0Lb\",\n \"received\": \"nope\" }"});
    let head = Failure::ServerAhead {
        head: SeqNum::new(1),
    };
    let other = Failure::BackendIdMismatch {
        actual: Some(BackendId::new("O0Lb")),
    };

    assert_eq!(failure_with(&ahead), head);
    assert_eq!(failure_with(&mismatch), other);
    // 0.4.0-dev.22
    assert_eq!(
        failure_with(&json!({"_tag": "InvalidPushError", "cause": ahead})),
        head
    );
    assert_eq!(
        failure_with(&json!({"_tag": "InvalidPushError", "cause": mismatch})),
        other
    );
    assert_eq!(
        failure_with(&json!({"_tag": "InvalidPullError", "cause": plain})),
        other
    );
    let silent = json!({"name": "BackendIdMismatchError", "message": "no JSON"});
    assert_eq!(
        failure_with(&silent),
        Failure::BackendIdMismatch { actual: None }
    );
    // After 0.4.0: a flat list of reasons.
    let interrupt = json!({"_tag": "Interrupt", "fiberId": 1});
    assert_eq!(
        failure(&json!([interrupt, {"_tag": "Fail", "error": ahead}])),
        head
    );
}

#[test]
fn the_first_fail_of_a_tree_decides() {
    let fail = |head: u64| json!({"_tag": "Fail", "error": {"_tag": "ServerAheadError", "minimumExpectedNum": head, "providedNum": 0}});
    let tree = json!({
        "_tag": "Sequential",
        "left": {"_tag": "Parallel", "left": {"_tag": "Empty"}, "right": {"_tag": "Sequential", "left": fail(3), "right": fail(4)}},
        "right": fail(5),
    });
    assert_eq!(
        failure(&tree),
        Failure::ServerAhead {
            head: SeqNum::new(3)
        }
    );
}

#[test]
fn an_untyped_error_is_told_in_the_backends_words() {
    for (error, words) in [
        (
            json!({"cause": {"name": "Error", "message": "UNIQUE constraint failed"}, "payload": {"stage": "insert"}, "_tag": "UnknownError"}),
            "Error: UNIQUE constraint failed",
        ),
        (
            json!({"_tag": "InvalidPushError", "cause": {"_tag": "LiveStore.UnknownError", "cause": {"name": "Error", "message": "no"}}}),
            "Error: no",
        ),
        (
            json!({"_tag": "UnknownError", "cause": "rejected"}),
            "UnknownError: rejected",
        ),
        (
            json!({"_tag": "UnknownError", "note": "why"}),
            "UnknownError: why",
        ),
        (json!({"_tag": "Brand.New"}), r#"{"_tag":"Brand.New"}"#),
        (
            json!({"_tag": "ServerAheadError"}),
            r#"{"_tag":"ServerAheadError"}"#,
        ),
        (
            json!({"_tag": "ServerAheadError", "minimumExpectedNum": -4}),
            r#"{"_tag":"ServerAheadError","minimumExpectedNum":-4}"#,
        ),
        (json!("bare"), r#""bare""#),
    ] {
        assert_eq!(unknown(failure_with(&error)), words);
    }
    assert_eq!(
        unknown(failure(
            &json!({"_tag": "Die", "defect": "\"batch\" is missing"})
        )),
        "\"batch\" is missing"
    );
    let interrupted = json!({"_tag": "Sequential", "left": {"_tag": "Empty"}, "right": {"_tag": "Interrupt", "fiberId": {}}});
    assert_eq!(unknown(failure(&interrupted)), "interrupted by the backend");
    assert_eq!(
        unknown(failure(
            &json!([{"_tag": "Die", "defect": {"name": "E", "message": "m"}}])
        )),
        "E: m"
    );
    assert_eq!(unknown(failure(&Value::Null)), "null");
}

#[test]
fn a_defect_is_told_in_the_backends_words() {
    for (defect, words) in [
        (
            r#""Unknown request tag: SyncWsRpc.Nope""#,
            "Unknown request tag: SyncWsRpc.Nope",
        ),
        (
            r#"{"name":"SyntaxError","message":"Unexpected token"}"#,
            "SyntaxError: Unexpected token",
        ),
    ] {
        let frame = decode(&format!(r#"{{"_tag":"Defect","defect":{defect}}}"#));
        assert_eq!(
            frame,
            Ok(Frame::Defect {
                error: words.to_owned()
            })
        );
    }
}

#[test]
fn deep_nesting_is_skipped_or_refused_and_never_overflows() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let event = format!(
        r#"{{"_tag":"Chunk","requestId":"0","values":[{{"batch":[{{"eventEncoded":{{"name":"n","args":{deep},"seqNum":1,"parentSeqNum":0,"clientId":"c","sessionId":"s"}}}}],"backendId":"b"}}]}}"#
    );
    assert_eq!(chunk(&event).events[0].args.len(), deep.len());
    let exit =
        format!(r#"{{"_tag":"Exit","requestId":"0","exit":{{"_tag":"Failure","cause":{deep}}}}}"#);
    let Ok(Frame::Exit {
        result: Err(failure),
        ..
    }) = decode(&exit)
    else {
        panic!("not an exit");
    };
    assert!(unknown(failure).contains("recursion limit"));
    assert_eq!(
        decode(&format!(r#"{{"_tag":"Pong","x":{deep}}}"#)),
        Ok(Frame::Pong)
    );
    assert!(matches!(
        decode(&format!(r#"{{"_tag":"Defect","defect":{deep}}}"#)),
        Ok(Frame::Defect { .. })
    ));
    malformed(&deep);
}

#[test]
fn calls_are_spelled_as_livestore_spells_them() {
    let backend = BackendId::new("04BZ");
    assert_eq!(
        pull(RequestId(0), CALLER, SeqNum::ROOT, None, PullKind::Live),
        r#"{"_tag":"Request","id":"0","tag":"SyncWsRpc.Pull","payload":{"storeId":"cap2","live":true,"cursor":{"_tag":"None"}},"headers":[]}"#
    );
    let payload: &RawValue = serde_json::from_str(r#"{"authToken":"t"}"#).expect("JSON");
    let caller = Caller {
        payload: Some(payload),
        ..CALLER
    };
    assert_eq!(
        pull(
            RequestId(12),
            caller,
            SeqNum::new(99),
            Some(&backend),
            PullKind::Finite
        ),
        r#"{"_tag":"Request","id":"12","tag":"SyncWsRpc.Pull","payload":{"storeId":"cap2","payload":{"authToken":"t"},"live":false,"cursor":{"_tag":"Some","value":{"backendId":"04BZ","eventSequenceNumber":99}}},"headers":[]}"#
    );
    assert_eq!(
        push(RequestId(1), CALLER, &backend, &[draft(r#"{ "b":1, "a":2 }"#)]),
        Ok(r#"{"_tag":"Request","id":"1","tag":"SyncWsRpc.Push","payload":{"storeId":"cap2","batch":[{"name":"v1.\"X","args":{ "b":1, "a":2 },"seqNum":8,"parentSeqNum":7,"clientId":"q","sessionId":"qm1:echo:e7:1:0/1"}],"backendId":{"_tag":"Some","value":"04BZ"}},"headers":[]}"#.to_owned())
    );
    assert_eq!(
        push(
            RequestId(1),
            CALLER,
            &backend,
            &[draft("1"), draft("1}, {")]
        ),
        Err(1)
    );
    assert_eq!(ack(RequestId(3)), r#"{"_tag":"Ack","requestId":"3"}"#);
    assert_eq!(
        interrupt(RequestId(3)),
        r#"{"_tag":"Interrupt","requestId":"3"}"#
    );
}

fn draft(args: &str) -> NumberedDraft {
    NumberedDraft {
        seq: SeqNum::new(8),
        parent: SeqNum::new(7),
        draft: Draft {
            name: "v1.\"X".into(),
            args: args.into(),
        },
        client_id: "q".into(),
        session_id: "qm1:echo:e7:1:0/1".into(),
    }
}

/// Any JSON, with the protocol's words in it often enough to get past the first checks.
fn json_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "Chunk",
        "Exit",
        "Defect",
        "Success",
        "Failure",
        "Fail",
        "Die",
        "Interrupt",
        "InvalidPushError",
        "ServerAheadError",
        "BackendIdMismatchError",
        "0",
        "17",
        "2026-11-23T11:06:33.359Z",
        "{\"expected\":1}",
    ]);
    let key = prop::sample::select(vec![
        "_tag",
        "requestId",
        "values",
        "exit",
        "cause",
        "error",
        "defect",
        "left",
        "right",
        "batch",
        "backendId",
        "eventEncoded",
        "metadata",
        "value",
        "createdAt",
        "name",
        "args",
        "seqNum",
        "parentSeqNum",
        "clientId",
        "sessionId",
        "minimumExpectedNum",
        "expected",
        "message",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
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
    fn any_text_is_understood_or_refused(text in ".*") {
        prop_assert!(decode(&text).is_err());
    }

    #[test]
    fn any_json_is_understood_or_refused(tag in "Chunk|Exit|Defect|Pong|Other", mut frame in json_value(), id in 0_u64..) {
        if let Some(fields) = frame.as_object_mut() {
            fields.insert("_tag".to_owned(), tag.into());
            fields.insert("requestId".to_owned(), id.to_string().into());
        }
        match decode(&frame.to_string()) {
            Ok(Frame::Chunk { request, .. } | Frame::Exit { request, .. }) => prop_assert_eq!(request, RequestId(id)),
            Ok(Frame::Defect { .. } | Frame::Pong | Frame::Unknown { .. }) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_cause_is_a_failure(cause in json_value()) {
        let told = format!("{:?}", failure(&cause));
        prop_assert!(!told.is_empty());
    }

    #[test]
    fn any_event_comes_back_as_it_was_sent(
        seq in 0_u64..=SEQ_NUM_MAX, parent in 0_u64..=SEQ_NUM_MAX, name in ".*", session in ".*", args in json_value(),
    ) {
        let sent = json!({"name": name, "args": args, "seqNum": seq, "parentSeqNum": parent, "clientId": "c", "sessionId": session});
        let page = chunk(&chunk_of(&sent, &Value::Null));
        let event = &page.events[0];
        prop_assert_eq!((event.seq.get(), event.parent.get()), (seq, parent));
        prop_assert_eq!((&*event.name, &*event.session_id), (&*name, &*session));
        prop_assert_eq!(&*event.args, args.to_string());
    }
}
