//! Guests that answer badly when they are asked what they are.

use crate::{End, Guest, HARMLESS, Parts, Source, USUAL};

pub(crate) const GUESTS: [Guest; 12] = [
    Guest {
        name: "describes-ten-million-patterns",
        does: "describes itself with a list of ten million patterns that its memory is too small for",
        end: End::Refused("out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(i32.store (i32.const 2060) (i32.const 10000000)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-a-million-patterns",
        does: "describes itself with a million empty patterns, and has the memory for them",
        end: End::Refused("fuel allocated for hostcalls"),
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 200)",
            describe: "(i32.store (i32.const 2056) (i32.const 65536))
                (i32.store (i32.const 2060) (i32.const 1000000)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-65-patterns",
        does: "describes itself with a pattern more than it may",
        end: End::Refused("65 event patterns"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(i32.store (i32.const 2056) (i32.const 12288))
                (i32.store (i32.const 2060) (i32.const 65)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-a-long-version",
        does: "says that its version is 2 MB long",
        end: End::Refused("1 to 64 bytes"),
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 64)",
            describe: "(i32.store (i32.const 2052) (i32.const 2000000)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-a-coloured-version",
        does: "has a version that would colour a terminal",
        end: End::Refused("without control characters"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(i32.store8 (i32.const 2101) (i32.const 27)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-a-mirrored-version",
        does: "has a version with a character that turns the text after it around",
        end: End::Refused("without control characters"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(i32.store (i32.const 2101) (i32.const 0x32ae80e2)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-a-broken-pattern",
        does: "wants events whose name has a line break",
        end: End::Refused("without control characters"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(i32.store8 (i32.const 2123) (i32.const 10)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-a-long-pattern",
        does: "wants events whose name is 1 MB long",
        end: End::Refused("a pattern has to be at most 256 bytes"),
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 64)",
            describe: "(memory.fill (i32.const 65536) (i32.const 97) (i32.const 1000000))
                (i32.store (i32.const 2112) (i32.const 65536))
                (i32.store (i32.const 2116) (i32.const 1000000)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-and-commits",
        does: "commits an event when it is asked what it is",
        end: End::Refused("`describe` is called without a store"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-and-reads",
        does: "reads its kv when it is asked what it is",
        end: End::Refused("`describe` is called without a store"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192)) (i32.const 2048)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-and-recurses",
        does: "calls itself until the stack ends when it is asked what it is",
        end: End::Refused("call stack exhausted"),
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(func $deep (param i64) (call $deep (i64.add (local.get 0) (i64.const 1))) (drop (call $head)))",
            describe: "(call $deep (i64.const 0)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "describes-and-hoards",
        does: "writes to all the memory that it may have when it is asked what it is, and loops for ever",
        end: End::Refused("ran out of fuel (50M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(call $hoard) (loop $l (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
];
