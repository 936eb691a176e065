//! The protocol with nothing but a WebSocket: reads a store's whole log, follows it live, and pushes as another writer
//! would. No LiveStore code and none of the host's, so it can tell which of them is wrong.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::history::LogEvent;

/// Events in one push of ours: the client's own rule in LiveStore.
const PUSH_EVENTS_MAX: usize = 100;

/// A page is at most 900,000 bytes; this leaves room for what the tests provoke.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One connection to one store.
pub struct RawClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    store: String,
    client_id: String,
    next_request: u64,
    backend_id: Option<String>,
    /// The last event taken in an unbroken chain.
    head: u64,
    /// Events that came before their parent.
    ahead: BTreeMap<u64, LogEvent>,
    /// Taken, and not yet handed out.
    taken: VecDeque<LogEvent>,
}

/// What the backend said to a push.
#[derive(Clone, Debug, PartialEq)]
pub enum PushAnswer {
    /// The events are in the log at the places they had.
    Admitted,
    /// Somebody was faster: the head is here.
    Ahead(u64),
    /// Another error, as it came.
    Refused(Value),
}

/// A no of the backend to a call of ours, as an error.
#[derive(Debug)]
pub struct Refusal {
    call: &'static str,
    store: String,
    /// Why, as it came.
    pub cause: Value,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, store, cause } = self;
        write!(f, "the backend refused a {call} in {store}: {cause}")
    }
}

impl std::error::Error for Refusal {}

/// The end of a call.
struct Exit {
    request: String,
    exit: Value,
}

impl RawClient {
    /// Connects to `store` at the backend `url` (`ws://host:port`, maybe with a path).
    pub async fn connect(url: &str, store: &str) -> Result<Self> {
        Ok(Self {
            socket: open_socket(url, store).await?,
            store: store.to_owned(),
            client_id: "raw".to_owned(),
            next_request: 0,
            backend_id: None,
            head: 0,
            ahead: BTreeMap::new(),
            taken: VecDeque::new(),
        })
    }

    /// Connects anew, maybe to another address, and goes on from its head. What was handed out is not read again.
    pub async fn reconnect(&mut self, url: &str) -> Result<()> {
        self.socket = open_socket(url, &self.store).await?;
        self.ahead.clear();
        Ok(())
    }

    /// The whole log of `store`, over a connection of its own.
    pub async fn log_of(url: &str, store: &str) -> Result<Vec<LogEvent>> {
        let mut client = Self::connect(url, store).await?;
        client.catch_up().await?;
        Ok(client.taken.into())
    }

    /// Writes its events as this client from now on.
    #[must_use]
    pub fn named(mut self, client_id: &str) -> Self {
        client_id.clone_into(&mut self.client_id);
        self
    }

    /// The store.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Its own connection's head.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The log's identity, once something was pulled.
    pub fn backend_id(&self) -> Option<&str> {
        self.backend_id.as_deref()
    }

    /// Pulls to the present end of the log. If the backend says no, the error is a [`Refusal`].
    pub async fn catch_up(&mut self) -> Result<()> {
        let request = self.pull(false).await?;
        let exit = self.exit_of(&request).await?;
        if exit["_tag"] != "Success" {
            return Err(self.refusal("pull", exit["cause"].clone()));
        }
        Ok(())
    }

    /// Follows the log from here on; see [`Self::next_event`].
    pub async fn follow(&mut self) -> Result<()> {
        self.pull(true).await?;
        Ok(())
    }

    /// The next event of the log that was not handed out yet. Cancel-safe: a frame is read whole or not at all.
    pub async fn next_event(&mut self) -> Result<LogEvent> {
        loop {
            if let Some(event) = self.taken.pop_front() {
                return Ok(event);
            }
            self.read().await?;
        }
    }

    /// All events of the log that have come, or were acked, and were not handed out yet. Waits for nothing.
    pub fn drain(&mut self) -> Vec<LogEvent> {
        self.taken.drain(..).collect()
    }

    /// Pushes events exactly as they are, right or wrong.
    pub async fn push(&mut self, batch: &[LogEvent]) -> Result<PushAnswer> {
        let events: Vec<Value> = batch.iter().map(LogEvent::to_wire).collect();
        let backend_id = match &self.backend_id {
            Some(id) => json!({ "_tag": "Some", "value": id }),
            None => json!({ "_tag": "None" }),
        };
        let payload = json!({ "storeId": self.store, "batch": events, "backendId": backend_id });
        let request = self.request("SyncWsRpc.Push", payload).await?;
        let exit = self.exit_of(&request).await?;
        Ok(push_answer(&exit))
    }

    /// Appends events after whatever lies in the log, in batches, and returns the place of the last one. Others may write
    /// at the same time.
    pub async fn append(&mut self, events: &[(&str, Value)]) -> Result<u64> {
        for batch in events.chunks(PUSH_EVENTS_MAX) {
            while !self.try_append(batch).await? {}
        }
        Ok(self.head)
    }

