//! A real LiveStore sync backend in workerd, on a free port of the loopback interface, with its logs in a folder of its
//! own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::paths;
use crate::wait;

/// Which release of the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 0.4.0.
    #[default]
    V0_4_0,
    /// 0.4.0-dev.22, which wraps its errors differently.
    Dev22,
}

/// A backend that is running, or was killed and can be started again. It ends with its value.
pub struct Backend {
    version: Version,
    token: Option<String>,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
    /// Reads what it goes on saying, so that it never waits for a full pipe.
    readers: JoinSet<()>,
}

impl Backend {
    /// Starts a backend of the newest version with an empty folder.
    pub async fn start() -> Result<Self> {
        Self::start_with(Version::default(), None).await
    }

    /// The same with its logs on the disk, as users run it.
    pub async fn start_on_disk() -> Result<Self> {
        Self::start_in(paths::temporary_on_disk()?, Version::default(), None).await
    }

    /// Starts one of this version. With a token, a connection must carry it as `payload.authToken`.
    pub async fn start_with(version: Version, token: Option<&str>) -> Result<Self> {
        Self::start_in(paths::temporary()?, version, token).await
    }

    async fn start_in(folder: TempDir, version: Version, token: Option<&str>) -> Result<Self> {
        let mut backend = Self {
            version,
            token: token.map(str::to_owned),
            folder,
            port: 0,
            process: None,
            readers: JoinSet::new(),
        };
        backend.launch().await?;
        Ok(backend)
    }

    /// Where it listens: `ws://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The process that serves it, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Child::id)
    }

    /// Kills it at once, as a power cut would. Its logs stay.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Starts it again on the same port.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        // The port is free as soon as the kernel has taken the old process apart.
        let mut last = None;
        let started = wait::until("the backend's port to be free again", async || {
            match self.launch().await {
                Ok(()) => Ok(Some(())),
                Err(error) => {
                    last = Some(error);
                    Ok(None)
                }
            }
        });
        let outcome = started.await;
        match (outcome, last) {
            (Err(timeout), Some(error)) => Err(error.context(timeout)),
            (outcome, _) => outcome,
        }
    }

    /// Starts it again with nothing in it: every log gets a new backend id.
    pub async fn wipe(&mut self) -> Result<()> {
        self.kill().await?;
        self.folder = paths::temporary()?;
        self.restart().await
    }

    async fn launch(&mut self) -> Result<()> {
        let config = paths::existing(bundle(self.version).join("config.capnp"))?;
        let mut command = Command::new(workerd()?);
        command
            .arg("serve")
            .arg(config)
            .arg(format!("--socket-addr=http=127.0.0.1:{}", self.port))
            .arg(format!(
                "--directory-path=logs={}",
                self.folder.path().display()
            ))
            // It reports the port it got as a JSON line on this descriptor.
            .arg("--control-fd=1")
            .env_remove("AUTH_TOKEN")
            .envs(self.token.iter().map(|token| ("AUTH_TOKEN", token)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut process = command.spawn().context("cannot start workerd")?;
        let stdout = process.stdout.take().context("workerd has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(line) = lines.next_line().await? else {
            bail!(
                "workerd ended before it listened: {}",
                process.wait().await?
            );
        };
        let listening: Value = serde_json::from_str(&line)?;
        let port = listening["port"]
            .as_u64()
            .context("workerd reported no port")?;
        self.port = u16::try_from(port)?;
        self.readers
            .spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.process = Some(process);
        Ok(())
    }
}

fn bundle(version: Version) -> PathBuf {
    let folder = match version {
        Version::V0_4_0 => "0.4.0",
        Version::Dev22 => "dev22",
    };
    paths::livestore().join("dist").join(folder)
}

/// The binary that npm brought for this machine.
fn workerd() -> Result<PathBuf> {
    let system = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-64",
        ("macos", "aarch64") => "darwin-arm64",
        (system, machine) => bail!("there is no workerd for {system} on {machine}"),
    };
    let package = Path::new("node_modules/@cloudflare").join(format!("workerd-{system}"));
    paths::existing(paths::livestore().join(package).join("bin/workerd"))
}
