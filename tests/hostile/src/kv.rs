//! Guests that abuse their kv, or look for that of others.

use crate::{End, Guest, HARMLESS, POOR, Parts, ROOMY, Source, USUAL};

pub(crate) const GUESTS: [Guest; 9] = [
    Guest {
        name: "has-odd-keys",
        does: "keeps values under `../../../journals/shop.db`, `/etc/passwd`, keys with NUL, and the last character there is",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: r#"(data (i32.const 12800) "../../../journals/shop.db")
                (data (i32.const 12864) "shop/../key")
                (data (i32.const 12928) "a\00b")
                (data (i32.const 12992) "/etc/passwd")
                (data (i32.const 13056) "CON")
                (data (i32.const 13120) "\f4\8f\bf\bf")
                (data (i32.const 13184) "%00';--")"#,
            on_event: "(call $kv_get (i32.const 12800) (i32.const 25) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 12800) (i32.const 25) (i32.const 12800) (i32.const 25) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 12800) (i32.const 25) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 25)))
                (call $kv_get (i32.const 12864) (i32.const 11) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 12864) (i32.const 11) (i32.const 12864) (i32.const 11) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 12864) (i32.const 11) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 11)))
                (call $kv_get (i32.const 12928) (i32.const 3) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 12928) (i32.const 3) (i32.const 12928) (i32.const 3) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 12928) (i32.const 3) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 3)))
                (call $kv_get (i32.const 12992) (i32.const 11) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 12992) (i32.const 11) (i32.const 12992) (i32.const 11) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 12992) (i32.const 11) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 11)))
                (call $kv_get (i32.const 13056) (i32.const 3) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 13056) (i32.const 3) (i32.const 13056) (i32.const 3) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 13056) (i32.const 3) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 3)))
                (call $kv_get (i32.const 13120) (i32.const 4) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 13120) (i32.const 4) (i32.const 13120) (i32.const 4) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 13120) (i32.const 4) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 4)))
                (call $kv_get (i32.const 13184) (i32.const 7) (i32.const 8192)) (call $accepted)
                (call $kv_put (i32.const 13184) (i32.const 7) (i32.const 13184) (i32.const 7) (i32.const 8192))
                (call $accepted)
                (call $kv_get (i32.const 13184) (i32.const 7) (i32.const 8192)) (call $accepted)
                (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (i32.const 1)))
                (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (i32.const 7)))
                (call $kv_list (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                  (i32.const 256)
                  (i32.const 8192))
                (call $accepted)
                (call $check (i32.eq (i32.load offset=8 (i32.const 8192)) (i32.const 7)))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "has-bad-keys",
        does: "puts, gets and deletes the empty key and one of 513 bytes",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(memory.fill (i32.const 12288) (i32.const 107) (i32.const 600))
                (call $kv_put (i32.const 12288) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8192))
                (call $refused (i32.const 0))
                (call $kv_get (i32.const 12288) (i32.const 0) (i32.const 8192)) (call $refused (i32.const 0))
                (call $kv_delete (i32.const 12288) (i32.const 0) (i32.const 8192)) (call $refused (i32.const 0))
                (call $kv_put (i32.const 12288) (i32.const 513) (i32.const 0) (i32.const 0) (i32.const 8192))
                (call $refused (i32.const 0))
                (call $kv_get (i32.const 12288) (i32.const 513) (i32.const 8192)) (call $refused (i32.const 0))
                (call $kv_delete (i32.const 12288) (i32.const 513) (i32.const 8192))
                (call $refused (i32.const 0))
                (call $kv_list (i32.const 12288) (i32.const 600) (i32.const 0) (i32.const 0) (i32.const 0)
                  (i32.const 1)
                  (i32.const 8192))
                (call $refused (i32.const 0))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "puts-100-mb",
        does: "puts a value of 100 MB, and has the memory for it",
        end: End::Fails("trapped", "fuel allocated for hostcalls"),
        quota: ROOMY,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 3200)))
                (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 65536) (i32.const 100000000)
                  (i32.const 8192))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "puts-more-than-1-mib",
        does: "puts a value of 1 MiB and a byte",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 17)))
                (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 65536) (i32.const 1048577)
                  (i32.const 8192))
                (call $refused (i32.const 1))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "puts-8-mib",
        does: "puts eight values of 1 MiB, of which three fit with their keys",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $i i32)
                (drop (memory.grow (i32.const 17)))
                (loop $l
                  (i32.store8 (i32.const 4128) (i32.add (local.get $i) (i32.const 65)))
                  (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 65536) (i32.const 1048576)
                    (i32.const 8192))
                  (call $check (i32.eq (i32.load8_u (i32.const 8192)) (i32.gt_u (local.get $i) (i32.const 2))))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 8))))
                (call $refused (i32.const 1))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "puts-a-million-keys",
        does: "puts a million different keys, of which a thousand are taken",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            on_event: "(local $i i32)
                (loop $l
                  (i32.store (i32.const 12288)
                    (i32.add (i32.const 0x41414141)
                      (i32.or (i32.and (local.get $i) (i32.const 15))
                        (i32.or (i32.shl (i32.and (local.get $i) (i32.const 240)) (i32.const 4))
                          (i32.or (i32.shl (i32.and (local.get $i) (i32.const 3840)) (i32.const 8))
                            (i32.shl (i32.and (local.get $i) (i32.const 61440)) (i32.const 12)))))))
                  (i32.store8 (i32.const 12292) (i32.add (i32.const 65) (i32.shr_u (local.get $i) (i32.const 16))))
                  (call $kv_put (i32.const 12288) (i32.const 5) (i32.const 12288) (i32.const 3) (i32.const 8192))
                  (call $check
                    (i32.eq (i32.load8_u (i32.const 8192)) (i32.ge_u (local.get $i) (i32.const 1000))))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 1000000))))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "gets-for-ever",
        does: "puts 1 MiB and gets it for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            realloc: "(if
                  (result i32)
                  (i32.gt_u (local.get $len) (i32.const 100000))
                  (then (i32.const 2097152))
                  (else (call $bump (local.get $len))))",
            on_event: "(drop (memory.grow (i32.const 64)))
                (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 65536) (i32.const 1048576)
                  (i32.const 8192))
                (loop $l (call $kv_get (i32.const 4128) (i32.const 3) (i32.const 8192)) (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "lists-for-ever",
        does: "writes 3 MiB and lists one entry of them for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            realloc: "(i32.const 3145728)",
            memory: "(memory (export \"memory\") 100)",
            on_event: "(local $i i32)
                (loop $p
                  (i32.store8 (i32.const 4128) (i32.add (local.get $i) (i32.const 65)))
                  (call $kv_put (i32.const 4128) (i32.const 3) (i32.const 65536) (i32.const 1048576)
                    (i32.const 8192))
                  (call $accepted)
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $p (i32.lt_u (local.get $i) (i32.const 3))))
                (loop $l
                  (call $kv_list (i32.const 4128) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 1)
                    (i32.const 8192))
                  (br $l))
                (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "looks-for-other-stores",
        does: "finds its own store's id under `owner` in its kv, or nothing, and writes it there",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(data (i32.const 12288) \"owner\")",
            on_event: "(local $len i32) (local $i i32)
                (call $kv_get (i32.const 12288) (i32.const 5) (i32.const 8192)) (call $accepted)
                (local.set $len (i32.load offset=4 (local.get $in)))
                (if
                  (i32.load8_u offset=4 (i32.const 8192))
                  (then
                    (call $check (i32.eq (i32.load offset=12 (i32.const 8192)) (local.get $len)))
                    (loop $l
                      (call $check
                        (i32.eq (i32.load8_u (i32.add (i32.load offset=8 (i32.const 8192)) (local.get $i)))
                          (i32.load8_u (i32.add (i32.load (local.get $in)) (local.get $i)))))
                      (local.set $i (i32.add (local.get $i) (i32.const 1)))
                      (br_if $l (i32.lt_u (local.get $i) (local.get $len))))))
                (call $kv_put (i32.const 12288) (i32.const 5) (i32.load (local.get $in)) (local.get $len)
                  (i32.const 8192))
                (call $accepted)
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
];
