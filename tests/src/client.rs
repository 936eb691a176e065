//! Real LiveStore clients: one Node process that holds as many stores as a test wants, driven over its stdin and stdout
//! (`tests/livestore/client/client.mjs` says in which words).

use std::collections::HashMap;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::history::{CHAT, question};
use crate::paths;
use crate::wait;

/// Requests that may wait to be written; each caller waits for its own answer, so it is never reached.
const REQUESTS_MAX: usize = 256;

/// A Node process with LiveStore stores in it. It ends with its value.
pub struct LiveStoreClient {
    /// Its `clientId` in every store.
    name: String,
    requests: mpsc::Sender<Request>,
    seen: watch::Receiver<Seen>,
    /// Owns the process.
    tasks: JoinSet<()>,
}

/// An event as the app at the client sees it: decoded by its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenEvent {
    /// Its place in the log; a client's own event may be told before it has its final place.
    pub seq: u64,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// Who wrote it.
    pub client_id: String,
}

/// What a store in the client knows about its backend.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncStatus {
    /// The last event it has, its own unsent ones included.
    pub local_head: u64,
    /// The last event that it knows the backend to have.
    pub backend_head: u64,
    /// Own events that the backend has not confirmed.
    pub pending: u64,
}

/// Each store's events in the order told.
type Seen = HashMap<String, Vec<SeenEvent>>;

/// The process's answer to a request: a value, or its complaint.
type Reply = Result<Value, String>;

struct Request {
    body: Value,
    reply: oneshot::Sender<Reply>,
}

impl LiveStoreClient {
    /// Starts the process with no store open. Its stores write as the client `user`.
    pub fn start() -> Result<Self> {
        Self::start_as("user")
    }

