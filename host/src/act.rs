//! Who did something to a running host, and why: what is kept with everything that an operator orders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One order, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who gave it: a user of this machine, or the host itself.
    pub by: Arc<str>,
    /// Their reason, in their words; empty if they gave none.
    pub why: Arc<str>,
    /// When.
    pub at: Timestamp,
}
