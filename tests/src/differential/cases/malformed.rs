//! What is no frame, or a frame of no kind, or a call that nobody has; request ids of every kind; and addresses.

use crate::differential::Case;
use crate::differential::Difference::{
    BadAddresses, FatalFrames, Headers, HugeMessages, RequestIds, UnknownStores,
};
use crate::differential::frames::{NONE, http_pull, pull, request};

/// What the original answers with a defect.
const DEFECTS: [&str; 38] = [
    "",
    " ",
    "hello",
    "{",
    "}",
    "[",
    "{\"",
    "{\"_tag\"",
    "{\"_tag\":\"Ping\"",
    "{_tag:\"Ping\"}",
    "{'_tag':'Ping'}",
    "{\"_tag\":\"Ping\",}",
    "{\"_tag\":\"Ping\"} {\"_tag\":\"Ping\"}",
    "{\"_tag\":\"Ping\"}]",
    "\u{feff}{\"_tag\":\"Ping\"}",
    "{\"_tag\":\"Pi\nng\"}",
    "{\"_tag\":01}",
    "{\"_tag\":\"\\x\"}",
    "{\"_tag\":.5}",
    "{\"_tag\":NaN}",
    "// {}",
    "5",
    "-1.5e3",
    "true",
    "false",
    "\"x\"",
    "[]",
    "[null]",
    "[{\"_tag\":\"Ping\"}]",
    "{}",
    "{\"tag\":\"Ping\"}",
    "{\"_tag\":5}",
    "{\"_tag\":null}",
    "{\"_tag\":{}}",
    "{\"_tag\":\"\"}",
    "{\"_tag\":\"ping\"}",
    "{\"_tag\":\"Chunk\",\"requestId\":\"0\",\"values\":[]}",
    "{\"_tag\":\"Exit\",\"requestId\":\"0\"}",
];

/// Names of calls that a socket does not have.
const NO_CALLS: [&str; 9] = [
    "",
    "Pull",
    "SyncWsRpc",
    "SyncWsRpc.Nope",
    "SyncWsRpc.pull",
    "SyncWsRpc.Ping",
    "SyncHttpRpc.Pull",
    "SyncDoRpc.Pull",
    " SyncWsRpc.Pull",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for text in DEFECTS {
        cases.push(answered_once(&format!("the frame {text:?}"), text).post(text));
    }
    for tag in NO_CALLS {
        cases.push(answered_once(
            &format!("a call of {tag:?}"),
            &request("\"0\"", tag, "{}"),
        ));
    }
    cases.push(answered_once(
        "a request without a call",
        r#"{"_tag":"Request","id":"0","payload":{}}"#,
    ));
    cases.push(answered_once(
        "a request of call 7",
        r#"{"_tag":"Request","id":"0","tag":7,"payload":{}}"#,
    ));
    for tag in ["SyncWsRpc.Pull", "SyncHttpRpc.Nope", ""] {
        cases.push(
            Case::new(format!("a call of {tag:?} over http")).post(request("\"0\"", tag, "{}")),
        );
    }
    cases.extend(huge());
    cases.extend(fatal());
    cases.extend(ids());
    cases.extend(headers());
    cases.extend(addresses());
    cases
}

/// A defect, and the connection goes on.
fn answered_once(name: &str, frame: &str) -> Case {
    Case::new(name)
        .send(0, frame)
        .defects(0, 1)
        .call(0, "1", pull("1", false, NONE))
}

