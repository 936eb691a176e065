//! Guests that do not keep to the rules by which values cross between guest and host.

use crate::{End, Guest, HARMLESS, Parts, ROOMY, Source, USUAL, encode};

pub(crate) const GUESTS: [Guest; 22] = [
    Guest {
        name: "says-200-mb",
        does: "hands the host a string of 200 MB, and has the memory for it",
        end: End::Fails("trapped", "fuel allocated for hostcalls"),
        quota: ROOMY,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 3200)))
                (call $log (i32.const 2) (i32.const 65536) (i32.const 200000000)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "says-200-mb-of-nothing",
        does: "hands the host a string of 200 MB that its memory is too small for",
        end: End::Fails("trapped", "out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $log (i32.const 2) (i32.const 65536) (i32.const 200000000)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "says-ten-million-nothings",
        does: "hands the host an empty string for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (call $log (i32.const 2) (i32.const 0) (i32.const 0)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "fails-with-3-mb",
        does: "gives 3 MB as its reason for a failure",
        end: End::Fails("trapped", "fuel allocated for hostcalls"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 64)))
                (i32.store (i32.const 1052) (i32.const 3000000)) (i32.const 1040)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "fails-with-1-mb",
        does: "gives 1 MB as its reason for a failure, of which 4 KiB are kept",
        end: End::Fails("retry", "lllllllll"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 64)))
                (memory.fill (i32.const 65536) (i32.const 108) (i32.const 1000000))
                (i32.store (i32.const 1048) (i32.const 65536))
                (i32.store (i32.const 1052) (i32.const 1000000)) (i32.const 1040)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "rejects-in-colours",
        does: "gives a reason for a failure that would colour a terminal",
        end: End::Fails("reject", "never\\u{1b}[31m"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i32.const 1072)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "says-no-utf8",
        does: "commits a name that is not UTF-8",
        end: End::Fails("trapped", "utf-8"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i32.store8 (i32.const 4096) (i32.const 255))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "says-half-a-character",
        does: "commits arguments that end within a character",
        end: End::Fails("trapped", "utf-8"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i32.store (i32.const 12288) (i32.const 0x82e222))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12288) (i32.const 3) (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "points-past-its-memory",
        does: "commits a name at the end of the address space",
        end: End::Fails("trapped", "out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $commit (i32.const -4) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "points-around-the-end",
        does: "commits a name whose end would be at the address 0",
        end: End::Fails("trapped", "out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $commit (i32.const 4096) (i32.const -4096) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "wants-its-answer-nowhere",
        does: "wants the answer to a call past the end of its memory",
        end: End::Fails("trapped", "out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const -16))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "wants-its-answer-askew",
        does: "wants the answer to a call at an odd address",
        end: End::Fails("trapped", "aligned"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8193))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "answers-nowhere",
        does: "returns an answer past the end of its memory",
        end: End::Fails("trapped", "out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i32.const -16)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "answers-askew",
        does: "returns an answer at an odd address",
        end: End::Fails("trapped", "aligned"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i32.const 1025)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "answers-nonsense",
        does: "returns what is neither ok nor a failure",
        end: End::Fails("trapped", "discriminant"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i32.store8 (i32.const 1024) (i32.const 7)) (i32.const 1024)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "logs-at-no-level",
        does: "writes to the log with a level that there is not",
        end: End::Fails("trapped", "discriminant"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $log (i32.const 9) (i32.const 4128) (i32.const 3)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "gives-no-room",
        does: "gives the host room for an event past the end of its memory",
        end: End::Fails("trapped", "realloc return: beyond end of memory"),
        quota: USUAL,
        source: Source::Parts(Parts {
            realloc: "(i32.const -64)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "gives-crooked-room",
        does: "gives the host room for an event at an odd address",
        end: End::Fails("trapped", "realloc return: result not aligned"),
        quota: USUAL,
        source: Source::Parts(Parts {
            realloc: "(i32.add (call $bump (i32.add (local.get $len) (i32.const 8))) (i32.const 1))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "gives-the-same-room",
        does: "gives the host the same room for everything, so that its event is overwritten by itself",
        end: End::Fails("trapped", "unreachable"),
        quota: USUAL,
        source: Source::Parts(Parts {
            realloc: "(i32.const 65536)",
            on_event: "(call $check (i32.eq (i32.load (local.get $in)) (i32.const 0))) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "calls-back-from-realloc",
        does: "calls the host while the host hands it an event",
        end: End::Fails("trapped", "cannot leave component instance"),
        quota: USUAL,
        source: Source::Parts(Parts {
            realloc: "(drop (call $head)) (call $bump (local.get $len))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "names-itself-in-colours",
        does: "traps in a function whose name would colour a terminal",
        end: End::Fails("trapped", "\\u{1b}[31mred\\n"),
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(func $\"\\1b[31mred\\n\" (unreachable))",
            on_event: "(call $\"\\1b[31mred\\n\") (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "has-a-long-name",
        does: "traps in a function whose name has 90,000 letters",
        end: End::Fails("trapped", "unreachable"),
        quota: USUAL,
        source: Source::Bytes(long_name),
    },
];

fn long_name() -> Vec<u8> {
    let name = "long".repeat(22_500);
    let items = format!("(func ${name} (unreachable))");
    let on_event = format!("(call ${name}) (unreachable)");
    encode::text(&HARMLESS, &items, &on_event)
}
