//! Where in a stream of WebSocket frames the bytes read so far end. Whoever gives a socket's buffers back needs to know
//! it: half a message in them must not be lost. It looks at the frames' heads only.

/// A place in a stream of WebSocket frames (RFC 6455, section 5.2). The default is between two messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The first bytes of a frame's head, zeros behind them. A server does not mask and needs 10 at most, a client masks
    /// and needs 4 more.
    head: [u8; 14],
    head_length: usize,
    payload_left: u64,
    /// A message in fragments has begun and not ended.
    in_fragments: bool,
}

impl Position {
    /// Whether the bytes so far end with a whole message.
    pub(crate) fn is_between_messages(&self) -> bool {
        *self == Self::default()
    }

    /// Goes on by what was read.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) {
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
        let [a, b, c, d, e, f, g, h, ..] = length;
        let (head_length, payload_length) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([a, b]))),
            127 => (10, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            short => (2, u64::from(short)),
        };
        let mask_length = if second & 0x80 != 0 { 4 } else { 0 };
        if self.head_length < head_length + mask_length {
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
            for mask in [0, 0x80] {
                let bytes = framed(frames, mask);
                for piece in [1, 3, 1000, bytes.len()] {
                    let mut position = Position::default();
                    let mut read = 0;
                    for piece in bytes.chunks(piece) {
                        position.advance(piece);
                        read += piece.len();
                        let between = position.is_between_messages();
                        assert_eq!(between, read == bytes.len(), "{frames:?} at {read}");
                    }
                }
            }
        }
    }

    fn framed(frames: &[(u8, usize)], mask: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (first, length) in frames {
            bytes.push(*first);
            match *length {
                0..=125 => bytes.push(*length as u8 | mask),
                126..=0xffff => {
                    bytes.push(126 | mask);
                    bytes.extend((*length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127 | mask);
                    bytes.extend((*length as u64).to_be_bytes());
                }
            }
            if mask != 0 {
                bytes.extend([0xff; 4]);
            }
            bytes.extend(std::iter::repeat_n(0xff, *length));
        }
        bytes
    }
}
