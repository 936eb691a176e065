//! The embedded backend beside the original one: workerd with LiveStore's own worker, as users run it. The same cheap
//! client, the same machine and disk, one after the other in alternating rounds. Every log is read back: a push that is
//! refused, lost or doubled ends the run.

use std::time::Duration;

use anyhow::Result;

use super::Machine;

mod connection;
mod floor;
mod idle;
mod latency;
mod load;
mod subject;
mod table;
mod usage;

use connection::Connection;
use latency::percentile;
use load::{Accepted, Writing};
use subject::{Kind, Subject};
use table::{Better, Table};

/// Stores: one, and as many as a small installation has.
const STORES: [usize; 2] = [1, 50];

/// Events in one push. LiveStore's client sends 100 at most.
const BATCHES: [u64; 3] = [1, 10, 100];

/// How many pushes a writer has in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// One: it waits for each ack, as LiveStore's client does.
    OneByOne,
    /// As many as make sense to have.
    Pipelined,
}

impl Pace {
    const ALL: [Self; 2] = [Self::OneByOne, Self::Pipelined];

    /// Pushes in flight in each of so many stores. In many stores fewer: what is in flight at the end must be taken in
    /// too, and 160,000 events take the original a minute.
    fn window(self, plan: Plan, stores: usize) -> u64 {
        match self {
            Self::OneByOne => 1,
            Self::Pipelined if stores == 1 => plan.window_max,
            Self::Pipelined => plan.window_max / 4,
        }
    }
}

/// Events a second while latency is measured: far below what either side can do.
const GENTLE_RATE: u32 = 100;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    rounds: usize,
    /// For each way to write, and for each kind of floor.
    write_time: Duration,
    latency_time: Duration,
    connections: usize,
    /// Without traffic before a look at memory: the original's objects hibernate after ten seconds.
    rest: Duration,
    catch_up_events: u64,
    /// Pushes in flight in each store, at most.
    window_max: u64,
}

impl Plan {
    /// What the numbers in `tests/bench/backend.md` are measured with: about a quarter of an hour.
    pub fn full() -> Self {
        Self {
            rounds: 3,
            write_time: Duration::from_secs(3),
            latency_time: Duration::from_secs(10),
            connections: 2_000,
            rest: Duration::from_secs(13),
            catch_up_events: 20_000,
            window_max: 32,
        }
    }

    /// About a minute: enough to see whether something has broken, too little for numbers.
    pub fn quick() -> Self {
        Self {
            rounds: 1,
            write_time: Duration::from_millis(300),
            latency_time: Duration::from_secs(1),
            connections: 200,
            rest: Duration::from_millis(200),
            catch_up_events: 2_000,
            window_max: 8,
        }
    }
}

/// Measures everything, and says on the way what it does. The table as Markdown.
pub async fn run(plan: Plan, machine: &Machine) -> Result<String> {
    let mut table = Table::default();
    for round in 0..plan.rounds {
        let order = if round % 2 == 0 {
            [Kind::Original, Kind::Embedded]
        } else {
            [Kind::Embedded, Kind::Original]
        };
        measure_floor(plan, &mut table).await?;
        for stores in STORES {
            for pace in Pace::ALL {
                for batch in BATCHES {
                    let window = pace.window(plan, stores);
                    let writing = Writing { batch, window };
                    for kind in order {
                        measure_accepted(plan, &mut table, kind, stores, writing).await?;
                    }
                }
            }
        }
        for stores in STORES {
            for kind in order {
                measure_latency(plan, &mut table, kind, stores).await?;
            }
        }
        for kind in order {
            measure_catch_up(plan, &mut table, kind).await?;
        }
    }
    // Once: memory does not depend on what else the machine does, and each look takes its time.
    for stores in STORES {
        for kind in [Kind::Original, Kind::Embedded] {
            measure_idle(plan, &mut table, kind, stores).await?;
        }
    }
    Ok(table.markdown(machine))
}

