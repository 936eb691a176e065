//! `quartermaster plugin inspect`: what a .wasm file is and whether this version of the server would take it, without a
//! server; or how it stands with one plugin of the server that runs.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::catalog::{CatalogReport, PluginReport};
use crate::cli::control::{Client, Running};
use crate::cli::plugin::list;
use crate::cli::table::{self, count};
use crate::cli::{Refusal, stores};
use crate::config::{Environment, Location};
use crate::id::PluginName;
use crate::runtime::{Engine, EngineSettings, FileKind, Inspection, inspect};
use crate::store::{Grants, History};

pub(super) const EXAMPLES: &str = "\
Examples:
  quartermaster plugin inspect plugins/dist/echo.wasm   a file, without a server: what it is, and the line that grants a store's use of it
  quartermaster plugin inspect ./echo.wasm --json | jq .grants
  quartermaster plugin inspect echo                     a plugin of the running server, with whole digests

What has a `/` in it or ends in .wasm is a file. It is compiled in this process, without the limits of a server, so look at \
files that you trust.

Exit codes:
  0   this version would take the file; or the server has the plugin
  1   it would not, the file cannot be read, or no server answers";

/// Bytes of a file that are read in order to say what it is: a few times what any server takes.
const READ_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The plugin, or a file
    #[arg(value_name = "NAME|FILE.wasm")]
    what: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// What is printed of a file.
#[derive(Serialize)]
struct Inspected {
    file: PathBuf,
    /// Whether this version of the server would take it.
    taken: bool,
    /// Which contract it was made for, if it is a plugin.
    world: Option<String>,
    #[serde(flatten)]
    inspection: Inspection,
}

/// Looks and prints.
pub(super) fn run(
    arguments: &Arguments,
    location: &Location,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let (what, json) = (&arguments.what, arguments.json);
    let out = &mut io::stdout().lock();
    if what.contains('/') || what.ends_with(".wasm") {
        return inspect_file(Path::new(what), json, out);
    }
    let name: PluginName = what.parse().map_err(|error| {
        Refusal::Usage(format!("{error}; a file has a `/` in it or ends in .wasm"))
    })?;
    let work = async |client: &Client| inspect_running(&name, json, client, out).await;
    arguments.running.ask(location, environment, work)
}

