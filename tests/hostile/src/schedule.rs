//! Guests that abuse the schedule.

use crate::{End, Guest, HARMLESS, POOR, Parts, Source, USUAL};

/// One that may schedule: the task at 6144 has the id at 5300, a rhythm of a minute and the payload at 5320. Its tasks do
/// nothing.
const SCHEDULING: Parts = Parts {
    imports: r#"
        (import "quartermaster:plugin/schedule@0.1.0" "put" (func $put_task (param $task i32) (param $ret i32)))
        (import "quartermaster:plugin/schedule@0.1.0" "list" (func $list_tasks (param $ret i32)))"#,
    items: r#"(data (i32.const 5300) "tick") (data (i32.const 5320) "{\22a\22:1}")
        (data (i32.const 5340) "0 0 31 2 *")
        (data (i32.const 6144) "\b4\14\00\00\04\00\00\00\01") (data (i32.const 6160) "\60\ea")
        (data (i32.const 6304) "\c8\14\00\00\07")
        (func $put (call $put_task (i32.const 6144) (i32.const 8192)))
        (func (export "quartermaster:plugin/on-task@0.1.0#on-task") (param $in i32) (result i32) (i32.const 1024))"#,
    world: "import quartermaster:plugin/schedule@0.1.0; export quartermaster:plugin/on-task@0.1.0;",
    ..HARMLESS
};

pub(crate) const GUESTS: [Guest; 7] = [
    Guest {
        name: "schedules-a-million-tasks",
        does: "puts a million different tasks, of which a thousand are taken",
        end: End::Fails("out-of-fuel", "ran out of fuel (200M)"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(local $i i32)
                (loop $l
                  (i32.store (i32.const 5300)
                    (i32.add (i32.const 0x41414141)
                      (i32.or (i32.and (local.get $i) (i32.const 15))
                        (i32.or (i32.shl (i32.and (local.get $i) (i32.const 240)) (i32.const 4))
                          (i32.or (i32.shl (i32.and (local.get $i) (i32.const 3840)) (i32.const 8))
                            (i32.shl (i32.and (local.get $i) (i32.const 61440)) (i32.const 12)))))))
                  (call $put)
                  (call $check
                    (i32.eq (i32.load8_u (i32.const 8192)) (i32.ge_u (local.get $i) (i32.const 1000))))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $l (i32.lt_u (local.get $i) (i32.const 1000000))))
                (unreachable)",
            ..SCHEDULING
        }),
    },
    Guest {
        name: "schedules-1-mb",
        does: "puts a task with a payload of 1 MB",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(drop (memory.grow (i32.const 17)))
                (i32.store (i32.const 6304) (i32.const 65536)) (i32.store (i32.const 6308) (i32.const 1000000))
                (call $put) (call $refused (i32.const 0))
                (call $survive (local.get $in))",
            ..SCHEDULING
        }),
    },
    Guest {
        name: "schedules-nonsense",
        does: "puts tasks with a period of 0, a phase beyond the period, a time after all calendars, a pattern that is none, a \
            zone that is none, a payload that is no JSON, and no id",
        end: End::Survives,
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(i64.store (i32.const 6160) (i64.const 0)) (call $put) (call $refused (i32.const 0))
                (i64.store (i32.const 6160) (i64.const 60000))
                (i64.store (i32.const 6168) (i64.const -1)) (call $put) (call $refused (i32.const 0))
                (i64.store (i32.const 6168) (i64.const 0))
                (i32.store8 (i32.const 6152) (i32.const 2))
                (i64.store (i32.const 6160) (i64.const -1)) (call $put) (call $refused (i32.const 0))
                (i32.store8 (i32.const 6152) (i32.const 0))
                (i32.store (i32.const 6160) (i32.const 5300)) (i32.store (i32.const 6164) (i32.const 4))
                (call $put) (call $refused (i32.const 0))
                (i32.store8 (i32.const 6152) (i32.const 1))
                (i64.store (i32.const 6160) (i64.const 60000))
                (i32.store8 (i32.const 6176) (i32.const 1))
                (i32.store (i32.const 6180) (i32.const 5300)) (i32.store (i32.const 6184) (i32.const 4))
                (call $put) (call $refused (i32.const 0))
                (i32.store8 (i32.const 6176) (i32.const 0))
                (i32.store8 (i32.const 5320) (i32.const 120)) (call $put) (call $refused (i32.const 0))
                (i32.store8 (i32.const 5320) (i32.const 123))
                (i32.store (i32.const 6148) (i32.const 0)) (call $put) (call $refused (i32.const 0))
                (call $survive (local.get $in))",
            ..SCHEDULING
        }),
    },
    Guest {
        name: "schedules-what-is-never-due",
        does: "puts a task for the 31st of February, for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            on_event: "(i32.store8 (i32.const 6152) (i32.const 0))
                (i32.store (i32.const 6160) (i32.const 5340)) (i32.store (i32.const 6164) (i32.const 10))
                (loop $l (call $put) (call $refused (i32.const 0)) (br $l)) (unreachable)",
            ..SCHEDULING
        }),
    },
    Guest {
        name: "lists-tasks-for-ever",
        does: "puts a task with 64 KiB of payload and lists its tasks for ever",
        end: End::Fails("out-of-fuel", "ran out of fuel (20M)"),
        quota: POOR,
        source: Source::Parts(Parts {
            realloc: "(i32.and (i32.const -8) (if (result i32) (i32.gt_u (local.get $len) (i32.const 1000))
                (then (i32.const 3145728)) (else (call $bump (local.get $len)))))",
            memory: "(memory (export \"memory\") 100)",
            on_event: "(memory.fill (i32.const 65536) (i32.const 97) (i32.const 65536))
                (i32.store8 (i32.const 65536) (i32.const 34)) (i32.store8 (i32.const 131071) (i32.const 34))
                (i32.store (i32.const 6304) (i32.const 65536)) (i32.store (i32.const 6308) (i32.const 65536))
                (call $put) (call $accepted)
                (loop $l (call $list_tasks (i32.const 8192)) (call $accepted) (br $l)) (unreachable)",
            ..SCHEDULING
        }),
    },
    Guest {
        name: "schedules-and-traps",
        does: "puts a task that is due each minute, commits an event, and traps",
        end: End::Fails("trapped", "unreachable"),
        quota: USUAL,
        source: Source::Parts(Parts {
            on_event: "(call $put) (call $accepted) (drop (call $survive (local.get $in))) (unreachable)",
            ..SCHEDULING
        }),
    },
    Guest {
        name: "describes-and-schedules",
        does: "puts a task when it is asked what it is",
        end: End::Refused("`describe` is called without a store"),
        quota: USUAL,
        source: Source::Parts(Parts {
            describe: "(call $put) (i32.const 2048)",
            ..SCHEDULING
        }),
    },
];
