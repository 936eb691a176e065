//! The host as an operator has it: its binary, a folder with config, plugins and data, signals, and what it says over
//! HTTP.

use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{http, paths, wait};

/// Lines of the host's own log that an error shows.
const LOG_LINES_SHOWN: usize = 40;

/// Ports for a host that keeps its address. They lie below those that systems give to whoever asks for any port, so
/// nobody gets one by chance while the host is down.
const QUIET_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ports to try. Few of them are in use; if so many are, something else is wrong.
const QUIET_PORT_TRIES: u32 = 20;

/// One installation: its folder, and the process while it runs. Both end with the value.
pub struct Host {
    folder: PathBuf,
    /// Goes away with the value, unless the folder was given.
    _temporary: Option<TempDir>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    process: Option<Child>,
    address: SocketAddr,
    keeps_address: bool,
    /// How long it may take to become ready.
    patience: Duration,
}

impl Host {
    /// An installation in a temporary folder, with `defaults` as the keys of `[defaults]`, and no store.
    pub fn new(defaults: &str) -> Result<Self> {
        let temporary = paths::temporary()?;
        let mut host = Self::in_folder(temporary.path(), defaults)?;
        host._temporary = Some(temporary);
        Ok(host)
    }

    /// The same in a folder that stays.
    pub fn in_folder(folder: &Path, defaults: &str) -> Result<Self> {
        for part in ["config/stores", "plugins", "data"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let (data, plugins) = (folder.join("data"), folder.join("plugins"));
        let config =
            format!("[server]\ndata = {data:?}\nplugins = {plugins:?}\n\n[defaults]\n{defaults}\n");
        fs::write(folder.join("config/quartermaster.toml"), config)?;
        Ok(Self {
            folder: folder.to_owned(),
            _temporary: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            process: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            keeps_address: false,
            patience: wait::PATIENCE,
        })
    }

    /// Adds a store, or changes it: `keys` are the whole of its file.
    pub fn store(&self, id: &str, keys: &str) -> Result<()> {
        let file = self.folder.join(format!("config/stores/{id}.toml"));
        fs::write(&file, keys).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Puts a plugin's component into the drop folder.
    pub fn install(&self, plugin: &str) -> Result<()> {
        let target = self.folder.join(format!("plugins/{plugin}.wasm"));
        fs::copy(paths::component(plugin)?, target)?;
        Ok(())
    }

    /// Puts a file of a plugin's name with any content into the drop folder.
    pub fn install_bytes(&self, plugin: &str, bytes: &[u8]) -> Result<()> {
        let target = self.folder.join(format!("plugins/{plugin}.wasm"));
        Ok(fs::write(target, bytes)?)
    }

    /// Sets a variable in the environment of every start from now on.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Lets every start from now on take so much longer than usual until it is ready: it has much to compile.
    pub fn be_patient(&mut self, times: u32) {
        self.patience = wait::PATIENCE * times;
    }

    /// Adds words to the command line of every start from now on.
    pub fn arguments(&mut self, arguments: &[&str]) {
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        self.arguments.extend(arguments);
    }

    /// Has the config say where the host listens, for whoever tries the program's other commands.
    pub fn write_address(&self) -> Result<()> {
        let file = self.folder.join("config/quartermaster.toml");
        let config = fs::read_to_string(&file)?;
        let listen = format!("[server]\nlisten = \"{}\"\n", self.address);
        Ok(fs::write(file, config.replacen("[server]\n", &listen, 1))?)
    }

    /// Lets every start from now on listen at one address, for clients that find the host again by themselves: the last
    /// one, if there was any.
    pub fn keep_address(&mut self) {
        self.keeps_address = true;
    }

    /// Where LiveStore apps sync with its embedded stores: `ws://127.0.0.1:<port>/sync`.
    pub fn sync_url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    /// Those variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&String, &String)> {
        self.environment.iter().map(|(name, value)| (name, value))
    }

    /// Starts the process without waiting for anything.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the host runs already");
        if !self.keeps_address {
            // The last port may still be taken apart, or be somebody else's by now.
            self.address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        } else if self.address.port() == 0 {
            self.address = quiet_address()?;
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let process = Command::new(paths::host_binary()?)
            .args(["serve", "--config", "config"])
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env("QM_SERVER__LISTEN", self.address.to_string())
            .envs(self.variables())
            .stdin(Stdio::null())
            .stdout(stdio(&log)?)
            .stderr(stdio(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the host")?;
        self.process = Some(process);
        Ok(())
    }

    /// Starts the process and waits until it calls itself ready.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) -> Result<()> {
        let (address, patience) = (self.address, self.patience);
        let process = self.process.as_mut().context("the host does not run")?;
        let ready = wait::until_within(patience, "the host to be ready", async || {
            if let Some(status) = process.try_wait()? {
                bail!("the host ended: {status}");
            }
            let answer = http::get(address, "/readyz").await;
            Ok(answer
                .is_ok_and(|answer| answer.status == 200)
                .then_some(()))
        });
        ready.await.with_context(|| self.said())
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM), and waits until it has. It may be about to stop already.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        if self.runs() {
            self.signal("TERM").await?;
        }
        let mut process = self.process.take().context("the host does not run")?;
        let ended = tokio::time::timeout(within, process.wait()).await;
        let status = ended.with_context(|| format!("still runs {within:?} after SIGTERM"));
        Ok(status.with_context(|| self.said())??)
    }

    /// Sends it a signal by its name, such as `STOP` or `CONT`.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let process = self.process_id()?;
        // `kill` and not a call of our own, which would need unsafe code.
        let arguments = [format!("-{name}"), process.to_string()];
        let status = Command::new("kill").args(arguments).status().await?;
        ensure!(status.success(), "cannot send SIG{name} to the host");
        Ok(())
    }

