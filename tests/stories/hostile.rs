//! The guests of `tests/hostile` in a real server, each in a store of its own, beside stores whose users go on talking. All
//! of it happens within a limit of memory past which the system would kill the server.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use quartermaster_hostile::{self as hostile, End, Guest, Quota};
use quartermaster_tests::cgroup::Cgroup;
use quartermaster_tests::checker::verify;
use quartermaster_tests::grants::granted;
use quartermaster_tests::history::LogEvent;
use quartermaster_tests::host::Host;
use quartermaster_tests::plugins::echo;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::QUICK_TIMING;
use quartermaster_tests::wait;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::ask;

/// What all runs at once may use of memory: eight of them, if each may use the default.
const GUESTS_MIB: u64 = 512;

/// What the server may use while all hostile guests run: the memory of the runs, and as much again for itself with its
/// hundred and fifty stores and plugins.
const CEILING_BYTES: u64 = (2 * GUESTS_MIB) << 20;

/// What a process that compiles a plugin may use, by its own limit.
const COMPILER_BYTES: u64 = 2 << 30;

/// Stores that mean no harm.
const QUIET: [&str; 4] = ["quiet-1", "quiet-2", "quiet-3", "quiet-4"];

/// Between two messages of a user there.
const MESSAGE_PERIOD: Duration = Duration::from_millis(200);

/// A second store for the guest that looks for what other stores keep.
const SECOND: &str = "looks-for-other-stores-too";

/// The store of two plugins that answer each other.
const PAIR: &str = "pair";

/// Messages that each hostile guest gets.
const MESSAGES: u64 = 2;

/// Every store with a hostile guest that is loaded.
fn loaded() -> impl Iterator<Item = (&'static str, &'static Guest)> {
    let guests = hostile::all().filter(|guest| !matches!(guest.end, End::Refused(_)));
    guests.flat_map(|guest| {
        let second = (guest.name == "looks-for-other-stores").then_some((SECOND, guest));
        [(guest.name, guest)].into_iter().chain(second)
    })
}

/// Everything that can be granted to a plugin: grants are not what stops these.
fn all_granted(plugin: &str) -> String {
    format!(
        "plugins.{plugin}.grants = {{ read = [\"*\"], commit = [\"*\"], kv = true, schedule = true }}\n"
    )
}

/// The keys of a store with a hostile guest. Fuel has to end what fuel can end, however busy the machine is.
fn keys(guest: &Guest) -> String {
    let Quota {
        fuel,
        timeout_ms,
        memory_mib,
    } = guest.quota;
    let timeout = timeout_ms.unwrap_or(120_000);
    let mut keys = all_granted(guest.name);
    keys.push_str(&format!("quota.run_timeout = \"{timeout}ms\"\n"));
    if let Some(fuel) = fuel {
        keys.push_str(&format!("quota.fuel_per_run = {fuel}\n"));
    }
    if let Some(mebibytes) = memory_mib {
        keys.push_str(&format!("quota.memory = \"{mebibytes}MiB\"\n"));
    }
    keys
}

/// A host with all of the plugins in its folder, and a store for each.
fn host() -> Result<Host> {
    let mut host = Host::new(&format!(
        "sync = \"embedded\"\nplugins = []\n{QUICK_TIMING}"
    ))?;
    host.keep_address();
    // Each of these plugins is compiled before.
    host.be_patient(4);
    host.arguments(&["--log-format", "json"]);
    host.environment("QM_SERVER__GUEST_MEMORY", &format!("{GUESTS_MIB}MiB"));
    host.install("echo")?;
    for store in QUIET {
        host.store(store, &granted(&["echo"]))?;
    }
    for guest in hostile::all() {
        host.install_bytes(guest.name, &guest.file())?;
        host.store(guest.name, &keys(guest))?;
    }
    let second = hostile::all().find(|it| it.name == "looks-for-other-stores");
    host.store(SECOND, &keys(second.context("no such guest")?))?;
    host.install_bytes("ping", &hostile::answering("v1.Pong", "v1.Ping"))?;
    host.install_bytes("pong", &hostile::answering("v1.Ping", "v1.Pong"))?;
    host.store(PAIR, &(all_granted("ping") + &all_granted("pong")))?;
    Ok(host)
}

