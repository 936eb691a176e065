//! A real browser without a window: Chromium, told what to do over its DevTools protocol, of which two calls are enough.
//! What a page shows is asked of its document, as a person would look at it.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::{paths, wait};

/// What the program is called, by the system that brings it.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// No window, no sandbox (it cannot be had as root), nothing that talks to anybody but the page, and no pauses for pages
/// that nobody looks at.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
];

/// A browser with a profile of its own. It ends with the value.
pub struct Browser {
    process: Child,
    profile: TempDir,
    /// Of its DevTools.
    port: u16,
    devtools: DevTools,
}

/// One tab.
pub struct Page {
    devtools: DevTools,
}

impl Browser {
    /// Starts one that knows nothing yet.
    pub async fn start() -> Result<Self> {
        let profile = paths::temporary()?;
        let process = Command::new(program()?)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the browser")?;
        let (port, path) = devtools_of(&profile).await?;
        Ok(Self {
            process,
            profile,
            port,
            devtools: DevTools::connect(port, &path).await?,
        })
    }

    /// Opens a tab. All tabs share what the browser keeps for their origin.
    pub async fn open(&mut self, url: &str) -> Result<Page> {
        let target = self
            .devtools
            .call("Target.createTarget", &json!({ "url": url }))
            .await?;
        let target = target["targetId"].as_str().context("a tab without an id")?;
        let path = format!("/devtools/page/{target}");
        Ok(Page {
            devtools: DevTools::connect(self.port, &path).await?,
        })
    }

    /// Ends it in order, so that nothing is written any more where its profile was.
    pub async fn close(mut self) -> Result<()> {
        // It may be gone before it answers.
        drop(self.devtools.call("Browser.close", &json!({})).await);
        let ended = tokio::time::timeout(wait::PATIENCE, self.process.wait()).await;
        ended.context("the browser does not end")??;
        Ok(self.profile.close()?)
    }
}

impl Page {
    /// What an expression is, in the page.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let outcome = self.devtools.call("Runtime.evaluate", &parameters).await?;
        ensure!(
            outcome["exceptionDetails"].is_null(),
            "{expression}: {}",
            outcome["exceptionDetails"]
        );
        Ok(outcome["result"]["value"].clone())
    }

    /// Waits until an expression is as wanted, in the page.
    pub async fn until(
        &mut self,
        what: &str,
        expression: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let awaited = format!("the page to show {what}");
        let reached = wait::until(&awaited, async || {
            last = self.evaluate(expression).await?;
            Ok(wanted(&last).then(|| last.clone()))
        });
        let reached = reached.await;
        reached.with_context(|| format!("last seen: {last}"))
    }
}

/// A connection to one target of the browser: a call at a time.
struct DevTools {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u64,
}

impl DevTools {
    async fn connect(port: u16, path: &str) -> Result<Self> {
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = connect_async(&address)
            .await
            .with_context(|| format!("cannot connect to the browser at {address}"))?;
        Ok(Self { socket, calls: 0 })
    }

    async fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": method, "params": parameters });
        self.socket.send(Message::text(call.to_string())).await?;
        loop {
            let message = self
                .socket
                .next()
                .await
                .context("the browser went away")??;
            let Message::Text(text) = message else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&text)?;
            if answer["id"] != self.calls {
                continue;
            }
            ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
            return Ok(answer["result"].take());
        }
    }
}

/// The port and path of the browser's DevTools, which it writes into its profile once it listens.
async fn devtools_of(profile: &TempDir) -> Result<(u16, String)> {
    let file = profile.path().join("DevToolsActivePort");
    wait::until("the browser to start", async || {
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        let Some((port, path)) = written.split_once('\n') else {
            return Ok(None);
        };
        let path = path.trim();
        Ok((!path.is_empty()).then_some((port.parse()?, path.to_owned())))
    })
    .await
}

fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let mut places = folders.flat_map(|folder| PROGRAMS.map(|program| folder.join(program)));
    match places.find(|place| place.is_file()) {
        Some(program) => Ok(program),
        None => bail!(
            "no browser: none of {} is in PATH; install the package chromium",
            PROGRAMS.join(", ")
        ),
    }
}
