//! What ought never be in a plugin folder: each is refused or compiled, and no other store feels it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quartermaster_tests::components;
use quartermaster_tests::host::Host;
use quartermaster_tests::living::percentiles;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::versions::{Way, component};
use serde_json::Value;

use super::{drop_version, health_until, runs_version, with_stores};
use crate::ask;

/// Files that are no plugins at all.
const RANDOM_FILES: usize = 100;

/// Files at once; those that are not good are refused by their first bytes.
const MANY_FILES: usize = 5_000;
const GOOD_AMONG_MANY: usize = 20;

/// Processes that the host has started and that are still there, by their state's letter.
fn children(host: &Host) -> Result<Vec<char>> {
    let parent = host.process_id()?.to_string();
    let mut states = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        // Behind the name in parentheses: state, parent.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if let [state, of, ..] = fields[..]
            && of == parent
        {
            states.extend(state.chars().next());
        }
    }
    Ok(states)
}

/// Asks in `shop` again and again until the files at hand have all been judged; at least 50 times.
async fn answers_until(
    host: &Host,
    name: &str,
    judged: impl Fn(&Value) -> bool,
) -> Result<[Duration; 3]> {
    let mut client = RawClient::connect(&host.sync_url(), "shop").await?;
    client.follow().await?;
    let mut times = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(400);
    while times.len() < 50 || !judged(&host.health().await?) {
        ensure!(
            Instant::now() < deadline,
            "not judged:\n{}",
            host.health().await?["plugins_refused"]
        );
        let id = format!("{name}-{}", times.len());
        let began = Instant::now();
        while !client.try_append(&[ask(&id)]).await? {}
        while client.next_event().await?.args["id"] != format!("v-{id}").as_str() {}
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(percentiles(times))
}

fn refused(health: &Value) -> usize {
    health["plugins_refused"].as_array().map_or(0, Vec::len)
}

/// Why a file was refused.
fn reason<'a>(health: &'a Value, file: &str) -> Result<&'a str> {
    let all = health["plugins_refused"]
        .as_array()
        .context("nothing is refused")?;
    let found = all
        .iter()
        .find(|it| it["id"].as_str().is_some_and(|id| id.ends_with(file)));
    let found = found.with_context(|| format!("{file} is not refused: {all:?}"))?;
    found["reason"].as_str().context("no reason")
}

#[tokio::test]
async fn strange_files_are_refused_with_their_reason_and_nobody_feels_it() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let calm = answers_until(&host, "calm", |_| true).await?;
    let folder = host.folder().join("plugins");
    let fifo = Command::new("mkfifo")
        .arg(folder.join("fifo.wasm"))
        .status()?;
    ensure!(fifo.success());
    fs::create_dir(folder.join("folder.wasm"))?;
    fs::write(host.folder().join("outside.wasm"), component("2")?)?;
    symlink(host.folder().join("outside.wasm"), folder.join("link.wasm"))?;
    symlink("nothing", folder.join("dangling.wasm"))?;
    symlink("circle.wasm", folder.join("circle.wasm"))?;
    fs::write(
        folder.join("functions.wasm"),
        components::with_functions(300_000),
    )?;
    fs::write(
        folder.join("blocks.wasm"),
        components::with_nested_blocks(40_000),
    )?;
    fs::write(folder.join("Bad Name.wasm"), component("3")?)?;
    let huge = fs::File::create(folder.join("huge.wasm"))?;
    huge.set_len(65 << 20)?;
    let mut random = fastrand::Rng::with_seed(5);
    for number in 0..RANDOM_FILES {
        let bytes: Vec<u8> = (0..random.usize(0..4096)).map(|_| random.u8(..)).collect();
        fs::write(folder.join(format!("random-{number}.wasm")), bytes)?;
    }
    let all = RANDOM_FILES + 9;
    let busy = answers_until(&host, "busy", |health| refused(health) >= all).await?;
    println!("median, p99, slowest answer: {calm:?} before, {busy:?} while they were judged");
    let health = host.health().await?;
    for (file, word) in [
        ("fifo.wasm", "regular file"),
        ("folder.wasm", "regular file"),
        ("link.wasm", "outside"),
        ("huge.wasm", "bytes"),
        ("Bad Name.wasm", "plugin name"),
        ("random-7.wasm", "WebAssembly"),
    ] {
        let reason = reason(&health, file)?;
        ensure!(reason.contains(word), "{file}: {reason}");
    }
    ends_well(&host).await
}

