//! A pass as people read it.

use std::io::{self, Write};

use crate::cli::table;
use crate::host::once::{Pass, Passed};
use crate::store::ExecutionState;

/// What is counted, in the order of the columns.
const STATES: [ExecutionState; 4] = [
    ExecutionState::Done,
    ExecutionState::Failed,
    ExecutionState::Missed,
    ExecutionState::Skipped,
];

/// Prints the stores in which something happened or is wrong, and a line about all.
pub(super) fn pass(pass: &Pass, out: &mut dyn Write) -> io::Result<()> {
    let told: Vec<&Passed> = pass.stores.iter().filter(|it| is_telling(it)).collect();
    if !told.is_empty() {
        let mut rows = vec![head()];
        rows.extend(told.into_iter().map(row));
        table::print(&rows, out)?;
    }
    let unserved = pass.stores.iter().filter(|passed| !passed.served).count();
    let stores = table::count(pass.stores.len() as u64, "store");
    let counts = STATES.map(|state| format!("{} {}", pass.count(state), state.as_str()));
    let took = f64::from(u32::try_from(pass.took_ms).unwrap_or(u32::MAX)) / 1000.0;
    let end = match unserved {
        0 => String::new(),
        unserved => format!("; {unserved} not through"),
    };
    writeln!(out, "{stores} in {took:.1} s: {}{end}", counts.join(", "))
}

fn is_telling(passed: &Passed) -> bool {
    !passed.executions.is_empty() || passed.reason.is_some() || !passed.served
}

fn head() -> Vec<String> {
    let states = STATES.iter().map(|state| state.as_str());
    let columns = std::iter::once("store").chain(states).chain([""]);
    columns.map(str::to_owned).collect()
}

fn row(passed: &Passed) -> Vec<String> {
    let count = |state: &ExecutionState| {
        let count = passed.executions.get(state.as_str());
        count.copied().unwrap_or(0).to_string()
    };
    let mut row = vec![passed.store.to_string()];
    row.extend(STATES.iter().map(count));
    row.push(passed.reason.as_deref().unwrap_or_default().to_owned());
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(store: &str, served: bool, done: usize) -> Passed {
        let done = (done > 0).then(|| (ExecutionState::Done.as_str(), done));
        Passed {
            store: store.parse().expect("an id"),
            served,
            reason: (!served).then(|| "it is backing-off".into()),
            executions: done.into_iter().collect(),
            next_due: None,
        }
    }

    #[test]
    fn stores_in_which_nothing_happened_are_only_counted() {
        let stores = vec![
            passed("a", true, 2),
            passed("b", true, 0),
            passed("c", false, 0),
        ];
        let mut out = Vec::new();
        let took_ms = 1_250;
        pass(&Pass { stores, took_ms }, &mut out).expect("a vector takes all");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "store  done  failed  missed  skipped\n\
             a      2     0       0       0\n\
             c      0     0       0       0        it is backing-off\n\
             3 stores in 1.2 s: 2 done, 0 failed, 0 missed, 0 skipped; 1 not through\n"
        );
    }
}
