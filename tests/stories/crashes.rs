//! The host ends, one way or another, in the middle of its work.

use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::plugins::{counter, echo, triple};
use quartermaster_tests::scene::Scene;
use quartermaster_tests::torture;

use crate::ask;

/// Kills in one test run; `cargo xtask torture --kills 1000` does more.
const KILLS: u32 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_kills_under_traffic_lose_nothing_and_double_nothing() -> Result<()> {
    let seed = fastrand::u64(..);
    println!(
        "seed {seed}: `cargo xtask torture --kills {KILLS} --seed {seed}` kills at these moments again"
    );
    let report = torture::run(KILLS, seed).await?;
    println!("{report:?}");
    ensure!(report.kills == KILLS && report.messages > 0, "{report:?}");
    ensure!(
        report.answers_between_kills > 0,
        "every kill came before any work: {report:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_stop_under_load_is_orderly_and_loses_nothing() -> Result<()> {
    let mut scene = Scene::new(&["counter", "echo", "triple"]).await?;
    let stores = ["shop", "lab", "home"];
    scene.stores(stores)?;
    scene.host.start().await?;
    for store in stores {
        scene.host.live(store).await?;
    }
    for round in 0..3 {
        for store in stores {
            let batch: Vec<_> = (0..40).map(|n| ask(&format!("m{round}-{n}"))).collect();
            scene.append(store, &batch).await?;
        }
        // Some are answered, most are not.
        let head = 120 * round + 41;
        scene
            .host
            .store_until("shop", "at work", |health| {
                health["head"].as_u64() >= Some(head)
            })
            .await?;
        let status = scene.host.terminate(Duration::from_secs(10)).await?;
        ensure!(status.success(), "the host ended with {status}");
        scene.host.start().await?;
    }
    for store in stores {
        let log = scene.verify(store, &[counter(), echo(), triple()]).await?;
        ensure!(log.len() == 3 * 40 * 6, "{store} has {} events", log.len());
    }
    Ok(())
}
