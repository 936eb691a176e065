;; What every hostile guest shares; `wit-component` makes a component of it. A guest fills in the places in brackets.
;;
;; The canonical ABI hands `on-event` one pointer, to the run (store 0, stamp 8, mode 16, attempt 20, now-ms 24, depth 32,
;; config 36) and behind it the event (seq 48, name 56, args 64, …); it answers with a pointer to `result<_, failure>`.
;;
;; Addresses: constants below 8192; 8192 is where host functions write their answer; what lies from 12288 on is the guest's
;; own, then from 32768 on what the host hands over, and from 65536 on again the guest's own.
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

  {memory}
  (global $next (mut i32) (i32.const 32768))

  (func $realloc (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    {realloc})

  ;; Never gives anything back, and grows the memory as it must.
  (func $bump (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get $len)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (unreachable)))
    (local.get $at))

  ;; 1024: ok. 1040: retry("later\nmaybe"). 1072: reject("never\1b[31m"). 2048: the description.
  (data (i32.const 1040) "\01\00\00\00\00\00\00\00\20\04\00\00\0b\00\00\00later\0amaybe")
  (data (i32.const 1072) "\01\00\00\00\01\00\00\00\40\04\00\00\0a\00\00\00never\1b[31m")
  (data (i32.const 2048) "\34\08\00\00\05\00\00\00\40\08\00\00\01\00\00\00\60\08\00\00\01\00\00\00\00\00")
  (data (i32.const 2100) "1.2.3")
  (data (i32.const 2112) "\48\08\00\00\12\00\00\00")
  (data (i32.const 2120) "v1.ChatMessageSent")
  (data (i32.const 2144) "\68\08\00\00\04\00\00\00")
  (data (i32.const 2152) "v1.*")
  (data (i32.const 4096) "v1.Survived")
  (data (i32.const 4112) "{\22a\22:1}")
  (data (i32.const 4128) "key")
  (data (i32.const 4144) "{\22store\22:\22")
  (data (i32.const 4160) "\22}")

  ;; Traps unless it is so.
  (func $check (param $it i32) (if (i32.eqz (local.get $it)) (then (unreachable))))

  ;; Commits `v1.Survived` with the store that the run says it is in, and gives the address of `ok`.
  (func $survive (param $in i32) (result i32)
    (local $len i32)
    (local.set $len (i32.load offset=4 (local.get $in)))
    (memory.copy (i32.const 8448) (i32.const 4144) (i32.const 10))
    (memory.copy (i32.const 8458) (i32.load (local.get $in)) (local.get $len))
    (memory.copy (i32.add (i32.const 8458) (local.get $len)) (i32.const 4160) (i32.const 2))
    (call $commit (i32.const 4096) (i32.const 11) (i32.const 8448) (i32.add (local.get $len) (i32.const 12)) (i32.const 8192))
    (call $check (i32.eqz (i32.load8_u (i32.const 8192))))
    (i32.const 1024))

  ;; Traps unless the answer at 8192 is the error with this number.
  (func $refused (param $error i32)
    (call $check (i32.eq (i32.load8_u (i32.const 8192)) (i32.const 1)))
    (call $check (i32.eq (i32.load8_u offset=4 (i32.const 8192)) (local.get $error))))

  ;; Traps unless the answer at 8192 is ok.
  (func $accepted (call $check (i32.eqz (i32.load8_u (i32.const 8192)))))

  ;; Takes all the memory that there is, and leaves in it what would be found again.
  (func $hoard
    (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (memory.fill (i32.const 131072) (i32.const 0xca) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 131072))))

  {items}

  (func (export "quartermaster:plugin/about@0.1.0#describe") (result i32)
    {describe})
  (func (export "quartermaster:plugin/on-event@0.1.0#on-event") (param $in i32) (result i32)
    {on_event}))
