//! The bytes below the WebSocket: TCP, or TLS over TCP. It counts what was read, which is how a dead socket is told
//! from a slow page; knows whether that ends with a whole message; and records the upgrade's answer, so that what
//! follows it is neither lost nor guessed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

use crate::sync::Position;

/// A byte stream to a backend.
pub(super) struct Transport {
    /// None only in what [`Transport::take`] leaves behind.
    stream: Option<MaybeTlsStream<TcpStream>>,
    /// Everything read since the start, until [`Transport::cut_head`].
    record: Option<Vec<u8>>,
    bytes_read: u64,
    position: Position,
}

impl Transport {
    /// Wraps a stream on which nothing was said yet.
    pub(super) fn recording(stream: MaybeTlsStream<TcpStream>) -> Self {
        Self {
            stream: Some(stream),
            record: Some(Vec::new()),
            bytes_read: 0,
            position: Position::default(),
        }
    }

    /// Stops recording, which tungstenite bounds at 64 KiB, and returns what was read behind the head of an HTTP answer;
    /// none if its end was not read.
    pub(super) fn cut_head(&mut self) -> Option<Vec<u8>> {
        let mut recorded = self.record.take()?;
        let end = recorded
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?;
        let behind = recorded.split_off(end + 4);
        self.bytes_read = behind.len() as u64;
        self.position = Position::default();
        self.position.advance(&behind);
        Some(behind)
    }

    /// Bytes read behind the head.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Whether what was read behind the head ends with a whole message.
    pub(super) fn is_between_messages(&self) -> bool {
        self.position.is_between_messages()
    }

    /// Moves the stream out; what stays is closed.
    pub(super) fn take(&mut self) -> Self {
        Self {
            stream: self.stream.take(),
            record: None,
            bytes_read: self.bytes_read,
            position: self.position,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut MaybeTlsStream<TcpStream>>> {
        let stream = self.stream.as_mut();
        stream
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        self.bytes_read += read.len() as u64;
        match &mut self.record {
            Some(record) => record.extend_from_slice(read),
            None => self.position.advance(read),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
