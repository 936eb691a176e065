//! Files that are no plugins, or would be the end of whoever compiles them.

use std::fmt::Write as _;

use crate::{End, Guest, Source, USUAL, harmless};

pub(crate) const GUESTS: [Guest; 11] = [
    Guest {
        name: "is-empty",
        does: "is an empty file",
        end: End::Refused("it is not a WebAssembly file"),
        quota: USUAL,
        source: Source::Bytes(Vec::new),
    },
    Guest {
        name: "is-a-script",
        does: "is a script that calls itself a plugin",
        end: End::Refused("it is not a WebAssembly file"),
        quota: USUAL,
        source: Source::Bytes(|| b"#!/bin/sh\nrm -rf .\n".to_vec()),
    },
    Guest {
        name: "is-a-module",
        does: "is a core module",
        end: End::Refused("it is a core module, not a component"),
        quota: USUAL,
        source: Source::Text(|| "(module)".to_owned()),
    },
    Guest {
        name: "is-half",
        does: "is the first half of a component",
        end: End::Refused("it may not be written to the end"),
        quota: USUAL,
        source: Source::Bytes(half),
    },
    Guest {
        name: "is-noise",
        does: "begins like a component and goes on with noise",
        end: End::Refused("it cannot be compiled"),
        quota: USUAL,
        source: Source::Bytes(noise),
    },
    Guest {
        name: "exports-nothing",
        does: "exports nothing of what a plugin exports",
        end: End::Refused("it does not fit the world"),
        quota: USUAL,
        source: Source::Text(|| "(component)".to_owned()),
    },
    Guest {
        name: "exports-something-else",
        does: "exports a `describe` that gives no description",
        end: End::Refused("it does not fit the world"),
        quota: USUAL,
        source: Source::Text(other_describe),
    },
    Guest {
        name: "imports-sockets",
        does: "imports sockets",
        end: End::Refused("a plugin has no sockets"),
        quota: USUAL,
        source: Source::Text(|| importing("wasi:sockets/tcp@0.2.6")),
    },
    Guest {
        name: "imports-a-long-name",
        does: "imports an interface whose name has 90,000 letters",
        end: End::Refused("a plugin gets `quartermaster:plugin`"),
        quota: USUAL,
        source: Source::Text(|| importing(&format!("acme:{}/x@1.0.0", "a".repeat(90_000)))),
    },
    Guest {
        name: "multiplies",
        does: "is 40 components in each other, each of which makes two of the next: a million million instances",
        end: End::Refused("compiling it takes more"),
        quota: USUAL,
        source: Source::Text(multiplying),
    },
    Guest {
        name: "is-deep",
        does: "has one function of 10,000 blocks in each other",
        end: End::Refused("it does not fit the world"),
        quota: USUAL,
        source: Source::Text(deep),
    },
];

fn half() -> Vec<u8> {
    let mut whole = harmless();
    whole.truncate(whole.len() / 2);
    whole
}

fn noise() -> Vec<u8> {
    let mut noise = b"\0asm\x0d\0\x01\0".to_vec();
    // A xorshift generator: the same bytes each time.
    let mut state = 0x9e37_79b9_u32;
    noise.extend((0..4096).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    }));
    noise
}

fn other_describe() -> String {
    "(component
      (core module $m (func (export \"f\")))
      (core instance $i (instantiate $m))
      (func $f (canon lift (core func $i \"f\")))
      (instance $about (export \"describe\" (func $f)))
      (export \"quartermaster:plugin/about@0.1.0\" (instance $about)))"
        .to_owned()
}

fn importing(interface: &str) -> String {
    format!("(component (import \"{interface}\" (instance (export \"f\" (func)))))")
}

fn multiplying() -> String {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for level in 1..40 {
        let inner = level - 1;
        text = format!(
            "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
        );
    }
    text
}

fn deep() -> String {
    const DEPTH: usize = 10_000;
    let mut text = "(component (core module (func ".to_owned();
    text.push_str(&"block ".repeat(DEPTH));
    text.push_str(&"end ".repeat(DEPTH));
    write!(text, ")))").expect("a string takes everything");
    text
}
