//! `quartermaster tail`: a store's events as they come, after the last few that are there.

use std::io::{BufWriter, IsTerminal as _, Write, stdout};
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::log_file::EventEncoded;
use crate::cli::peer::{Extent, Intent, Peer, Target};
use crate::cli::{Access, interrupt, stores};
use crate::config::{Environment, Location};
use crate::event::{Event, SeqNum};
use crate::id::StoreId;
use crate::store::Pattern;

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster tail shop                              the last 10 events, and then what comes
  quartermaster tail shop --name 'v1.Chat*' --last 0   chat messages from now on
  quartermaster tail shop --from 1 --no-follow         all there is
  quartermaster tail shop --json | jq .args            one JSON object a line

A line is the event's number, when the backend took it in (UTC), its name, its author's client and session, and its \
arguments, which are shortened on a terminal. Ctrl-C ends it.";

/// Characters of the arguments on a terminal.
const ARGS_SHOWN: usize = 80;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The store's id
    #[arg(value_name = "STORE")]
    store: StoreId,
    /// Only events of this name, or whose name begins with what stands before a `*`; may be repeated
    #[arg(long = "name", value_name = "PATTERN")]
    names: Vec<Pattern>,
    /// Begin with this event
    #[arg(long, value_name = "SEQ", conflicts_with = "last")]
    from: Option<u64>,
    /// Begin with the last N events of the log, of which --name picks
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// End with the last event there is
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    access: Access,
}

/// Prints until it is told to stop.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let named = stores::find(location, environment, &arguments.store)?;
    let target = Target::of(&named, Intent::Read, arguments.access.token())?;
    let printer = Printer {
        names: &arguments.names,
        json: arguments.json,
        short: stdout().is_terminal(),
    };
    // Ctrl-C is how this ends.
    interrupt::run(follow(arguments, target, &printer))?;
    Ok(ExitCode::SUCCESS)
}

async fn follow(
    arguments: &Arguments,
    target: Target,
    printer: &Printer<'_>,
) -> anyhow::Result<()> {
    let mut peer = Peer::open(target).await?;
    let after = match arguments.from {
        Some(from) => from.saturating_sub(1),
        None => peer.end().await?.get().saturating_sub(arguments.last),
    };
    peer.seek(SeqNum::new(after)).await;
    if !arguments.no_follow {
        peer.never_give_up();
    }
    let mut extent = Extent::End;
    loop {
        match peer.next(extent).await? {
            Some(events) => printer.print(&events)?,
            None if arguments.no_follow => break,
            None if peer.target().is_ours_alone() => {
                eprintln!(
                    "quartermaster: the server does not run, so nothing more can come to store {}",
                    arguments.store
                );
                break;
            }
            None => extent = Extent::Live,
        }
    }
    peer.close().await;
    Ok(())
}

/// How events are printed.
struct Printer<'a> {
    names: &'a [Pattern],
    json: bool,
    short: bool,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: EventEncoded<'a>,
    #[serde(rename = "createdAt")]
    created_at: Option<String>,
}

impl Printer<'_> {
    /// Prints those that are wanted, all of them before it returns.
    fn print(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut out = BufWriter::new(stdout().lock());
        for event in events.iter().filter(|event| self.wants(event)) {
            writeln!(out, "{}", self.line(event)?)?;
        }
        out.flush()?;
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        self.names.is_empty()
            || self
                .names
                .iter()
                .any(|pattern| pattern.matches(&event.name))
    }

    fn line(&self, event: &Event) -> anyhow::Result<String> {
        if !self.json {
            return Ok(self.text(event));
        }
        let line = Line {
            event: EventEncoded::of(event)?,
            created_at: event.created_at.map(|at| at.to_string()),
        };
        Ok(serde_json::to_string(&line)?)
    }

    fn text(&self, event: &Event) -> String {
        let at = event.created_at.map_or("-".to_owned(), |at| at.to_string());
        let mut args = harmless(&event.args);
        if self.short && args.chars().nth(ARGS_SHOWN).is_some() {
            args = args.chars().take(ARGS_SHOWN).collect();
            args.push('…');
        }
        let (name, client) = (harmless(&event.name), harmless(&event.client_id));
        let session = harmless(&event.session_id);
        format!(
            "{:>6}  {at:24}  {name}  {client}/{session}  {args}",
            event.seq.get()
        )
    }
}

/// Text of somebody else without what a terminal would obey.
fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => harmless.extend(c.escape_unicode()),
            false => harmless.push(c),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn event(name: &str, args: &str) -> Event {
        Event {
            seq: SeqNum::new(42),
            parent: SeqNum::new(41),
            name: name.into(),
            args: args.into(),
            client_id: "alice".into(),
            session_id: "static".into(),
            created_at: Some(Timestamp::from_millis(0)),
        }
    }

    const PLAIN: Printer<'_> = Printer {
        names: &[],
        json: false,
        short: true,
    };

    #[test]
    fn a_line_is_for_people_and_harmless() {
        assert_eq!(
            PLAIN.text(&event("v1.Said\u{1b}[2J", "{\"a\":1}")),
            "    42  1970-01-01T00:00:00.000Z  v1.Said\\u{1b}[2J  alice/static  {\"a\":1}"
        );
        let long = PLAIN.text(&event("n", &format!("\"{}\"", "é".repeat(100))));
        assert!(
            long.ends_with(&format!("  \"{}…", "é".repeat(79))),
            "{long}"
        );
    }

    #[test]
    fn a_line_of_json_is_the_event_as_the_protocol_spells_it() {
        let printer = Printer {
            json: true,
            ..PLAIN
        };
        assert_eq!(
            printer.line(&event("n", "{\"b\":1,\"a\":1.0}")).unwrap(),
            "{\"name\":\"n\",\"args\":{\"b\":1,\"a\":1.0},\"seqNum\":42,\"parentSeqNum\":41,\"clientId\":\"alice\",\
             \"sessionId\":\"static\",\"createdAt\":\"1970-01-01T00:00:00.000Z\"}"
        );
    }

    #[test]
    fn names_pick_events() {
        let names = ["v1.Chat*".parse().unwrap(), "v2.Said".parse().unwrap()];
        let printer = Printer {
            names: &names,
            ..PLAIN
        };
        let wants = |name: &str| printer.wants(&event(name, "1"));
        assert!(wants("v1.ChatSent") && wants("v2.Said") && !wants("v2.SaidMore"));
        assert!(PLAIN.wants(&event("anything", "1")));
    }
}
