//! Every store has its ration of the machine: whoever wants all of it does not take it from those who want little.

use std::time::Duration;

use anyhow::{Result, ensure};
use quartermaster_tests::rations::{self, Plan};

/// What a neighbour may add to a quiet store's answer, beside doubling it.
const GRACE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn thirty_quiet_stores_are_answered_beside_ten_that_burn_all_they_can_get() -> Result<()> {
    let report = rations::run(Plan {
        quiet: 30,
        burners: 10,
        phase: Duration::from_secs(12),
    })
    .await?;
    println!("{report:?}");
    let ([_, alone, _], [_, beside, _]) = (report.alone, report.beside);
    ensure!(
        beside <= 2 * alone + GRACE,
        "99 of 100 answers came within {alone:?} alone, within {beside:?} beside the burners"
    );
    // Somebody is always in the middle of a run.
    let (least, most) = report.shares();
    ensure!(
        10 * most <= 11 * least + 20,
        "the burners' shares differ: {:?}",
        report.burned
    );
    Ok(())
}
