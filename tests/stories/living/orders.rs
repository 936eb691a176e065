//! What an operator orders about single stores while the host runs.

use anyhow::{Result, ensure};

use super::{version_that_answers, with_stores};

#[tokio::test]
async fn a_paused_store_rests_over_restarts_until_somebody_resumes_it() -> Result<()> {
    let mut host = with_stores(["shop", "desk"]).await?;
    host.start().await?;
    host.live("shop").await?;
    let said = host
        .command(&["store", "pause", "shop", "--why", "moving the disk"])
        .await?;
    ensure!(said.code == Some(0), "{said:?}");
    let health = host.store_health("shop").await?;
    ensure!(health["state"] == "paused", "{health}");
    ensure!(
        health["reason"]
            .as_str()
            .is_some_and(|it| it.contains("moving the disk")),
        "{health}"
    );
    host.kill().await?;
    host.start().await?;
    host.live("desk").await?;
    let health = host.store_health("shop").await?;
    ensure!(health["state"] == "paused", "{health}");
    let shown = host.command(&["store", "show", "shop"]).await?;
    ensure!(shown.out.contains("moving the disk"), "{shown:?}");
    let said = host.command(&["store", "resume", "shop"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    host.live("shop").await?;
    ensure!(version_that_answers(&host, "shop", "q1").await? == "version-00000001");
    Ok(())
}

#[tokio::test]
async fn a_drained_store_has_pushed_all_and_a_removed_one_is_as_if_it_were_not_there() -> Result<()>
{
    let mut host = with_stores(["shop", "desk"]).await?;
    host.start().await?;
    host.live("shop").await?;
    version_that_answers(&host, "shop", "q1").await?;
    let said = host.command(&["store", "drain", "shop"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    ensure!(host.store_health("shop").await?["state"] == "paused");
    let said = host
        .command(&["store", "remove", "desk", "--why", "gone"])
        .await?;
    ensure!(said.code == Some(0), "{said:?}");
    ensure!(
        host.store_health("desk").await.is_err(),
        "it is still there"
    );
    ensure!(host.journal("desk").is_file());
    host.terminate(std::time::Duration::from_secs(30)).await?;
    host.start().await?;
    ensure!(
        host.store_health("desk").await.is_err(),
        "it is there again"
    );
    for store in ["shop", "desk"] {
        let said = host.command(&["store", "resume", store]).await?;
        ensure!(said.code == Some(0), "{said:?}");
        host.live(store).await?;
        version_that_answers(&host, store, "q2").await?;
    }
    let said = host.command(&["store", "pause", "nowhere"]).await?;
    said.ensure_refused(1, &["nowhere"])?;
    host.terminate(std::time::Duration::from_secs(30)).await?;
    let said = host.command(&["store", "pause", "shop"]).await?;
    said.ensure_refused(1, &["no server"])
}
