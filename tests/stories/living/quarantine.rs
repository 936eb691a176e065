//! A store that takes the whole host down whenever it begins.

use anyhow::{Result, ensure};
use quartermaster_tests::host::Host;
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::{http, wait};

use super::{version_that_answers, with_stores};
use crate::ask;

/// What the host says before a suspected store begins alone.
const BEGINS: &str = "begins alone, because it is suspected";

/// Kills of the host upon that line that put the store into quarantine.
const KILLS: usize = 3;

#[tokio::test]
async fn a_store_that_takes_the_host_down_whenever_it_begins_is_quarantined_and_the_others_are_served()
-> Result<()> {
    let mut host = with_stores(["desk", "lab", "shop"]).await?;
    // Nobody can know yet which store it is.
    for starts in 1..=2 {
        host.launch()?;
        told(&host, "stores started", starts).await?;
        host.kill().await?;
    }
    for kill in 1..=KILLS {
        host.launch()?;
        // One that is only careful is ready: whoever waits for that must not kill it.
        host.ready().await?;
        let shop = host.store_health("shop").await?;
        ensure!(shop["state"] == "backing-off", "{shop}");
        for store in ["desk", "lab"] {
            host.live(store).await?;
            version_that_answers(&host, store, &format!("q{kill}")).await?;
        }
        told(&host, &format!("{BEGINS} store=shop"), kill).await?;
        host.kill().await?;
    }
    host.start().await?;
    let shop = host.store_health("shop").await?;
    ensure!(shop["state"] == "quarantined", "{shop}");
    let reason = shop["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("died 3 times in a row"), "{shop}");
    ensure!(reason.contains("store resume shop"), "{shop}");
    for store in ["desk", "lab"] {
        host.live(store).await?;
        version_that_answers(&host, store, "after").await?;
    }
    is_told(&host).await?;
    let said = host.command(&["store", "resume", "shop"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    host.live("shop").await?;
    version_that_answers(&host, "shop", "again").await?;
    let proved = "the process lives on with this store; it is no longer suspected store=shop";
    told(&host, proved, 1).await?;
    host.kill().await?;
    host.start().await?;
    host.live("shop").await?;
    ensure!(count(&host, &format!("{BEGINS} store=shop")) == KILLS);
    Ok(())
}

/// Everything that an operator looks at says so; apps go on with its log.
async fn is_told(host: &Host) -> Result<()> {
    let mut app = RawClient::connect(&host.sync_url(), "shop").await?;
    app.catch_up().await?;
    app.append(&[ask("meanwhile")]).await?;
    let metrics = http::get(host.address(), "/metrics").await?.body;
    let counted = "qm_stores{state=\"quarantined\"} 1";
    ensure!(metrics.lines().any(|line| line == counted), "{metrics}");
    let shown = host.done(&["store", "show", "shop"]).await?;
    ensure!(shown.contains("quarantined by the host"), "{shown}");
    let alerts = host.done(&["alert", "list"]).await?;
    ensure!(alerts.contains("store-quarantined"), "{alerts}");
    let said = host.command(&["store", "pause", "shop"]).await?;
    said.ensure_refused(1, &["quarantined"])
}

fn count(host: &Host, text: &str) -> usize {
    host.log().matches(text).count()
}

/// Waits until the host has said something for the nth time.
async fn told(host: &Host, text: &str, times: usize) -> Result<()> {
    let told = wait::until(
        text,
        async || Ok((count(host, text) >= times).then_some(())),
    );
    told.await.map_err(|error| error.context(host.log()))
}