    /// Pushes events after our head. Says no if somebody was faster, and has then caught up with them. If the backend
    /// says no for another reason, the error is a [`Refusal`].
    pub async fn try_append(&mut self, events: &[(&str, Value)]) -> Result<bool> {
        let numbered = self.number(events);
        match self.push(&numbered).await? {
            PushAnswer::Admitted => {
                for event in numbered {
                    self.take(event);
                }
                Ok(true)
            }
            PushAnswer::Ahead(_) => {
                self.catch_up().await?;
                Ok(false)
            }
            PushAnswer::Refused(cause) => Err(self.refusal("push", cause)),
        }
    }

    /// Gives events their places after our head.
    pub fn number(&self, events: &[(&str, Value)]) -> Vec<LogEvent> {
        let places = (self.head..).zip(events);
        places
            .map(|(parent, (name, args))| LogEvent {
                seq: parent + 1,
                parent,
                name: (*name).to_owned(),
                args: args.clone(),
                client_id: self.client_id.clone(),
                session_id: "raw".to_owned(),
            })
            .collect()
    }

    fn refusal(&self, call: &'static str, cause: Value) -> anyhow::Error {
        let store = self.store.clone();
        Refusal { call, store, cause }.into()
    }

    async fn pull(&mut self, live: bool) -> Result<String> {
        let cursor = match &self.backend_id {
            Some(id) if self.head > 0 => json!({
                "_tag": "Some",
                "value": { "backendId": id, "eventSequenceNumber": self.head },
            }),
            Some(_) | None => json!({ "_tag": "None" }),
        };
        let payload = json!({ "storeId": self.store, "live": live, "cursor": cursor });
        self.request("SyncWsRpc.Pull", payload).await
    }

    async fn request(&mut self, tag: &str, payload: Value) -> Result<String> {
        let id = self.next_request.to_string();
        self.next_request += 1;
        let frame = json!({
            "_tag": "Request", "id": id, "tag": tag, "payload": payload, "headers": [],
        });
        self.send(&frame).await?;
        Ok(id)
    }

    async fn send(&mut self, frame: &Value) -> Result<()> {
        self.socket.send(Message::text(frame.to_string())).await?;
        Ok(())
    }

    async fn exit_of(&mut self, request: &str) -> Result<Value> {
        loop {
            if let Some(exit) = self.read().await?
                && exit.request == request
            {
                return Ok(exit.exit);
            }
        }
    }

    /// Reads one frame; events go where they belong.
    async fn read(&mut self) -> Result<Option<Exit>> {
        let message = self
            .socket
            .next()
            .await
            .context("the backend closed the connection")??;
        let Message::Text(text) = message else {
            return Ok(None);
        };
        let frame: Value = serde_json::from_str(&text)?;
        let request = frame["requestId"].as_str().unwrap_or_default().to_owned();
        match frame["_tag"].as_str() {
            Some("Chunk") => {
                self.send(&json!({ "_tag": "Ack", "requestId": request }))
                    .await?;
                for item in frame["values"].as_array().into_iter().flatten() {
                    self.take_page(item)?;
                }
                Ok(None)
            }
            Some("Exit") => Ok(Some(Exit {
                request,
                exit: frame["exit"].clone(),
            })),
            Some("Pong") => Ok(None),
            _ => bail!("the backend sent {text}"),
        }
    }

    fn take_page(&mut self, item: &Value) -> Result<()> {
        let id = item["backendId"]
            .as_str()
            .context("a page without backendId")?;
        let known = self.backend_id.get_or_insert_with(|| id.to_owned());
        ensure!(
            known == id,
            "the backend changed its id from {known} to {id}"
        );
        for entry in item["batch"].as_array().into_iter().flatten() {
            self.take(LogEvent::from_wire(&entry["eventEncoded"])?);
        }
        Ok(())
    }

    /// Broadcasts overtake pages and come twice: an event is taken only after its parent.
    fn take(&mut self, event: LogEvent) {
        if event.seq <= self.head {
            return;
        }
        self.ahead.insert(event.parent, event);
        while let Some(event) = self.ahead.remove(&self.head) {
            self.head = event.seq;
            self.taken.push_back(event);
        }
        self.ahead.retain(|&parent, _| parent > self.head);
    }
}

async fn open_socket(url: &str, store: &str) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let address = format!("{url}{}storeId={store}&transport=ws", query_start(url));
    match connect_async_with_config(&address, Some(config), true).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let status = answer.status();
            let body = answer.into_body().unwrap_or_default();
            let reason = String::from_utf8_lossy(&body);
            bail!("cannot connect to {address}: {status}: {reason}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot connect to {address}")),
    }
}

/// What joins a query to `url`: one without a path needs the root's.
pub(crate) fn query_start(url: &str) -> &'static str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    if authority.contains('/') { "?" } else { "/?" }
}

fn push_answer(exit: &Value) -> PushAnswer {
    if exit["_tag"] == "Success" {
        return PushAnswer::Admitted;
    }
    let error = &exit["cause"]["error"];
    // 0.4.0-dev.22 wraps what 0.4.0 says plainly.
    let error = if error["_tag"] == "InvalidPushError" {
        &error["cause"]
    } else {
        error
    };
    match (error["_tag"].as_str(), error["minimumExpectedNum"].as_u64()) {
        (Some("ServerAheadError"), Some(head)) => PushAnswer::Ahead(head),
        _ => PushAnswer::Refused(exit["cause"].clone()),
    }
}
