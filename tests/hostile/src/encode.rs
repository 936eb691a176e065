//! From the text of a guest to its component.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::Parts;

/// The component of these parts.
pub(crate) fn parts(parts: &Parts) -> Vec<u8> {
    text(parts, parts.items, parts.on_event)
}

/// The same with items and a handler that are made for the occasion.
pub(crate) fn text(parts: &Parts, items: &str, on_event: &str) -> Vec<u8> {
    let text = include_str!("guest.wat")
        .replace("{imports}", parts.imports)
        .replace("{memory}", parts.memory)
        .replace("{realloc}", parts.realloc)
        .replace("{items}", items)
        .replace("{describe}", parts.describe)
        .replace("{on_event}", on_event);
    let mut module = wat::parse_str(text).expect("valid text");
    let mut resolve = Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    resolve.push_path(contract).expect("our own contract");
    let world = format!(
        "package test:guest;\n{}\nworld guest {{ include quartermaster:plugin/plugin@0.1.0;\n{} }}",
        parts.wit, parts.world
    );
    let package = resolve.push_str("guest.wit", &world).expect("valid WIT");
    let world = resolve
        .select_world(&[package], Some("guest"))
        .expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("the world's types");
    // Not validated: that is the host's job, and some guests are not valid.
    ComponentEncoder::default()
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .expect("a component")
}
