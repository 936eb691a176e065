//! Pings, acks and interrupts at every moment, the end of sending, and ids that are used twice.

use crate::differential::Case;
use crate::differential::Difference::RepeatedIds;
use crate::differential::frames::{NONE, event, pull, push, steer};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = pings();
    cases.extend(acks());
    cases.extend(interrupts());
    cases.extend(interrupts_of_live_pulls());
    cases.extend(ends());
    cases.extend(repeated());
    cases
}

fn pings() -> Vec<Case> {
    let spellings = [
        r#"{"_tag":"Ping"}"#,
        "{\"_tag\":\"Ping\"}\n",
        r#"{ "_tag" : "Ping" }"#,
        r#"{"_tag":"Ping","x":1}"#,
        r#"{"x":[],"_tag":"Ping"}"#,
        r#"{"_tag":"Pong","_tag":"Ping"}"#,
        r#"{"_tag":"\u0050ing"}"#,
    ];
    let mut cases: Vec<Case> = spellings
        .iter()
        .map(|ping| {
            Case::new(format!("the ping {ping:?}"))
                .send(0, *ping)
                .pongs(0, 1)
        })
        .collect();
    cases.push(
        Case::new("pings between everything")
            .send(0, spellings[0])
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, spellings[2])
            .call(0, "1", push("1", &event(1, "1"), NONE))
            .events(0, "0", 1)
            .send(0, spellings[0])
            .pongs(0, 3),
    );
    cases
}

fn acks() -> Vec<Case> {
    let mut cases = Vec::new();
    for id in ["0", "7", "18446744073709551615"] {
        cases.push(
            Case::new(format!("an ack of {id}, which nobody asked for"))
                .send(0, steer("Ack", id))
                .call(0, "1", pull("1", false, NONE)),
        );
    }
    cases.push(
        Case::new("an ack after the end")
            .call(0, "0", pull("0", false, NONE))
            .send(0, steer("Ack", "0"))
            .send(0, steer("Ack", "0"))
            .call(0, "1", pull("1", false, NONE)),
    );
    cases.push(
        Case::new("an ack of a push")
            .call(0, "0", push("0", &event(1, "1"), NONE))
            .send(0, steer("Ack", "0"))
            .call(0, "1", pull("1", false, NONE)),
    );
    cases
}

fn interrupts() -> Vec<Case> {
    vec![
        Case::new("an interrupt before anything")
            .send(0, steer("Interrupt", "0"))
            .call(0, "1", pull("1", false, NONE)),
        Case::new("an interrupt before its call")
            .send(0, steer("Interrupt", "0"))
            .call(0, "0", pull("0", false, NONE)),
        Case::new("an interrupt after the end")
            .call(0, "0", pull("0", false, NONE))
            .send(0, steer("Interrupt", "0"))
            .call(0, "1", pull("1", false, NONE)),
        Case::new("an interrupt after a push")
            .call(0, "0", push("0", &event(1, "1"), NONE))
            .send(0, steer("Interrupt", "0"))
            .call(0, "1", pull("1", false, NONE)),
        Case::new("an interrupt of a live pull")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .call(1, "0", push("0", &event(1, "1"), NONE)),
        Case::new("an interrupt of a live pull that acked nothing")
            .stop_acks(0)
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .call(1, "0", push("0", &event(1, "1"), NONE)),
        Case::new("an interrupt between two pages")
            .seeded(250)
            .stop_acks(0)
            .send(0, pull("0", false, NONE))
            .chunks(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .send(0, steer("Ack", "0")),
    ]
}

fn interrupts_of_live_pulls() -> Vec<Case> {
    vec![
        Case::new("an interrupt after live events")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .call(1, "0", push("0", &event(1, "1"), NONE))
            .events(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .call(1, "1", push("1", &event(2, "1"), NONE)),
        Case::new("an interrupt of one of two live pulls")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, pull("1", true, NONE))
            .chunks(0, "1", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .call(1, "0", push("0", &event(1, "1"), NONE))
            .events(0, "1", 1),
        Case::new("an interrupt twice")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .call(0, "1", pull("1", false, NONE)),
        Case::new("a new pull under an interrupted id")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, steer("Interrupt", "0"))
            .exits(0, "0", 1)
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 2)
            .call(1, "0", push("0", &event(1, "1"), NONE))
            .events(0, "0", 1),
    ]
}

fn ends() -> Vec<Case> {
    let eof = r#"{"_tag":"Eof"}"#;
    vec![
        Case::new("the end of sending, and a pull")
            .send(0, eof)
            .call(0, "1", pull("1", false, NONE)),
        Case::new("the end of sending, and a ping")
            .send(0, eof)
            .send(0, r#"{"_tag":"Ping" }"#)
            .pongs(0, 1),
        Case::new("the end of sending twice")
            .send(0, eof)
            .send(0, eof)
            .call(0, "1", pull("1", false, NONE)),
        Case::new("the end of sending over http").post(eof),
        Case::new("a ping over http").post(r#"{"_tag":"Ping"}"#),
        Case::new("an ack over http").post(steer("Ack", "0")),
        Case::new("an interrupt over http").post(steer("Interrupt", "0")),
    ]
}

fn repeated() -> Vec<Case> {
    vec![
        Case::new("one id for two calls, one after the other")
            .call(0, "0", push("0", &event(1, "1"), NONE))
            .send(0, push("0", &event(2, "1"), NONE))
            .exits(0, "0", 2),
        Case::new("one id for two pulls, one after the other")
            .call(0, "0", pull("0", false, NONE))
            .send(0, pull("0", false, NONE))
            .exits(0, "0", 2),
        Case::new("one id for two live pulls at once")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, pull("0", true, NONE))
            .call(0, "1", pull("1", false, NONE))
            .differs(RepeatedIds),
        Case::new("the id of a live pull for a push")
            .send(0, pull("0", true, NONE))
            .chunks(0, "0", 1)
            .send(0, push("0", &event(1, "1"), NONE))
            .call(0, "1", pull("1", false, NONE))
            .differs(RepeatedIds),
    ]
}
