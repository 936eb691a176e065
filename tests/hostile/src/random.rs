//! Components from chance: valid code that does anything, host calls included, and good components with bytes changed. The
//! same number gives the same component each time.
//!
//! The code is made here, as text, and not by `wasm-smith`: what that needs of `arbitrary` would have wasmtime compiled
//! once more for tests, and it knows nothing of our world, so hardly anything that it makes would get as far as a run.

use crate::{HARMLESS, all, encode, harmless};

/// Statements in each other.
const DEPTH_MAX: u32 = 4;

/// Bytes that are changed in one component.
const CHANGES_MAX: u64 = 3;

/// A plugin whose functions do whatever comes out of `number`. It fits the world, and now and then describes itself badly.
pub fn code(number: u64) -> Vec<u8> {
    let mut chance = Chance::new(number);
    let mut items = "(table $t 8 funcref) (elem (i32.const 0) $f0 $f1 $f2 $f3)".to_owned();
    for function in 0..4 {
        let body: String = (0..3).map(|_| chance.statement(DEPTH_MAX)).collect();
        let result = chance.number(DEPTH_MAX);
        items.push_str(&format!(
            "(func $f{function} (param $in i32) (result i32)
               (local $i i32) (local $j i32) (local $long i64) (local $real f64) {body} {result})"
        ));
    }
    let describe = match chance.below(8) {
        0 => "(call $f3 (i32.const 2048))",
        1 => "(drop (call $f2 (i32.const 1))) (i32.const 2048)",
        _ => "(i32.const 2048)",
    };
    let on_event = match chance.below(4) {
        0 => "(call $f0 (local.get $in))",
        _ => "(drop (call $f0 (local.get $in))) (i32.const 1024)",
    };
    let parts = crate::Parts {
        describe,
        ..HARMLESS
    };
    encode::text(&parts, &items, on_event)
}

