//! A connection that is opened again when it was lost. It knows nothing of what is said over it, but counts how often it
//! was lost in vain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{sleep, timeout};

use crate::cli::peer::Target;
use crate::cli::peer::link::{Link, Said};
use crate::store::RequestId;

/// Attempts to connect again, in a row, of a command that has an end. With the waits of `timing.reconnect` about a
/// minute and a half: a backend that is restarted is back by then.
const RECONNECTS_MAX: u32 = 8;

/// A connection to a log, if not at this moment.
pub(super) struct Line {
    target: Target,
    /// None while it is lost.
    link: Option<Link>,
    next_request: u64,
    /// Connections lost and attempts in vain, in a row.
    losses: u32,
    /// Why the last one was lost.
    last_error: Arc<str>,
    reconnects_max: u32,
}

impl Line {
    /// Connects. Nothing is tried twice: what is wrong at the beginning is mostly wrong for good.
    pub(super) async fn open(target: Target) -> anyhow::Result<Self> {
        Ok(Self {
            link: Some(target.connect().await?),
            target,
            next_request: 0,
            losses: 0,
            last_error: "".into(),
            reconnects_max: RECONNECTS_MAX,
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Goes on connecting as long as it takes.
    pub(super) fn never_give_up(&mut self) {
        self.reconnects_max = u32::MAX;
    }

    /// Something of use was heard.
    pub(super) fn is_well(&mut self) {
        self.losses = 0;
    }

    pub(super) fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// A number for a call; none comes twice, over whichever connection.
    pub(super) fn next_request(&mut self) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        request
    }

    /// The connection.
    ///
    /// # Errors
    /// It is lost.
    pub(super) fn link(&mut self) -> anyhow::Result<&mut Link> {
        self.link.as_mut().context("the connection is lost")
    }

    /// What is heard next; none if nothing is for so long.
    pub(super) async fn hear(&mut self, patience: Duration) -> Option<Said> {
        let link = self.link.as_mut()?;
        timeout(patience, link.next()).await.ok()
    }

    /// Lets go of the connection. [`Line::connected`] opens another.
    pub(super) fn lose(&mut self, error: Arc<str>) {
        eprintln!(
            "quartermaster: store {}: {error}; connecting again",
            self.target.store()
        );
        self.link = None;
        self.losses += 1;
        self.last_error = error;
    }

    /// Waits for a connection, if there is none.
    ///
    /// # Errors
    /// It was tried often enough.
    pub(super) async fn connected(&mut self) -> anyhow::Result<()> {
        while self.link.is_none() {
            if self.losses > self.reconnects_max {
                bail!(
                    "store {}: gave up after {RECONNECTS_MAX} attempts to connect again: {}",
                    self.target.store(),
                    self.last_error
                );
            }
            let jitter = fastrand::u64(..);
            sleep(self.target.timing().reconnect.delay(self.losses, jitter)).await;
            match self.target.connect().await {
                Ok(link) => self.link = Some(link),
                Err(error) => {
                    self.losses = self.losses.saturating_add(1);
                    self.last_error = format!("{error:#}").into();
                }
            }
        }
        Ok(())
    }

    /// Lets go of the log.
    pub(super) async fn close(self) {
        if let Some(link) = self.link {
            link.close().await;
        }
        self.target.release().await;
    }
}