#[tokio::test]
async fn a_file_that_is_hard_to_compile_keeps_no_wanted_one_waiting() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let folder = host.folder().join("plugins");
    fs::write(
        folder.join("functions.wasm"),
        components::with_functions(150_000),
    )?;
    quartermaster_tests::wait::until("the compiler to begin", async || {
        Ok((!children(&host)?.is_empty()).then_some(()))
    })
    .await?;
    drop_version(&host, "2", Way::Rename).await?;
    runs_version(&host, "shop", "version-00000002").await?;
    ensure!(
        refused(&host.health().await?) == 0,
        "it was judged already: this shows nothing"
    );
    health_until(&host, "it to be judged", |health| refused(health) == 1).await?;
    ends_well(&host).await
}

/// The program that compiles, as the server calls it, with so much memory, given these bytes.
fn compiler(memory: &str, folder: &Path, bytes: &[u8]) -> Result<Child> {
    let mut child = Command::new(quartermaster_tests::paths::host_binary()?)
        .args(["compile-plugin", "--memory", memory])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let input = child.stdin.as_mut().context("no stdin")?;
    input.write_all(&(bytes.len() as u64).to_le_bytes())?;
    input.write_all(bytes)?;
    Ok(child)
}

/// How it ended, and what it said.
fn ended(mut child: Child) -> Result<(ExitStatus, String)> {
    let mut said = String::new();
    let mut output = child.stdout.take().context("no stdout")?;
    output.read_to_string(&mut said)?;
    Ok((child.wait()?, said))
}

#[test]
fn the_compiler_is_a_process_with_limits_that_ends_with_the_server() -> Result<()> {
    let folder = quartermaster_tests::paths::temporary()?;
    let (status, said) = ended(compiler("2048", folder.path(), &component("1")?)?)?;
    ensure!(status.success() && said.is_empty(), "{status}: {said}");
    let kept = folder.path().join("modules");
    ensure!(kept.is_dir(), "nothing was kept");
    let (status, said) = ended(compiler(
        "2048",
        folder.path(),
        b"\0asm\x0d\0\x01\0 and more",
    )?)?;
    ensure!(
        status.code() == Some(1) && said.contains("compiled"),
        "{status}: {said}"
    );
    // Far more than so little memory can hold: the allocator gives up, and the process with it.
    let hard = components::with_functions(300_000);
    let (status, _) = ended(compiler("64", folder.path(), &hard)?)?;
    ensure!(status.signal() == Some(6), "it had enough memory: {status}");
    // The server dies, and its end of the pipe with it.
    let began = Instant::now();
    let mut orphan = compiler("2048", folder.path(), &hard)?;
    drop(orphan.stdin.take());
    let (status, _) = ended(orphan)?;
    ensure!(
        status.code() == Some(1),
        "it went on for {:?}: {status}",
        began.elapsed()
    );
    Ok(())
}

/// The watcher still watches, and no process was left behind.
async fn ends_well(host: &Host) -> Result<()> {
    drop_version(host, "9", Way::Rename).await?;
    runs_version(host, "shop", "version-00000009").await?;
    quartermaster_tests::wait::until("no child to be left", async || {
        Ok(children(host)?.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn five_thousand_files_at_once_do_not_keep_a_wanted_one_waiting() -> Result<()> {
    let mut host = with_stores(["shop"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let folder = host.folder().join("plugins");
    for number in 0..MANY_FILES {
        let path = folder.join(format!("many-{number}.wasm"));
        match number % (MANY_FILES / GOOD_AMONG_MANY) {
            0 => fs::write(path, component(&format!("m{number}"))?)?,
            _ => fs::write(path, b"\0asm, but nothing more")?,
        }
    }
    drop_version(&host, "2", Way::Rename).await?;
    runs_version(&host, "shop", "version-00000002").await?;
    let all = MANY_FILES - GOOD_AMONG_MANY;
    health_until(&host, "all to be judged", |health| refused(health) >= all).await?;
    ends_well(&host).await
}
