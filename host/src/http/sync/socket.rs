//! One client's open WebSocket as a stream of text frames both ways: liveness, deadlines and buffers. It knows nothing of
//! what the frames say. Thousands of these are idle at a time, so what a large message needed is given back.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as WebSocketError, Message, Utf8Bytes};

use super::Patience;
use super::offer::is_ours;
use super::stream::Stream;

/// Each socket keeps this buffer. A message that is larger gets its own for as long as it takes.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Room for one of our frames, which hold up to a megabyte; the next one is not taken before it is out.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The bytes of a reason that a close frame has room for (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// An open WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<Stream>,
    config: WebSocketConfig,
    patience: Patience,
    /// The one frame that is not in `stream`'s buffer yet.
    outgoing: Option<Message>,
    /// When what is unsent, here or in `stream`'s buffer, must have gone out. None if all of it has.
    write_deadline: Option<Instant>,
    /// When the client must have been heard.
    hear_by: Instant,
    /// Bytes that had been read when that was set.
    bytes_then: u64,
    /// Whether it was asked if it is there.
    asked: bool,
    /// A message larger than the buffers went through since they were made.
    grown: bool,
}

/// What a wait brought.
pub(super) enum Heard {
    /// A frame from the client.
    Text(Utf8Bytes),
    /// The last frame for the client is out.
    Sent,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client has gone, or cannot be reached any more; there is nobody to say anything to. What happened.
    Gone(String),
    /// The client is told why, with a code of RFC 6455 or one of ours, which are above 4000.
    Told(u16, String),
}

/// What ended a poll.
enum Polled {
    Message(Message),
    Sent,
    /// There is nothing to read or to write, and the buffers are larger than they need to be.
    Quiet,
}

