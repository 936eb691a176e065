//! How late tasks begin: those of many stores, spread over a minute, beside as many timers that do nothing, as a table.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep, sleep_until};

use super::Machine;
use crate::grants::granted_with;
use crate::host::Host;
use crate::{http, wait};

/// Tasks of each store.
const TASKS: usize = 20;

/// The time over which all tasks are spread, evenly.
const PERIOD: Duration = Duration::from_secs(60);

/// Lateness of many starts.
#[derive(Clone, Copy, Debug)]
struct Lateness {
    starts: u64,
    median: Duration,
    p99: Duration,
}

/// What the host counted: starts up to each bound, in order of the bounds in seconds.
type Buckets = Vec<(f64, u64)>;

/// Measures `stores` stores, and answers the table as Markdown.
pub async fn run(stores: usize, machine: &Machine) -> Result<String> {
    let mut host = Host::new(&format!(
        "sync = \"embedded\"\n{}",
        granted_with("clockwork", "")
    ))?;
    host.install("clockwork")?;
    let count = stores * TASKS;
    for store in 0..stores {
        host.store(&format!("store-{store:05}"), &tasks_of(store, stores))?;
    }
    host.start().await?;
    wait::until("every store to be live", async || {
        let live = number(&metrics(&host).await?, "qm_stores{state=\"live\"}");
        Ok((live? as usize == stores).then_some(()))
    })
    .await?;
    // Whatever was due while stores began is over.
    sleep(Duration::from_secs(5)).await;
    let resident = host.resident_bytes()?;
    let before = buckets(&metrics(&host).await?)?;
    sleep(PERIOD).await;
    let after = buckets(&metrics(&host).await?)?;
    let grown = host.resident_bytes()?.saturating_sub(resident);
    host.terminate(Duration::from_secs(60)).await?;
    let of_host = lateness(&before, &after)?;
    let floor = bare_timers(count).await?;
    Ok(markdown(
        machine,
        stores,
        (of_host, floor),
        (resident, grown),
    ))
}

/// The file of a store whose tasks have their places among those of all stores.
fn tasks_of(store: usize, stores: usize) -> String {
    let task = |task: usize| {
        let place = store * TASKS + task;
        let phase = place as u128 * PERIOD.as_millis() / (stores * TASKS) as u128;
        format!("t{task} = {{ every = \"1m\", phase = \"{phase}ms\", payload = \"silent\" }}")
    };
    let tasks: Vec<String> = (0..TASKS).map(task).collect();
    granted_with("clockwork", &format!("tasks = {{ {} }}", tasks.join(", ")))
}

async fn metrics(host: &Host) -> Result<String> {
    let answer = http::get(host.address(), "/metrics").await?;
    ensure!(answer.status == 200, "/metrics: {}", answer.status);
    Ok(answer.body)
}

fn number(metrics: &str, name: &str) -> Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("no {name} in /metrics"))?;
    Ok(line.trim().parse()?)
}

fn buckets(metrics: &str) -> Result<Buckets> {
    const NAME: &str = "qm_task_lateness_seconds_bucket{le=\"";
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(NAME));
    let buckets = lines.map(|line| {
        let (bound, count) = line
            .split_once("\"} ")
            .context("a bucket without a count")?;
        let bound = match bound {
            "+Inf" => f64::INFINITY,
            bound => bound.parse()?,
        };
        Ok((bound, count.trim().parse()?))
    });
    buckets.collect()
}

/// The lateness of what came between; within a bucket, starts are taken to be spread evenly.
fn lateness(before: &Buckets, after: &Buckets) -> Result<Lateness> {
    let counts: Buckets = before
        .iter()
        .zip(after)
        .map(|((bound, before), (_, after))| (*bound, after - before))
        .collect();
    let (_, starts) = *counts.last().context("no buckets")?;
    ensure!(starts > 0, "no task began");
    let quantile = |share: f64| {
        let rank = share * starts as f64;
        let (mut low, mut below) = (0.0, 0);
        for (bound, count) in &counts {
            if *count as f64 >= rank && bound.is_finite() {
                let inside = (rank - below as f64) / (count - below).max(1) as f64;
                return low + (bound - low) * inside;
            }
            (low, below) = (*bound, *count);
        }
        low
    };
    Ok(Lateness {
        starts,
        median: Duration::from_secs_f64(quantile(0.5)),
        p99: Duration::from_secs_f64(quantile(0.99)),
    })
}

/// As many timers of tokio, one for each start, that only look at the clock.
async fn bare_timers(count: usize) -> Result<Lateness> {
    let began = Instant::now() + Duration::from_secs(1);
    let mut timers = tokio::task::JoinSet::new();
    for place in 0..count {
        let at = began + PERIOD.mul_f64(place as f64 / count as f64);
        timers.spawn(async move {
            sleep_until(at).await;
            at.elapsed()
        });
    }
    let mut late = timers.join_all().await;
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    Ok(Lateness {
        starts: late.len() as u64,
        median: at(0.5),
        p99: at(0.99),
    })
}

fn markdown(
    machine: &Machine,
    stores: usize,
    (host, floor): (Lateness, Lateness),
    (resident, grown): (u64, u64),
) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let row = |name: &str, host: Duration, floor: Duration| {
        let ratio = millis(host) / millis(floor).max(0.001);
        format!(
            "| {name} | {:.1} ms | {:.1} ms | {ratio:.1} |\n",
            millis(host),
            millis(floor)
        )
    };
    let mut text = format!(
        "# How late tasks begin\n\n\
         Written by `cargo xtask bench tasks`: {stores} stores with {TASKS} tasks each, every one due once in a minute, evenly \
         spread; a start is the first attempt's run, after the commit that claims it. Beside it, as many timers of tokio in a \
         process that does nothing else.\n\n\
         {} cores · {}\n\n\
         | lateness | host | bare timers | ratio |\n|---|---:|---:|---:|\n",
        machine.cores,
        machine.versions.join(" · ")
    );
    text += &row("median", host.median, floor.median);
    text += &row("99th percentile", host.p99, floor.p99);
    let kib = |bytes: u64| bytes as f64 / 1024.0 / stores as f64;
    text += &format!(
        "\n{} starts in the minute. Resident memory for each store with its tasks: {:.1} KiB, and {:.1} KiB more after that minute.\n",
        host.starts,
        kib(resident),
        kib(grown)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_from_what_came_between() {
        let before = vec![(0.001, 10), (0.01, 10), (f64::INFINITY, 10)];
        let after = vec![(0.001, 60), (0.01, 110), (f64::INFINITY, 110)];
        let lateness = lateness(&before, &after).unwrap();
        assert_eq!(lateness.starts, 100);
        assert_eq!(lateness.median, Duration::from_secs_f64(0.001));
        assert_eq!(
            lateness.p99,
            Duration::from_secs_f64(0.001 + 0.009 * 49.0 / 50.0)
        );
    }
}
