//! Plugins that fail, trap, burn fuel, hoard memory, or hand over what they must not.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quartermaster_tests::checker::verify;
use quartermaster_tests::grants::granted;
use quartermaster_tests::history::LogEvent;
use quartermaster_tests::plugins::{TASK, echo, recorder};
use quartermaster_tests::scene::Scene;

use crate::{ask, say};

/// A host that is live in the store `shop` with this plugin.
async fn with(plugin: &str) -> Result<Scene> {
    let mut scene = Scene::new(&[plugin]).await?;
    scene.stores(["shop"])?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    Ok(scene)
}

/// Says each of `texts`, waits until all is handled, and checks that those at the places `dead` became dead letters and
/// all others were answered, in order.
async fn handled(
    scene: &Scene,
    plugin: &'static str,
    texts: &[&str],
    dead: &[u64],
) -> Result<Vec<LogEvent>> {
    let messages: Vec<_> = texts.iter().map(|text| say(text)).collect();
    scene.append("shop", &messages).await?;
    let log = scene.settled_log("shop").await?;
    let health = scene.host.store_health("shop").await?;
    ensure!(
        health["dead_letters"] == dead.len(),
        "expected {} dead letters: {health}",
        dead.len()
    );
    verify(&log, &[recorder(plugin).dead(dead.iter().copied())])?;
    Ok(log)
}

/// What the plugin recorded for the message `text`.
fn result_of<'a>(log: &'a [LogEvent], plugin: &str, text: &str) -> Result<&'a str> {
    let id = format!("{plugin}-{text}");
    let task = log
        .iter()
        .find(|event| event.name == TASK && event.args["id"] == id.as_str());
    let task = task.with_context(|| format!("no answer to {text:?}"))?;
    task.args["result"]
        .as_str()
        .context("an answer without a result")
}

#[tokio::test]
async fn a_poisonous_event_becomes_a_dead_letter_and_the_next_one_is_answered() -> Result<()> {
    let scene = with("poison").await?;
    // The second traps twice, and attempts are three.
    handled(&scene, "poison", &["poison", "poison 2", "fine"], &[1]).await?;
    Ok(())
}

#[tokio::test]
async fn attempts_are_counted_over_restarts() -> Result<()> {
    let mut scene = with("poison").await?;
    handled(&scene, "poison", &["poison", "fine"], &[1]).await?;
    scene.host.kill().await?;
    scene.host.start().await?;
    scene.append("shop", &[say("later")]).await?;
    let log = scene.settled_log("shop").await?;
    verify(&log, &[recorder("poison").dead([1])])?;
    let health = scene.host.store_health("shop").await?;
    ensure!(
        health["dead_letters"] == 1,
        "the dead letter did not survive: {health}"
    );
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_asks_for_another_attempt_gets_it_and_failed_ones_leave_no_trace()
-> Result<()> {
    let scene = with("retry").await?;
    let log = handled(
        &scene,
        "retry",
        &["retry 1", "reject", "retry 2", "retry 9", "retry 0"],
        &[2, 4],
    )
    .await?;
    ensure!(result_of(&log, "retry", "retry 1")? == "attempt 2, traces 1");
    ensure!(result_of(&log, "retry", "retry 2")? == "attempt 3, traces 2");
    ensure!(result_of(&log, "retry", "retry 0")? == "attempt 1, traces 3");
    Ok(())
}

#[tokio::test]
async fn what_a_plugin_must_not_say_is_refused_and_never_reaches_the_log() -> Result<()> {
    /// Answered by the host with an error that the guest records.
    const REFUSED: [&str; 14] = [
        "empty-name",
        "long-name",
        "control-name",
        "undeclared-name",
        "empty-args",
        "broken-args",
        "two-args",
        "deep-args",
        "large-args",
        "empty-key",
        "long-key",
        "large-value",
        "many-values",
        "many-keys",
    ];
    /// Taken, and cut to size.
    const CUT: [&str; 3] = ["long-line", "control-line", "many-lines"];
    /// Ends the run.
    const FATAL: [&str; 6] = [
        "many-events",
        "long-failure",
        "failure-not-utf8",
        "name-not-utf8",
        "args-not-utf8",
        "name-outside-memory",
    ];
    let scene = with("garbage").await?;
    let texts = [&REFUSED[..], &CUT, &FATAL, &["fine"]].concat();
    let first_fatal = (REFUSED.len() + CUT.len()) as u64 + 1;
    let dead: Vec<u64> = (first_fatal..).take(FATAL.len()).collect();
    let log = handled(&scene, "garbage", &texts, &dead).await?;
    for text in REFUSED {
        let result = result_of(&log, "garbage", text)?;
        ensure!(
            result != "accepted" && result != "ok",
            "{text} was taken: {result}"
        );
    }
    ensure!(
        log.iter()
            .all(|event| event.is_question() || event.name == TASK),
        "{log:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_never_ends_is_ended_and_other_stores_do_not_feel_it() -> Result<()> {
    let mut scene = Scene::new(&["echo", "slow"]).await?;
    scene.host.store("shop", &granted(&["slow"]))?;
    scene.host.store("lab", &granted(&["echo"]))?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    scene.host.live("lab").await?;
    scene
        .append("shop", &[say("forever"), say("spin 1")])
        .await?;
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let begin = Instant::now();
        scene.append("lab", &[ask(&format!("m{number}"))]).await?;
        scene.verify("lab", &[echo()]).await?;
        slowest = slowest.max(begin.elapsed());
    }
    println!("slowest answer beside a runaway, with the reading of the log: {slowest:?}");
    let log = scene.settled_log("shop").await?;
    verify(&log, &[recorder("slow").dead([1])])?;
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_hoards_memory_is_stopped_at_its_quota() -> Result<()> {
    let scene = with("hog").await?;
    let before = scene.host.resident_bytes()?;
    let log = handled(&scene, "hog", &["hog", "nibble", "fine"], &[1]).await?;
    let got: u64 = result_of(&log, "hog", "nibble")?
        .trim_end_matches(" MiB")
        .parse()?;
    ensure!((1..64).contains(&got), "a quota of 64 MiB gave {got} MiB");
    let grown = scene.host.resident_bytes()?.saturating_sub(before);
    ensure!(
        grown < 96 * 1024 * 1024,
        "the host kept {} MiB",
        grown / 1024 / 1024
    );
    Ok(())
}

#[tokio::test]
async fn two_events_that_answer_each_other_for_ever_end_at_depth_sixteen() -> Result<()> {
    let scene = with("pingpong").await?;
    scene.append("shop", &[say("ping")]).await?;
    let dead = |health: &serde_json::Value| health["dead_letters"] == 1;
    scene
        .host
        .store_until("shop", "at the end of the chain", dead)
        .await?;
    let log = scene.settled_log("shop").await?;
    let depths: Vec<u32> = log
        .iter()
        .filter_map(|event| Some(event.stamp()?.depth))
        .collect();
    let whole: Vec<u32> = (1..=16).collect();
    ensure!(depths == whole, "the depths are {depths:?}");
    Ok(())
}
