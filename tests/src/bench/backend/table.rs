//! The numbers side by side, as Markdown.

use super::subject::Kind;
use crate::bench::Machine;
use crate::bench::table::rounded;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// All that was measured, in the order in which it came first.
#[derive(Default)]
pub(super) struct Table {
    floor: Vec<FloorRow>,
    rows: Vec<Row>,
    cores: Vec<CoresRow>,
}

/// What the machine itself can do.
struct FloorRow {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

struct Row {
    name: String,
    unit: &'static str,
    better: Better,
    /// One for each round.
    values: Sides,
}

/// Cores that server and clients used during one load.
struct CoresRow {
    name: String,
    server: Sides,
    client: Sides,
}

#[derive(Default)]
struct Sides {
    embedded: Vec<f64>,
    original: Vec<f64>,
}

impl Sides {
    fn of(&mut self, kind: Kind) -> &mut Vec<f64> {
        match kind {
            Kind::Embedded => &mut self.embedded,
            Kind::Original => &mut self.original,
        }
    }
}

impl Table {
    /// One round's value of what the machine itself can do.
    pub(super) fn floor(&mut self, name: &str, unit: &'static str, value: f64) {
        println!("{name}: {} {unit}", rounded(value));
        let place = self.floor.iter().position(|row| row.name == name);
        let place = place.unwrap_or_else(|| {
            self.floor.push(FloorRow {
                name: name.to_owned(),
                unit,
                values: Vec::new(),
            });
            self.floor.len() - 1
        });
        self.floor[place].values.push(value);
    }

    /// One round's value.
    pub(super) fn record(
        &mut self,
        kind: Kind,
        name: &str,
        unit: &'static str,
        better: Better,
        value: f64,
    ) {
        let place = self.rows.iter().position(|row| row.name == name);
        let place = place.unwrap_or_else(|| {
            self.rows.push(Row {
                name: name.to_owned(),
                unit,
                better,
                values: Sides::default(),
            });
            self.rows.len() - 1
        });
        self.rows[place].values.of(kind).push(value);
    }

    /// Cores in use during one round of the row with this name.
    pub(super) fn cores(&mut self, kind: Kind, name: &str, server: f64, client: f64) {
        let place = self.cores.iter().position(|row| row.name == name);
        let place = place.unwrap_or_else(|| {
            self.cores.push(CoresRow {
                name: name.to_owned(),
                server: Sides::default(),
                client: Sides::default(),
            });
            self.cores.len() - 1
        });
        let row = &mut self.cores[place];
        row.server.of(kind).push(server);
        row.client.of(kind).push(client);
    }

    /// The whole page.
    pub(super) fn markdown(&self, machine: &Machine) -> String {
        let mut text = format!(
            "# The embedded backend beside the original one\n\n{METHOD}\n{} cores · {}\n\n",
            machine.cores,
            machine.versions.join(" · ")
        );
        text.push_str("| | embedded | original | better by |\n|---|---:|---:|---:|\n");
        for row in &self.rows {
            let (embedded, original) = (median(&row.values.embedded), median(&row.values.original));
            let ratio = match row.better {
                Better::More => embedded / original,
                Better::Less => original / embedded,
            };
            text += &format!(
                "| {} | {} {unit} | {} {unit} | {}× |\n",
                row.name,
                rounded(embedded),
                rounded(original),
                rounded(ratio),
                unit = row.unit,
            );
        }
        text.push_str("\n## What bounds it\n\n");
        text += BOUNDS;
        text.push_str("\n| the machine itself | |\n|---|---:|\n");
        for FloorRow { name, unit, values } in &self.floor {
            text += &format!("| {name} | {} {unit} |\n", rounded(median(values)));
        }
        text.push_str(
            "\nCores in use meanwhile, server + clients:\n\n| | embedded | original |\n|---|---:|---:|\n",
        );
        for row in &self.cores {
            let cores = |side: fn(&Sides) -> &[f64]| {
                format!(
                    "{:.2} + {:.2}",
                    median(side(&row.server)),
                    median(side(&row.client))
                )
            };
            text += &format!(
                "| {} | {} | {} |\n",
                row.name,
                cores(|sides| &sides.embedded),
                cores(|sides| &sides.original)
            );
        }
        text
    }
}

/// How it was measured, for the top of the page.
const METHOD: &str = "\
Written by `cargo xtask bench backend`. *Embedded* is the host in a release build with `sync = \"embedded\"` stores, no \
plugins, and the default durability `full`. *Original* is `@livestore/sync-cf` in workerd, unmodified: one Durable \
Object per store, its log in SQLite. Both keep their logs on the same disk, and each measure begins with a new process \
and empty logs. They run one after the other on the same machine, in three rounds of alternating order, each number \
being the median. The clients run beside them, on the same cores.

- *Accepted*: events in acked pushes, until the last ack. An event is a chat message of about 200 bytes. One writer in \
each store; nobody follows. Afterwards every log is read back: each event must be there once, in its place, as it was \
pushed.
- *Latency*: 100 events a second over all stores, one in each push; another client follows each store. From the push to \
the event at that client, and to the ack.
- *Memory*: resident bytes of the server's process, at rest, with each connection's live pull open; the first \
connection to each store is not counted.
- *Catch-up*: one client pulls the whole log, page after page.
";

/// What stands above the floor.
const BOUNDS: &str = "\
- *One push at a time in one store*: the disk. On both sides an ack waits until the push is synced to it (the original \
syncs once for each push as well), and nobody else has anything to sync meanwhile. The more events in a push, the less \
it matters.
- *Many pushes at once*, in one store or in many: all that arrive while the disk syncs share the next sync, so what is \
left is computing, of which the clients take their part. The client alone is faster than either server, as the first \
table below shows.
- *The original* computes in any case: its process keeps a core busy under each of these loads.
- *Latency*: one sync of the disk and a round trip, at a rate at which disk and processor rest in between (the second and third line below), and waking four threads, one after the other.
- *Catch-up*: computing.
";

/// Of an even number of values the upper one.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_medians_and_ratios_in_the_right_direction() {
        let mut table = Table::default();
        for (embedded, original) in [(900.0, 10.0), (1000.0, 20.0), (5000.0, 90.0)] {
            table.record(Kind::Embedded, "accepted", "/s", Better::More, embedded);
            table.record(Kind::Original, "accepted", "/s", Better::More, original);
        }
        table.record(Kind::Original, "latency", "ms", Better::Less, 30.0);
        table.record(Kind::Embedded, "latency", "ms", Better::Less, 0.5);
        table.cores(Kind::Embedded, "accepted", 1.0, 0.5);
        table.cores(Kind::Original, "accepted", 1.25, 0.125);
        table.floor("syncs", "/s", 4000.0);
        let machine = Machine {
            cores: 2,
            versions: vec!["node 20".to_owned()],
        };
        let text = table.markdown(&machine);
        for line in [
            "2 cores · node 20",
            "| accepted | 1000 /s | 20.0 /s | 50.0× |",
            "| latency | 0.50 ms | 30.0 ms | 60.0× |",
            "| syncs | 4000 /s |",
            "| accepted | 1.00 + 0.50 | 1.25 + 0.12 |",
        ] {
            assert!(text.contains(line), "no {line:?} in:\n{text}");
        }
    }
}
