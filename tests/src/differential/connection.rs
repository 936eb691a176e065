//! One WebSocket of a case: sends text as it is, acks pages, and keeps every frame that came.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::differential::frames::{cursor, pull, steer};
use crate::differential::script::Until;

/// The request that shows that all before it was answered.
pub(super) const LAST_REQUEST: &str = "900";

/// More than any page or broadcast.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    acks: bool,
    /// No answer for so long is silence.
    patience: Duration,
    /// What came, as text and, if it is JSON, as that.
    pub(super) frames: Vec<(String, Option<Value>)>,
    pub(super) state: State,
}

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Silent,
    Closed,
}

impl Connection {
    pub(super) async fn open(url: &str, patience: Duration) -> Result<Self> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let (socket, _) = connect_async_with_config(url, Some(config), true)
            .await
            .with_context(|| format!("cannot connect to {url}"))?;
        Ok(Self {
            socket,
            acks: true,
            patience,
            frames: Vec::new(),
            state: State::Open,
        })
    }

    pub(super) fn stop_acks(&mut self) {
        self.acks = false;
    }

    /// Sends a frame, if anybody is there to read it.
    pub(super) async fn send(&mut self, frame: &str) {
        if self.state != State::Open {
            return;
        }
        if self.socket.send(Message::text(frame)).await.is_err() {
            self.state = State::Closed;
        }
    }

    /// Reads until that much came, or something that rules it out, or nothing any more.
    pub(super) async fn take(&mut self, until: &Until) {
        let begin = self.frames.len();
        while self.state == State::Open && !self.has(until) && !self.rules_out(begin, until) {
            self.read().await;
        }
    }

    /// Asks for what cannot be there, and reads to the end of that: whatever else was to come has come then.
    pub(super) async fn finish(&mut self, backend_id: &str) {
        self.acks = true;
        let beyond = cursor("9007199254740991").replace("$BACKEND", backend_id);
        self.send(&pull(LAST_REQUEST, false, &beyond)).await;
        let until = Until::Exits(LAST_REQUEST.to_owned(), 1);
        while self.state == State::Open && !self.has(&until) {
            self.read().await;
        }
    }

    async fn read(&mut self) {
        match timeout(self.patience, self.socket.next()).await {
            Err(_) => self.state = State::Silent,
            Ok(Some(Ok(Message::Text(text)))) => {
                let frame: Option<Value> = serde_json::from_str(&text).ok();
                if self.acks
                    && let Some(frame) = &frame
                    && frame["_tag"] == "Chunk"
                {
                    let id = frame["requestId"].as_str().unwrap_or_default();
                    self.send(&steer("Ack", id)).await;
                }
                self.frames.push((text.as_str().to_owned(), frame));
            }
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => self.state = State::Closed,
            Ok(Some(Ok(_))) => {}
        }
    }

    fn has(&self, until: &Until) -> bool {
        let of = |tag: &str, id: &str| {
            let found = self.frames.iter().filter(|(text, frame)| match frame {
                Some(frame) => frame["_tag"] == tag && frame["requestId"] == id,
                // Too deep for a value, and yet a frame.
                None => text.starts_with(&format!(r#"{{"_tag":"{tag}","requestId":"{id}""#)),
            });
            found.count()
        };
        match until {
            Until::Exits(id, total) => of("Exit", id) >= *total,
            Until::Chunks(id, total) => of("Chunk", id) >= *total,
            Until::Events(id, total) => {
                let frames = self.frames.iter().filter_map(|(_, frame)| frame.as_ref());
                let chunks =
                    frames.filter(|frame| frame["_tag"] == "Chunk" && frame["requestId"] == **id);
                let events = chunks.map(|frame| {
                    let batch = frame["values"][0]["batch"].as_array();
                    batch.map_or(0, Vec::len)
                });
                events.sum::<usize>() >= *total
            }
            Until::Defects(total) => self.tagged("Defect") >= *total,
            Until::Pongs(total) => self.tagged("Pong") >= *total,
        }
    }

    fn tagged(&self, tag: &str) -> usize {
        let frames = self.frames.iter().filter_map(|(_, frame)| frame.as_ref());
        frames.filter(|frame| frame["_tag"] == tag).count()
    }

    /// Whether a frame since `begin` says that what is waited for will not come.
    fn rules_out(&self, begin: usize, until: &Until) -> bool {
        let since = self.frames[begin..]
            .iter()
            .filter_map(|(_, frame)| frame.as_ref());
        since.into_iter().any(|frame| match until {
            Until::Exits(..) => frame["_tag"] == "Defect",
            Until::Chunks(id, _) | Until::Events(id, _) => {
                frame["_tag"] == "Defect" || frame["_tag"] == "Exit" && frame["requestId"] == **id
            }
            Until::Defects(_) | Until::Pongs(_) => frame["_tag"] == "Exit",
        })
    }
}
