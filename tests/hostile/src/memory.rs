//! Guests that want more memory than they may have, or look for what others have left in it.

use crate::{End, Guest, HARMLESS, HURRIED, Parts, Source, USUAL};

pub(crate) const GUESTS: [Guest; 17] = [
    Guest {
        name: "grows-to-the-limit",
        does: "takes all the memory that it may have, and is told -1 for more",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                (call $check (i32.eq (memory.size) (i32.const 1024)))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "grows-beyond",
        does: "takes all the memory that it may have, and gives up when there is no more",
        end: End::Fails("out-of-memory", "was denied memory beyond 64 MiB"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $hoard) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "hoards-and-spins",
        does: "writes to all the memory that it may have, and keeps it until its fuel is used up",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $hoard) (loop $l (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "hoards-until-its-time-is-up",
        does: "writes to all the memory that it may have, and keeps it as long as it can",
        end: End::Fails("timed-out", "took longer than 300ms"),
        quota: HURRIED,
        source: Source::Parts(Parts {
            on_event: "(call $hoard) (loop $l (br $l)) (unreachable)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "leaves-its-memory-full",
        does: "writes to all the memory that it may have, and returns ok",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $hoard) (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "looks-for-leftovers",
        does: "takes all the memory that it may have, and looks for anything that is not 0 in it",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $at i32) (local $end i32)
                (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                (local.set $at (i32.const 131072))
                (local.set $end (i32.mul (memory.size) (i32.const 65536)))
                (loop $l
                  (call $check (i64.eqz (i64.load (local.get $at))))
                  (local.set $at (i32.add (local.get $at) (i32.const 8)))
                  (br_if $l (i32.lt_u (local.get $at) (local.get $end))))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "grows-tables",
        does: "takes all the table elements that it may have, and is told -1 for more",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(table $t 1 funcref)",
            on_event: "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1))))
                (call $check (i32.lt_u (table.size $t) (i32.const 100001)))
                (call $survive (local.get $in))",
            ..HARMLESS
        }),
    },
    Guest {
        name: "begins-with-4-gib",
        does: "has a memory of at least 4 GiB",
        end: End::Refused("denied memory beyond 64 MiB"),
        quota: USUAL,
        source: Source::Parts(Parts {
            memory: "(memory (export \"memory\") 65536)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "has-a-huge-table",
        does: "has a table of at least four billion elements",
        end: End::Refused("table"),
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(table 4294967295 funcref)",
            ..HARMLESS
        }),
    },
    Guest {
        name: "has-64-bit-memory",
        does: "has a memory with addresses of 64 bits",
        end: End::Refused("memory64"),
        quota: USUAL,
        source: Source::Text(|| one_module("(memory i64 1)")),
    },
    Guest {
        name: "shares-memory",
        does: "has a memory that threads could share, on which a guest can wait without computing",
        end: End::Refused("threads"),
        quota: USUAL,
        source: Source::Text(|| one_module("(memory 1 2 shared)")),
    },
    Guest {
        name: "collects-garbage",
        does: "has types whose values live in a heap of the host",
        end: End::Refused("gc"),
        quota: USUAL,
        source: Source::Text(|| one_module("(type (array (mut i64)))")),
    },
    Guest {
        name: "has-a-thousand-memories",
        does: "has 1,000 memories",
        end: End::Refused("memories"),
        quota: USUAL,
        source: Source::Text(|| ten_instances(&"(memory 1)".repeat(100))),
    },
    Guest {
        name: "has-a-thousand-tables",
        does: "has 1,000 tables",
        end: End::Refused("tables"),
        quota: USUAL,
        source: Source::Text(|| ten_instances(&"(table 1 funcref)".repeat(100))),
    },
    Guest {
        name: "has-a-thousand-instances",
        does: "has 1,000 instances of a module",
        end: End::Refused("core module instances"),
        quota: USUAL,
        source: Source::Text(a_thousand_instances),
    },
    Guest {
        name: "has-data-past-its-memory",
        does: "has data that does not fit into its memory",
        end: End::Refused("out of bounds memory access"),
        quota: USUAL,
        source: Source::Parts(Parts {
            items: "(data (i32.const 131071) \"ab\")",
            ..HARMLESS
        }),
    },
    Guest {
        name: "reads-past-its-memory",
        does: "reads at the end of the 4 GiB that a memory could have",
        end: End::Fails("trapped", "out of bounds memory access"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (i64.load offset=4294967295 (i32.const -1))) (unreachable)",
            ..HARMLESS
        }),
    },
];

/// A component of one core module.
fn one_module(items: &str) -> String {
    format!("(component (core module {items}))")
}

/// A component with a core module and ten instances of it.
fn ten_instances(items: &str) -> String {
    let instances = "(core instance (instantiate $m))".repeat(10);
    format!("(component (core module $m {items}) {instances})")
}

fn a_thousand_instances() -> String {
    let instances = "(core instance (instantiate $m))".repeat(1_000);
    format!("(component (core module $m) {instances})")
}
