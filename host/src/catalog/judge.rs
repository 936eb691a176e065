//! When a new version is taken back by itself. Pure: it is told the numbers.

use std::time::Duration;

use crate::catalog::choice::{Lineup, name_of};
use crate::catalog::tally::Counts;
use crate::config::Rollback;
use crate::control::Version;
use crate::id::PluginDigest;
use crate::time::Timestamp;

/// Runs after which a version is new no more: what fails later has another cause, and the version before would fail too.
const PROBATION_RUNS: u64 = 1_000;

/// Time after which a version is new no more, for plugins that run a few times a day; and since runs are counted anew by
/// each process, so that no restart puts an old version on probation again.
const PROBATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs of the version before that make its own failures worth comparing with.
const COMPARABLE_RUNS: u64 = 5;

/// A version to be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The version.
    pub(super) sha256: PluginDigest,
    /// Why, and what runs instead.
    pub(super) why: String,
}

/// The version that is on probation, with the one to go back to.
pub(super) fn on_probation(lineup: &Lineup, now: Timestamp) -> Option<(&Version, &Version)> {
    let newest = lineup.newest().filter(|it| !it.withdrawn)?;
    let since = newest.promoted_at.unwrap_or_default().max(newest.seen_at);
    let before = lineup.before(Some(&newest.sha256))?;
    (now.since(since) < PROBATION).then_some((newest, before))
}

/// What is to be done about the newest version of a plugin, given how its versions' runs ended.
pub(super) fn judge(
    lineup: &Lineup,
    counts: impl Fn(&PluginDigest) -> Counts,
    rule: &Rollback,
    now: Timestamp,
) -> Option<Verdict> {
    let percent = rule.failures_percent?;
    let (newest, before) = on_probation(lineup, now)?;
    let (of_newest, of_before) = (counts(&newest.sha256), counts(&before.sha256));
    let Counts { runs, failures } = of_newest;
    let in_time = (u64::from(rule.runs_min)..=PROBATION_RUNS).contains(&runs) && runs > 0;
    let often = failures.saturating_mul(100) >= u64::from(percent).saturating_mul(runs);
    if !in_time || !often || failures == 0 || !is_worse(of_newest, of_before) {
        return None;
    }
    let why = format!(
        "{failures} of {runs} runs of {} failed, of {} {} of {}; every store that nobody pinned goes back to the latter",
        name_of(newest),
        name_of(before),
        of_before.failures,
        of_before.runs
    );
    let sha256 = newest.sha256.clone();
    Some(Verdict { sha256, why })
}

/// Whether the new version fails at least twice as often as the one before it.
fn is_worse(new: Counts, before: Counts) -> bool {
    let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
    before.runs < COMPARABLE_RUNS
        || wide(new.failures, before.runs) >= 2 * wide(before.failures, new.runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::choice::tests::{at, digest, lineup, version};

    const RULE: Rollback = Rollback {
        failures_percent: Some(50),
        runs_min: 20,
    };

    fn counts(runs: u64, failures: u64) -> Counts {
        Counts { runs, failures }
    }

    /// Whether `c` is withdrawn, the runs of `b` before it having ended as `before` says.
    fn withdrawn(lineup: &Lineup, new: Counts, before: Counts, rule: &Rollback) -> bool {
        let of = |sha256: &PluginDigest| if *sha256 == digest('c') { new } else { before };
        let verdict = judge(lineup, of, rule, at(1_000));
        let right = |it: &Verdict| {
            assert_eq!(it.sha256, digest('c'));
            assert!(
                it.why.contains("1.0.c") && it.why.contains("1.0.b"),
                "{}",
                it.why
            );
        };
        verdict.inspect(right).is_some()
    }

    #[test]
    fn a_version_is_withdrawn_when_it_has_run_enough_and_failed_too_often() {
        let line = lineup();
        let none = counts(0, 0);
        assert!(
            !withdrawn(&line, counts(19, 19), none, &RULE),
            "too few runs"
        );
        assert!(!withdrawn(&line, counts(20, 9), none, &RULE), "below half");
        assert!(withdrawn(&line, counts(20, 10), none, &RULE));
        assert!(withdrawn(&line, counts(1_000, 500), none, &RULE));
        assert!(
            !withdrawn(&line, counts(1_001, 1_001), none, &RULE),
            "not new"
        );
    }

    #[test]
    fn a_version_that_fails_as_the_one_before_stays() {
        let line = lineup();
        assert!(!withdrawn(&line, counts(20, 20), counts(100, 51), &RULE));
        assert!(withdrawn(&line, counts(20, 20), counts(100, 50), &RULE));
        assert!(
            withdrawn(&line, counts(20, 10), counts(4, 4), &RULE),
            "four say nothing"
        );
        assert!(!withdrawn(&line, counts(20, 10), counts(5, 5), &RULE));
    }

    #[test]
    fn nothing_is_withdrawn_that_nothing_comes_before_or_that_is_not_new() {
        let (bad, none) = (counts(20, 20), counts(0, 0));
        let never = Rollback {
            failures_percent: None,
            ..RULE
        };
        assert!(!withdrawn(&lineup(), bad, none, &never));
        let mut old = lineup();
        old.put(version('c', 30, Some(40)));
        let of = |sha256: &PluginDigest| if *sha256 == digest('c') { bad } else { none };
        assert!(judge(&old, of, &RULE, at(41)).is_some());
        assert_eq!(judge(&old, of, &RULE, at(40) + PROBATION), None);
        let mut alone = lineup();
        alone.versions.truncate(1);
        assert_eq!(judge(&alone, of, &RULE, at(41)), None);
        let mut gone = lineup();
        gone.versions[0].withdrawn = true;
        assert_eq!(judge(&gone, of, &RULE, at(41)), None);
        let whatever = Rollback {
            failures_percent: Some(0),
            runs_min: 0,
        };
        assert!(!withdrawn(&lineup(), none, none, &whatever));
        assert!(!withdrawn(&lineup(), counts(5, 0), none, &whatever));
    }
}
