//! What was in a log before: old events, and answers of an earlier life.

use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::grants::granted_with;
use quartermaster_tests::plugins::{counter, echo, triple};
use quartermaster_tests::scene::Scene;

use crate::{answers_in, ask};

/// These plugins, to which the past means this.
fn with_history(history: &str, plugins: &[&str]) -> String {
    let keys = format!("history = {history:?}");
    let each = plugins.iter().map(|plugin| granted_with(plugin, &keys));
    each.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn twenty_thousand_old_events_are_not_answered() -> Result<()> {
    let mut scene = Scene::new(&["counter", "echo"]).await?;
    let old: Vec<_> = (0..20_000).map(|n| ask(&format!("old-{n}"))).collect();
    scene.append("shop", &old).await?;
    scene
        .host
        .store("shop", &with_history("ignore", &["echo", "counter"]))?;
    scene.host.start().await?;
    scene.host.live("shop").await?;
    scene.host.quiet("shop", 20_000).await?;
    scene.append("shop", &[ask("new")]).await?;
    // The counter says 1: no run on an old event has left anything in kv either.
    let log = scene
        .verify("shop", &[counter().from(20_000), echo().from(20_000)])
        .await?;
    ensure!(log.len() == 20_003, "the log has {} events", log.len());
    Ok(())
}

#[tokio::test]
async fn a_deleted_journal_does_not_make_the_host_answer_again() -> Result<()> {
    let mut scene = Scene::new(&["echo", "triple"]).await?;
    let reacting = with_history("react", &["echo", "triple"]);
    scene.host.store("shop", &reacting)?;
    // More than one page of the protocol.
    let questions: Vec<_> = (0..150).map(|n| ask(&format!("m{n}"))).collect();
    scene.append("shop", &questions).await?;
    scene.host.start().await?;
    let before = scene.verify("shop", &[echo(), triple()]).await?;
    ensure!(
        answers_in(&before).len() == 150 * 4,
        "history = react answered only part of the past"
    );

    let status = scene.host.terminate(Duration::from_secs(10)).await?;
    ensure!(status.success(), "the host ended with {status}");
    scene.host.delete_journal("shop")?;
    scene.host.start().await?;
    let after = scene.settled_log("shop").await?;
    ensure!(
        after == before,
        "{} events were added",
        after.len() - before.len()
    );
    scene.append("shop", &[ask("new")]).await?;
    scene.verify("shop", &[echo(), triple()]).await?;
    Ok(())
}
