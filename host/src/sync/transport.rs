//! The bytes below the WebSocket: TCP, or TLS over TCP. It counts what was read, which is how a dead socket is told
//! from a slow page; knows whether that ends with a whole message; and records the upgrade's answer, so that what
//! follows it is neither lost nor guessed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;

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
        self.position == Position::default()
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

/// A place in a stream of WebSocket frames from a server (RFC 6455, section 5.2). The default is between two messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// The first bytes of a frame's head, zeros behind them. A server does not mask, so 10 are the most there can be.
    head: [u8; 10],
    head_length: usize,
    payload_left: u64,
    /// A message in fragments has begun and not ended.
    in_fragments: bool,
}

impl Position {
    fn advance(&mut self, mut bytes: &[u8]) {
        while let [byte, behind @ ..] = bytes {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left)
                    .map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload_left -= skipped as u64;
                bytes = &bytes[skipped..];
            } else {
                self.head[self.head_length] = *byte;
                self.head_length += 1;
                self.end_head();
                bytes = behind;
            }
        }
    }

    /// Goes on to the payload if the head is whole.
    fn end_head(&mut self) {
        let [first, second, length @ ..] = self.head;
        let (head_length, payload_length) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([length[0], length[1]]))),
            127 => (10, u64::from_be_bytes(length)),
            short => (2, u64::from(short)),
        };
        if self.head_length < head_length {
            return;
        }
        let (is_final, is_control) = (first & 0x80 != 0, first & 0x08 != 0);
        *self = Self {
            payload_left: payload_length,
            in_fragments: if is_control {
                self.in_fragments
            } else {
                !is_final
            },
            ..Self::default()
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_message_is_found_however_it_is_framed_and_read() {
        // (first byte, payload length) of each frame of one message, control frames in between.
        for frames in [
            &[(0x81, 0)][..],
            &[(0x81, 125)],
            &[(0x81, 126)],
            &[(0x81, 0xffff)],
            &[(0x82, 0x1_0000)],
            &[(0x89, 3)],
            &[(0x01, 32_768), (0x80, 32_768)],
            &[(0x01, 5), (0x89, 4), (0x00, 0), (0x8a, 0), (0x80, 200)],
        ] {
            let mut bytes = Vec::new();
            for (first, length) in frames {
                bytes.push(*first);
                match *length {
                    0..=125 => bytes.push(*length as u8),
                    126..=0xffff => {
                        bytes.push(126);
                        bytes.extend((*length as u16).to_be_bytes());
                    }
                    _ => {
                        bytes.push(127);
                        bytes.extend((*length as u64).to_be_bytes());
                    }
                }
                bytes.extend(std::iter::repeat_n(0xff, *length));
            }
            for piece in [1, 3, 1000, bytes.len()] {
                let mut position = Position::default();
                let mut read = 0;
                for piece in bytes.chunks(piece) {
                    position.advance(piece);
                    read += piece.len();
                    let between = position == Position::default();
                    assert_eq!(between, read == bytes.len(), "{frames:?} at {read}");
                }
            }
        }
    }
}
