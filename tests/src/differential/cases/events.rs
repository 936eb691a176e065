//! What an event may hold: every spelling of arguments, names and places, and every wrong type for every field.

use crate::differential::Case;
use crate::differential::Difference::{
    HalfCharacters, HugeNumbers, MissingArguments, NegativePlaces,
};
use crate::differential::frames::{NONE, event, event_from, http_pull, http_push, pull, push};

/// Arguments that any JSON reader reads alike.
const ARGUMENTS: [&str; 38] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1.50",
    "1e2",
    "1E+2",
    "12e-1",
    "0.1",
    "1e-7",
    "1e21",
    "9007199254740991",
    "9007199254740993",
    "12345678901234567890",
    "1.7976931348623157e308",
    "5e-324",
    "\"\"",
    "\"text\"",
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\u0000\u001f\u007f\u2028""#,
    r#""\u00fc\ud83d\ude00""#,
    "\"ü😀\u{2028}\"",
    "[]",
    "[ ]",
    "[1, [2, [3]]]",
    "{}",
    "{ }",
    r#"{"a":1,"b":{"c":[]}}"#,
    r#"{"b":1,"a":2,"10":3,"9":4}"#,
    r#"{"a":1,"a":2}"#,
    r#"{"":{"":""}}"#,
    r#"{"__proto__":1,"constructor":2,"toString":3}"#,
    "  {\n\t\"a\" :\r\n 1 } ",
    r#"{"_tag":"Some","value":{"_tag":"None"}}"#,
];

/// Values for a field that wants something else.
const WRONG: [&str; 9] = [
    "null",
    "true",
    "5",
    "-5",
    "1.5",
    "\"5\"",
    "[]",
    "{}",
    "9007199254740992",
];

const FIELDS: [&str; 5] = ["name", "seqNum", "parentSeqNum", "clientId", "sessionId"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for arguments in ARGUMENTS {
        cases.push(heard_and_read(
            &format!("arguments {arguments:?}"),
            &event(1, arguments),
        ));
    }
    cases.push(
        heard_and_read(
            "arguments too big for JavaScript",
            &event(1, r#"{"a":1e400,"b":-1e999}"#),
        )
        .differs(HugeNumbers),
    );
    cases.push(
        heard_and_read("no arguments", &event(1, "1").replace("\"args\":1,", ""))
            .differs(MissingArguments),
    );
    cases.push(
        Case::new("no arguments over http")
            .post(http_push(&event(1, "1").replace("\"args\":1,", ""), NONE))
            .post(http_pull(NONE)),
    );
    cases.push(heard_and_read(
        "an unknown field",
        &event(1, "1").replace("\"args\"", "\"x\":{},\"args\""),
    ));
    cases.push(heard_and_read(
        "fields twice",
        &event(1, "1").replace("\"args\"", "\"name\":5,\"name\":\"m\",\"args\""),
    ));
    for depth in [10, 100, 1000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        cases.push(heard_and_read(
            &format!("arguments {depth} deep"),
            &event(1, &deep),
        ));
    }
    cases.extend(texts());
    cases.extend(places());
    cases.extend(wrong_fields());
    cases
}

/// Pushed, heard on a live pull, and read from history.
fn heard_and_read(name: &str, event: &str) -> Case {
    Case::new(name)
        .send(0, pull("0", true, NONE))
        .chunks(0, "0", 1)
        .call(0, "1", push("1", event, NONE))
        .chunks(0, "0", 2)
        .post(http_pull(NONE))
}

fn texts() -> Vec<Case> {
    let texts = [
        "v1.ToDo Created",
        "ü",
        "😀",
        r"\ud83d\ude00",
        r"\u0000",
        r"a\u0000b",
        r#"\"\\\n"#,
        "'; DROP TABLE x; --",
        "$1?",
    ];
    let mut cases = Vec::new();
    for text in texts {
        cases.push(heard_and_read(
            &format!("name {text}"),
            &event_from(text, "1", "0", "1"),
        ));
        let client = event(1, "1").replace("\"c\"", &format!("\"{text}\""));
        cases.push(heard_and_read(&format!("client id {text}"), &client));
    }
    cases.push(heard_and_read(
        "an empty client id",
        &event(1, "1").replace("\"c\"", "\"\""),
    ));
    cases.push(heard_and_read(
        "an empty session id",
        &event(1, "1").replace("\"s\"", "\"\""),
    ));
    cases.push(heard_and_read(
        "a client id of 256 bytes",
        &event(1, "1").replace("\"c\"", &format!("\"{}\"", "x".repeat(256))),
    ));
    cases.push(
        Case::new("half a character in a name")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .call(
                0,
                "1",
                push("1", &event_from(r"\ud800", "1", "0", "1"), NONE),
            )
            .post(http_pull(NONE))
            .differs(HalfCharacters),
    );
    cases.push(heard_and_read(
        "half a character in arguments",
        &event(1, r#""\udc00""#),
    ));
    cases
}

fn places() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seq, parent) in [("1.0", "0"), ("1e0", "0.0"), ("10E-1", "-0"), ("1", "0e5")] {
        cases.push(heard_and_read(
            &format!("place {seq} after {parent}"),
            &event_from("n", seq, parent, "1"),
        ));
    }
    cases
}

fn wrong_fields() -> Vec<Case> {
    let good = event(1, "1");
    let mut cases = Vec::new();
    for field in FIELDS {
        let key = format!("\"{field}\"");
        let mut variants = vec![("nothing".to_owned(), good.replacen(&key, "\"x\"", 1))];
        for value in WRONG {
            let is_text = !field.ends_with("Num");
            // What fits is no wrong value; a place that is only out of order is another group's.
            let fits = if is_text {
                value == "\"5\""
            } else {
                value == "5"
            };
            if !fits {
                let bad = good.replacen(&key, &format!("{key}:{value},\"x\""), 1);
                variants.push((value.to_owned(), bad));
            }
        }
        for (value, bad) in variants {
            let negative = field.ends_with("Num") && value == "-5";
            let second = bad.replace(":1,\"p", ":2,\"p").replace(":0,\"c", ":1,\"c");
            cases.push(
                Case::new(format!("an event whose {field} is {value}"))
                    .call(0, "0", push("0", &bad, NONE))
                    .post(http_push(&format!("{good},{second}"), NONE))
                    .post(http_pull(NONE))
                    .differs_if(negative, NegativePlaces),
            );
        }
    }
    cases
}
