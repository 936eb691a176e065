//! `quartermaster commit`: one event at the end of a store's log, once.

use std::io::{Read as _, Write as _, stdin, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::cli::log_file::{check_event, compact_json};
use crate::cli::peer::{Extent, Intent, Peer, Pushed, Target};
use crate::cli::{Access, Refusal, interrupt, stores};
use crate::config::{Environment, Location};
use crate::event::{Event, SeqNum};
use crate::id::StoreId;

pub(super) const EXAMPLES: &str = r#"Examples:
  quartermaster commit shop v1.TodoCompleted '{"id": "t1"}'
  quartermaster commit shop v1.NoteWritten @note.json      the arguments stand in a file
  jq -n '{id: "t1"}' | quartermaster commit shop v1.TodoCompleted -

The arguments are encoded as the app's schema encodes them; neither they nor the name are checked against it. The event's number is printed."#;

/// Whose events these are. The plugins of the store answer them like any other's.
const CLIENT_ID: &str = "quartermaster-cli";

/// Pushes that came too late because others write, before it is given up.
const OVERTAKEN_MAX: u32 = 100;

/// Pushes that failed for another reason, before it is given up: about six seconds.
const FAILURES_MAX: u32 = 5;

/// Arguments larger than any event's are not even read.
const ARGS_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The store's id
    #[arg(value_name = "STORE")]
    store: StoreId,
    /// The event's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The event's arguments; `-` for standard input, `@FILE` for a file
    #[arg(value_name = "JSON")]
    args: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a> {
    store: &'a str,
    seq_num: u64,
    client_id: &'a str,
    session_id: &'a str,
}

/// Commits.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let event = draft(&arguments.name, &text_of(&arguments.args)?)?;
    let named = stores::find(location, environment, &arguments.store)?;
    let target = Target::of(&named, Intent::Write, arguments.access.token())?;
    let Some(event) = interrupt::run(commit(target, event))? else {
        bail!(
            "interrupted; whether the event was committed is not known: `quartermaster tail {}` shows it",
            arguments.store
        );
    };
    let mut out = stdout().lock();
    if arguments.json {
        let done = Done {
            store: arguments.store.as_str(),
            seq_num: event.seq.get(),
            client_id: &event.client_id,
            session_id: &event.session_id,
        };
        serde_json::to_writer(&mut out, &done).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", event.seq)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The text that the argument stands for.
fn text_of(argument: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match argument.strip_prefix('@') {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(ARGS_BYTES_MAX).read_to_string(&mut text))
            .with_context(|| format!("cannot read {path}")),
        None if argument == "-" => stdin()
            .take(ARGS_BYTES_MAX)
            .read_to_string(&mut text)
            .context("cannot read standard input"),
        None => return Ok(argument.to_owned()),
    };
    read?;
    Ok(text)
}

/// The event, without a place.
fn draft(name: &str, args: &str) -> anyhow::Result<Event> {
    if let Err(error) = serde_json::from_str::<&RawValue>(args) {
        let text = format!("the arguments are not JSON: {error}");
        return Err(Refusal::Usage(text).into());
    }
    let event = Event {
        seq: SeqNum::ROOT,
        parent: SeqNum::ROOT,
        name: name.into(),
        args: compact_json(args).into(),
        client_id: CLIENT_ID.into(),
        session_id: session_id()?.into(),
        created_at: None,
    };
    check_event(&event).map_err(|problem| Refusal::Usage(format!("the event: {problem}")))?;
    Ok(event)
}

/// One for each invocation: by it an event is recognized whose push was not answered.
fn session_id() -> anyhow::Result<String> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Appends the event after whatever lies in the log, and answers it with its place.
async fn commit(target: Target, mut event: Event) -> anyhow::Result<Event> {
    let mut peer = Peer::open(target).await?;
    let end = peer.end().await?;
    peer.seek(end).await;
    let (mut overtaken, mut failures) = (0, 0);
    let refused = loop {
        // The first time too: what it is pushed after is what was seen.
        if let Some(landed) = read_on(&mut peer, &event).await? {
            peer.close().await;
            return Ok(landed);
        }
        event.parent = peer.head();
        event.seq = event.parent.next();
        let failure = match peer.push(std::slice::from_ref(&event)).await? {
            Pushed::Accepted => {
                peer.close().await;
                return Ok(event);
            }
            Pushed::Behind { head } if head > event.parent => {
                overtaken += 1;
                if overtaken >= OVERTAKEN_MAX {
                    break format!("others were faster {overtaken} times").into();
                }
                continue;
            }
            Pushed::Behind { head } => {
                format!("its backend admits pushes after {head} only").into()
            }
            Pushed::Unclear(error) => error,
        };
        failures += 1;
        let wait = peer
            .target()
            .timing()
            .push
            .delay(failures, fastrand::u64(..));
        sleep(wait).await;
        if failures >= FAILURES_MAX {
            break failure;
        }
    };
    // The last push may have landed without an answer.
    let landed = read_on(&mut peer, &event).await?;
    let store = peer.target().store().clone();
    peer.close().await;
    landed.with_context(|| format!("store {store}: the event is not in the log: {refused}"))
}

/// Reads to the log's end; our event, if it is there: it landed without an answer.
async fn read_on(peer: &mut Peer, event: &Event) -> anyhow::Result<Option<Event>> {
    let mut landed = None;
    while let Some(events) = peer.next(Extent::End).await? {
        let ours = events
            .into_iter()
            .find(|it| it.client_id == event.client_id && it.session_id == event.session_id);
        landed = landed.or(ours);
    }
    Ok(landed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_must_be_json_and_are_kept_as_they_are() {
        let event = draft("v1.Said", " { \"b\" : 1.0, \"a\" : \"x y\" }\n").unwrap();
        assert_eq!(event.args.as_ref(), "{\"b\":1.0,\"a\":\"x y\"}");
        let error = draft("v1.Said", "{id: 1}").unwrap_err();
        assert!(matches!(
            error.downcast_ref::<Refusal>(),
            Some(Refusal::Usage(text)) if text.contains("not JSON: key must be a string at line 1")
        ));
        assert!(draft("", "1").is_err());
    }

    #[test]
    fn every_invocation_has_a_session_of_its_own() {
        let (one, other) = (session_id().unwrap(), session_id().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 24);
    }

    #[test]
    fn arguments_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.json");
        std::fs::write(&path, "[1]").unwrap();
        assert_eq!(text_of(&format!("@{}", path.display())).unwrap(), "[1]");
        assert_eq!(text_of("[2]").unwrap(), "[2]");
        assert!(
            text_of("@/nowhere.json")
                .unwrap_err()
                .to_string()
                .contains("/nowhere.json")
        );
    }
}
