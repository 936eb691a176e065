//! A proxy between the host and its backend that understands the protocol's frames, and does to them what networks and
//! backends do: hold them back, take answers away, go silent without closing, cut connections, lose, repeat and reorder
//! broadcasts.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait;

mod connection;

/// What the proxy does to frames; it may change at any time and holds for every connection, old and new.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Nothing passes in either direction, and nothing closes.
    pub silent: bool,
    /// Pushes wait at the proxy until this is taken back.
    pub hold_pushes: bool,
    /// Answers to pushes are taken away.
    pub swallow_push_answers: bool,
    /// Broadcasts are taken away.
    pub swallow_broadcasts: bool,
    /// Of a hundred broadcasts, so many are lost.
    pub lose_percent: u8,
    /// Of a hundred broadcasts, so many come twice.
    pub repeat_percent: u8,
    /// Of a hundred broadcasts, so many come after the next.
    pub reorder_percent: u8,
    /// New connections are refused.
    pub refuse: bool,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that the backend took.
    pub connections: u64,
    /// Pushes that reached the proxy.
    pub pushes: u64,
    /// Answers to pushes that were taken away.
    pub answers_swallowed: u64,
    /// Broadcasts that were lost, repeated or reordered.
    pub broadcasts_spoiled: u64,
    /// Pings that reached the proxy.
    pub pings: u64,
}

/// A proxy on a free port. It ends with its value.
pub struct Proxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    counts: watch::Receiver<Counts>,
    /// Counts up whenever all connections are to be cut.
    cuts: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

/// What every connection shares.
#[derive(Clone)]
struct Shared {
    target: String,
    faults: watch::Receiver<Faults>,
    counts: watch::Sender<Counts>,
    cuts: watch::Receiver<u64>,
    seed: u64,
}

impl Proxy {
    /// Starts a proxy in front of the backend `target` (`ws://host:port`). `seed` decides which broadcasts are spoiled.
    pub async fn start(target: &str, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (faults, faults_seen) = watch::channel(Faults::default());
        let (counts, counts_seen) = watch::channel(Counts::default());
        let (cuts, cuts_seen) = watch::channel(0);
        let shared = Shared {
            target: target.to_owned(),
            faults: faults_seen,
            counts,
            cuts: cuts_seen,
            seed,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared));
        Ok(Self {
            address,
            faults,
            counts: counts_seen,
            cuts,
            _tasks: tasks,
        })
    }

    /// Where it listens: `ws://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Changes what it does to frames.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.faults.send_modify(change);
    }

    /// Passes everything on again.
    pub fn heal(&self) {
        self.faults.send_replace(Faults::default());
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// Waits until so much has happened.
    pub async fn wait_for(
        &self,
        what: &str,
        enough: impl FnMut(&Counts) -> bool,
    ) -> Result<Counts> {
        let mut counts = self.counts.clone();
        let counts = tokio::time::timeout(wait::PATIENCE, counts.wait_for(enough))
            .await
            .with_context(|| format!("waited in vain at the proxy for {what}"))??;
        Ok(counts.clone())
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        // Finished connections are taken in here so that a thousand of them leave nothing behind.
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: connections that end give some back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(serve(stream, shared.clone()));
    }
}

/// One connection, until either end closes it or it is cut.
async fn serve(stream: TcpStream, shared: Shared) {
    if shared.faults.borrow().refuse {
        return;
    }
    let mut cuts = shared.cuts.clone();
    cuts.mark_unchanged();
    // Whichever way it ends, dropping both sockets closes them.
    tokio::select! {
        _ = connection::relay(stream, shared) => {}
        _ = cuts.changed() => {}
    }
}
