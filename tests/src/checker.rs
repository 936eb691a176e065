//! Reads a store's whole log and says everything in it that breaks the promises: what is missing, doubled, torn, out of
//! order, never asked for, or miscounted. It knows nothing of the host but the stamps that stand in the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{LogEvent, Stamp};

mod violation;

pub use violation::Violation;

/// What one plugin owes in one store.
#[derive(Clone, Debug)]
pub struct Derivation {
    plugin: String,
    owes: fn(&LogEvent) -> u32,
    start: u64,
    dead: BTreeSet<u64>,
    counter: Option<fn(&LogEvent) -> Option<u64>>,
    answers: Option<fn(&LogEvent, &LogEvent) -> bool>,
}

/// All events in a log of one run.
type Run<'a> = Vec<(Stamp, &'a LogEvent)>;

impl Derivation {
    /// A plugin that owes `owes(event)` events for each event of the log; 0 means that it is not concerned.
    pub fn new(plugin: &str, owes: fn(&LogEvent) -> u32) -> Self {
        Self {
            plugin: plugin.to_owned(),
            owes,
            start: 0,
            dead: BTreeSet::new(),
            counter: None,
            answers: None,
        }
    }

    /// The plugin owes nothing for events up to `seq`.
    #[must_use]
    pub fn from(mut self, seq: u64) -> Self {
        self.start = seq;
        self
    }

    /// These triggers were given up; nothing may be answered to them.
    #[must_use]
    pub fn dead(mut self, triggers: impl IntoIterator<Item = u64>) -> Self {
        self.dead.extend(triggers);
        self
    }

    /// The first event of each run carries the number of runs so far, which the plugin keeps in its kv.
    #[must_use]
    pub fn counter(mut self, number: fn(&LogEvent) -> Option<u64>) -> Self {
        self.counter = Some(number);
        self
    }

    /// Whether an event (second) is what its trigger (first) calls for.
    #[must_use]
    pub fn answers(mut self, fits: fn(&LogEvent, &LogEvent) -> bool) -> Self {
        self.answers = Some(fits);
        self
    }

    fn owed(&self, event: &LogEvent) -> u32 {
        // A plugin does not see what it wrote itself.
        let own = event
            .stamp()
            .is_some_and(|stamp| stamp.plugin == self.plugin);
        if own || event.seq <= self.start {
            return 0;
        }
        (self.owes)(event)
    }
}

/// Everything in `log` that breaks a promise, given all plugins that work in the store.
pub fn violations(log: &[LogEvent], derivations: &[Derivation]) -> Vec<Violation> {
    let mut found = chain_violations(log);
    for derivation in derivations {
        found.extend(plugin_violations(log, derivation));
    }
    found.extend(stranger_violations(log, derivations));
    found
}

/// An error that lists every violation, if there is any.
pub fn verify(log: &[LogEvent], derivations: &[Derivation]) -> anyhow::Result<()> {
    let found = violations(log, derivations);
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        lines.join("\n")
    );
    Ok(())
}

fn chain_violations(log: &[LogEvent]) -> Vec<Violation> {
    let mut head = 0;
    let mut found = Vec::new();
    for event in log {
        if event.parent != head || event.seq != head + 1 {
            found.push(Violation::Gap {
                after: head,
                found: event.seq,
            });
        }
        head = event.seq;
    }
    found
}

fn stranger_violations(log: &[LogEvent], derivations: &[Derivation]) -> Vec<Violation> {
    let known: BTreeSet<&str> = derivations.iter().map(|d| d.plugin.as_str()).collect();
    let strangers = log.iter().filter_map(|event| {
        let stamp = event.stamp()?;
        let unknown = !known.contains(stamp.plugin.as_str());
        unknown.then_some(Violation::Unexpected {
            plugin: stamp.plugin,
            trigger: stamp.trigger,
            at: event.seq,
        })
    });
    strangers.collect()
}

fn plugin_violations(log: &[LogEvent], derivation: &Derivation) -> Vec<Violation> {
    let triggers: BTreeMap<u64, &LogEvent> = log.iter().map(|event| (event.seq, event)).collect();
    let mut runs: BTreeMap<u64, Run<'_>> = BTreeMap::new();
    for event in log {
        if let Some(stamp) = event.stamp().filter(|s| s.plugin == derivation.plugin) {
            runs.entry(stamp.trigger).or_default().push((stamp, event));
        }
    }
    let mut found = missing(log, derivation, &runs);
    for (&trigger, run) in &runs {
        let event = triggers.get(&trigger).copied();
        found.extend(run_violations(derivation, trigger, event, run));
    }
    found.extend(order_violations(derivation, &runs));
    found.extend(counter_violations(derivation, &runs));
    found
}

