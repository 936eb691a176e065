//! Guests that never end, or end too late, in every place where the host waits for a guest.

use std::fmt::Write as _;

use crate::{End, Guest, HARMLESS, HURRIED, Parts, Source, USUAL, encode};

const OUT_OF_FUEL: End = End::Fails("out-of-fuel", "ran out of fuel (200M)");
const OUT_OF_TIME: End = End::Fails("timed-out", "took longer than 300ms");

const SPIN: &str = "(loop $l (br $l)) (unreachable)";

pub(crate) const GUESTS: [Guest; 18] = [
    Guest {
        name: "spins-in-on-event",
        does: "loops for ever in `on-event`",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: SPIN,
            ..HARMLESS
        }),
    },
    Guest {
        name: "spins-in-describe",
        does: "loops for ever in `describe`",
        end: End::Refused("`describe` failed: ran out of fuel (50M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: SPIN,
            ..HARMLESS
        }),
    },
    Guest {
        name: "spins-in-start",
        does: "loops for ever in its start function",
        end: End::Refused("`describe` failed: ran out of fuel (50M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(func $spin (loop $l (br $l))) (start $spin)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "spins-in-post-return",
        does: "returns ok, then loops for ever in the function that cleans up",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(func (export \"cabi_post_quartermaster:plugin/on-event@0.1.0#on-event\") (param i32) (loop $l (br $l)))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "spins-in-realloc",
        does: "loops for ever when the host wants room for an event",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            realloc: SPIN,
            ..HARMLESS
        }),
    },
    Guest {
        name: "spins-in-a-host-call",
        does: "loops for ever when the host wants room for the answer to a call",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            realloc: "(loop $l (br_if $l (global.get $angry))) (call $bump (local.get $len))",
            items: "(global $angry (mut i32) (i32.const 0))",
            on_event: "(global.set $angry (i32.const 1))
                (call $commit (i32.const 4096) (i32.const 0) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "calls-cheaply",
        does: "calls the cheapest function of the host for ever",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (drop (call $head)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "calls-its-tail",
        does: "calls itself for ever without a frame for each call",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(func $tail (result i32) (return_call $tail))",
            on_event: "(call $tail)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "fills-for-ever",
        does: "writes over all of its memory for ever, one instruction each time",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 900)",
            on_event: "(loop $l (memory.fill (i32.const 65536) (i32.const 1) (i32.const 58000000)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "copies-for-ever",
        does: "copies half of its memory over the other for ever",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 900)",
            on_event: "(loop $l (memory.copy (i32.const 65536) (i32.const 29000000) (i32.const 28000000)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "fills-tables-for-ever",
        does: "writes over a table of 100,000 elements for ever",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(table $t 90000 funcref)",
            on_event: "(loop $l (table.fill $t (i32.const 0) (ref.null func) (i32.const 90000)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "grows-by-nothing",
        does: "asks for no more memory than it has, for ever",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (drop (memory.grow (i32.const 0))) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "copies-nothing",
        does: "copies no bytes from one place to another, for ever",
        end: OUT_OF_FUEL,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (memory.copy (i32.const 0) (i32.const 0) (i32.const 0)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "recurses",
        does: "calls itself until the stack ends",
        end: End::Fails("trapped", "call stack exhausted: deep"),
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(func $deep (param i64) (call $deep (i64.add (local.get 0) (i64.const 1))) (drop (call $head)))",
            on_event: "(call $deep (i64.const 0)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "has-large-frames",
        does: "calls itself with frames of 1,000 values that are all in use",
        end: End::Fails("trapped", "call stack exhausted"),
        quota: USUAL,
        source: Source::Bytes(large_frames),
    },
    Guest {
        name: "spins-past-its-deadline",
        does: "loops for ever with all the fuel that it could want",
        end: OUT_OF_TIME,
        quota: HURRIED,
        source: Source::Parts(Parts {
            on_event: SPIN,
            ..HARMLESS
        }),
    },
    Guest {
        name: "fills-around-the-deadline",
        does: "writes over 58 MB at a time until long after its time is up, and then returns ok",
        end: OUT_OF_TIME,
        quota: HURRIED,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 900)",
            on_event: "(local $i i32)
                (loop $l
                  (memory.fill (i32.const 65536) (local.get $i) (i32.const 58000000))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 2000))))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "succeeds-too-late",
        does: "commits an event, computes until long after its time is up, and then returns ok",
        end: OUT_OF_TIME,
        quota: HURRIED,
        source: Source::Parts(Parts {
            on_event: "(local $i i64)
                (drop (call $survive (local.get $in)))
                (loop $l
                  (local.set $i (i64.add (local.get $i) (i64.const 1)))
                  (br_if $l (i64.lt_u (local.get $i) (i64.const 20000000000))))
                (i32.const 1024)",
            ..HARMLESS
        }),
    },
];

/// A function whose thousand values are all read again after it has called itself.
fn large_frames() -> Vec<u8> {
    const VALUES: usize = 1_000;
    let mut deep = "(func $deep (param i64) (result i64)".to_owned();
    deep.push_str(&" (local i64)".repeat(VALUES));
    for local in 1..=VALUES {
        write!(
            deep,
            " (local.set {local} (i64.add (i64.mul (local.get {before}) (i64.const {local})) (call $head)))",
            before = local - 1
        )
        .expect("a string takes everything");
    }
    deep.push_str(" (call $deep (local.get 1000))");
    for local in 1..=VALUES {
        write!(deep, " (i64.xor (local.get {local}))").expect("a string takes everything");
    }
    deep.push(')');
    let on_event = "(drop (call $deep (i64.const 3))) (unreachable)";
    encode::text(&HARMLESS, &deep, on_event)
}
