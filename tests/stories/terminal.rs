//! Somebody at a terminal looks at events as they come, and commits one by hand.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quartermaster_tests::backend::{Backend, Version};
use quartermaster_tests::client::LiveStoreClient;
use quartermaster_tests::grants::granted;
use quartermaster_tests::history::{CHAT, question};
use quartermaster_tests::host::Host;
use quartermaster_tests::plugins::echo;
use quartermaster_tests::proxy::Proxy;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::{Scene, host_on};
use serde_json::Value;

use crate::{ask, remark, say};

#[tokio::test]
async fn an_event_by_hand_is_answered_by_a_plugin() -> Result<()> {
    let mut scene = Scene::new(&["echo"]).await?;
    scene.stores(["shop"])?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    let args = question("m1", "anybody there?").to_string();
    ensure!(scene.host.done(&["commit", "shop", CHAT, &args]).await? == "1\n");
    let log = scene.verify("shop", &[echo()]).await?;
    ensure!(
        log.len() == 2 && log[0].client_id == "quartermaster-cli",
        "{log:?}"
    );

    // From standard input and from a file.
    let piped = scene
        .host
        .command_with_input(&["commit", "shop", CHAT, "-", "--json"], &args);
    let said: Value = serde_json::from_str(&piped.await?.out)?;
    ensure!(said["seqNum"] == 3 && said["store"] == "shop", "{said}");
    scene.verify("shop", &[echo()]).await?;
    fs::write(scene.host.folder().join("args.json"), &args)?;
    scene
        .host
        .done(&["commit", "shop", CHAT, "@args.json"])
        .await?;
    scene.verify("shop", &[echo()]).await?;

    // An import would be torn apart by answers.
    let export = ["store", "export", "shop", "--out", "shop.json"];
    scene.host.done(&export).await?;
    let import = scene
        .host
        .command(&["store", "import", "shop", "shop.json"]);
    import
        .await?
        .ensure_refused(1, &["its plugins would answer events in the middle"])?;

    let sessions: Vec<_> = scene
        .log("shop")
        .await?
        .into_iter()
        .map(|it| it.session_id)
        .collect();
    ensure!(
        sessions[0] != sessions[2] && sessions[2] != sessions[4],
        "{sessions:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_several_people_commit_at_once_is_all_there() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    scene.stores(["shop"])?;
    let args: Vec<_> = (0..4)
        .map(|n| question(&n.to_string(), "hello").to_string())
        .collect();
    let commit = async |n: usize| scene.host.done(&["commit", "shop", CHAT, &args[n]]).await;
    let (a, b, c, d) = tokio::join!(commit(0), commit(1), commit(2), commit(3));
    let mut said = [a?, b?, c?, d?];
    said.sort();
    ensure!(said == ["1\n", "2\n", "3\n", "4\n"], "{said:?}");
    let log = scene.log("shop").await?;
    let ids: BTreeSet<_> = log
        .iter()
        .map(|event| event.args["id"].to_string())
        .collect();
    ensure!(log.len() == 4 && ids.len() == 4, "{log:?}");
    Ok(())
}

#[tokio::test]
async fn what_a_livestore_client_says_is_seen_as_it_comes() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    scene.stores(["shop"])?;
    let old: Vec<_> = (0..250).map(|n| ask(&format!("old{n}"))).collect();
    scene.append("shop", &old).await?;
    let mut all = scene.host.begin(&["tail", "shop", "--last", "2"])?;
    for seq in ["249", "250"] {
        let line = all.line().await?;
        ensure!(
            line.trim_start().starts_with(seq) && line.contains("  raw/raw  "),
            "{line}"
        );
    }
    let mut chat = scene.host.begin(&[
        "tail", "shop", "--name", "v1.Chat*", "--last", "1", "--json",
    ])?;
    ensure!(chat.json().await?["args"]["id"] == "old249");

    let client = LiveStoreClient::start()?;
    client.open("shop", &scene.backend.url()).await?;
    scene.append("shop", &[remark("x")]).await?;
    client.say("shop", "m1", "hello").await?;
    ensure!(all.line().await?.contains("v1.TodoCompleted"));
    let line = all.line().await?;
    ensure!(
        line.contains("  252  ") && line.contains("  user/") && line.contains("hello"),
        "{line}"
    );
    let seen = chat.json().await?;
    ensure!(
        seen["seqNum"] == 252 && seen["args"]["text"] == "hello" && seen["createdAt"].is_string(),
        "{seen}"
    );
    client.stop().await;

    let (status, err) = chat.interrupt().await?;
    ensure!(status.success() && err.is_empty(), "{status} {err}");
    let (closed, more) = (all.ended_by_closed_output(), [say("anything")]);
    let (closed, appended) = tokio::join!(closed, scene.append("shop", &more));
    appended?;
    let (_, err) = closed?;
    ensure!(err.is_empty(), "a closed pipe is no news: {err}");

    let said = scene
        .host
        .done(&["tail", "shop", "--from", "250", "--no-follow"])
        .await?;
    ensure!(said.lines().count() == 4, "{said}");
    let past_the_end = scene
        .host
        .done(&["tail", "shop", "--from", "900", "--no-follow"])
        .await?;
    ensure!(past_the_end.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_tail_shows_every_event_once_through_a_bad_network() -> Result<()> {
    let backend = Backend::start().await?;
    let proxy = Proxy::start(&backend.url(), 7).await?;
    let host = host_on(&proxy.url(), &[])?;
    host.store("shop", "")?;
    let mut writer = RawClient::connect(&backend.url(), "shop").await?;
    writer.catch_up().await?;
    writer.append(&[ask("m0")]).await?;
    let mut tail = host.begin(&["tail", "shop", "--json"])?;
    ensure!(tail.json().await?["seqNum"] == 1);
    proxy.set(|faults| {
        (
            faults.lose_percent,
            faults.repeat_percent,
            faults.reorder_percent,
        ) = (20, 30, 30);
    });
    for number in 1..40 {
        writer.append(&[ask(&format!("m{number}"))]).await?;
        if number == 20 {
            proxy.cut();
        }
    }
    proxy.heal();
    for seq in 2..=40 {
        let seen = tail.json().await?;
        ensure!(seen["seqNum"] == seq, "expected {seq}: {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_log_of_a_host_that_does_not_run_is_looked_at_and_written_to() -> Result<()> {
    let host = Host::new("sync = \"embedded\"")?;
    host.store("shop", "")?;
    for number in 1..=12 {
        let args = question(&format!("m{number}"), "hello").to_string();
        let said = host.done(&["commit", "shop", CHAT, &args]).await?;
        ensure!(said == format!("{number}\n"), "{said}");
    }
    let tail = host.command(&["tail", "shop", "--json"]).await?;
    ensure!(
        tail.code == Some(0) && tail.out.lines().count() == 10,
        "{tail:?}"
    );
    ensure!(tail.err.contains("the server does not run"), "{}", tail.err);
    let first: Value = serde_json::from_str(tail.out.lines().next().unwrap_or_default())?;
    ensure!(
        first["seqNum"] == 3 && first["args"]["id"] == "m3",
        "{first}"
    );
    Ok(())
}

/// Whether the server that runs was asked, and let somebody in: commits, looks and exports.
async fn use_through_server(host: &Host, id: &str) -> Result<()> {
    let args = question(id, "hello").to_string();
    let number = host.done(&["commit", "shop", CHAT, &args]).await?;
    let from = number.trim();
    let seen = host
        .done(&["tail", "shop", "--from", from, "--no-follow", "--json"])
        .await?;
    ensure!(seen.contains(&args), "{seen}");
    let export: Value = serde_json::from_str(&host.done(&["store", "export", "shop"]).await?)?;
    ensure!(
        export["eventCount"].as_u64() >= from.parse().ok(),
        "{export}"
    );
    Ok(())
}

#[tokio::test]
async fn a_log_of_the_server_that_runs_is_reached_through_it() -> Result<()> {
    let mut host = Host::new(&format!("sync = \"embedded\"\n{}", granted(&["echo"])))?;
    host.install("echo")?;
    host.store("shop", "")?;
    host.keep_address();
    host.start().await?;
    host.live("shop").await?;
    use_through_server(&host, "m1").await?;
    host.quiet("shop", 2).await?;

    // It goes on through a restart of the server.
    let mut tail = host.begin(&["tail", "shop", "--json"])?;
    for seq in 1..=2 {
        ensure!(tail.json().await?["seqNum"] == seq);
    }
    host.terminate(Duration::from_secs(10)).await?;
    host.start().await?;
    host.live("shop").await?;
    use_through_server(&host, "m2").await?;
    for seq in 3..=4 {
        ensure!(tail.json().await?["seqNum"] == seq);
    }
    Ok(())
}

#[tokio::test]
async fn a_command_gets_in_with_what_the_configuration_allows() -> Result<()> {
    let mut host = Host::new("sync = \"embedded\"")?;
    host.environment("LOOK", "look-at-the-shop");
    host.environment("WRITE", "write-to-the-shop");
    host.environment("KEY", "a secret of thirty-two bytes, yes");
    let look = "access.tokens.kiosk = { secret = \"env:LOOK\", mode = \"read-only\" }";
    let write = "access.tokens.app = { secret = \"env:WRITE\" }";
    let signed = "access.jwt = { algorithm = \"HS256\", key = \"env:KEY\" }";
    for (number, keys) in [
        write.to_owned(),
        format!("{look}\n{write}"),
        signed.to_owned(),
    ]
    .iter()
    .enumerate()
    {
        host.store("shop", keys)?;
        host.start().await?;
        use_through_server(&host, &format!("m{number}")).await?;
        host.terminate(Duration::from_secs(10)).await?;
    }

    host.store("shop", look)?;
    host.start().await?;
    host.done(&["tail", "shop", "--no-follow"]).await?;
    let commit = ["commit", "shop", CHAT, "{}"];
    refused(
        &host,
        &commit,
        1,
        &["store shop: the server runs", "read-only", "--token"],
    )
    .await?;
    let wrong = ["commit", "shop", CHAT, "{}", "--token", "guessed"];
    refused(&host, &wrong, 1, &["401"]).await?;
    let weak = ["commit", "shop", CHAT, "{}", "--token", "look-at-the-shop"];
    refused(
        &host,
        &weak,
        1,
        &["may read this store and not write to it"],
    )
    .await?;
    Ok(())
}

/// Words, the exit code that they end with, and what is said.
const MISTAKES: &[(&[&str], i32, &str)] = &[
    (
        &["tail", "workspace1"],
        1,
        "no store workspace1 is configured; did you mean workspace-1?",
    ),
    (
        &["tail", "../x"],
        2,
        "store id \"../x\": expected 1 to 128 letters",
    ),
    (
        &["tail", "workspace-1", "--name", "a*b"],
        2,
        "event pattern \"a*b\"",
    ),
    (
        &["tail", "workspace-1", "--from", "1", "--last", "2"],
        2,
        "cannot be used with",
    ),
    (
        &["tail", "broken"],
        78,
        "config/stores/broken.toml:1: paused: expected true or false",
    ),
    (
        &["tail", "workspace-1"],
        1,
        "store workspace-1: cannot connect to ws://127.0.0.1:1",
    ),
    (
        &["commit", "workspace-1", "v1.Said", "{id: 1}"],
        2,
        "not JSON: key must be a string at line 1 column 2",
    ),
    (&["commit", "workspace-1", "", "1"], 2, "its name is empty"),
    (
        &["commit", "workspace-1", "v1.Said", "@none.json"],
        1,
        "cannot read none.json",
    ),
    (
        &["store", "import", "workspace-1", "none.json"],
        1,
        "cannot read none.json",
    ),
    (
        &["store", "backup", "workspace-1", "backup"],
        1,
        "store workspace-1: there is nothing of it in",
    ),
];

/// That a command ends with this code, and says all of this.
async fn refused(host: &Host, words: &[&str], code: i32, expected: &[&str]) -> Result<()> {
    let said = host.command(words).await?;
    said.ensure_refused(code, expected)
        .with_context(|| format!("{words:?}"))
}

#[tokio::test]
async fn a_mistake_in_the_words_is_told_with_the_way_out() -> Result<()> {
    let host = host_on("ws://127.0.0.1:1", &[])?;
    host.store("workspace-1", "")?;
    host.store("broken", "paused = 1")?;
    for (words, code, expected) in MISTAKES {
        refused(&host, words, *code, &[*expected]).await?;
    }
    fs::write(
        host.folder().join("cut.json"),
        "{\"version\":1,\n\"events\":[",
    )?;
    let import = ["store", "import", "workspace-1", "cut.json"];
    refused(&host, &import, 1, &["cut.json:2:", "EOF"]).await?;
    let listed: Value = serde_json::from_str(&host.done(&["store", "list", "--json"]).await?)?;
    ensure!(
        listed[0]["id"] == "workspace-1" && listed[1].is_null(),
        "{listed}"
    );
    Ok(())
}

#[tokio::test]
async fn a_backend_that_wants_a_token_gets_the_one_that_is_given() -> Result<()> {
    let backend = Backend::start_with(Version::V0_4_0, Some("s3cret")).await?;
    let mut host = host_on(&backend.url(), &[])?;
    host.store("shop", "")?;
    let tail = ["tail", "shop", "--no-follow"];
    refused(&host, &tail, 1, &["store shop", "authentication refused"]).await?;
    host.done(&["tail", "shop", "--no-follow", "--token", "s3cret"])
        .await?;
    let nowhere = [
        "store", "export", "shop", "--out", "no/where", "--token", "s3cret",
    ];
    refused(&host, &nowhere, 1, &["cannot write no/where"]).await?;
    host.environment("QM_TOKEN", "s3cret");
    host.done(&tail).await?;
    Ok(())
}
