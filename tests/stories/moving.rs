//! An operator moves logs from one place to another, saves them, and gets them back.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quartermaster_tests::backend::Backend;
use quartermaster_tests::checker::verify;
use quartermaster_tests::grants::granted;
use quartermaster_tests::history::{CHAT, LogEvent, question};
use quartermaster_tests::host::Host;
use quartermaster_tests::plugins::counter;
use quartermaster_tests::proxy::Proxy;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::{Scene, host_on};
use serde_json::{Value, json};

use crate::ask;

/// A file's events.
fn events_in(file: &str) -> Result<Vec<LogEvent>> {
    let file: Value = serde_json::from_str(file)?;
    let events = file["events"].as_array().context("no events")?;
    ensure!(file["eventCount"] == events.len(), "{}", file["eventCount"]);
    ensure!(file["version"] == 1 && file["exportedAt"].is_string());
    events.iter().map(LogEvent::from_wire).collect()
}

/// A store that holds what the backend at `url` has.
fn store_at(host: &Host, id: &str, url: &str) -> Result<()> {
    host.store(id, &format!("sync = {url:?}"))
}

#[tokio::test]
async fn a_log_moves_from_one_backend_to_another_and_is_the_same() -> Result<()> {
    let (from, to) = (Backend::start().await?, Backend::start().await?);
    let host = host_on(&from.url(), &[])?;
    host.store("shop", "")?;
    let questions: Vec<_> = (0..333).map(|n| ask(&format!("m{n}"))).collect();
    let mut writer = RawClient::connect(&from.url(), "shop").await?;
    writer.catch_up().await?;
    writer.append(&questions).await?;
    writer
        .append(&[(
            "v1.Odd",
            json!({ "text": "\u{0}\" \\ é \u{1f600}\n", "n": 1.5 }),
        )])
        .await?;

    host.done(&["store", "export", "shop", "--out", "shop.json"])
        .await?;
    let file = fs::read_to_string(host.folder().join("shop.json"))?;
    let log = RawClient::log_of(&from.url(), "shop").await?;
    ensure!(log.len() == 334 && events_in(&file)? == log);

    store_at(&host, "shop", &to.url())?;
    let said = host
        .done(&["store", "import", "shop", "shop.json", "--dry-run"])
        .await?;
    ensure!(
        said == "store shop: 0 events are there already, 334 would be appended\n",
        "{said}"
    );
    ensure!(
        RawClient::log_of(&to.url(), "shop").await?.is_empty(),
        "a dry run wrote"
    );
    let said = host.done(&["store", "import", "shop", "shop.json"]).await?;
    ensure!(
        said == "store shop: 0 events were there already, 334 were appended\n",
        "{said}"
    );
    ensure!(events_in(&host.done(&["store", "export", "shop"]).await?)? == log);

    // Once more: all of it is there.
    let said = host.done(&["store", "import", "shop", "shop.json"]).await?;
    ensure!(
        said == "store shop: 334 events were there already, 0 were appended\n",
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn an_indented_file_with_its_keys_in_another_order_is_imported() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    scene.stores(["shop"])?;
    let (name, args) = ask("m1");
    let event = json!({
        "name": name, "args": args, "seqNum": 1, "parentSeqNum": 0, "clientId": "c", "sessionId": "s",
    });
    let file =
        json!({ "events": [event], "eventCount": 1, "storeId": "shop", "version": 1, "x": {} });
    let path = scene.host.folder().join("shop.json");
    fs::write(&path, serde_json::to_string_pretty(&file)?)?;
    scene
        .host
        .done(&["store", "import", "shop", "shop.json"])
        .await?;
    ensure!(scene.log("shop").await? == [LogEvent::from_wire(&event)?]);
    Ok(())
}

#[tokio::test]
async fn a_fork_is_refused_with_its_place_and_nothing_is_written() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    scene.stores(["shop", "fork", "long"])?;
    scene
        .append("shop", &[ask("m1"), ask("m2"), ask("m3")])
        .await?;
    scene.append("fork", &[ask("m1"), ask("other")]).await?;
    scene
        .append("long", &[ask("m1"), ask("m2"), ask("m3"), ask("m4")])
        .await?;
    scene
        .host
        .done(&["store", "export", "shop", "--out", "shop.json"])
        .await?;
    let before = (scene.log("fork").await?, scene.log("long").await?);

    let said = scene
        .host
        .command(&["store", "import", "fork", "shop.json"])
        .await?;
    said.ensure_refused(
        1,
        &["exported from store \"shop\", not from fork", "--force"],
    )?;
    let import = async |store| {
        scene
            .host
            .command(&["store", "import", store, "shop.json", "--force"])
            .await
    };
    import("fork").await?.ensure_refused(
        1,
        &[
            "store fork: event 2 is another one there than in the file; nothing was written",
            "\"id\":\"other\"",
            "\"id\":\"m2\"",
        ],
    )?;
    import("long").await?.ensure_refused(1, &[
            "store long: its log has all events of the file, and goes on after them with event 4; nothing was written",
        ],
    )?;
    ensure!((scene.log("fork").await?, scene.log("long").await?) == before);
    Ok(())
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_when_it_is_started_again() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 1).await?;
    let host = host_on(&backend.url(), &[])?;
    host.store("shop", "")?;
    let mut writer = RawClient::connect(&backend.url(), "shop").await?;
    writer.catch_up().await?;
    let questions: Vec<_> = (0..500).map(|n| ask(&format!("m{n}"))).collect();
    writer.append(&questions).await?;
    host.done(&["store", "export", "shop", "--out", "shop.json"])
        .await?;

    store_at(&host, "copy", &proxy.url())?;
    let import = ["store", "import", "copy", "shop.json", "--force"];
    let running = host.begin(&import)?;
    proxy
        .wait_for("some pushes", |counts| counts.pushes > 5)
        .await?;
    running.kill().await?;
    let landed = RawClient::log_of(&backend.url(), "copy").await?.len();
    ensure!(
        landed > 0 && landed < 500,
        "{landed} events landed before the kill"
    );

    let said = host.done(&import).await?;
    ensure!(
        said.ends_with(" were appended\n") && !said.contains("copy: 0 events"),
        "{said}"
    );
    let log = RawClient::log_of(&backend.url(), "shop").await?;
    ensure!(RawClient::log_of(&backend.url(), "copy").await? == log);
    Ok(())
}

