//! What an operator says: one file for the process, one for each store, and the environment above them. Everything is
//! checked in one go and every mistake is told with its file, line and key; a mistake in one store's part costs only
//! that store. A [`Config`] comes out of [`load`] and from nowhere else.
//!
//! figment lays the sources over each other and knows which of them a value is from; its line is known from the spans of
//! `toml`. Values are not deserialized but read key by key, because deserializing ends with the first mistake.
//!
//! `config/README.md` documents every key; a test holds it to the list in `keys`.

mod changes;
mod diff;
mod document;
mod environment;
mod fields;
mod files;
mod given;
mod keys;
mod layer;
mod load;
mod planned;
mod problem;
mod quantity;
mod quota;
mod read;
mod secret;
mod seen;
mod serving;
mod source;
mod tasks;
mod types;
mod variables;

#[cfg(test)]
mod tests;

pub use changes::Changes;
pub use diff::Diff;
pub use environment::Environment;
pub use files::{Location, Origin};
pub use given::{Given, Lack};
pub use load::{Loaded, load};
pub use planned::{Described, Planned};
pub use problem::{Place, Problem, Refused};
pub use quota::{PluginQuota, Quota, RateQuota, RunQuota};
pub use secret::Hidden;
pub use serving::{Access, Algorithm, Jwt, Limits, Mode, Token};
pub use source::{Reloaded, Source};
pub use tasks::{Moment, MomentError, TaskConfig, TaskConfigs, Tasks, Trace};
pub use types::{Config, Guests, PluginConfig, Rollback, Rollout, Server, StoreConfig, Sync};
