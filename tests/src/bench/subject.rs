//! What is measured: the host's binary with the guest `reply`, or the Node process that does the same.

use std::fmt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::backend::Backend;
use crate::grants::granted;
use crate::host::{Host, resident_bytes};
use crate::paths;
use crate::wait;

/// Of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Quartermaster.
    Host,
    /// N LiveStore stores in one Node process.
    Peer,
}

/// One of them at work on stores `bench-0`, `bench-1` and so on.
pub(super) struct Subject {
    process: Process,
    ready_after: Duration,
}

enum Process {
    Host(Box<Host>),
    Peer {
        child: Box<Child>,
        stdin: ChildStdin,
    },
}

/// The store with this number.
pub(super) fn store_name(number: usize) -> String {
    format!("bench-{number}")
}

impl Subject {
    /// Starts it and waits until every store is caught up.
    pub(super) async fn start(kind: Kind, backend: &Backend, stores: usize) -> Result<Self> {
        let begin = Instant::now();
        let process = match kind {
            Kind::Host => Process::Host(Box::new(start_host(backend, stores).await?)),
            Kind::Peer => start_peer(backend, stores).await?,
        };
        Ok(Self {
            process,
            ready_after: begin.elapsed(),
        })
    }

    /// From its start until every store was caught up.
    pub(super) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    pub(super) fn resident_bytes(&self) -> Result<u64> {
        match &self.process {
            Process::Host(host) => host.resident_bytes(),
            Process::Peer { child, .. } => resident_bytes(child.id().context("node ended")?),
        }
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn stop(self) -> Result<()> {
        match self.process {
            Process::Host(mut host) => {
                let status = host.terminate(wait::PATIENCE).await?;
                ensure!(status.success(), "the host ended with {status}");
            }
            Process::Peer { mut child, stdin } => {
                drop(stdin);
                child.wait().await?;
            }
        }
        Ok(())
    }
}

async fn start_host(backend: &Backend, stores: usize) -> Result<Host> {
    // Nothing but defaults: what is measured is what an operator gets.
    let mut host = Host::new(&format!(
        "sync = {:?}\n{}",
        backend.url(),
        granted(&["reply"])
    ))?;
    host.install("reply")?;
    for number in 0..stores {
        host.store(&store_name(number), "")?;
    }
    host.start().await?;
    for number in 0..stores {
        host.live(&store_name(number)).await?;
    }
    Ok(host)
}

async fn start_peer(backend: &Backend, stores: usize) -> Result<Process> {
    let mut child = Command::new("node")
        .arg("--expose-gc")
        .arg(paths::existing(paths::livestore().join("peer/peer.mjs"))?)
        .args(["--url", &backend.url(), "--prefix", &store_name_prefix()])
        .args(["--count", &stores.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start node")?;
    let stdin = child.stdin.take().context("node has no stdin")?;
    let stdout = child.stdout.take().context("node has no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = lines
            .next_line()
            .await?
            .context("the peer ended before it was ready")?;
        if line.contains("\"ready\"") {
            let child = Box::new(child);
            return Ok(Process::Peer { child, stdin });
        }
    }
}

fn store_name_prefix() -> String {
    store_name(0).trim_end_matches('0').to_owned()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "Quartermaster",
            Self::Peer => "Node peer",
        })
    }
}