    /// Whether the process is still there.
    pub fn runs(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The process's number.
    pub fn process_id(&self) -> Result<u32> {
        self.process
            .as_ref()
            .and_then(Child::id)
            .context("the host does not run")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `/health`, whatever its status code.
    pub async fn health(&self) -> Result<Value> {
        let answer = http::get(self.address, "/health").await?;
        serde_json::from_str(&answer.body).with_context(|| format!("/health said {}", answer.body))
    }

    /// What `/health` says about one store.
    pub async fn store_health(&self, store: &str) -> Result<Value> {
        let health = self.health().await?;
        let stores = health["stores"]
            .as_array()
            .context("/health lists no stores")?;
        let found = stores.iter().find(|entry| entry["id"] == store);
        found
            .cloned()
            .with_context(|| format!("/health does not know {store}: {health}"))
    }

    /// Waits until a store's health is as `wanted`.
    pub async fn store_until(
        &self,
        store: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let awaited = format!("{store} to be {what}");
        let reached = wait::until(&awaited, async || {
            // It may be about to start, or stopped by a signal for the moment.
            if let Ok(health) = self.store_health(store).await {
                last = health;
            }
            Ok(wanted(&last).then(|| last.clone()))
        });
        let reached = reached.await;
        reached.with_context(|| format!("last seen: {last}\n{}", self.said()))
    }

    /// Waits until the store is live.
    pub async fn live(&self, store: &str) -> Result<Value> {
        self.store_until(store, "live", |health| health["state"] == "live")
            .await
    }

    /// Waits until the store is live, has handled all of its log up to `head`, and has nothing left to push.
    pub async fn quiet(&self, store: &str, head: u64) -> Result<Value> {
        self.store_until(store, &format!("quiet at {head} or later"), |health| {
            health["state"] == "live"
                && health["head"].as_u64() >= Some(head)
                && health["cursor"].as_u64() == health["head"].as_u64()
                && health["outbox"] == 0
        })
        .await
    }

    /// The memory that the process really uses, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        resident_bytes(self.process_id()?)
    }

    /// The most memory that the process has ever used at once, in bytes.
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        status_bytes(self.process_id()?, "VmHWM:")
    }

    /// A store's journal.
    pub fn journal(&self, store: &str) -> PathBuf {
        self.folder.join(format!("data/journals/{store}.db"))
    }

    /// The files of an embedded store's log: the database, and what SQLite keeps beside it.
    pub fn log_files(&self, store: &str) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("data/logs");
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&format!("{store}.db")) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Deletes a store's journal with what SQLite keeps beside it. The host must not be running.
    pub fn delete_journal(&self, store: &str) -> Result<()> {
        ensure!(self.process.is_none(), "the host still uses the journal");
        let journal = self.journal(store);
        fs::remove_file(&journal).with_context(|| format!("no journal {}", journal.display()))?;
        for suffix in ["-wal", "-shm"] {
            let beside = PathBuf::from(format!("{}{suffix}", journal.display()));
            if beside.exists() {
                fs::remove_file(beside)?;
            }
        }
        Ok(())
    }

    /// The installation's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that the host has written to its terminal, over all starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("host.log")
    }

    /// The end of the host's log, for an error's text.
    fn said(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        format!("the host said last:\n{}", shown.join("\n"))
    }
}

/// An address that stays free while nobody listens there.
fn quiet_address() -> Result<SocketAddr> {
    for _ in 0..QUIET_PORT_TRIES {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(QUIET_PORTS)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("found no free port among {QUIET_PORTS:?}")
}

/// The memory that a process really uses, in bytes.
pub fn resident_bytes(process: u32) -> Result<u64> {
    status_bytes(process, "VmRSS:")
}

/// An entry of what the system says of a process, in bytes.
fn status_bytes(process: u32, entry: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(entry));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes = kilobytes.with_context(|| format!("no {entry}"))?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

fn stdio(file: &File) -> Result<Stdio> {
    Ok(file.try_clone()?.into())
}
