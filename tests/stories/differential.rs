//! The embedded backend says what the original says, but for the differences that are listed and argued.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use quartermaster_tests::backend::Backend;
use quartermaster_tests::differential::{Case, Difference, Side, cases, play};
use quartermaster_tests::host::Host;
use quartermaster_tests::paths;
use serde_json::Value;

/// Cases at the same time: enough that those which wait for silence do not wait one after the other, and so few that the
/// original, on a busy machine, does not keep one waiting until its object goes to sleep.
const AT_ONCE: usize = 16;

/// What a report shows of an answer.
const SHOWN_CHARS: usize = 1500;

/// The section of `host/README.md` with the table for readers.
const SECTION: &str = "## Embedded backend: differences from the original";

fn store(index: usize) -> String {
    format!("case-{index}")
}

fn original(backend: &Backend) -> Result<Side> {
    let url = backend.url();
    let address = url.strip_prefix("ws://").context("no address")?;
    let address: SocketAddr = address.parse()?;
    Ok(Side {
        address,
        path: "/",
        falls_silent: true,
    })
}

/// A host with an embedded store for each case.
async fn host_of(cases: &[Case]) -> Result<(Host, Side)> {
    let mut host = Host::new("sync = \"embedded\"")?;
    for index in 0..cases.len() {
        host.store(&store(index), "")?;
    }
    // All of them come from one address.
    host.environment("QM_SERVER__CONNECTS_PER_MINUTE", "1000000");
    host.start().await?;
    let side = Side {
        address: host.address(),
        path: "/sync",
        falls_silent: false,
    };
    Ok((host, side))
}

/// What two sides said to each case, in the order of the cases.
async fn play_on_both(cases: &[Case], sides: [Side; 2]) -> Result<Vec<[Value; 2]>> {
    let runs = cases.iter().enumerate().map(async |(index, case)| {
        let store = store(index);
        let [left, right] = sides;
        let told = tokio::try_join!(play(left, case, &store), play(right, case, &store));
        let told = told.with_context(|| format!("case {}", case.name))?;
        anyhow::Ok((index, told))
    });
    let mut told = BTreeMap::new();
    let mut runs = futures_util::stream::iter(runs).buffer_unordered(AT_ONCE);
    while let Some(run) = runs.next().await {
        let (index, (left, right)) = run?;
        told.insert(index, [left, right]);
    }
    Ok(told.into_values().collect())
}

/// What is wrong with what both said to a case.
fn problem(case: &Case, original: &Value, host: &Value) -> Option<String> {
    let silent = original.to_string().contains("\"is silent\"");
    match case.differs {
        None if silent => Some("waits for what the original never says".to_owned()),
        None if original != host => {
            Some("is answered differently, and names no difference".to_owned())
        }
        Some(difference) if original == host => Some(format!(
            "is answered alike, and names the difference {:?}",
            difference.name()
        )),
        None | Some(_) => None,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(SHOWN_CHARS).collect()
}

#[tokio::test]
async fn the_embedded_backend_says_what_the_original_says() -> Result<()> {
    let cases = cases::all();
    let (backend, (_host, embedded)) = tokio::try_join!(Backend::start(), host_of(&cases))?;
    let told = play_on_both(&cases, [original(&backend)?, embedded]).await?;
    let mut found = Vec::new();
    for (case, [original, host]) in cases.iter().zip(&told) {
        if let Some(problem) = problem(case, original, host) {
            let (original, host) = (shown(original), shown(host));
            found.push(format!(
                "{:?} {problem}\n  original {original}\n  host     {host}",
                case.name
            ));
        }
    }
    ensure!(
        found.is_empty(),
        "{} of {} cases:\n{}",
        found.len(),
        cases.len(),
        found.join("\n")
    );
    Ok(())
}

#[test]
fn cases_have_names_of_their_own_and_every_difference_has_a_case() {
    let cases = cases::all();
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(
            names.insert(&case.name),
            "two cases are called {}",
            case.name
        );
    }
    for difference in Difference::ALL {
        let shows = cases.iter().any(|case| case.differs == Some(difference));
        assert!(shows, "no case shows {difference:?}");
    }
}

#[test]
fn the_table_for_readers_lists_the_same_differences() -> Result<()> {
    let readme = fs::read_to_string(paths::workspace().join("host/README.md"))?;
    let (_, section) = readme.split_once(SECTION).context("no such section")?;
    let rows = section.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let names: Vec<&str> = rows
        .filter_map(|row| Some(row.split('|').nth(1)?.trim()))
        .collect();
    assert_eq!(names, Difference::ALL.map(Difference::name));
    Ok(())
}
