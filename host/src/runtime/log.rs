//! A guest's words for the operator: bounded in length and number, and made harmless for a terminal.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::runtime::Level;
use crate::store::{Limit, Refusal};

/// Bytes of one line, by the contract, before escapes.
pub(super) const LINE_BYTES_MAX: usize = 4 << 10;

/// Where a run's log lines go. It is called in the middle of a run and must not wait; what it cannot take it drops and
/// counts itself.
pub trait LogSink: Send + Sync {
    /// Takes one line: no line breaks, no control characters.
    fn write(&self, level: Level, line: &str);
}

/// The log of one run: its sink, and what it may still say. Streams of WASI hold it too, hence the atomics; a run is
/// one thread at a time, so their order never matters.
pub(super) struct RunLog {
    sink: Option<Arc<dyn LogSink>>,
    bytes_max: usize,
    bytes_left: AtomicUsize,
    dropped: AtomicU64,
    bytes_dropped: AtomicU64,
}

impl RunLog {
    /// A log with room for `bytes_max` bytes. Without a sink nothing is kept.
    pub(super) fn new(sink: Option<Arc<dyn LogSink>>, bytes_max: usize) -> Self {
        Self {
            sink,
            bytes_max,
            bytes_left: AtomicUsize::new(bytes_max),
            dropped: AtomicU64::new(0),
            bytes_dropped: AtomicU64::new(0),
        }
    }

    /// Writes what the limits allow of a line.
    pub(super) fn write(&self, level: Level, text: &str) {
        let Some(sink) = &self.sink else { return };
        let left = self.bytes_left.load(Ordering::Relaxed);
        // An empty line costs one too, or their number would have no bound.
        let bytes = text.len().clamp(1, LINE_BYTES_MAX);
        if bytes > left {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.bytes_dropped
                .fetch_add(bytes as u64, Ordering::Relaxed);
            return;
        }
        self.bytes_left.store(left - bytes, Ordering::Relaxed);
        sink.write(level, &one_line(text, LINE_BYTES_MAX));
    }

    /// Lines that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The same as a refusal, if there were any.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let times = self.dropped();
        let left = self.bytes_left.load(Ordering::Relaxed);
        let written = self.bytes_max.saturating_sub(left) as u64;
        (times > 0).then(|| Refusal {
            limit: Limit::LogBytes,
            asked: written + self.bytes_dropped.load(Ordering::Relaxed),
            max: self.bytes_max as u64,
            times: u32::try_from(times).unwrap_or(u32::MAX),
        })
    }
}

/// Whether `text` shows as what it is: no control characters, and none that move or reorder what a terminal shows.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(is_deceptive)
}

fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first `bytes_max` bytes of `text`, cut between characters, on one line, with escapes for what is not plain.
pub(super) fn one_line(text: &str, bytes_max: usize) -> String {
    let kept = &text[..text.floor_char_boundary(bytes_max)];
    let mut line = String::with_capacity(kept.len() + 16);
    for character in kept.chars() {
        match character {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            deceptive if is_deceptive(deceptive) => escape(&mut line, deceptive),
            plain => line.push(plain),
        }
    }
    if kept.len() < text.len() {
        line.push('…');
    }
    line
}

fn escape(line: &mut String, character: char) {
    write!(line, "\\u{{{:x}}}", u32::from(character)).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_leave_its_line_or_play_with_the_terminal() {
        let text = "a\nb\r\tc\u{1b}[31md\0\u{202e}e\u{9b}";
        let line = one_line(text, 100);
        assert_eq!(line, "a\\nb\\r\\tc\\u{1b}[31md\\u{0}\\u{202e}e\\u{9b}");
        assert_eq!(one_line("äö", 3), "ä…");
        assert_eq!(one_line("äö", 4), "äö");
    }
}
