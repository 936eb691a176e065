//! What the process says about itself: counters for `/metrics` and log lines. Nothing here opens a socket, starts a
//! thread or reads a clock; whoever measures hands over the time it took.

mod logging;
mod metrics;

pub use logging::{Error, LogFormat, init};
pub use metrics::{Metrics, Reload, StoreGauge, StoreState, SyncGauge, SyncPushes, SyncRefused};
