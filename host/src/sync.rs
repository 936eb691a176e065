//! The client side of LiveStore's sync protocol (`@livestore/sync-cf` 0.4, and 0.4.0-dev.22) over WebSocket: one
//! [`Connection`] is one socket to one store's backend. It turns frames into [`Input`](crate::store::Input)s and
//! requests into frames, notices a dead socket, and decides nothing else: order, gaps, retries and what to believe are
//! the machine's business. Nothing that a backend sends makes it panic or hold more than one message.

mod connect;
mod connection;
mod endpoint;
mod position;
mod socket;
mod transport;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use connection::Connection;
pub use endpoint::{Endpoint, Limits};
pub(crate) use position::Position;

/// Why there is no connection. No variant holds the payload, the URL's query, or more than a few hundred bytes of what
/// the backend said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The endpoint is configured wrongly; trying again changes nothing.
    #[error("sync URL {url}: {problem}")]
    Endpoint {
        /// The URL without its secrets, or what stands for one that is none.
        url: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
    /// Nobody answered, or somebody who speaks neither TLS nor HTTP as expected.
    #[error("cannot connect to {url}: {problem}")]
    Unreachable {
        /// The URL without its secrets.
        url: Arc<str>,
        /// What happened.
        problem: Arc<str>,
    },
    /// An HTTP server answered, and did not open a WebSocket.
    #[error("{url} answered with HTTP status {status}: {problem}")]
    Refused {
        /// The URL without its secrets.
        url: Arc<str>,
        /// The status of the answer.
        status: u16,
        /// What that means here, and what the server said.
        problem: Arc<str>,
    },
    /// The socket was open, and is of no use any more.
    #[error("{0}")]
    Lost(Arc<str>),
}

/// What the backend said, fit for a log line: at most 300 characters, none of them a control character.
fn shorten(text: &str) -> String {
    // Enough for the first sentence of a stack trace or an error page; a store's status is a line.
    const CHARS_MAX: usize = 300;
    let mut short: String = text
        .trim()
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.trim().chars().nth(CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}