/// Not interruptible by us: nothing can stop a compiler on a thread, so Ctrl-C shall end the process at once.
fn inspect_file(path: &Path, json: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let named = stem.unwrap_or_default().parse::<PluginName>();
    let name = match &named {
        Ok(name) => name.clone(),
        Err(_) => "unnamed".parse().expect("it is a plugin's name"),
    };
    let mut inspection = examine(path, name, Duration::MAX)?;
    if let Err(error) = named
        && inspection.refused.is_none()
    {
        inspection.refused = Some(format!("{error}; rename the file"));
    }
    let inspected = Inspected {
        file: path.to_owned(),
        taken: inspection.refused.is_none(),
        world: world(&inspection),
        inspection,
    };
    match json {
        true => table::print_json(&inspected, out)?,
        false => inspected.print(out)?,
    }
    Ok(match inspected.taken {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Looks into a file, for at most so long. It is compiled in this process, by a thread that nothing can stop.
///
/// # Errors
/// The file cannot be read, or it takes longer.
pub(in crate::cli) fn examine(
    path: &Path,
    name: PluginName,
    patience: Duration,
) -> anyhow::Result<Inspection> {
    let bytes = read(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let engine = Engine::new(EngineSettings {
        cache: None,
        instances_max: NonZeroU32::MIN,
        ..EngineSettings::default()
    })?;
    let examined = async { tokio::time::timeout(patience, inspect(&engine, name, bytes)).await };
    let examined = runtime.block_on(examined);
    // The process is about to end, and a compiler that goes on ends with it.
    runtime.shutdown_background();
    let shown = path.display();
    examined.with_context(|| format!("{shown}: looking into it takes more than {patience:?}"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).with_context(cannot)?;
    if !metadata.is_file() {
        bail!("{}: it is not a regular file", path.display());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    file.take(READ_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot)?;
    if bytes.len() as u64 > READ_BYTES_MAX {
        bail!(
            "{}: it has more than {READ_BYTES_MAX} bytes, which no plugin may have",
            path.display()
        );
    }
    Ok(bytes)
}

/// The contract of a component that describes itself by it, as far as its handlers tell.
fn world(inspection: &Inspection) -> Option<String> {
    let name = match inspection.handlers[..] {
        ["on-event", "on-task"] => "event-and-task-plugin",
        ["on-task"] => "task-plugin",
        _ => "plugin",
    };
    let version = |export: &String| {
        let version = export.strip_prefix("quartermaster:plugin/about@")?;
        Some(format!("quartermaster:plugin/{name}@{version}"))
    };
    inspection.exports.iter().find_map(version)
}

impl Inspected {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let it = &self.inspection;
        let mut rows = Vec::new();
        let mut say = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
        say("file", self.file.display().to_string());
        say("sha256", it.sha256.to_string());
        say("size", count(it.size_bytes as u64, "byte"));
        let kind = match it.kind {
            FileKind::Component => "component",
            FileKind::CoreModule => "core module",
            FileKind::Unknown => "not WebAssembly",
        };
        say("kind", kind.to_owned());
        let none = || "none".to_owned();
        say("world", self.world.clone().unwrap_or_else(none));
        if let Some(description) = &it.description {
            let history = match description.history {
                History::Ignore => "ignored: it starts at the head",
                History::Project => "projected: it sees the past, and commits nothing for it",
                History::React => "reacted to, like the present",
            };
            let own_events = if description.own_events { "yes" } else { "no" };
            let events = description.events.iter().map(ToString::to_string);
            say("version", description.version.clone());
            let commits = description.commits.iter().map(ToString::to_string);
            say("events", list_or(&events.collect::<Vec<_>>(), "none"));
            say("commits", list_or(&commits.collect::<Vec<_>>(), "none"));
            say("own events", own_events.to_owned());
            say("history", history.to_owned());
            let tasks = description.tasks_told();
            let tasks = tasks.map(|(id, when)| format!("{id}: {when}"));
            say("tasks", list_or(&tasks.collect::<Vec<_>>(), "none"));
        }
        let grants = it.grants.as_ref().map(|grants| self.grants_line(grants));
        say("grants", grants.unwrap_or_else(none));
        for (key, items) in [("imports", &it.imports), ("exports", &it.exports)] {
            if items.is_empty() {
                say(key, none());
            }
            for (index, item) in items.iter().enumerate() {
                say(if index == 0 { key } else { "" }, item.clone());
            }
        }
        let time = it
            .compile_time
            .map(|time| format!("{} ms", time.as_millis()));
        let time = time.unwrap_or_else(|| "it cannot be compiled".to_owned());
        say("compile time", time);
        let verdict = match &it.refused {
            Some(reason) => format!("refused: {reason}"),
            None => "this version of the server takes it".to_owned(),
        };
        say("verdict", verdict);
        table::print(&rows, out)
    }

    /// What a store's file has to say for it to work there.
    fn grants_line(&self, grants: &Grants) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        let name = stem.to_string_lossy();
        match grants.is_empty() {
            true => format!("plugins.{name} = {{}}"),
            false => format!("plugins.{name} = {{ grants = {{ {grants} }} }}"),
        }
    }
}

fn list_or(items: &[String], none: &str) -> String {
    match items.is_empty() {
        true => none.to_owned(),
        false => items.join(", "),
    }
}

async fn inspect_running(
    name: &PluginName,
    json: bool,
    client: &Client,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let report: CatalogReport = client.get("/api/v1/plugins").await?;
    let Some(plugin) = report.plugins.iter().find(|it| it.name == *name) else {
        bail!("{}", unknown(name, &report));
    };
    match json {
        true => table::print_json(plugin, out)?,
        false => print_running(plugin, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &PluginName, report: &CatalogReport) -> String {
    let known: Vec<&str> = report.plugins.iter().map(|it| it.name.as_str()).collect();
    let refused = report.refused.iter().find(|refused| {
        let stem = refused.path.file_stem();
        stem.is_some_and(|stem| stem == name.as_str())
    });
    let near = stores::near(name.as_str(), &known);
    let way_out = match refused {
        Some(refused) => format!("{} was refused: {}", refused.path.display(), refused.reason),
        None if near.is_empty() => "`quartermaster plugin list` shows those there are".to_owned(),
        None => format!("did you mean {}?", near.join(" or ")),
    };
    format!("the server knows no plugin {name}; {way_out}")
}

fn print_running(plugin: &PluginReport, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = Vec::new();
    let mut say = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
    say("plugin", plugin.name.to_string());
    let file = match plugin.present {
        true => "in the folder",
        false => "gone; its subscriptions are parked, and keep their places",
    };
    say("file", file.to_owned());
    say("stores", plugin.stores.to_string());
    let rollout = plugin.rollout.clone();
    say(
        "rollout",
        rollout.unwrap_or_else(|| "every store at once".to_owned()),
    );
    for version in &plugin.versions {
        say("", String::new());
        say("version", version.version.clone());
        say("sha256", version.sha256.to_string());
        let state = list::state(version.state);
        say(
            "state",
            format!("{state}, in {}", count(version.stores as u64, "store")),
        );
        say("size", count(version.size_bytes, "byte"));
        say("first seen", version.seen_at.to_string());
        let failed = version.failures;
        say(
            "runs",
            format!("{}, of which {failed} failed", version.runs),
        );
        if let Some(act) = &version.act {
            say("ordered", table::act(act));
        }
    }
    table::print(&rows, out)?;
    if !plugin.pins.is_empty() || plugin.not_granted.is_some() {
        writeln!(out)?;
    }
    list::print_lack(plugin, out)?;
    list::print_pins(plugin, out)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::http::StatusCode;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::cli::control::fake::Fake;
    use crate::cli::plugin::list::tests::echo;

    fn file(name: &str, bytes: &[u8], json: bool) -> (String, ExitCode) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut out = Vec::new();
        let code = inspect_file(&path, json, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        (
            text.replace(&folder.path().display().to_string(), "dist"),
            code,
        )
    }

    fn examine_bytes(bytes: &[u8]) -> Inspection {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("echo.wasm");
        fs::write(&path, bytes).unwrap();
        examine(&path, "echo".parse().unwrap(), Duration::MAX).unwrap()
    }

    #[test]
    fn a_file_that_no_server_takes_is_told_with_the_reason() {
        let (text, code) = file("echo.wasm", b"\0asm\x01\0\0\0", false);
        assert_eq!(code, ExitCode::FAILURE);
        let digest = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "file          dist/echo.wasm");
        assert_eq!(lines[1], format!("sha256        {digest}"));
        assert_eq!(lines[2], "size          8 bytes");
        assert_eq!(lines[3], "kind          core module");
        assert!(
            lines
                .last()
                .unwrap()
                .starts_with("verdict       refused: it is a core module"),
            "{text}"
        );

        let (text, _) = file("echo.wasm", b"#!/bin/sh", true);
        let printed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(printed["kind"], "unknown");
        assert_eq!(printed["taken"], false);
        assert!(printed["refused"].is_string());
    }

    #[test]
    fn what_is_no_file_is_told_and_never_waited_for() {
        let folder = TempDir::new().unwrap();
        let fifo = folder.path().join("pipe.wasm");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        for (path, complaint) in [
            (fifo, "not a regular file"),
            (folder.path().to_owned(), "not a regular file"),
            (folder.path().join("nowhere.wasm"), "cannot read"),
        ] {
            let error = inspect_file(&path, false, &mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
        }
    }

    #[test]
    fn the_world_is_that_of_the_contract_it_describes_itself_by() {
        let component = |export: &str, handlers: &[&'static str]| {
            let nothing = examine_bytes(b"");
            world(&Inspection {
                exports: vec![export.to_owned()],
                handlers: handlers.to_vec(),
                ..nothing
            })
        };
        for (handlers, expected) in [
            (&["on-event"][..], "quartermaster:plugin/plugin@0.1.0"),
            (&["on-task"], "quartermaster:plugin/task-plugin@0.1.0"),
            (
                &["on-event", "on-task"],
                "quartermaster:plugin/event-and-task-plugin@0.1.0",
            ),
        ] {
            let named = component("quartermaster:plugin/about@0.1.0", handlers);
            assert_eq!(named.as_deref(), Some(expected));
        }
        assert_eq!(component("wasi:cli/run@0.2.0", &[]), None);
    }

    async fn running(name: &str) -> anyhow::Result<String> {
        let refused = json!({ "path": "plugins/dist/bad.wasm", "reason": "it is a core module" });
        let catalog = json!({ "plugins": [echo()], "refused": [refused] });
        let server = Fake::new(&[("GET /api/v1/plugins", StatusCode::OK, catalog)]).await;
        let mut out = Vec::new();
        let client = server.client();
        inspect_running(&name.parse()?, false, &client, &mut out).await?;
        Ok(String::from_utf8(out)?)
    }

    #[tokio::test]
    async fn a_plugin_of_the_server_is_shown_with_whole_digests() {
        let text = running("echo").await.unwrap();
        let (c, b) = ("c".repeat(64), "b".repeat(64));
        assert_eq!(
            text,
            format!(
                "plugin      echo\n\
                 file        in the folder\n\
                 stores      4\n\
                 rollout     workspace-1\n\
                 \n\
                 version     1.4.0-rc1\n\
                 sha256      {c}\n\
                 state       withdrawn, in 1 store\n\
                 size        84211 bytes\n\
                 first seen  2026-11-23T11:13:13.359Z\n\
                 runs        12, of which 9 failed\n\
                 ordered     by alice (uid 7), 1970-01-01T00:00:00.000Z: too many failures\n\
                 \n\
                 version     1.3.0\n\
                 sha256      {b}\n\
                 state       stable, in 1 store\n\
                 size        84211 bytes\n\
                 first seen  2026-11-23T11:13:13.359Z\n\
                 runs        12, of which 0 failed\n\
                 \n\
                 parked: echo needs kv in lab: add kv = true to it; and in 2 more stores\n\
                 pin: echo in store shop stays at bbbbbbbbbbbb: by alice (uid 7), 1970-01-01T00:00:00.000Z: too many \
                 failures\n"
            )
        );
    }

    #[tokio::test]
    async fn a_plugin_that_the_server_does_not_have_is_answered_with_why_or_what_was_meant() {
        let complaint = async |name: &str| running(name).await.unwrap_err().to_string();
        assert_eq!(
            complaint("ecko").await,
            "the server knows no plugin ecko; did you mean echo?"
        );
        assert_eq!(
            complaint("bad").await,
            "the server knows no plugin bad; plugins/dist/bad.wasm was refused: it is a core module"
        );
        assert_eq!(
            complaint("zzz").await,
            "the server knows no plugin zzz; `quartermaster plugin list` shows those there are"
        );
    }
}
