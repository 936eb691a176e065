//! What a long command says on standard error while it works: a bar on a terminal, else a line now and then.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines for somebody who reads a log file later.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// Events counted so far.
pub(super) struct Progress {
    /// What is done to them: `shop: exported`.
    what: String,
    events: u64,
    since: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Begins at nothing. `total` is how many events are expected, if that is known.
    pub(super) fn new(what: String, total: Option<u64>) -> Self {
        let now = Instant::now();
        let shown = if std::io::stderr().is_terminal() {
            Shown::Bar(bar(&what, total))
        } else {
            Shown::Lines { last: now }
        };
        Self {
            what,
            events: 0,
            since: now,
            shown,
        }
    }

    /// Whether somebody watches.
    pub(super) fn is_watched() -> bool {
        std::io::stderr().is_terminal()
    }

    /// Counts `events` more.
    pub(super) fn advance(&mut self, events: u64) {
        self.events += events;
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(self.events),
            Shown::Lines { last } if last.elapsed() >= LINE_PERIOD => {
                *last = Instant::now();
                eprintln!(
                    "{}",
                    sentence(&self.what, self.events, self.since.elapsed())
                );
            }
            Shown::Lines { .. } => {}
        }
    }

    /// Says how many it were.
    pub(super) fn end(self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        eprintln!(
            "{}",
            sentence(&self.what, self.events, self.since.elapsed())
        );
    }
}

fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix} {human_pos} of {human_len} events [{bar:30}] {per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{prefix} {human_pos} events, {per_sec}",
        ),
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    bar.with_style(style).with_prefix(what.to_owned())
}

fn sentence(what: &str, events: u64, time: Duration) -> String {
    let events_text = match events {
        1 => "1 event".to_owned(),
        _ => format!("{events} events"),
    };
    let seconds = time.as_secs_f64();
    let rate = events as f64 / seconds.max(0.001);
    format!("{what} {events_text} in {seconds:.1} s ({rate:.0}/s)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_and_how_fast() {
        assert_eq!(
            sentence("shop: exported", 1000, Duration::from_secs(2)),
            "shop: exported 1000 events in 2.0 s (500/s)"
        );
        assert_eq!(
            sentence("shop: exported", 1, Duration::from_millis(500)),
            "shop: exported 1 event in 0.5 s (2/s)"
        );
    }
}
