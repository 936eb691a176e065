//! The sync backend inside of this process: what a LiveStore app would otherwise ask a server elsewhere for. So far it
//! speaks the protocol; it keeps nothing yet.

#[allow(
    dead_code,
    unused_imports,
    reason = "the sessions that read and write these frames come with the log"
)]
mod wire;

pub use wire::{Refusal, Transport};
