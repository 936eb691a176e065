//! The bytes below a client's WebSocket. It counts what was read, which is how a client that has gone is told from one
//! that sends slowly, and knows whether that ends with a whole message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sync::Position;

/// A byte stream from a client.
pub(super) struct Stream {
    /// None only in what [`Stream::take`] leaves behind.
    io: Option<TokioIo<Upgraded>>,
    bytes_read: u64,
    position: Position,
}

impl Stream {
    /// What is behind the head of an HTTP request.
    pub(super) fn new(io: Upgraded) -> Self {
        Self {
            io: Some(TokioIo::new(io)),
            bytes_read: 0,
            position: Position::default(),
        }
    }

    /// Bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Whether what was read ends with a whole message.
    pub(super) fn is_between_messages(&self) -> bool {
        self.position.is_between_messages()
    }

    /// Moves the stream out; what stays is closed.
    pub(super) fn take(&mut self) -> Self {
        Self {
            io: self.io.take(),
            bytes_read: self.bytes_read,
            position: self.position,
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut TokioIo<Upgraded>>> {
        let io = self.io.as_mut();
        io.map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.io()?.poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        self.bytes_read += read.len() as u64;
        self.position.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }
}