#[tokio::test]
async fn a_push_without_an_answer_doubles_nothing() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 1).await?;
    let host = host_on(&backend.url(), &[])?;
    host.store("shop", "")?;
    store_at(&host, "copy", &proxy.url())?;
    let mut writer = RawClient::connect(&backend.url(), "shop").await?;
    writer.catch_up().await?;
    let questions: Vec<_> = (0..60).map(|n| ask(&format!("m{n}"))).collect();
    writer.append(&questions).await?;
    host.done(&["store", "export", "shop", "--out", "shop.json"])
        .await?;
    let log = RawClient::log_of(&backend.url(), "shop").await?;

    // The first answer is lost, then all is well.
    let lose_one = async || {
        proxy.set(|faults| faults.swallow_push_answers = true);
        let before = proxy.counts().answers_swallowed;
        proxy
            .wait_for("an answer", |counts| counts.answers_swallowed > before)
            .await?;
        proxy.heal();
        anyhow::Ok(())
    };
    let import = ["store", "import", "copy", "shop.json", "--force"];
    let (said, lost) = tokio::join!(host.done(&import), lose_one());
    lost?;
    let said = said?;
    ensure!(
        said == "store copy: 0 events were there already, 60 were appended\n",
        "{said}"
    );
    ensure!(RawClient::log_of(&backend.url(), "copy").await? == log);

    let args = question("by-hand", "hello").to_string();
    let commit = ["commit", "copy", CHAT, &args];
    let (said, lost) = tokio::join!(host.done(&commit), lose_one());
    lost?;
    ensure!(said? == "61\n");
    ensure!(RawClient::log_of(&backend.url(), "copy").await?.len() == 61);
    Ok(())
}

