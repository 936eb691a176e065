//! Writing a log's file: an event a line. The number of events stands at the end, where it is known.

use std::io::{self, Write};

use anyhow::Context as _;
use serde_json::json;

use crate::cli::log_file::{EventEncoded, VERSION};
use crate::event::Event;
use crate::id::StoreId;
use crate::time::Timestamp;

/// A file that is being written.
pub(in crate::cli) struct Writer<W> {
    out: W,
    events: u64,
}

impl<W: Write> Writer<W> {
    /// Writes what stands before the events.
    ///
    /// # Errors
    /// `out` takes no more; so for the others.
    pub(in crate::cli) fn begin(
        mut out: W,
        store: &StoreId,
        exported_at: Timestamp,
    ) -> io::Result<Self> {
        let (store, at) = (json!(store), json!(exported_at.to_string()));
        write!(
            out,
            "{{\"version\":{VERSION},\"storeId\":{store},\"exportedAt\":{at},\"events\":["
        )?;
        Ok(Self { out, events: 0 })
    }

    /// Writes one event.
    ///
    /// # Errors
    /// As above, or the event's arguments are not JSON.
    pub(in crate::cli) fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        let encoded = EventEncoded::of(event);
        let encoded = encoded
            .with_context(|| format!("the arguments of event {} are not JSON", event.seq))?;
        self.out.write_all(match self.events {
            0 => b"\n",
            _ => b",\n",
        })?;
        serde_json::to_writer(&mut self.out, &encoded).map_err(io::Error::from)?;
        self.events += 1;
        Ok(())
    }

    /// Writes what stands behind the events, and gives back where it was written to.
    ///
    /// # Errors
    /// As above.
    pub(in crate::cli) fn end(mut self) -> io::Result<W> {
        writeln!(self.out, "\n],\"eventCount\":{}}}", self.events)?;
        self.out.flush()?;
        Ok(self.out)
    }
}
