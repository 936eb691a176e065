//! Guests that abuse what the host offers of WASI.

use crate::{End, Guest, HARMLESS, POOR, Parts, Source, USUAL};

const IMPORTS: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "resolution" (func $resolution (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.ready" (func $ready (param i32) (result i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))
  (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random_bytes (param i64 i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.check-write" (func $check_write (param i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.subscribe" (func $subscribe (param i32) (result i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_output (param i32)))
  (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))"#;

const WORLD: &str = "
  import wasi:clocks/monotonic-clock@0.2.0; import wasi:io/poll@0.2.0; import wasi:io/streams@0.2.0;
  import wasi:random/random@0.2.0; import wasi:cli/environment@0.2.0; import wasi:cli/exit@0.2.0;
  import wasi:cli/stdin@0.2.0; import wasi:cli/stdout@0.2.0; import wasi:filesystem/preopens@0.2.0;";

const FOR_WASI: Parts = Parts {
    imports: IMPORTS,
    wit: include_str!("wasi.wit"),
    world: WORLD,
    ..HARMLESS
};

pub(crate) const GUESTS: [Guest; 25] = [
    Guest {
        name: "wants-a-random-gigabyte",
        does: "asks for 1 GB of random bytes at once",
        end: End::Fails("trapped", "random bytes"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $random_bytes (i64.const 1000000000) (i32.const 8192)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "wants-random-gigabytes",
        does: "asks for 64 KiB of random bytes for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            realloc: "(i32.const 65536)",
            memory: "(memory (export \"memory\") 4)",
            on_event: "(loop $l (call $random_bytes (i64.const 65536) (i32.const 8192)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "reads-the-clock-for-ever",
        does: "reads the clock for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (drop (call $now)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "asks-how-fine-the-clock-is",
        does: "asks for the clock's resolution for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (drop (call $resolution)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "sleeps-584-years",
        does: "sleeps for as long as a clock can count, which takes no time",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $block (call $timer (i64.const -1))) (call $survive (local.get $in))",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "waits-for-ever",
        does: "waits for what is ready, for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $it i32)
                (local.set $it (call $timer (i64.const 1)))
                (loop $l (call $block (local.get $it)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "asks-whether-it-is-ready",
        does: "asks for ever whether something is ready",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $it i32)
                (local.set $it (call $timer (i64.const 1)))
                (loop $l (drop (call $ready (local.get $it))) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "waits-for-many",
        does: "waits for 100,000 things at once, which are all the same",
        end: End::Fails("trapped", "store handle limit exceeded"),
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 20)",
            realloc: "(i32.const 655360)",
            on_event: "(local $it i32) (local $i i32)
                (local.set $it (call $timer (i64.const 1)))
                (loop $f
                  (i32.store offset=65536 (local.get $i) (local.get $it))
                  (local.set $i (i32.add (local.get $i) (i32.const 4)))
                  (br_if $f (i32.lt_u (local.get $i) (i32.const 400000))))
                (loop $l (call $poll (i32.const 65536) (i32.const 100000) (i32.const 8192)) (br $l))
                (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "waits-for-nothing",
        does: "waits for the first of no things",
        end: End::Fails("trapped", "empty poll list"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $poll (i32.const 0) (i32.const 0) (i32.const 8192)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "never-drops",
        does: "makes handles of the host's for ever, and drops none",
        end: End::Fails("trapped", "resource table has no free keys"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (drop (call $timer (i64.const 1))) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "never-drops-its-own",
        does: "makes handles of its own for ever, and drops none",
        end: End::Fails("trapped", "handle limit exceeded"),
        quota: USUAL,
        source: Source::Parts(Parts {
            imports: r#"(import "[export]test:guest/things" "[resource-new]thing" (func $new (param i32) (result i32)))"#,
            on_event: "(loop $l (drop (call $new (i32.const 1))) (br $l)) (unreachable)",
            wit: "interface things { resource thing; }",
            world: "export things;",
            ..HARMLESS
        }),
    },
    Guest {
        name: "drops-twice",
        does: "drops a handle twice",
        end: End::Fails("trapped", "unknown handle index"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $it i32)
                (local.set $it (call $timer (i64.const 1)))
                (call $drop_pollable (local.get $it))
                (call $drop_pollable (local.get $it)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "uses-what-it-dropped",
        does: "waits for what it has dropped",
        end: End::Fails("trapped", "unknown handle index"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $it i32)
                (local.set $it (call $timer (i64.const 1)))
                (call $drop_pollable (local.get $it))
                (call $block (local.get $it)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "forges-a-handle",
        does: "waits for a handle that nobody gave it",
        end: End::Fails("trapped", "unknown handle index"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $block (i32.const 12345)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "confuses-handles",
        does: "writes to a clock",
        end: End::Fails("trapped", "wrong type"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $it i32)
                (local.set $it (call $timer (i64.const 1)))
                (call $write (local.get $it) (i32.const 4128) (i32.const 3) (i32.const 8192)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "drops-what-is-waited-for",
        does: "drops a stream while it holds a handle to wait for it",
        end: End::Fails("trapped", "children"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $out i32)
                (local.set $out (call $stdout))
                (drop (call $subscribe (local.get $out)))
                (call $drop_output (local.get $out)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "prints-for-ever",
        does: "prints 64 KiB for ever, without a line break",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 4)",
            on_event: "(local $out i32)
                (local.set $out (call $stdout))
                (loop $l
                  (call $write (local.get $out) (i32.const 65536) (i32.const 65536) (i32.const 8192))
                  (br $l))
                (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "prints-empty-lines",
        does: "prints 64 KiB of line breaks for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 4)",
            on_event: "(local $out i32)
                (local.set $out (call $stdout))
                (memory.fill (i32.const 65536) (i32.const 10) (i32.const 65536))
                (loop $l
                  (call $write (local.get $out) (i32.const 65536) (i32.const 65536) (i32.const 8192))
                  (br $l))
                (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "prints-nothing-for-ever",
        does: "prints nothing at all, for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $out i32)
                (local.set $out (call $stdout))
                (loop $l (call $write (local.get $out) (i32.const 0) (i32.const 0) (i32.const 8192)) (br $l))
                (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "prints-zeroes",
        does: "prints 16 EiB of zeroes at once",
        end: End::Fails("trapped", "check_write"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $out i32)
                (local.set $out (call $stdout))
                (call $zeroes (local.get $out) (i64.const -1) (i32.const 8192)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "asks-for-room",
        does: "asks for ever how much it may print",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $out i32)
                (local.set $out (call $stdout))
                (loop $l (call $check_write (local.get $out) (i32.const 8192)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "reads-its-input-for-ever",
        does: "reads from its empty input for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $it i32)
                (local.set $it (call $stdin))
                (loop $l (call $read (local.get $it) (i64.const -1) (i32.const 8192)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "asks-for-arguments",
        does: "asks for ever which arguments it was started with",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (call $arguments (i32.const 8192)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "looks-for-files",
        does: "asks for ever which folders it may see",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (call $directories (i32.const 8192)) (br $l)) (unreachable)",
            ..FOR_WASI
        }),
    },
    Guest {
        name: "exits-well",
        does: "ends the process, and says that all is well",
        end: End::Fails("trapped", "it exited with code 0"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (call $survive (local.get $in)))
                (call $exit (i32.const 0)) (unreachable)",
            ..FOR_WASI
        }),
    },
];
