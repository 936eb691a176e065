//! What a call's payload may look like: fields that are missing, too many, twice, or of a wrong type, on each transport.

use crate::differential::Case;
use crate::differential::frames::{NONE, event, request};

/// Cursors that are none.
const CURSORS: [&str; 22] = [
    "null",
    "5",
    "\"None\"",
    "[]",
    "{}",
    r#"{"_tag":"Nope"}"#,
    r#"{"_tag":"none"}"#,
    r#"{"_tag":null}"#,
    r#"{"_tag":"Some"}"#,
    r#"{"_tag":"Some","value":null}"#,
    r#"{"_tag":"Some","value":5}"#,
    r#"{"_tag":"Some","value":{}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND"}}"#,
    r#"{"_tag":"Some","value":{"eventSequenceNumber":0}}"#,
    r#"{"_tag":"Some","value":{"backendId":5,"eventSequenceNumber":0}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":"0"}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":0.5}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":null}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":9007199254740992}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":1e400}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":-9007199254740992}}"#,
    r#"{"_tag":"Some","value":["$BACKEND",0]}"#,
];

/// Cursors that are spelled oddly, and are some.
const ODD_CURSORS: [&str; 9] = [
    r#"{"_tag":"None","value":5}"#,
    r#"{"value":{},"_tag":"None"}"#,
    r#"{"_tag":"Some","_tag":"None"}"#,
    r#"{"\u005ftag":"None"}"#,
    r#"{"_tag":"Some","value":{"eventSequenceNumber":1.0,"backendId":"$BACKEND","x":1}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":1e0}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":-0}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":-9007199254740991}}"#,
    r#"{"_tag":"Some","value":{"backendId":"$BACKEND","eventSequenceNumber":9007199254740991}}"#,
];

/// Payloads of any call that are none.
const NO_PAYLOADS: [&str; 6] = ["null", "5", "\"x\"", "[]", "{}", "[{}]"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (about, cursors) in [
        ("no cursor", &CURSORS[..]),
        ("an odd cursor", &ODD_CURSORS[..]),
    ] {
        for cursor in cursors {
            let name = format!("{about}: {cursor}");
            cases.push(on_both(
                &name,
                "Pull",
                &format!(r#"{{"storeId":"$STORE","live":false,"cursor":{cursor}}}"#),
            ));
        }
    }
    for call in ["Pull", "Push"] {
        for payload in NO_PAYLOADS {
            cases.push(on_both(&format!("{call} of {payload}"), call, payload));
        }
    }
    for (name, payload) in pull_payloads() {
        cases.push(on_both(&format!("Pull with {name}"), "Pull", &payload));
    }
    for (name, payload) in push_payloads() {
        cases.push(on_both(&format!("Push with {name}"), "Push", &payload));
    }
    cases.extend(pings());
    cases
}

/// One call on a socket, and then the same over HTTP.
fn on_both(name: &str, call: &str, payload: &str) -> Case {
    let socket = request("\"0\"", &format!("SyncWsRpc.{call}"), payload);
    let http = request("\"0\"", &format!("SyncHttpRpc.{call}"), payload);
    Case::new(name).call(0, "0", socket).post(http)
}

fn pull_payloads() -> Vec<(String, String)> {
    let good = format!(r#"{{"storeId":"$STORE","live":false,"cursor":{NONE}}}"#);
    let mut payloads = vec![
        (
            "another store's name".to_owned(),
            good.replace("$STORE", "other"),
        ),
        ("no store".to_owned(), good.replace("\"storeId\"", "\"x\"")),
        ("no live".to_owned(), good.replace("\"live\"", "\"x\"")),
        ("no cursor".to_owned(), good.replace("\"cursor\"", "\"x\"")),
        (
            "an unknown field".to_owned(),
            good.replace("\"live\"", "\"x\":[{}],\"live\""),
        ),
        (
            "fields twice".to_owned(),
            good.replace(
                "\"live\"",
                "\"storeId\":5,\"storeId\":\"$STORE\",\"live\":7,\"live\"",
            ),
        ),
        (
            "space between".to_owned(),
            good.replace(':', " :\n\t").replace(',', " , "),
        ),
    ];
    for value in ["null", "5", "{}", "[]", "\"\""] {
        payloads.push((
            format!("the store {value}"),
            good.replace("\"$STORE\"", value),
        ));
        payloads.push((format!("live {value}"), good.replace("false", value)));
        payloads.push((
            format!("the payload {value}"),
            good.replace("\"live\"", &format!("\"payload\":{value},\"live\"")),
        ));
    }
    payloads
}

fn push_payloads() -> Vec<(String, String)> {
    let batch = event(1, "1");
    let good = format!(r#"{{"storeId":"$STORE","batch":[{batch}],"backendId":{NONE}}}"#);
    let mut payloads = vec![
        (
            "another store's name".to_owned(),
            good.replace("$STORE", "other"),
        ),
        ("no store".to_owned(), good.replace("\"storeId\"", "\"x\"")),
        ("no batch".to_owned(), good.replace("\"batch\"", "\"x\"")),
        (
            "no backend id".to_owned(),
            good.replace("\"backendId\"", "\"x\""),
        ),
        (
            "an unknown field".to_owned(),
            good.replace("\"batch\"", "\"x\":[{}],\"batch\""),
        ),
        (
            "fields twice".to_owned(),
            good.replace("\"batch\"", "\"batch\":null,\"batch\""),
        ),
    ];
    for value in [
        "null", "5", "{}", "\"\"", "[null]", "[5]", "[[]]", "[{}]", "[\"\"]",
    ] {
        payloads.push((
            format!("the batch {value}"),
            good.replace(&format!("[{batch}]"), value),
        ));
    }
    for value in [
        "null",
        "5",
        "\"x\"",
        "{}",
        "[]",
        r#"{"_tag":"Some"}"#,
        r#"{"_tag":"Some","value":5}"#,
        r#"{"_tag":"Some","value":null}"#,
    ] {
        payloads.push((format!("the backend id {value}"), good.replace(NONE, value)));
    }
    payloads
}

fn pings() -> Vec<Case> {
    let mut cases = Vec::new();
    for payload in [
        r#"{"storeId":"$STORE"}"#,
        r#"{"storeId":"$STORE","payload":{"a":1},"x":2}"#,
        "{}",
        "null",
        r#"{"storeId":5}"#,
    ] {
        let frame = request("\"0\"", "SyncHttpRpc.Ping", payload);
        cases.push(Case::new(format!("Ping of {payload} over http")).post(frame));
    }
    cases
}