async fn measure_floor(plan: Plan, table: &mut Table) -> Result<()> {
    table.floor(
        "appends of 4 KiB, each synced to the disk",
        "/s",
        floor::syncs_per_second(plan.write_time)?,
    );
    let sync = floor::gentle_sync(GENTLE_RATE, plan.write_time)?;
    table.floor(
        &format!("one such append and sync, at {GENTLE_RATE} in a second, p50"),
        "µs",
        sync.as_secs_f64() * 1e6,
    );
    let round_trip = floor::loopback_round_trip(plan.write_time)?;
    table.floor(
        "round trip over the loopback interface, p50",
        "µs",
        round_trip.as_secs_f64() * 1e6,
    );
    for batch in BATCHES {
        let mut client = Connection::open(&floor::yes_server()?, "yes").await?;
        let writing = Writing {
            batch,
            window: Pace::Pipelined.window(plan, 1),
        };
        client.catch_up().await?;
        let per_second = load::written_per_second(&mut client, writing, plan.write_time).await?;
        table.floor(
            &format!(
                "this client against a server that admits all unseen, {}",
                batches(writing)
            ),
            "/s",
            per_second,
        );
    }
    Ok(())
}

async fn measure_accepted(
    plan: Plan,
    table: &mut Table,
    kind: Kind,
    stores: usize,
    writing: Writing,
) -> Result<()> {
    let name = format!("accepted, {}, {}", counted(stores), batches(writing));
    let subject = Subject::start(kind, stores).await?;
    let accepted = load::accepted(&subject, stores, writing, plan.write_time).await?;
    subject.stop().await?;
    let Accepted {
        per_second,
        server_cores,
        client_cores,
    } = accepted;
    println!("{kind}: {name}: {per_second:.0} /s, cores {server_cores:.2} + {client_cores:.2}");
    table.record(kind, &name, "/s", Better::More, per_second);
    table.cores(kind, &name, server_cores, client_cores);
    Ok(())
}

async fn measure_latency(plan: Plan, table: &mut Table, kind: Kind, stores: usize) -> Result<()> {
    let subject = Subject::start(kind, stores).await?;
    let times = latency::latencies(&subject, stores, GENTLE_RATE, plan.latency_time).await?;
    subject.stop().await?;
    for (what, sorted) in [
        ("push → live pull", times.to_reader),
        ("push → ack", times.to_ack),
    ] {
        for percent in [50, 99] {
            let name = format!("{what} p{percent}, {}", counted(stores));
            let millis = percentile(&sorted, percent).as_secs_f64() * 1e3;
            println!("{kind}: {name}: {millis:.3} ms of {}", sorted.len());
            table.record(kind, &name, "ms", Better::Less, millis);
        }
    }
    Ok(())
}

async fn measure_catch_up(plan: Plan, table: &mut Table, kind: Kind) -> Result<()> {
    let subject = Subject::start(kind, 1).await?;
    load::fill(&subject, plan.catch_up_events).await?;
    let per_second = load::read_per_second(&subject, plan.catch_up_events).await?;
    subject.stop().await?;
    let name = format!("catch-up with a log of {} events", plan.catch_up_events);
    println!("{kind}: {name}: {per_second:.0} /s");
    table.record(kind, &name, "/s", Better::More, per_second);
    Ok(())
}

async fn measure_idle(plan: Plan, table: &mut Table, kind: Kind, stores: usize) -> Result<()> {
    let subject = Subject::start(kind, stores).await?;
    let bytes = idle::bytes_per_connection(&subject, stores, plan.connections, plan.rest).await?;
    subject.stop().await?;
    let name = format!(
        "memory for each of {} idle connections, {}",
        plan.connections,
        counted(stores)
    );
    let kibibytes = bytes as f64 / 1024.0;
    println!("{kind}: {name}: {kibibytes:.1} KiB");
    table.record(kind, &name, "KiB", Better::Less, kibibytes);
    Ok(())
}

fn counted(stores: usize) -> String {
    if stores == 1 {
        "1 store".to_owned()
    } else {
        format!("{stores} stores")
    }
}

fn batches(Writing { batch, window }: Writing) -> String {
    let events = if batch == 1 {
        "1 event".to_owned()
    } else {
        format!("{batch} events")
    };
    if window == 1 {
        format!("{events} a push, one push at a time")
    } else {
        format!("{events} a push, {window} pushes in flight")
    }
}