/// One of the components of the corpus, or one of chance, with some bytes changed, taken out, put in or moved.
pub fn mutant(number: u64) -> Vec<u8> {
    let mut chance = Chance::new(!number);
    let mut bytes = match chance.below(3) {
        0 => harmless(),
        1 => code(number),
        _ => {
            let small = || all().filter(|guest| !guest.is_for_a_child());
            let choice = chance.below(small().count() as u64) as usize;
            let guest = small().nth(choice).expect("there are so many");
            guest.file()
        }
    };
    // What begins otherwise is refused by its first bytes.
    const HEADER: usize = 8;
    for _ in 0..=chance.below(CHANGES_MAX) {
        let Some(room) = bytes.len().checked_sub(HEADER + 1).filter(|room| *room > 0) else {
            break;
        };
        let at = HEADER + chance.below(room as u64) as usize;
        match chance.below(8) {
            0..4 => bytes[at] ^= 1 << chance.below(8),
            4 => bytes[at] = chance.next() as u8,
            5 => drop(bytes.remove(at)),
            6 => bytes.insert(at, chance.next() as u8),
            _ => {
                let end = bytes.len().min(at + 1 + chance.below(64) as usize);
                let piece = bytes[at..end].to_vec();
                let to = HEADER + chance.below(room as u64) as usize;
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// Numbers that follow from the first one (splitmix64).
struct Chance(u64);

impl Chance {
    fn new(number: u64) -> Self {
        Self(number)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }

    /// An address: mostly within the first 64 KiB.
    fn address(&mut self, depth: u32) -> String {
        let number = self.number(depth);
        match self.below(20) {
            0 => number,
            _ => format!("(i32.and {number} (i32.const 0xfff8))"),
        }
    }

    /// A length: mostly a small one.
    fn length(&mut self) -> String {
        let length = match self.below(12) {
            0 => self.next() & 0xffff_ffff,
            1 => self.below(1 << 21),
            2 => self.below(5_000),
            _ => self.below(40),
        };
        format!("(i32.const {length})")
    }

    /// An expression of type i32.
    fn number(&mut self, depth: u32) -> String {
        if depth == 0 {
            let locals = ["(local.get $in)", "(local.get $i)", "(local.get $j)"];
            return match self.below(3) {
                0 => self.pick(&locals).to_owned(),
                1 => format!("(i32.const {})", self.below(10_000)),
                _ => format!("(i32.const {})", self.next() as i32),
            };
        }
        let depth = depth - 1;
        let (a, b) = (self.number(depth), self.number(depth));
        match self.below(12) {
            0 => format!("(i32.load {})", self.address(depth)),
            1 => format!("(i32.load8_u {})", self.address(depth)),
            2 => format!("(memory.grow (i32.and {a} (i32.const 63)))"),
            3 => format!("(select {a} {b} {})", self.number(depth)),
            4 => format!("(if (result i32) {a} (then {b}) (else {}))", self.number(0)),
            5 => format!("(i32.wrap_i64 {})", self.long(depth)),
            6 => format!("(i32.trunc_sat_f64_s {})", self.real(depth)),
            7 => format!("(table.grow $t (ref.null func) (i32.and {a} (i32.const 255)))"),
            _ => {
                let operators = [
                    "add", "sub", "mul", "and", "xor", "shl", "rotl", "lt_u", "eq",
                ];
                let dangerous = ["div_s", "rem_u"];
                let operator = match self.below(10) {
                    0 => self.pick(&dangerous),
                    _ => self.pick(&operators),
                };
                format!("(i32.{operator} {a} {b})")
            }
        }
    }

    /// An expression of type i64.
    fn long(&mut self, depth: u32) -> String {
        let depth = depth.saturating_sub(1);
        match self.below(6) {
            0 => "(local.get $long)".to_owned(),
            1 => "(call $head)".to_owned(),
            2 => format!("(i64.const {})", self.next() as i64),
            3 => format!("(i64.extend_i32_s {})", self.number(depth)),
            4 => format!("(i64.load {})", self.address(depth)),
            _ => format!("(i64.reinterpret_f64 {})", self.real(depth)),
        }
    }

    /// An expression of type f64. What is no number must look the same on every machine.
    fn real(&mut self, depth: u32) -> String {
        let depth = depth.saturating_sub(1);
        match self.below(5) {
            0 => "(local.get $real)".to_owned(),
            1 => "(f64.const nan)".to_owned(),
            2 => format!("(f64.convert_i32_s {})", self.number(depth)),
            3 => format!("(f64.load {})", self.address(depth)),
            _ => format!(
                "(f64.div (f64.sqrt (local.get $real)) (f64.convert_i32_u {}))",
                self.number(depth)
            ),
        }
    }

    fn statement(&mut self, depth: u32) -> String {
        let Some(inner) = depth.checked_sub(1) else {
            return format!("(local.set $i {})", self.number(0));
        };
        let number = self.number(inner);
        match self.below(16) {
            0 => format!("(local.set $i {number})"),
            1 => format!("(local.set $j {number})"),
            2 => format!("(local.set $long {})", self.long(inner)),
            3 => format!("(local.set $real {})", self.real(inner)),
            4 => format!("(i32.store {} {number})", self.address(0)),
            5 => format!("(i64.store {} {})", self.address(0), self.long(inner)),
            6 => format!(
                "(if {number} (then {}) (else {}))",
                self.statement(inner),
                self.statement(inner)
            ),
            7 => format!(
                "(loop $l{depth} {} (br_if $l{depth} {number}))",
                self.statement(inner)
            ),
            8 => format!(
                "(block $b{depth} {} (br_if $b{depth} {number}) {})",
                self.statement(inner),
                self.statement(inner)
            ),
            9 => format!(
                "(memory.fill {} {number} {})",
                self.address(0),
                self.length()
            ),
            10 => format!(
                "(memory.copy {} {} {})",
                self.address(0),
                self.address(0),
                self.length()
            ),
            11 => format!("(drop (call $f{} {number}))", self.below(4)),
            12 => format!(
                "(drop (call_indirect $t (param i32) (result i32) {number} (i32.and {} (i32.const 7))))",
                self.number(0)
            ),
            _ => self.host_call(),
        }
    }

    fn host_call(&mut self) -> String {
        let (key, value) = (self.address(0), self.address(0));
        let (key_length, value_length) = (self.length(), self.length());
        let answer = self.address(0);
        match self.below(7) {
            0 => format!(
                "(call $commit (i32.const 4096) (i32.const 11) {value} {value_length} {answer})"
            ),
            1 => format!(
                "(call $commit (i32.const 4096) (i32.const 11) (i32.const 4112) (i32.const 7) {answer})"
            ),
            2 => format!("(call $kv_put {key} {key_length} {value} {value_length} {answer})"),
            3 => format!("(call $kv_get {key} {key_length} {answer})"),
            4 => format!("(call $kv_delete {key} {key_length} {answer})"),
            5 => format!(
                "(call $kv_list {key} {key_length} (i32.const 0) (i32.const 0) (i32.const 0) {value_length} {answer})"
            ),
            _ => format!(
                "(call $log (i32.const {}) {key} {key_length})",
                self.below(6)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gives_the_same_component_each_time_and_another_number_another() {
        for number in 0..20 {
            assert_eq!(code(number), code(number), "{number}");
            assert_eq!(mutant(number), mutant(number), "{number}");
            assert_ne!(code(number), code(number + 1), "{number}");
        }
    }
}