#[tokio::test]
async fn a_log_moves_into_the_host_and_out_of_it_again() -> Result<()> {
    let (from, to) = (Backend::start().await?, Backend::start().await?);
    let host = host_on(&from.url(), &[])?;
    host.store("shop", "")?;
    let questions: Vec<_> = (0..555).map(|n| ask(&format!("m{n}"))).collect();
    let mut writer = RawClient::connect(&from.url(), "shop").await?;
    writer.catch_up().await?;
    writer.append(&questions).await?;
    host.done(&["store", "export", "shop", "--out", "remote.json"])
        .await?;
    let log = RawClient::log_of(&from.url(), "shop").await?;

    host.store("shop", "sync = \"embedded\"")?;
    let said = host.command(&["store", "export", "shop"]).await?;
    said.ensure_refused(1, &["store shop: there is no log at", "data/logs/shop.db"])?;
    let said = host
        .done(&["store", "import", "shop", "remote.json"])
        .await?;
    ensure!(
        said == "store shop: 0 events were there already, 555 were appended\n",
        "{said}"
    );
    host.done(&["store", "export", "shop", "--out", "embedded.json"])
        .await?;
    let file = fs::read_to_string(host.folder().join("embedded.json"))?;
    ensure!(events_in(&file)? == log);

    // And to another backend.
    store_at(&host, "shop", &to.url())?;
    host.done(&["store", "import", "shop", "embedded.json"])
        .await?;
    ensure!(RawClient::log_of(&to.url(), "shop").await? == log);
    Ok(())
}

#[tokio::test]
async fn a_paused_store_is_filled_through_the_server_that_runs() -> Result<()> {
    let mut host = Host::new(&format!("sync = \"embedded\"\n{}", granted(&["counter"])))?;
    host.install("counter")?;
    host.store("shop", "paused = true")?;
    host.start().await?;
    let event = |seq: u64| {
        let (name, args) = ask(&format!("m{seq}"));
        json!({
            "name": name, "args": args, "seqNum": seq, "parentSeqNum": seq - 1, "clientId": "c", "sessionId": "s",
        })
    };
    let events: Vec<_> = (1..=250).map(event).collect();
    let file = json!({ "version": 1, "storeId": "shop", "exportedAt": "", "eventCount": 250, "events": events });
    fs::write(host.folder().join("shop.json"), file.to_string())?;
    let said = host.done(&["store", "import", "shop", "shop.json"]).await?;
    ensure!(
        said == "store shop: 0 events were there already, 250 were appended\n",
        "{said}"
    );
    ensure!(events_in(&host.done(&["store", "export", "shop"]).await?)?.len() == 250);
    Ok(())
}

#[tokio::test]
async fn a_store_is_backed_up_and_restored() -> Result<()> {
    let mut host = Host::new(&format!("sync = \"embedded\"\n{}", granted(&["counter"])))?;
    host.install("counter")?;
    host.store("shop", "")?;
    let commit = async |host: &Host, id: &str| {
        let args = question(id, "hello").to_string();
        host.done(&["commit", "shop", CHAT, &args]).await
    };
    host.start().await?;
    host.live("shop").await?;
    host.terminate(Duration::from_secs(10)).await?;
    commit(&host, "m1").await?;
    host.start().await?;
    host.quiet("shop", 2).await?;

    // While it runs.
    let said = host.done(&["store", "backup", "shop", "backup"]).await?;
    ensure!(
        said.lines().count() == 2 && said.contains("backup/shop.log.db ("),
        "{said}"
    );
    let again = host.command(&["store", "backup", "shop", "backup"]).await?;
    again.ensure_refused(1, &["backup/shop.journal.db is there already"])?;

    // The disk is lost.
    host.kill().await?;
    fs::remove_dir_all(host.folder().join("data"))?;
    for part in ["journal", "log"] {
        let folder = host.folder().join(format!("data/{part}s"));
        fs::create_dir_all(&folder)?;
        let copy = host.folder().join(format!("backup/shop.{part}.db"));
        fs::copy(copy, folder.join("shop.db"))?;
    }
    commit(&host, "m2").await?;
    host.start().await?;
    host.quiet("shop", 4).await?;
    host.terminate(Duration::from_secs(10)).await?;
    let log = events_in(&host.done(&["store", "export", "shop"]).await?)?;
    let results: Vec<_> = log.iter().map(|event| &event.args["result"]).collect();
    ensure!(
        log.len() == 4 && results[3] == "2",
        "kv is not what it was: {log:?}"
    );
    verify(&log, &[counter()])
}
