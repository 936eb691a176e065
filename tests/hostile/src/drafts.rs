//! Guests that commit what no log may hold.

use crate::{End, Guest, HARMLESS, POOR, Parts, Source, USUAL};

pub(crate) const GUESTS: [Guest; 9] = [
    Guest {
        name: "commits-a-million",
        does: "commits a million events, of which a hundred are taken",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            on_event: "(local $i i32)
                (loop $l
                  (call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8192))
                  (call $check (i32.eq (i32.load8_u (i32.const 8192)) (i32.ge_u (local.get $i) (i32.const 100))))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 1000000))))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "commits-and-traps",
        does: "commits a hundred events, writes to its kv, and traps",
        end: End::Fails("trapped", "unreachable"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $i i32)
                (loop $l
                  (call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8192))
                  (call $accepted)
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))
                (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 12288) (i32.const 3) (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "commits-2-mb-for-ever",
        does: "commits the largest arguments that the host reads, for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 64)))
                (memory.fill (i32.const 65536) (i32.const 32) (i32.const 2000000))
                (i32.store8 (i32.const 2000000) (i32.const 49))
                (loop $l
                  (call $commit (i32.const 4096) (i32.const 11) (i32.const 65536) (i32.const 2000000)
                    (i32.const 8192))
                  (br $l))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "nests-100000-deep",
        does: "commits JSON of 100,000 arrays in each other, closed and open",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 4)))
                (memory.fill (i32.const 65536) (i32.const 91) (i32.const 100000))
                (memory.fill (i32.const 165536) (i32.const 93) (i32.const 100000))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 65536) (i32.const 200000)
                  (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 65536) (i32.const 100000)
                  (i32.const 8192))
                (call $refused (i32.const 2))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "commits-no-json",
        does: "commits `NaN`, `Infinity`, `1e999`, half of a character, and a dozen other texts that some reader would choke on",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: r#"(data (i32.const 12288) "NaN")
                (data (i32.const 12352) "Infinity")
                (data (i32.const 12416) "-Infinity")
                (data (i32.const 12480) "1e999")
                (data (i32.const 12544) "")
                (data (i32.const 12608) " ")
                (data (i32.const 12672) "{")
                (data (i32.const 12736) "1 2")
                (data (i32.const 12800) "{a:1}")
                (data (i32.const 12864) "'a'")
                (data (i32.const 12928) "\22\01\22")
                (data (i32.const 12992) "\22\5cud800\22")
                (data (i32.const 13056) "[1,]")
                (data (i32.const 13120) "01")
                (data (i32.const 13184) "\ef\bb\bf1")"#,
            on_event: "(call $commit (i32.const 4096) (i32.const 11) (i32.const 12288) (i32.const 3) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12352) (i32.const 8) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12416) (i32.const 9) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12480) (i32.const 5) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12544) (i32.const 0) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12608) (i32.const 1) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12672) (i32.const 1) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12736) (i32.const 3) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12800) (i32.const 5) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12864) (i32.const 3) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12928) (i32.const 3) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 12992) (i32.const 8) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 13056) (i32.const 4) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 13120) (i32.const 2) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 13184) (i32.const 4) (i32.const 8192))
                (call $refused (i32.const 2))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "repeats-keys",
        does: "commits an object that has the same key twice, which is JSON",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(data (i32.const 12288) \"{\\22a\\22:1,\\22a\\22:2}\")",
            on_event: "(call $commit (i32.const 4096) (i32.const 11) (i32.const 12288) (i32.const 13) (i32.const 8192))
                (call $accepted)
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "commits-800-kb",
        does: "commits arguments that no page of the log has room for",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 16)))
                (memory.fill (i32.const 65536) (i32.const 97) (i32.const 800000))
                (i32.store8 (i32.const 65536) (i32.const 34))
                (i32.store8 (i32.const 865535) (i32.const 34))
                (call $commit (i32.const 4096) (i32.const 11) (i32.const 65536) (i32.const 800000)
                  (i32.const 8192))
                (call $refused (i32.const 3))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "commits-under-odd-names",
        does: "commits under the empty name, one of 257 bytes, and ones with line breaks, NUL and escapes",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(data (i32.const 12288) \"a\\0ab\\00\\1b[31m\")",
            on_event: "(memory.fill (i32.const 13000) (i32.const 110) (i32.const 257))
                (call $commit (i32.const 12288) (i32.const 0) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (call $refused (i32.const 1))
                (call $commit (i32.const 13000) (i32.const 257) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (call $refused (i32.const 1))
                (call $commit (i32.const 12288) (i32.const 3) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (call $refused (i32.const 1))
                (call $commit (i32.const 12291) (i32.const 1) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (call $refused (i32.const 1))
                (call $commit (i32.const 12292) (i32.const 5) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (call $refused (i32.const 1))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "commits-what-is-not-granted",
        does: "commits under a name that it did not say it would",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(data (i32.const 12288) \"w1.Survived\")",
            on_event: "(call $commit (i32.const 12288) (i32.const 11) (i32.const 4112) (i32.const 7) (i32.const 8192))
                (call $refused (i32.const 4)) (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
];