    /// The same as another client. Two at work in one store must not have the same name: LiveStore tells its own events
    /// by it.
    pub fn start_as(name: &str) -> Result<Self> {
        let script = paths::existing(paths::livestore().join("client/client.mjs"))?;
        paths::existing(paths::livestore().join("node_modules"))?;
        let mut process = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start node")?;
        let stdin = process.stdin.take().context("node has no stdin")?;
        let stdout = process.stdout.take().context("node has no stdout")?;
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let (seen_sender, seen) = watch::channel(Seen::new());
        let driver = Driver {
            _process: process,
            stdin,
            lines: BufReader::new(stdout).lines(),
            inbox,
            seen: seen_sender,
            waiting: HashMap::new(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        Ok(Self {
            name: name.to_owned(),
            requests,
            seen,
            tasks,
        })
    }

    /// Opens a store that is live with the backend at `url`; resolves once it has pulled what is there.
    pub async fn open(&self, store: &str, url: &str) -> Result<()> {
        self.open_with_token(store, url, None).await
    }

    /// The same, with an `authToken` in its payload.
    pub async fn open_with_token(&self, store: &str, url: &str, token: Option<&str>) -> Result<()> {
        let client = &self.name;
        let request =
            json!({ "op": "open", "store": store, "url": url, "client": client, "token": token });
        self.ask(request).await.map(drop)
    }

    /// Commits one event to the store; it is pushed in the background.
    pub async fn commit(&self, store: &str, name: &str, args: Value) -> Result<()> {
        self.commit_all(store, &[(name, args)]).await
    }

    /// Commits events to the store in one go; they are pushed in the background.
    pub async fn commit_all(&self, store: &str, events: &[(&str, Value)]) -> Result<()> {
        let events: Vec<Value> = events
            .iter()
            .map(|(name, args)| json!({ "name": name, "args": args }))
            .collect();
        self.ask(json!({ "op": "commit", "store": store, "events": events }))
            .await
            .map(drop)
    }

    /// Commits a user's chat message.
    pub async fn say(&self, store: &str, id: &str, text: &str) -> Result<()> {
        self.commit(store, CHAT, question(id, text)).await
    }

    /// Commits many of a user's chat messages in one go.
    pub async fn say_all(&self, store: &str, ids: &[String]) -> Result<()> {
        let messages: Vec<(&str, Value)> = ids
            .iter()
            .map(|id| (CHAT, question(id, &format!("this is {id}"))))
            .collect();
        self.commit_all(store, &messages).await
    }

    /// How the store stands with its backend.
    pub async fn status(&self, store: &str) -> Result<SyncStatus> {
        let status = self.ask(json!({ "op": "status", "store": store })).await?;
        let number = |key: &str| {
            status[key]
                .as_u64()
                .with_context(|| format!("no {key} in {status}"))
        };
        Ok(SyncStatus {
            local_head: number("localHead")?,
            backend_head: number("backendHead")?,
            pending: number("pending")?,
        })
    }

    /// Waits until the backend has confirmed all that was committed to the store here.
    pub async fn settled(&self, store: &str) -> Result<()> {
        wait::until(
            &format!("{store}'s own events to be confirmed"),
            async || Ok((self.status(store).await?.pending == 0).then_some(())),
        )
        .await
    }

    /// All rows of one of the app's tables (`messages`, `todos` or `tasks`).
    pub async fn rows(&self, store: &str, table: &str) -> Result<Vec<Value>> {
        let rows = self
            .ask(json!({ "op": "rows", "store": store, "table": table }))
            .await?;
        Ok(rows.as_array().cloned().unwrap_or_default())
    }

    /// Closes the store.
    pub async fn close(&self, store: &str) -> Result<()> {
        self.ask(json!({ "op": "close", "store": store }))
            .await
            .map(drop)
    }

    /// Waits for an event in the store's stream, past ones included.
    pub async fn event(
        &self,
        store: &str,
        what: &str,
        wanted: impl Fn(&SeenEvent) -> bool,
    ) -> Result<SeenEvent> {
        self.nth_event(store, what, 0, wanted).await
    }

    /// Waits for a plugin's answer in the conversation: a chat message of an assistant with `text` in it.
    pub async fn answer(&self, store: &str, text: &str) -> Result<SeenEvent> {
        self.event(store, &format!("an answer with {text:?} in it"), |event| {
            is_answer(event) && event.args.to_string().contains(text)
        })
        .await
    }

    /// Waits for the answer with this number (from 0) in the conversation, whatever it says.
    pub async fn nth_answer(&self, store: &str, number: usize) -> Result<SeenEvent> {
        self.nth_event(store, &format!("answer {number}"), number, is_answer)
            .await
    }

    async fn nth_event(
        &self,
        store: &str,
        what: &str,
        number: usize,
        wanted: impl Fn(&SeenEvent) -> bool,
    ) -> Result<SeenEvent> {
        let mut seen = self.seen.clone();
        let find = |seen: &Seen| {
            let mut events = seen.get(store)?.iter().filter(|event| wanted(event));
            events.nth(number).cloned()
        };
        let found = seen.wait_for(|seen| find(seen).is_some());
        let seen = tokio::time::timeout(wait::PATIENCE, found)
            .await
            .map_err(|_| anyhow!("{store}: waited in vain at a LiveStore client for {what}"))??;
        find(&seen).context("the event vanished")
    }

    async fn ask(&self, body: Value) -> Result<Value> {
        let (reply, answer) = oneshot::channel();
        let described = body.to_string();
        let ended = || anyhow!("the LiveStore client ended before it answered {described}");
        self.requests
            .send(Request { body, reply })
            .await
            .map_err(|_| ended())?;
        let answer = tokio::time::timeout(wait::PATIENCE, answer)
            .await
            .map_err(|_| anyhow!("the LiveStore client did not answer {described}"))?;
        answer
            .map_err(|_| ended())?
            .map_err(|error| anyhow!("{described}: {error}"))
    }

    /// Ends the process, and waits until it is gone.
    pub async fn stop(mut self) {
        // The driver ends when nobody can ask it any more.
        drop(self.requests);
        while self.tasks.join_next().await.is_some() {}
    }
}

fn is_answer(event: &SeenEvent) -> bool {
    event.name == CHAT && event.args["role"] == "assistant"
}

/// The task that owns the process.
struct Driver {
    /// Held to be killed with the task.
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    inbox: mpsc::Receiver<Request>,
    seen: watch::Sender<Seen>,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
}

impl Driver {
    async fn run(mut self) {
        let mut next_id = 0;
        loop {
            // Both arms are cancel-safe: `recv` by its documentation, `next_line` since it keeps what it has read.
            tokio::select! {
                request = self.inbox.recv() => {
                    let Some(Request { mut body, reply }) = request else { return };
                    next_id += 1;
                    body["id"] = json!(next_id);
                    self.waiting.insert(next_id, reply);
                    if self.stdin.write_all(format!("{body}\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
                line = self.lines.next_line() => {
                    let Ok(Some(line)) = line else { return };
                    self.on_line(&line);
                }
            }
        }
    }

    fn on_line(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return;
        };
        if let Some(event) = line.get("event") {
            self.on_event(event);
            return;
        }
        let waiting = line["id"].as_u64().and_then(|id| self.waiting.remove(&id));
        let Some(waiting) = waiting else { return };
        let reply = match line.get("ok") {
            Some(value) => Ok(value.clone()),
            None => Err(line["error"]
                .as_str()
                .unwrap_or("no reason given")
                .to_owned()),
        };
        // Whoever asked may have given up.
        drop(waiting.send(reply));
    }

    fn on_event(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let seen = SeenEvent {
            seq: event["seqNum"].as_u64().unwrap_or_default(),
            name: text("name"),
            args: event["args"].clone(),
            client_id: text("clientId"),
        };
        self.seen
            .send_modify(|stores| stores.entry(text("store")).or_default().push(seen));
    }
}
