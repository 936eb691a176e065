//! A client that is as cheap as a client can be: frames are written as text around a few numbers, and of what comes back
//! only tags, request ids and sequence numbers are looked at. It runs on the cores of the server that it measures, so
//! whatever it wastes is taken from both.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::raw::query_start;

/// Small buffers: 2,000 of these connections are open at once, and a frame may be larger than its buffer.
const BUFFER_BYTES: usize = 8 * 1024;

/// What an event says beside its number: as much as a short chat message.
const TEXT: &str = "please look at the invoice of last week, and tell me whether it was paid";

/// One connection to one store.
pub(super) struct Connection {
    socket: WebSocketStream<TcpStream>,
    store: String,
    backend_id: Option<String>,
    next_request: u64,
    /// The last event that it pulled or pushed.
    head: u64,
}

/// What came in.
pub(super) enum Heard {
    /// A page of this pull.
    Page { request: u64, text: Utf8Bytes },
    /// This call ended well.
    Done { request: u64 },
}

impl Connection {
    /// Connects to `store` at `url`.
    pub(super) async fn open(url: &str, store: &str) -> Result<Self> {
        let authority = url.strip_prefix("ws://").context("not a ws: address")?;
        let host = authority.split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES);
        let address = format!("{url}{}storeId={store}&transport=ws", query_start(url));
        let (socket, _) = client_async_with_config(&address, stream, Some(config))
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self {
            socket,
            store: store.to_owned(),
            backend_id: None,
            next_request: 0,
            head: 0,
        })
    }

    /// Another connection to the same store that knows what this one knows, and has pulled nothing: the original goes
    /// on sending broadcasts to a pull that has ended.
    pub(super) async fn anew(&self, url: &str) -> Result<Self> {
        let mut other = Self::open(url, &self.store).await?;
        other.backend_id.clone_from(&self.backend_id);
        other.head = self.head;
        Ok(other)
    }

    /// The last event that it pulled or pushed.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Asks for what lies after its head; returns the request's number.
    pub(super) async fn pull(&mut self, live: bool) -> Result<u64> {
        let cursor = match &self.backend_id {
            Some(id) => format!(
                r#"{{"_tag":"Some","value":{{"backendId":"{id}","eventSequenceNumber":{}}}}}"#,
                self.head
            ),
            None => r#"{"_tag":"None"}"#.to_owned(),
        };
        let store = &self.store;
        let payload = format!(r#"{{"storeId":"{store}","live":{live},"cursor":{cursor}}}"#);
        let request = self.request("SyncWsRpc.Pull", &payload).await?;
        self.socket.flush().await?;
        Ok(request)
    }

    /// Writes a push of `events` events after all that were pushed before, without waiting for anything; returns the
    /// request's number. It leaves with the next [`Self::flush`], or earlier.
    pub(super) async fn push(&mut self, events: u64) -> Result<u64> {
        let mut batch = String::new();
        for seq in self.head + 1..=self.head + events {
            let comma = if batch.is_empty() { "" } else { "," };
            let parent = seq - 1;
            write!(
                batch,
                r#"{comma}{{"name":"v1.ChatMessageSent","args":{{"id":"e{seq}","role":"user","text":"{TEXT}"}},"seqNum":{seq},"parentSeqNum":{parent},"clientId":"bench","sessionId":"static"}}"#
            )?;
        }
        self.head += events;
        let id = self.backend_id.as_deref().context("pull before you push")?;
        let store = &self.store;
        let payload = format!(
            r#"{{"storeId":"{store}","batch":[{batch}],"backendId":{{"_tag":"Some","value":"{id}"}}}}"#
        );
        self.request("SyncWsRpc.Push", &payload).await
    }

    /// Sends what was written.
    pub(super) async fn flush(&mut self) -> Result<()> {
        Ok(self.socket.flush().await?)
    }

    /// Asks for the next page of a pull.
    pub(super) async fn ack(&mut self, request: u64) -> Result<()> {
        let frame = format!(r#"{{"_tag":"Ack","requestId":"{request}"}}"#);
        Ok(self.socket.send(Message::text(frame)).await?)
    }

    /// What comes next; an error if it is a refusal. Cancel-safe: a frame is read whole or not at all.
    pub(super) async fn next(&mut self) -> Result<Heard> {
        loop {
            let message = self.socket.next().await;
            let message = message.with_context(|| format!("{}: the server left", self.store))??;
            let Message::Text(text) = message else {
                continue;
            };
            let request = number_after(&text, r#""requestId":""#);
            match (word_after(&text, r#""_tag":""#), request) {
                (Some("Chunk"), Some(request)) => return Ok(Heard::Page { request, text }),
                (Some("Exit"), Some(request)) if text.contains(r#""_tag":"Success""#) => {
                    return Ok(Heard::Done { request });
                }
                _ => bail!("{}: refused: {text}", self.store),
            }
        }
    }

    /// Pulls what lies after its head to the end of the log. An error if an event is missing, doubled or not the one
    /// that was pushed under its number.
    pub(super) async fn catch_up(&mut self) -> Result<()> {
        self.pull(false).await?;
        loop {
            match self.next().await? {
                Heard::Page { request, text } => {
                    self.ack(request).await?;
                    self.take(&text)?;
                }
                Heard::Done { .. } => return Ok(()),
            }
        }
    }

    /// Takes a page of a pull: its events must be the next ones, with what [`Self::push`] put in them.
    pub(super) fn take(&mut self, page: &str) -> Result<()> {
        if self.backend_id.is_none() {
            self.backend_id = word_after(page, r#""backendId":""#).map(str::to_owned);
        }
        let mut ids = numbers_after(page, r#""id":"e"#);
        for seq in numbers_after(page, r#""seqNum":"#) {
            let (store, head, id) = (&self.store, self.head, ids.next());
            if seq != head + 1 || id != Some(seq) {
                bail!("{store}: after event {head} came event {seq} with the content of {id:?}");
            }
            self.head = seq;
        }
        Ok(())
    }

    async fn request(&mut self, tag: &str, payload: &str) -> Result<u64> {
        let id = self.next_request;
        self.next_request += 1;
        let frame = format!(
            r#"{{"_tag":"Request","id":"{id}","tag":"{tag}","payload":{payload},"headers":[]}}"#
        );
        self.socket.feed(Message::text(frame)).await?;
        Ok(id)
    }
}

/// The text between the first `mark` and the next quote.
pub(super) fn word_after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let at = text.find(mark)? + mark.len();
    text[at..].split('"').next()
}

fn number_after(text: &str, mark: &str) -> Option<u64> {
    numbers_after(text, mark).next()
}

/// The number after each `mark`.
pub(super) fn numbers_after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = u64> + 'a {
    text.match_indices(mark).filter_map(move |(at, _)| {
        let rest = &text[at + mark.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_found_in_a_frame() {
        let frame = r#"{"_tag":"Chunk","requestId":"17","values":[{"batch":[{"eventEncoded":{"seqNum":4,"parentSeqNum":3}},{"eventEncoded":{"seqNum":5,"parentSeqNum":4}}]}]}"#;
        assert_eq!(word_after(frame, r#""_tag":""#), Some("Chunk"));
        assert_eq!(number_after(frame, r#""requestId":""#), Some(17));
        let numbers: Vec<u64> = numbers_after(frame, r#""seqNum":"#).collect();
        assert_eq!(numbers, [4, 5]);
        assert_eq!(number_after(frame, r#""nothing":"#), None);
    }
}
