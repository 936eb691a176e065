//! One open WebSocket as a stream of text frames both ways: liveness, deadlines and buffers. It knows nothing of what
//! the frames say, but for the ping.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message, Utf8Bytes};

use crate::sync::transport::Transport;
use crate::sync::{Endpoint, Error, connect, wire};

/// Thousands of sockets are idle at a time, and each keeps this buffer. A message that is larger gets its own, which
/// is given back once it is through.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Room for a push (900,000 bytes at most) and what is sent while it waits. Beyond it the socket counts as lost.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// For the other side to take in what we sent last and to answer a close. `@livestore/sync-cf` 0.4.0 never answers one.
const CLOSE_PATIENCE: Duration = Duration::from_millis(250);

/// An open WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<Transport>,
    config: WebSocketConfig,
    ping_period: Duration,
    write_timeout: Duration,
    /// Frames that are not in `stream`'s buffer yet.
    outgoing: VecDeque<String>,
    /// When what is unsent, here or in `stream`'s buffer, must have gone out. None if all of it has.
    write_deadline: Option<Instant>,
    next_ping: Instant,
    /// Bytes that had been read when the last ping was sent.
    bytes_at_ping: Option<u64>,
    /// A message larger than the buffers went through since they were made.
    grown: bool,
}

/// What ended a wait.
enum Polled {
    Message(Message),
    /// There is nothing to read or to write, and the buffers are larger than they need to be.
    Quiet,
    Timer,
}

impl Socket {
    /// Opens a WebSocket to `endpoint`.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let limits = *endpoint.limits();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // A frame is written when it is there.
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(limits.message_bytes_max))
            .max_frame_size(Some(limits.message_bytes_max));
        let stream = connect::connect(endpoint, config).await?;
        Ok(Self {
            stream,
            config,
            ping_period: limits.ping_period,
            write_timeout: limits.write_timeout,
            outgoing: VecDeque::new(),
            write_deadline: None,
            next_ping: Instant::now() + limits.ping_period,
            bytes_at_ping: None,
            grown: false,
        })
    }

    /// The next text frame. Cancel-safe: what it waits for is kept in `self`, and a frame that was read is returned by
    /// the same poll. Pings are sent and queued frames written in here.
    ///
    /// # Errors
    /// Why the socket is of no use any more.
    pub(super) async fn next(&mut self) -> Result<Utf8Bytes, String> {
        loop {
            let wake_at = self
                .write_deadline
                .map_or(self.next_ping, |deadline| deadline.min(self.next_ping));
            let polled = tokio::select! {
                // Reading first: after a pause of ours the proof of life may be in the socket while the timer is over.
                biased;
                polled = poll_fn(|cx| self.poll(cx)) => polled?,
                () = sleep_until(wake_at) => Polled::Timer,
            };
            match polled {
                Polled::Message(message) => {
                    if let Some(text) = self.on_message(message)? {
                        return Ok(text);
                    }
                }
                Polled::Quiet => self.shrink().await,
                Polled::Timer => self.on_timer()?,
            }
        }
    }

    /// Queues a frame. [`Socket::flush`] or [`Socket::next`] sends it.
    pub(super) fn enqueue(&mut self, frame: String) {
        self.grown |= frame.len() > READ_BUFFER_BYTES;
        self.outgoing.push_back(frame);
        self.write_deadline
            .get_or_insert_with(|| Instant::now() + self.write_timeout);
    }

    /// Sends what is queued. Cancel-safe: what was not sent stays queued.
    ///
    /// # Errors
    /// Why the socket is of no use any more.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        let Some(deadline) = self.write_deadline else {
            return Ok(());
        };
        match timeout_at(deadline, poll_fn(|cx| self.poll_write(cx))).await {
            Ok(written) => written.map_err(|error| describe(&error)),
            Err(_) => Err(self.describe_write_timeout()),
        }
    }

    /// Sends what is queued, says goodbye, and waits a moment for the answer: a socket dropped with unread bytes in it
    /// is reset, and what we sent last may be lost with it.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            poll_fn(|cx| self.poll_write(cx)).await?;
            self.stream.close(None).await?;
            while self.stream.next().await.transpose()?.is_some() {}
            Ok::<(), WebSocketError>(())
        };
        // Polite or not, it is closed now.
        match timeout(CLOSE_PATIENCE, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = describe(&error), "closed without goodbye"),
            Err(_) => tracing::debug!("closed without waiting longer for the other side"),
        }
    }

    /// The next message, while what is queued is written.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Polled, String>> {
        let written = match self.write_deadline {
            Some(_) => self.poll_write(cx),
            None => Poll::Ready(Ok(())),
        };
        // What the other side said before it went away explains more than our failure to write.
        let error = match (self.stream.poll_next_unpin(cx), written) {
            (Poll::Ready(Some(Ok(message))), _) => {
                return Poll::Ready(Ok(Polled::Message(message)));
            }
            (Poll::Ready(Some(Err(error))), _) | (Poll::Pending, Poll::Ready(Err(error))) => {
                describe(&error)
            }
            (Poll::Ready(None), _) => "connection lost: closed by the other side".to_owned(),
            (Poll::Pending, Poll::Ready(Ok(()))) if self.grown && self.is_empty(cx) => {
                return Poll::Ready(Ok(Polled::Quiet));
            }
            (Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => return Poll::Pending,
        };
        Poll::Ready(Err(error))
    }

    /// Whether nothing is left in `stream`'s buffers, given that it has no message to read and that all frames are
    /// written.
    fn is_empty(&mut self, cx: &mut Context<'_>) -> bool {
        let flushed = self.stream.poll_flush_unpin(cx);
        matches!(flushed, Poll::Ready(Ok(()))) && self.stream.get_ref().is_between_messages()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        while !self.outgoing.is_empty() {
            ready!(self.stream.poll_ready_unpin(cx))?;
            if let Some(frame) = self.outgoing.pop_front() {
                self.stream.start_send_unpin(Message::text(frame))?;
            }
        }
        ready!(self.stream.poll_flush_unpin(cx))?;
        self.write_deadline = None;
        Poll::Ready(Ok(()))
    }

    fn on_message(&mut self, message: Message) -> Result<Option<Utf8Bytes>, String> {
        self.grown |= message.len() > READ_BUFFER_BYTES;
        match message {
            Message::Text(text) => Ok(Some(text)),
            // tungstenite answers pings by itself.
            Message::Ping(_) | Message::Pong(_) => Ok(None),
            Message::Close(frame) => Err(describe_close(frame.as_ref())),
            Message::Binary(_) | Message::Frame(_) => Err(
                "the backend sent a binary message, where LiveStore's protocol has only text"
                    .to_owned(),
            ),
        }
    }

    fn on_timer(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if self.write_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(self.describe_write_timeout());
        }
        if self.next_ping <= now {
            let bytes_read = self.stream.get_ref().bytes_read();
            if self.bytes_at_ping == Some(bytes_read) {
                let period = self.ping_period;
                return Err(format!(
                    "connection lost: the backend has sent nothing for {period:?} after a ping"
                ));
            }
            self.bytes_at_ping = Some(bytes_read);
            self.next_ping = now + self.ping_period;
            self.enqueue(wire::PING.to_owned());
        }
        Ok(())
    }

    /// Gives back what large messages made of the buffers, which would otherwise stay as large for the socket's life.
    /// Both must be empty.
    async fn shrink(&mut self) {
        let transport = self.stream.get_mut().take();
        // Is ready at once, so it cannot be cancelled in between.
        self.stream =
            WebSocketStream::from_raw_socket(transport, Role::Client, Some(self.config)).await;
        self.grown = false;
    }

    fn describe_write_timeout(&self) -> String {
        format!(
            "connection lost: the backend has taken nothing in for {:?}",
            self.write_timeout
        )
    }
}

