//! What the stories stand on: a real LiveStore backend, real LiveStore clients, the host's binary, a proxy that
//! misbehaves between them, and a checker that reads a store's whole log and says what is wrong with it.
//!
//! Nothing here uses the host's own code: what it promises is judged from outside.

pub mod backend;
pub mod bench;
pub mod browser;
pub mod cgroup;
pub mod checker;
pub mod client;
pub mod command;
pub mod components;
pub mod differential;
pub mod disk;
pub mod faketime;
pub mod grants;
pub mod history;
pub mod host;
pub mod http;
pub mod living;
pub mod paths;
pub mod plugins;
pub mod proxy;
pub mod rations;
pub mod raw;
pub mod scene;
pub mod ticks;
pub mod torture;
pub mod versions;
pub mod wait;
