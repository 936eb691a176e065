;; What every test guest shares; `wit-component` makes a component of it. A test fills in the places in brackets.
;;
;; The canonical ABI hands `on-event` one pointer, to the run (store 0, stamp 8, mode 16, attempt 20, now-ms 24, depth 32,
;; config 36) and behind it the event (seq 48, name 56, args 64, …); it answers with a pointer to `result<_, failure>`.
(module
  (import "quartermaster:plugin/store@0.1.0" "commit"
    (func $commit (param $name i32) (param $name_len i32) (param $args i32) (param $args_len i32) (param $ret i32)))
  (import "quartermaster:plugin/store@0.1.0" "head" (func $head (result i64)))
  (import "quartermaster:plugin/kv@0.1.0" "get" (func $kv_get (param $key i32) (param $key_len i32) (param $ret i32)))
  (import "quartermaster:plugin/kv@0.1.0" "put"
    (func $kv_put (param $key i32) (param $key_len i32) (param $value i32) (param $value_len i32) (param $ret i32)))
  (import "quartermaster:plugin/kv@0.1.0" "delete" (func $kv_delete (param $key i32) (param $key_len i32) (param $ret i32)))
  (import "quartermaster:plugin/kv@0.1.0" "list"
    (func $kv_list (param $prefix i32) (param $prefix_len i32) (param $some i32) (param $after i32) (param $after_len i32)
      (param $limit i32) (param $ret i32)))
  (import "quartermaster:plugin/log@0.1.0" "log" (func $log (param $level i32) (param $text i32) (param $text_len i32)))
  {imports}

  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 65536))

  (func $realloc (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get $len)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (unreachable)))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_len))
    (local.get $at))

  ;; 1024: ok. 1040: retry("later\nmaybe"). 1072: reject("never"). 2048: the description.
  (data (i32.const 1040) "\01\00\00\00\00\00\00\00\20\04\00\00\0b\00\00\00later\0amaybe")
  (data (i32.const 1072) "\01\00\00\00\01\00\00\00\40\04\00\00\05\00\00\00never")
  (data (i32.const 2048) "\34\08\00\00\05\00\00\00\40\08\00\00\01\00\00\00\50\08\00\00\01\00\00\00\00\01")
  (data (i32.const 2100) "1.2.3")
  (data (i32.const 2112) "\48\08\00\00\03\00\00\00")
  (data (i32.const 2120) "v1*")
  (data (i32.const 2128) "\58\08\00\00\04\00\00\00")
  (data (i32.const 2136) "v1.*")
  (data (i32.const 4096) "v1.Echoed")
  (data (i32.const 4112) "{\22a\22:1}")
  (data (i32.const 4128) "key")
  (data (i32.const 4160) "line\0a\1b[31m")

  {items}

  (func (export "quartermaster:plugin/about@0.1.0#describe") (result i32)
    {describe})
  (func (export "quartermaster:plugin/on-event@0.1.0#on-event") (param $in i32) (result i32)
    {on_event}))