fn describe(error: &WebSocketError) -> String {
    format!("connection lost: {error}")
}

fn describe_close(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => format!(
            "connection lost: closed by the backend, code {}",
            frame.code
        ),
        Some(frame) => format!(
            "connection lost: closed by the backend, code {}: {}",
            frame.code, frame.reason
        ),
        None => "connection lost: closed by the backend".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::sync::Limits;
    use crate::sync::tests::{Peer, with_endpoint};

    #[tokio::test]
    async fn the_room_for_a_large_message_is_given_back_once_it_is_through() {
        let limits = Limits {
            ping_period: Duration::from_millis(30),
            ..Limits::default()
        };
        let large = "x".repeat(10 * READ_BUFFER_BYTES);
        let backend = async |mut peer: Peer| {
            peer.send(&json!(large)).await;
            let mut pings = 0;
            while let Some(Ok(Message::Text(_))) = peer.stream.next().await {
                pings += 1;
                peer.send(&json!(pings)).await;
            }
        };
        with_endpoint(limits, backend, async |endpoint| {
            let mut socket = Socket::open(&endpoint).await.expect("it opens");
            assert_eq!(
                socket.next().await.map(|text| text.len()),
                Ok(large.len() + 2)
            );
            assert!(socket.grown);
            // It goes on where it was.
            for pings in 1..5 {
                assert_eq!(
                    socket.next().await.as_deref(),
                    Ok(pings.to_string().as_str())
                );
                assert!(!socket.grown);
            }
            socket.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn half_a_frame_in_the_buffer_is_kept_when_room_could_be_given_back() {
        let limits = Limits {
            ping_period: Duration::from_millis(30),
            ..Limits::default()
        };
        let large = "x".repeat(10 * READ_BUFFER_BYTES);
        let backend = async |mut peer: Peer| {
            use tokio::io::AsyncWriteExt;
            peer.send(&json!(large)).await;
            peer.stream
                .get_mut()
                .write_all(&[0x81, 5, b'h', b'e'])
                .await
                .expect("the client is there");
            // The ping goes out while half a frame waits.
            assert!(peer.stream.next().await.is_some());
            peer.stream
                .get_mut()
                .write_all(b"llo")
                .await
                .expect("the client is there");
            peer.gone().await;
        };
        with_endpoint(limits, backend, async |endpoint| {
            let mut socket = Socket::open(&endpoint).await.expect("it opens");
            assert!(socket.next().await.is_ok());
            assert_eq!(socket.next().await.as_deref(), Ok("hello"));
            assert!(socket.grown);
        })
        .await;
    }
}
