//! Plugins and configuration that change on a running host: nothing restarts, nothing is lost, and nothing that is wrong
//! replaces what is right.

mod drops;
mod edits;
mod orders;
mod quarantine;
mod versions;

use anyhow::Result;
use quartermaster_tests::grants::granted;
use quartermaster_tests::host::Host;
use quartermaster_tests::living::{Plan, run};
use quartermaster_tests::raw::RawClient;
use quartermaster_tests::scene::QUICK_TIMING;
use quartermaster_tests::versions::{PLUGIN, Way, component, place};
use serde_json::Value;

use crate::ask;

#[tokio::test]
async fn swaps_edits_and_kills_under_traffic_lose_and_double_nothing() -> Result<()> {
    let plan = Plan {
        swaps: 30,
        edits: 40,
        kills: 4,
        seed: 7,
    };
    let report = run(plan).await?;
    println!("{report:?}");
    anyhow::ensure!(report.mistakes_told == plan.edits / 10, "{report:?}");
    anyhow::ensure!(report.versions > 2, "hardly any version ran: {report:?}");
    Ok(())
}

/// A host with embedded stores that the guest `versioned` works for, in its version `1`; not started.
async fn with_stores<'a>(stores: impl IntoIterator<Item = &'a str>) -> Result<Host> {
    let mut host = Host::new(&format!(
        "sync = \"embedded\"\n{}\n{QUICK_TIMING}",
        granted(&[PLUGIN])
    ))?;
    host.keep_address();
    for store in stores {
        host.store(store, "")?;
    }
    drop_version(&host, "1", Way::Copy).await?;
    Ok(host)
}

/// Puts a version of the plugin into the host's folder.
async fn drop_version(host: &Host, letters: &str, way: Way) -> Result<()> {
    let path = host.folder().join(format!("plugins/{PLUGIN}.wasm"));
    place(&path, &component(letters)?, way).await
}

/// Asks something in a store, and answers which version answered.
async fn version_that_answers(host: &Host, store: &str, id: &str) -> Result<String> {
    let mut client = RawClient::connect(&host.sync_url(), store).await?;
    client.follow().await?;
    while !client.try_append(&[ask(id)]).await? {}
    let wanted = format!("v-{id}");
    let answer = async {
        loop {
            let event = client.next_event().await?;
            if event.args["id"] == wanted.as_str() {
                let version = event.args["result"].as_str().unwrap_or_default();
                return anyhow::Ok(version.to_owned());
            }
        }
    };
    let patience = quartermaster_tests::wait::PATIENCE;
    let answered = tokio::time::timeout(patience, answer).await;
    answered.map_err(|_| anyhow::anyhow!("{store}: no answer to {id}:\n{}", host.log()))?
}

/// Waits until `/health` is as `wanted`.
async fn health_until(host: &Host, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    let reached = quartermaster_tests::wait::until(what, async || {
        last = host.health().await?;
        Ok(wanted(&last).then(|| last.clone()))
    });
    let reached = reached.await;
    reached.map_err(|error| error.context(format!("last seen: {last}\n{}", host.log())))
}

/// Waits until a store's plugin is in a version.
async fn runs_version(host: &Host, store: &str, version: &str) -> Result<Value> {
    let what = format!("running {version}");
    host.store_until(store, &what, |health| {
        let plugins = health["plugins"].as_array();
        plugins.is_some_and(|plugins| plugins.iter().any(|it| it["version"] == version))
    })
    .await
}
