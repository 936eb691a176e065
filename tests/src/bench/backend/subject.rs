//! What is measured: the host with embedded stores, or workerd with the original backend. Both with their logs on the
//! same disk, and everything at its defaults but the limits that the load itself would meet.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::usage;
use crate::backend::Backend;
use crate::host::{self, Host};
use crate::{paths, wait};

/// Of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Quartermaster, `sync = "embedded"`.
    Embedded,
    /// `@livestore/sync-cf` in workerd.
    Original,
}

/// One of them, started on empty stores `bench-0`, `bench-1` and so on.
pub(super) enum Subject {
    Embedded { host: Box<Host>, _folder: TempDir },
    Original(Box<Backend>),
}

/// Limits against abuse that this load, from one address, would meet.
const LIMITS: &str = "limits = { connections = 10000, connections_per_address = 10000, events_per_second = 1000000 }";
const SERVER_LIMITS: [(&str, &str); 2] = [
    ("QM_SERVER__CONNECTIONS_PER_ADDRESS", "10000"),
    ("QM_SERVER__CONNECTS_PER_MINUTE", "1000000"),
];

/// The store with this number.
pub(super) fn store_name(number: usize) -> String {
    format!("bench-{number}")
}

impl Subject {
    /// Starts it with so many stores, and waits until it serves them.
    pub(super) async fn start(kind: Kind, stores: usize) -> Result<Self> {
        Ok(match kind {
            Kind::Embedded => {
                let folder = paths::temporary_on_disk()?;
                let defaults = format!("sync = \"embedded\"\nplugins = []\n{LIMITS}");
                let mut host = Host::in_folder(folder.path(), &defaults)?;
                for (name, value) in SERVER_LIMITS {
                    host.environment(name, value);
                }
                for number in 0..stores {
                    host.store(&store_name(number), "")?;
                }
                host.start().await?;
                for number in 0..stores {
                    host.live(&store_name(number)).await?;
                }
                Self::Embedded {
                    host: Box::new(host),
                    _folder: folder,
                }
            }
            Kind::Original => Self::Original(Box::new(Backend::start_on_disk().await?)),
        })
    }

    /// Where clients connect.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Embedded { host, .. } => host.sync_url(),
            Self::Original(backend) => backend.url(),
        }
    }

    /// The memory that its process really uses, in bytes.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        host::resident_bytes(self.process()?)
    }

    /// The time that its process has spent on the processor so far.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        usage::processor_time(Some(self.process()?))
    }

    fn process(&self) -> Result<u32> {
        match self {
            Self::Embedded { host, .. } => host.process_id(),
            Self::Original(backend) => backend.process_id().context("workerd ended"),
        }
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn stop(self) -> Result<()> {
        match self {
            Self::Embedded { mut host, .. } => {
                let status = host.terminate(wait::PATIENCE).await?;
                ensure!(status.success(), "the host ended with {status}");
            }
            Self::Original(mut backend) => backend.kill().await?,
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Original => "original",
        })
    }
}
