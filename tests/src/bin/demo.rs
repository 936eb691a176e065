//! `demo [--once] [--page DIR]`: the host with two stores of its own and a chat page, in which a plugin answers. Says
//! something over the sync protocol itself and shows the answer; then goes on until Ctrl-C, or ends if it is told so or
//! nobody sits at a terminal. `cargo xtask demo` builds what it needs and calls it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use quartermaster_tests::grants::{granted, granted_with};
use quartermaster_tests::history::{CHAT, LogEvent, question};
use quartermaster_tests::host::Host;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::{paths, wait};
use tokio::sync::mpsc;

/// The store in which something is said, and its neighbour.
const STORES: [&str; 2] = ["kitchen", "garden"];

/// The host's own grace period is 10 s; it should never need it here.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<()> {
    let asked = Asked::of(std::env::args().skip(1))?;
    let host = tokio::select! {
        host = begin(&asked) => host?,
        interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
    };
    if !asked.once && std::io::stdin().is_terminal() {
        println!("\n{}", what_to_try(&host));
        tokio::select! {
            talked = converse(&host) => talked?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        println!("\nstopping");
    }
    end(host).await
}

/// What the command line asks for.
struct Asked {
    once: bool,
    page: Option<PathBuf>,
}

impl Asked {
    fn of(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (mut once, mut page) = (false, None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--once" => once = true,
                "--page" => page = Some(words.next().context("--page needs a folder")?.into()),
                _ => bail!("unknown: {word}"),
            }
        }
        Ok(Self { once, page })
    }
}

/// Starts everything and shows the first answer.
async fn begin(asked: &Asked) -> Result<Host> {
    let mut host = installation()?;
    host.arguments(&["--demo"]);
    if let Some(page) = &asked.page {
        let page = page.to_str().context("--page: the name is no text")?;
        host.arguments(&["--demo-page", page]);
    }
    host.start().await?;
    host.write_address()?;
    for store in STORES {
        host.live(store).await?;
    }
    println!("Quartermaster   http://{}", host.address());
    println!("stores          {}", STORES.join(", "));
    println!("LiveStore URL   {}", host.sync_url());
    talk(&host, 0, "Hello, is anybody there?").await?;
    Ok(host)
}

async fn end(mut host: Host) -> Result<()> {
    let status = host.terminate(STOP_PATIENCE).await?;
    ensure!(
        status.success(),
        "the host ended with {status}:\n{}",
        host.log()
    );
    Ok(())
}

/// An installation like an operator's, in `target/demo`: it stays to be looked at, and each demo begins with a new one.
fn installation() -> Result<Host> {
    let folder = paths::workspace().join("target/demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let defaults = format!("sync = \"embedded\"\n{}", granted(&["echo"]));
    let host = Host::in_folder(&folder, &defaults)?;
    host.install("echo")?;
    host.store(
        STORES[0],
        &granted_with("echo", "config = { greeting = \"The kitchen heard you.\" }"),
    )?;
    host.store(STORES[1], "")?;
    Ok(host)
}

/// Says something in the first store, and shows the answer as it arrives at whoever said it.
async fn talk(host: &Host, number: usize, text: &str) -> Result<()> {
    // A connection for each time, as people pause for longer than an idle one may live.
    let mut client = RawClient::connect(&host.sync_url(), STORES[0]).await?;
    client.catch_up().await?;
    client.follow().await?;
    println!("\n  user   {text}");
    let begin = Instant::now();
    let said = question(&format!("demo-{number}"), text);
    let place = client.append(&[(CHAT, said)]).await?;
    let answer = tokio::time::timeout(wait::PATIENCE, answer_to(&mut client, place)).await;
    let answer = answer.context("nobody answered")??;
    let words = answer.args["text"].as_str().unwrap_or_default();
    println!("  echo   {words}   ({} ms)", begin.elapsed().as_millis());
    Ok(())
}

/// The event that a plugin commits for the event at `place`.
async fn answer_to(client: &mut RawClient, place: u64) -> Result<LogEvent> {
    loop {
        let event = client.next_event().await?;
        if event.stamp().is_some_and(|stamp| stamp.trigger == place) {
            return Ok(event);
        }
    }
}

fn what_to_try(host: &Host) -> String {
    let workspace = paths::workspace();
    let shown = |path: &Path| {
        let inside = path.strip_prefix(&workspace).unwrap_or(path);
        inside.display().to_string()
    };
    let folder = shown(host.folder());
    let binary = paths::host_binary().unwrap_or_else(|_| "quartermaster".into());
    let command = format!("{} --config {folder}/config", shown(&binary));
    format!(
        "Say something in a browser, or in two:\n  \
         http://{address}/demo/\n\
         What to try next:\n  \
         curl http://{address}/health\n  \
         {command} tail {store}\n  \
         {command} commit {store} {CHAT} '{{\"id\": \"m1\", \"role\": \"user\", \"text\": \"Is there soup?\"}}'\n  \
         look at {folder}/config, {folder}/plugins and {folder}/host.log\n\
         Ctrl-C stops everything.",
        address = host.address(),
        store = STORES[1],
    )
}

/// Lets whoever sits at the terminal say things.
async fn converse(host: &Host) -> Result<()> {
    println!("Or say something here:");
    let (lines, mut typed) = mpsc::channel(1);
    // A thread, as a read from a terminal cannot be cancelled; it ends with the process.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    for number in 1.. {
        print!("> ");
        std::io::stdout().flush()?;
        let Some(line) = typed.recv().await else {
            break;
        };
        talk(host, number, &line).await?;
    }
    Ok(())
}
