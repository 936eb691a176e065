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

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { after, found } => write!(f, "the log goes from {after} to {found}"),
            Self::Missing { plugin, trigger } => {
                write!(f, "{plugin} on {trigger}: no effect")
            }
            Self::Doubled {
                plugin,
                trigger,
                index,
                at,
            } => {
                write!(f, "{plugin} on {trigger}: draft {index} lies at {at:?}")
            }
            Self::Torn {
                plugin,
                trigger,
                at,
            } => {
                write!(f, "{plugin} on {trigger}: torn, lies at {at:?}")
            }
            Self::WrongSize {
                plugin,
                trigger,
                owed,
                found,
            } => {
                write!(f, "{plugin} on {trigger}: {found} events, owed {owed}")
            }
            Self::OutOfOrder {
                plugin,
                trigger,
                behind,
            } => {
                write!(
                    f,
                    "{plugin} on {trigger}: lies behind the answer to {behind}"
                )
            }
            Self::Unexpected {
                plugin,
                trigger,
                at,
            } => {
                write!(f, "{plugin} on {trigger}: event {at} should not be")
            }
            Self::AnsweredThoughDead { plugin, trigger } => {
                write!(f, "{plugin} on {trigger}: a dead letter, and answered")
            }
            Self::Counter {
                plugin,
                trigger,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{plugin} on {trigger}: counted {found:?}, expected {expected}"
                )
            }
            Self::WrongAnswer {
                plugin,
                trigger,
                at,
            } => {
                write!(f, "{plugin} on {trigger}: event {at} does not answer it")
            }
        }
    }
}