impl Socket {
    /// The server's side of `stream`, on which the upgrade is done.
    pub(super) async fn new(stream: Stream, message_bytes_max: usize, patience: Patience) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // A frame is written when it is there.
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self {
            stream: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            config,
            patience,
            outgoing: None,
            write_deadline: None,
            hear_by: Instant::now() + patience.quiet,
            bytes_then: 0,
            asked: false,
            grown: false,
        }
    }

    /// Whether there is room for a frame.
    pub(super) fn is_writable(&self) -> bool {
        self.write_deadline.is_none()
    }

    /// Takes a frame, for which there must be room. [`Socket::next`] sends it.
    pub(super) fn send(&mut self, frame: String) {
        self.grown |= frame.len() > READ_BUFFER_BYTES;
        self.queue(Message::text(frame));
    }

    /// What the client does next; only what it does with our frames while `reading` is false. Cancel-safe: what it waits
    /// for is kept in `self`, and a frame that was read is returned by the same poll.
    ///
    /// # Errors
    /// The connection has ended, or must.
    pub(super) async fn next(&mut self, reading: bool) -> Result<Heard, Ended> {
        loop {
            let wake_at = self
                .write_deadline
                .map_or(self.hear_by, |deadline| deadline.min(self.hear_by));
            let polled = tokio::select! {
                // Reading first: after a pause of ours the proof of life may be in the socket while the timer is over.
                biased;
                polled = poll_fn(|cx| self.poll(cx, reading)) => polled?,
                () = sleep_until(wake_at) => {
                    self.on_timer(reading)?;
                    continue;
                }
            };
            match polled {
                Polled::Message(message) => {
                    if let Some(text) = self.on_message(message)? {
                        return Ok(Heard::Text(text));
                    }
                }
                Polled::Sent => return Ok(Heard::Sent),
                Polled::Quiet => self.shrink().await,
            }
        }
    }

    /// Tells the client why, and waits a moment for its answer: a socket dropped with unread bytes in it is reset, and
    /// what was sent last may be lost with it.
    pub(super) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: shorten(reason).into(),
        };
        let patience = match is_ours(code) {
            true => self.patience.leave,
            false => self.patience.farewell,
        };
        let goodbye = async {
            poll_fn(|cx| self.poll_write(cx)).await?;
            self.stream.close(Some(frame)).await?;
            while self.stream.next().await.transpose()?.is_some() {}
            // After a frame that was too large no other is read, but its bytes still come.
            let raw = self.stream.get_mut();
            raw.shutdown().await?;
            let mut rest = [0; 1024];
            while raw.read(&mut rest).await? > 0 {}
            Ok::<(), WebSocketError>(())
        };
        // Polite or not, it is closed now.
        match timeout(patience, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "closed without goodbye"),
            Err(_) => tracing::debug!("closed without waiting longer for the client"),
        }
    }

    fn queue(&mut self, message: Message) {
        self.outgoing = Some(message);
        self.write_deadline = Some(Instant::now() + self.patience.transfer);
    }

    /// The next message, while what is queued is written.
    fn poll(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Result<Polled, Ended>> {
        let unsent = self.write_deadline.is_some();
        let written = match unsent {
            true => self.poll_write(cx),
            false => Poll::Ready(Ok(())),
        };
        if reading {
            match self.stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    return Poll::Ready(Ok(Polled::Message(message)));
                }
                // What the client said before it went away explains more than our failure to write.
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.ended(&error))),
                Poll::Ready(None) => {
                    return Poll::Ready(Err(Ended::Gone("closed by the client".to_owned())));
                }
                Poll::Pending => {}
            }
        }
        match written {
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.ended(&error))),
            Poll::Ready(Ok(())) if unsent => Poll::Ready(Ok(Polled::Sent)),
            Poll::Ready(Ok(())) if reading && self.grown && self.is_empty(cx) => {
                Poll::Ready(Ok(Polled::Quiet))
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        if self.outgoing.is_some() {
            ready!(self.stream.poll_ready_unpin(cx))?;
            if let Some(message) = self.outgoing.take() {
                self.stream.start_send_unpin(message)?;
            }
        }
        ready!(self.stream.poll_flush_unpin(cx))?;
        self.write_deadline = None;
        Poll::Ready(Ok(()))
    }

    /// Whether nothing is left in `stream`'s buffers, given that it has no message to read and that all is written.
    fn is_empty(&mut self, cx: &mut Context<'_>) -> bool {
        let flushed = self.stream.poll_flush_unpin(cx);
        matches!(flushed, Poll::Ready(Ok(()))) && self.stream.get_ref().is_between_messages()
    }

    fn on_message(&mut self, message: Message) -> Result<Option<Utf8Bytes>, Ended> {
        self.grown |= message.len() > READ_BUFFER_BYTES;
        match message {
            Message::Text(text) => Ok(Some(text)),
            // The original decodes binary frames as text too.
            Message::Binary(bytes) => match Utf8Bytes::try_from(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => {
                    let reason =
                        "a binary frame that is no UTF-8 text; the protocol has text frames only";
                    Err(Ended::Told(
                        CloseCode::Unsupported.into(),
                        reason.to_owned(),
                    ))
                }
            },
            // tungstenite answers pings by itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
            Message::Close(frame) => Err(Ended::Gone(match frame {
                Some(frame) => format!("closed by the client, code {}", frame.code),
                None => "closed by the client".to_owned(),
            })),
        }
    }

    fn on_timer(&mut self, reading: bool) -> Result<(), Ended> {
        let now = Instant::now();
        if self.write_deadline.is_some_and(|deadline| deadline <= now) {
            let patience = self.patience.transfer;
            return Err(Ended::Gone(format!("it took in nothing for {patience:?}")));
        }
        if self.hear_by > now {
            return Ok(());
        }
        let bytes_read = self.stream.get_ref().bytes_read();
        if bytes_read != self.bytes_then || !reading {
            // It was heard, or we were the ones that did not listen.
            self.bytes_then = bytes_read;
            self.asked = false;
            self.hear_by = now + self.patience.quiet;
        } else if !self.asked {
            self.asked = true;
            self.hear_by = now + self.patience.answer;
            // With something on its way out already, its deadline finds a dead client too.
            if self.is_writable() {
                self.queue(Message::Ping(Bytes::new()));
            }
        } else {
            let patience = self.patience.quiet + self.patience.answer;
            return Err(Ended::Gone(format!("it said nothing for {patience:?}")));
        }
        Ok(())
    }

    /// Gives back what large messages made of the buffers, which would otherwise stay as large for the socket's life.
    /// Both must be empty.
    async fn shrink(&mut self) {
        let stream = self.stream.get_mut().take();
        // Is ready at once, so it cannot be cancelled in between.
        self.stream =
            WebSocketStream::from_raw_socket(stream, Role::Server, Some(self.config)).await;
        self.grown = false;
    }

    fn ended(&self, error: &WebSocketError) -> Ended {
        // `Error` is the library's and has more variants than reactions.
        if let WebSocketError::Capacity(_) = error {
            let bytes_max = self.config.max_message_size.unwrap_or_default();
            let reason = format!("a frame of more than {bytes_max} bytes (limits.message_size)");
            return Ended::Told(CloseCode::Size.into(), reason);
        }
        if let WebSocketError::Utf8(_) = error {
            let reason = "a text frame that is no UTF-8".to_owned();
            return Ended::Told(CloseCode::Invalid.into(), reason);
        }
        if let WebSocketError::Protocol(error) = error
            && *error != ProtocolError::ResetWithoutClosingHandshake
        {
            return Ended::Told(CloseCode::Protocol.into(), error.to_string());
        }
        Ended::Gone(error.to_string())
    }
}

/// As much of a reason as a close frame holds.
fn shorten(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}
