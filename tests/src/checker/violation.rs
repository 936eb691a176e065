//! What can be wrong with a log, in words.

use std::fmt;

/// One breach of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The log is no chain: `found` does not follow `after`.
    Gap { after: u64, found: u64 },
    /// A trigger without any effect.
    Missing { plugin: String, trigger: u64 },
    /// One draft of a run, more than once in the log.
    Doubled {
        plugin: String,
        trigger: u64,
        index: u32,
        at: Vec<u64>,
    },
    /// A run of which only a part is there, or which is not in one piece, or whose events disagree about its size.
    Torn {
        plugin: String,
        trigger: u64,
        at: Vec<u64>,
    },
    /// A run with another number of events than the plugin owes.
    WrongSize {
        plugin: String,
        trigger: u64,
        owed: u32,
        found: u32,
    },
    /// A run that lies behind the run of a later trigger.
    OutOfOrder {
        plugin: String,
        trigger: u64,
        behind: u64,
    },
    /// An event of a run that should never have been.
    Unexpected {
        plugin: String,
        trigger: u64,
        at: u64,
    },
    /// A trigger that was given up and answered all the same.
    AnsweredThoughDead { plugin: String, trigger: u64 },
    /// The number that a run took from its kv is not one more than that of the run before.
    Counter {
        plugin: String,
        trigger: u64,
        expected: u64,
        found: Option<u64>,
    },
    /// The event says something else than its trigger calls for.
    WrongAnswer {
        plugin: String,
        trigger: u64,
        at: u64,
    },
}

impl Violation {
    /// The run that it is about, if it is about one.
    fn run(&self) -> Option<(&str, u64)> {
        match self {
            Self::Gap { .. } => None,
            Self::Missing { plugin, trigger }
            | Self::Doubled {
                plugin, trigger, ..
            }
            | Self::Torn {
                plugin, trigger, ..
            }
            | Self::WrongSize {
                plugin, trigger, ..
            }
            | Self::OutOfOrder {
                plugin, trigger, ..
            }
            | Self::Unexpected {
                plugin, trigger, ..
            }
            | Self::AnsweredThoughDead { plugin, trigger }
            | Self::Counter {
                plugin, trigger, ..
            }
            | Self::WrongAnswer {
                plugin, trigger, ..
            } => Some((plugin, *trigger)),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((plugin, trigger)) = self.run() {
            write!(f, "{plugin} on {trigger}: ")?;
        }
        match self {
            Self::Gap { after, found } => write!(f, "the log goes from {after} to {found}"),
            Self::Missing { .. } => f.write_str("no effect"),
            Self::Doubled { index, at, .. } => write!(f, "draft {index} lies at {at:?}"),
            Self::Torn { at, .. } => write!(f, "torn, lies at {at:?}"),
            Self::WrongSize { owed, found, .. } => write!(f, "{found} events, owed {owed}"),
            Self::OutOfOrder { behind, .. } => write!(f, "lies behind the answer to {behind}"),
            Self::Unexpected { at, .. } => write!(f, "event {at} should not be"),
            Self::AnsweredThoughDead { .. } => f.write_str("a dead letter, and answered"),
            Self::Counter {
                expected, found, ..
            } => write!(f, "counted {found:?}, expected {expected}"),
            Self::WrongAnswer { at, .. } => write!(f, "event {at} does not answer it"),
        }
    }
}
