//! `demo [--once]`: a real backend, the host with two stores, and a real LiveStore client that says something and gets an
//! answer. Goes on until Ctrl-C, or ends after the first answer. `cargo xtask demo` builds what it needs and calls it.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::backend::Backend;
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::host::Host;
use quartermaster_tests::paths;
use tokio::sync::mpsc;

/// The store in which something is said, and its neighbour.
const STORES: [&str; 2] = ["kitchen", "garden"];

/// The host's own grace period is 10 s; it should never need it here.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// All that runs. It ends with the value.
struct Demo {
    backend: Backend,
    host: Host,
    client: LiveStoreClient,
}

#[tokio::main]
async fn main() -> Result<()> {
    let once = std::env::args().nth(1).as_deref() == Some("--once");
    let demo = tokio::select! {
        demo = begin() => demo?,
        interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
    };
    if !once {
        println!("\n{}", what_to_try(&demo.backend, &demo.host));
        tokio::select! {
            talked = converse(&demo.client) => talked?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        println!("\nstopping");
    }
    end(demo).await
}

/// Starts everything and shows the first answer.
async fn begin() -> Result<Demo> {
    let backend = Backend::start().await?;
    println!("LiveStore sync backend   {}", backend.url());
    let mut host = installation(&backend)?;
    host.start().await?;
    for store in STORES {
        host.live(store).await?;
    }
    println!(
        "Quartermaster            http://{}   stores: {}",
        host.address(),
        STORES.join(", ")
    );
    let client = LiveStoreClient::start()?;
    client.open(STORES[0], &backend.url()).await?;
    talk(&client, 0, "Hello, is anybody there?").await?;
    Ok(Demo {
        backend,
        host,
        client,
    })
}

async fn end(mut demo: Demo) -> Result<()> {
    demo.client.stop().await;
    let status = demo.host.terminate(STOP_PATIENCE).await?;
    ensure!(
        status.success(),
        "the host ended with {status}:\n{}",
        demo.host.log()
    );
    demo.backend.kill().await
}

/// An installation like an operator's, in `target/demo`: it stays to be looked at, and each demo begins with a new one.
fn installation(backend: &Backend) -> Result<Host> {
    let folder = paths::workspace().join("target/demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let host = Host::in_folder(
        &folder,
        &format!("sync = {:?}\nplugins = [\"echo\"]", backend.url()),
    )?;
    host.install("echo")?;
    host.store(
        STORES[0],
        "plugins.echo = { config = { greeting = \"The kitchen heard you.\" } }\n",
    )?;
    host.store(STORES[1], "")?;
    Ok(host)
}

/// Says something in the first store, and shows the answer as it arrives at the client.
async fn talk(client: &LiveStoreClient, number: usize, text: &str) -> Result<()> {
    println!("\n  user   {text}");
    let begin = std::time::Instant::now();
    client
        .say(STORES[0], &format!("demo-{number}"), text)
        .await?;
    let answer = client.nth_answer(STORES[0], number).await?;
    let said = answer.args["text"].as_str().unwrap_or_default();
    println!("  echo   {said}   ({} ms)", begin.elapsed().as_millis());
    Ok(())
}

fn what_to_try(backend: &Backend, host: &Host) -> String {
    let workspace = paths::workspace();
    let shown = |path: &Path| {
        path.strip_prefix(&workspace)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let folder = shown(host.folder());
    format!(
        "What to try next:\n  \
         curl http://{address}/health\n  \
         node tests/livestore/client/say.mjs --url {url} --store garden \"Is there soup?\"\n  \
         look at {folder}/config, {folder}/plugins and {folder}/host.log\n\
         Ctrl-C stops everything.",
        address = host.address(),
        url = backend.url(),
    )
}

/// Lets whoever sits at the terminal say things; without a terminal it only waits.
async fn converse(client: &LiveStoreClient) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return std::future::pending().await;
    }
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
        talk(client, number, &line).await?;
    }
    Ok(())
}