fn huge() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, bytes) in [("large", 1_500_000), ("huge", 3_000_000)] {
        let filler = "x".repeat(bytes);
        let ping = format!(r#"{{"_tag":"Ping","x":"{filler}"}}"#);
        let no_kind = format!(r#"{{"_tag":"{filler}"}}"#);
        let payload =
            format!(r#"{{"storeId":"$STORE","x":"{filler}","live":false,"cursor":{NONE}}}"#);
        let pull = request("\"0\"", "SyncWsRpc.Pull", &payload);
        let sized = [
            Case::new(format!("a {size} ping"))
                .send(0, ping)
                .pongs(0, 1),
            Case::new(format!("a {size} pull")).call(0, "0", pull),
            answered_once(&format!("a {size} frame of no kind"), &no_kind),
            answered_once(&format!("a {size} frame that is no JSON"), &filler),
        ];
        cases.extend(sized.map(|case| case.differs_if(size == "huge", HugeMessages)));
    }
    let deep = format!(
        r#"{{"_tag":"Ping","x":{}{}}}"#,
        "[".repeat(2000),
        "]".repeat(2000)
    );
    cases.push(Case::new("a deep ping").send(0, deep).pongs(0, 1));
    let many = (0..1000).fold(Case::new("a thousand pings"), |case, _| {
        case.send(0, r#"{"_tag":"Ping"}"#)
    });
    cases.push(many.pongs(0, 1000));
    cases
}

/// After these the original says nothing on that connection any more.
fn fatal() -> Vec<Case> {
    let good = pull("0", false, NONE);
    let id = |id: &str| good.replacen("\"id\":\"0\"", id, 1);
    let frames = [
        ("null", "null".to_owned()),
        ("a number as request id", id("\"id\":0")),
        ("null as request id", id("\"id\":null")),
        ("no request id", id("\"x\":0")),
        ("a word as request id", id("\"id\":\"abc\"")),
        ("a fraction as request id", id("\"id\":\"1.5\"")),
        ("an ack of nothing", r#"{"_tag":"Ack"}"#.to_owned()),
        (
            "an ack of a word",
            r#"{"_tag":"Ack","requestId":"x"}"#.to_owned(),
        ),
        (
            "an interrupt of nothing",
            r#"{"_tag":"Interrupt"}"#.to_owned(),
        ),
        (
            "an interrupt of a word",
            r#"{"_tag":"Interrupt","requestId":"x"}"#.to_owned(),
        ),
    ];
    let case = |(name, frame): (&str, String)| {
        Case::new(name)
            .send(0, frame)
            .call(0, "1", pull("1", false, NONE))
            .differs(FatalFrames)
    };
    frames.into_iter().map(case).collect()
}

fn ids() -> Vec<Case> {
    let mut cases = Vec::new();
    for id in [
        "0",
        "1",
        "007",
        " 7 ",
        "+7",
        "4294967296",
        "9007199254740993",
        "18446744073709551615",
    ] {
        let spelled = id
            .trim()
            .trim_start_matches('+')
            .parse::<u64>()
            .unwrap_or_default()
            .to_string();
        cases.push(Case::new(format!("the request id {id:?}")).call(
            0,
            &spelled,
            pull(id, false, NONE),
        ));
    }
    for (id, answered) in [
        ("", "0"),
        ("0x10", "16"),
        ("0b1", "1"),
        ("-3", "-3"),
        ("18446744073709551616", "18446744073709551616"),
    ] {
        cases.push(
            Case::new(format!("the request id {id:?}"))
                .call(0, answered, pull(id, false, NONE))
                .differs(RequestIds),
        );
    }
    for id in ["5", "\"5\"", "\"005\"", "\" 5 \""] {
        let ack = format!(r#"{{"_tag":"Ack","requestId":{id}}}"#);
        cases.push(
            Case::new(format!("an ack of {id}"))
                .seeded(150)
                .stop_acks(0)
                .send(0, pull("5", false, NONE))
                .chunks(0, "5", 1)
                .send(0, ack)
                .chunks(0, "5", 2),
        );
    }
    cases
}

fn headers() -> Vec<Case> {
    let good = pull("0", false, NONE);
    let with = |headers: &str| good.replace("\"headers\":[]", headers);
    let fine = [
        "\"headers\":[[\"a\",\"b\"]]",
        "\"headers\":{\"a\":\"b\"}",
        "\"headers\":{\"a\":3}",
        "\"traceId\":5,\"spanId\":{},\"sampled\":\"x\"",
        "\"x\":1",
    ];
    let mut cases: Vec<Case> = fine
        .iter()
        .map(|headers| Case::new(format!("a call with {headers}")).call(0, "0", with(headers)))
        .collect();
    for headers in ["\"headers\":5", "\"headers\":[1]"] {
        cases.push(
            Case::new(format!("a call with {headers}"))
                .call(0, "0", with(headers))
                .differs(Headers),
        );
    }
    cases
}

fn addresses() -> Vec<Case> {
    let mut cases = vec![
        Case::new("the right address").upgrade("?storeId=$STORE&transport=ws"),
        Case::new("an address with more in it").upgrade("?x=1&storeId=$STORE&transport=ws&y"),
        Case::new("an address with a payload").upgrade(
            "?storeId=$STORE&transport=ws&payload=%257B%2522authToken%2522%253A%2522t%2522%257D",
        ),
        Case::new("an address whose payload was encoded once")
            .upgrade("?storeId=$STORE&transport=ws&payload=%7B%7D"),
        Case::new("no upgrade").get("?storeId=$STORE&transport=ws"),
        Case::new("a store that nobody has")
            .upgrade("?storeId=nobody-has-$STORE&transport=ws")
            .differs(UnknownStores),
    ];
    for query in [
        "",
        "?storeId=$STORE",
        "?transport=ws",
        "?storeId=$STORE&transport=x",
        "?storeId=$STORE&transport=WS",
    ] {
        cases.push(
            Case::new(format!("the address {query:?}"))
                .upgrade(query)
                .differs(BadAddresses),
        );
    }
    cases.push(Case::new("a pull in a body of two lines").post(format!("\n{}\n", http_pull(NONE))));
    cases
}