/// Says something in a quiet store again and again, until it is told to stop. How much was said.
async fn talk(host: &Host, store: &str, mut stop: watch::Receiver<bool>) -> Result<usize> {
    let mut client = RawClient::connect(&host.sync_url(), store).await?;
    client.catch_up().await?;
    let mut said = 0;
    while !*stop.borrow_and_update() {
        client.append(&[ask(&format!("m{said}"))]).await?;
        said += 1;
        // Either way it looks again; a change that comes with the timeout is seen there.
        tokio::time::timeout(MESSAGE_PERIOD, stop.changed())
            .await
            .ok();
    }
    Ok(said)
}

/// Waits until each hostile file has been judged, and checks the reasons of those that were refused.
async fn judged(host: &Host) -> Result<()> {
    for guest in hostile::all() {
        let End::Refused(words) = guest.end else {
            let loaded = |health: &Value| {
                health["state"] == "live" && health["plugins"][0]["version"].is_string()
            };
            host.store_until(guest.name, "live with its plugin", loaded)
                .await?;
            continue;
        };
        let file = format!("/{}.wasm", guest.name);
        let awaited = format!("{} to be refused", guest.name);
        let reason = wait::until(&awaited, async || {
            let health = host.health().await?;
            let refused = health["plugins_refused"].as_array().into_iter().flatten();
            let found = refused
                .filter(|it| it["id"].as_str().is_some_and(|id| id.ends_with(&file)))
                .find_map(|it| it["reason"].as_str());
            Ok(found.map(str::to_owned))
        });
        let reason = reason.await?;
        let fits = reason.contains(words) && !reason.contains(char::is_control);
        ensure!(fits, "{}: refused for another reason: {reason}", guest.name);
    }
    Ok(())
}

/// Gives a hostile guest its messages, and waits until it is done with them.
async fn attack(host: &Host, store: &str, guest: &Guest) -> Result<()> {
    let messages: Vec<_> = (0..MESSAGES).map(|n| ask(&format!("m{n}"))).collect();
    let mut client = RawClient::connect(&host.sync_url(), store).await?;
    client.append(&messages).await?;
    let health = host.quiet(store, MESSAGES).await?;
    let dead = match guest.end {
        End::Fails(..) => MESSAGES,
        End::Survives | End::Refused(_) => 0,
    };
    ensure!(
        health["dead_letters"] == dead,
        "{store}: expected {dead} dead letters: {health}"
    );
    let log = RawClient::log_of(&host.sync_url(), store).await?;
    check_log(store, guest, &log).with_context(|| format!("{store}: {log:?}"))
}

/// Whether a hostile guest answered each message once if it returned ok, and else not at all; and always with the id of
/// its own store.
fn check_log(store: &str, guest: &Guest, log: &[LogEvent]) -> Result<()> {
    let stamps = log.iter().filter_map(|event| Some((event.stamp()?, event)));
    let survived =
        stamps.filter(|(_, event)| event.name == "v1.Survived" && event.args["store"] == store);
    let triggers: Vec<u64> = survived.map(|(stamp, _)| stamp.trigger).collect();
    match guest.end {
        End::Survives => ensure!(triggers == [1, 2], "it answered {triggers:?}"),
        End::Fails(..) | End::Refused(_) => {
            ensure!(log.len() as u64 == MESSAGES, "it has an effect")
        }
    }
    Ok(())
}

/// Starts the plugins that answer each other, and checks where they end.
async fn ping_pong(host: &Host) -> Result<()> {
    host.store_until(PAIR, "live with its plugins", |health| {
        let plugins = health["plugins"].as_array().into_iter().flatten();
        health["state"] == "live" && plugins.filter(|it| it["version"].is_string()).count() == 2
    })
    .await?;
    let mut client = RawClient::connect(&host.sync_url(), PAIR).await?;
    client.append(&[("v1.Ping", json!({}))]).await?;
    let dead = |health: &Value| health["dead_letters"] == 1;
    host.store_until(PAIR, "at the end of the chain", dead)
        .await?;
    let log = RawClient::log_of(&host.sync_url(), PAIR).await?;
    let depths: Vec<u32> = log
        .iter()
        .filter_map(|event| Some(event.stamp()?.depth))
        .collect();
    ensure!(
        depths == (1..=16).collect::<Vec<_>>(),
        "the depths are {depths:?}"
    );
    Ok(())
}

