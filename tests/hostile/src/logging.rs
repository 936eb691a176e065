//! Guests that abuse the log.

use crate::{End, Guest, HARMLESS, Parts, Source, USUAL};

pub(crate) const GUESTS: [Guest; 4] = [
    Guest {
        name: "logs-a-million-lines",
        does: "writes a million lines to the log",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $i i32)
                (loop $l
                  (call $log (i32.const 2) (i32.const 12288) (i32.const 80))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 1000000))))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "logs-1-gb",
        does: "writes a line of 1 GB to the log",
        end: End::Fails("trapped", "out of bounds"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $log (i32.const 2) (i32.const 0) (i32.const 1073741824)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "logs-2-mb-for-ever",
        does: "writes the longest line that the host takes to the log, for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 64)))
                (loop $l (call $log (i32.const 2) (i32.const 65536) (i32.const 2000000)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "logs-in-colours",
        does: "writes control characters, escapes that move a terminal's cursor, and line breaks to the log",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: r#"(data (i32.const 12288)
                  "\1b[2J\1b[1;1H\0a2026-01-01T00:00:00Z ERROR forged\0d\00\07\c2\9b31m\e2\80\ae\7f")"#,
            on_event: "(call $log (i32.const 4) (i32.const 12288) (i32.const 56))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
];