fn missing(
    log: &[LogEvent],
    derivation: &Derivation,
    runs: &BTreeMap<u64, Run<'_>>,
) -> Vec<Violation> {
    let owed = log.iter().filter(|event| derivation.owed(event) > 0);
    let unanswered = owed
        .filter(|event| !runs.contains_key(&event.seq) && !derivation.dead.contains(&event.seq));
    let plugin = &derivation.plugin;
    unanswered
        .map(|event| Violation::Missing {
            plugin: plugin.clone(),
            trigger: event.seq,
        })
        .collect()
}

fn run_violations(
    derivation: &Derivation,
    trigger: u64,
    event: Option<&LogEvent>,
    run: &Run<'_>,
) -> Vec<Violation> {
    let plugin = || derivation.plugin.clone();
    let owed = event.map_or(0, |event| derivation.owed(event));
    let mut found = Vec::new();
    for (_, draft) in run {
        if owed == 0 || draft.seq <= trigger {
            found.push(Violation::Unexpected {
                plugin: plugin(),
                trigger,
                at: draft.seq,
            });
            continue;
        }
        if let (Some(fits), Some(event)) = (derivation.answers, event)
            && !fits(event, draft)
        {
            found.push(Violation::WrongAnswer {
                plugin: plugin(),
                trigger,
                at: draft.seq,
            });
        }
    }
    if derivation.dead.contains(&trigger) {
        found.push(Violation::AnsweredThoughDead {
            plugin: plugin(),
            trigger,
        });
    }
    found.extend(shape_violations(derivation, trigger, owed, run));
    found
}

/// Whether the run is there once, whole, in one piece, and of the size that is owed.
fn shape_violations(
    derivation: &Derivation,
    trigger: u64,
    owed: u32,
    run: &Run<'_>,
) -> Vec<Violation> {
    let plugin = || derivation.plugin.clone();
    let mut places: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (stamp, draft) in run {
        places.entry(stamp.index).or_default().push(draft.seq);
    }
    let mut found = Vec::new();
    for (&index, at) in places.iter().filter(|(_, at)| at.len() > 1) {
        found.push(Violation::Doubled {
            plugin: plugin(),
            trigger,
            index,
            at: at.clone(),
        });
    }
    let size = run.iter().map(|(stamp, _)| stamp.count).max().unwrap_or(0);
    let agreed = run.iter().all(|(stamp, _)| stamp.count == size);
    let firsts: Vec<u64> = places
        .values()
        .filter_map(|at| at.first().copied())
        .collect();
    let whole = places.keys().copied().eq(0..size);
    let in_one_piece = firsts.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if !agreed || !whole || !in_one_piece {
        let at = run.iter().map(|(_, draft)| draft.seq).collect();
        found.push(Violation::Torn {
            plugin: plugin(),
            trigger,
            at,
        });
    }
    if owed > 0 && size != owed {
        found.push(Violation::WrongSize {
            plugin: plugin(),
            trigger,
            owed,
            found: size,
        });
    }
    found
}

fn order_violations(derivation: &Derivation, runs: &BTreeMap<u64, Run<'_>>) -> Vec<Violation> {
    let mut found = Vec::new();
    // The run that lies furthest behind, of all triggers so far.
    let mut last: Option<(u64, u64)> = None;
    for (&trigger, run) in runs {
        let Some(place) = run.iter().map(|(_, draft)| draft.seq).min() else {
            continue;
        };
        match last {
            Some((behind, furthest)) if place < furthest => found.push(Violation::OutOfOrder {
                plugin: derivation.plugin.clone(),
                trigger: behind,
                behind: trigger,
            }),
            Some(_) | None => last = Some((trigger, place)),
        }
    }
    found
}

fn counter_violations(derivation: &Derivation, runs: &BTreeMap<u64, Run<'_>>) -> Vec<Violation> {
    let Some(number) = derivation.counter else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for ((&trigger, run), expected) in runs.iter().zip(1..) {
        let first = run.iter().find(|(stamp, _)| stamp.index == 0);
        let counted = first.and_then(|(_, draft)| number(draft));
        if counted != Some(expected) {
            found.push(Violation::Counter {
                plugin: derivation.plugin.clone(),
                trigger,
                expected,
                found: counted,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests;