/// Whether each failed run ended as its guest's row says, in words that do nothing to a terminal.
fn check_told(host: &Host) -> Result<()> {
    let log = host.log();
    let odd = log.chars().find(|it| it.is_control() && *it != '\n');
    ensure!(odd.is_none(), "the log has {odd:?} in it");
    ensure!(!log.contains("panicked"), "something panicked");
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        if text("message") != "run failed" || text("store") == PAIR {
            continue;
        }
        let store = text("store");
        let (_, guest) = loaded()
            .find(|(it, _)| *it == store)
            .with_context(|| line.to_string())?;
        let End::Fails(ending, words) = guest.end else {
            anyhow::bail!("{store} was to end otherwise: {line}");
        };
        let fits = text("ending") == ending && text("error").contains(words);
        ensure!(fits, "{store} ended otherwise: {line}");
        *failures.entry(store.to_owned()).or_default() += 1;
    }
    for (store, guest) in loaded() {
        let expected = matches!(guest.end, End::Fails(..));
        let failed = failures.get(store).copied().unwrap_or(0);
        ensure!(
            (failed >= MESSAGES) == expected,
            "{store}: {failed} failed runs were told"
        );
    }
    Ok(())
}

/// Everything that is done to the host while the quiet stores talk.
async fn attack_all(host: &Host, cage: Option<&Cgroup>) -> Result<()> {
    judged(host).await?;
    // Nothing is compiled any more: from here on the server is alone.
    if let Some(cage) = cage {
        cage.limit(CEILING_BYTES)?;
    }
    let attacks = loaded().map(|(store, guest)| attack(host, store, guest));
    let (attacked, ponged) = tokio::join!(join_all(attacks), ping_pong(host));
    let wrong: Vec<String> = attacked
        .into_iter()
        .chain([ponged])
        .filter_map(Result::err)
        .map(|it| format!("{it:#}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_told(host)
}

#[tokio::test]
async fn hostile_guests_end_as_their_rows_say_and_cost_nobody_else_anything() -> Result<()> {
    // Before the host, so that it goes away after it.
    let cage = Cgroup::new("quartermaster-hostile");
    if let Err(error) = &cage {
        eprintln!("NOT IN A CAGE: {error:#}. The memory is measured, but nothing would stop it");
    }
    let cage = cage.ok();
    let mut host = host()?;
    host.launch()?;
    if let Some(cage) = &cage {
        cage.limit(CEILING_BYTES + COMPILER_BYTES)?;
        cage.take(host.process_id()?)?;
    }
    host.ready().await?;
    let process = host.process_id()?;
    for store in QUIET {
        host.live(store).await?;
    }
    let (stop, stopped) = watch::channel(false);
    let attacking = async {
        let attacked = attack_all(&host, cage.as_ref()).await;
        stop.send_replace(true);
        attacked
    };
    let talking = try_join_all(QUIET.map(|store| talk(&host, store, stopped.clone())));
    let (attacked, said) = tokio::join!(attacking, talking);
    attacked?;
    for (store, said) in QUIET.into_iter().zip(said?) {
        let head = RawClient::log_of(&host.sync_url(), store).await?.len() as u64;
        host.quiet(store, head).await?;
        let log = RawClient::log_of(&host.sync_url(), store).await?;
        verify(&log, &[echo()]).context(store)?;
        ensure!(
            log.len() == 2 * said,
            "{store}: {said} messages, {} events",
            log.len()
        );
    }
    ensure!(
        host.runs() && host.process_id()? == process,
        "it was started again"
    );
    let peak = host.peak_resident_bytes()?;
    println!(
        "the server used {} MiB at most, of {}",
        peak >> 20,
        CEILING_BYTES >> 20
    );
    ensure!(peak < CEILING_BYTES, "it used {peak} bytes");
    let status = host.terminate(Duration::from_secs(60)).await?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}
