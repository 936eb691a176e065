//! A time zone as strips: stretches of time within which a pattern is due whenever it matches the instant plus one fixed
//! number of seconds. Jumps of the clock, and what a policy makes of them, are all in how the strips are cut.

use std::ops::Range;

use super::zone::{Segment, Zone};
use super::{Fold, Gap};

/// Whose clock counts, and what its jumps mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    pub(super) zone: &'a Zone,
    pub(super) gap: Gap,
    pub(super) fold: Fold,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Due,
    /// What the policy leaves out.
    Omitted,
}

/// What a strip's wall times are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Times that the clock shows.
    Shown,
    /// Times that it jumps over, where it would have shown them had it not jumped.
    Lost,
}

/// Wall times that lie one `offset` after their instants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    pub(super) walls: Range<i64>,
    pub(super) offset: i64,
    pub(super) kind: Kind,
}

impl Policy<'_> {
    /// The strips of one segment.
    pub(super) fn strips(self, segment: Segment, wanted: Wanted) -> Vec<Strip> {
        let around = self.zone.around(segment);
        let mut shown = vec![segment.walls()];
        let mut omitted = Vec::new();
        for other in around.iter().filter(|other| self.yields(segment, **other)) {
            omitted.extend(shown.iter().map(|walls| common(walls, &other.walls())));
            shown = without(shown, &other.walls());
        }
        omitted.retain(|walls| !walls.is_empty());
        let walls = match wanted {
            Wanted::Due => shown,
            Wanted::Omitted => omitted,
        };
        let shown = walls.into_iter().map(|walls| Strip {
            walls,
            offset: segment.offset,
            kind: Kind::Shown,
        });
        let lost = match (wanted, self.gap) {
            (Wanted::Due, Gap::Shift) | (Wanted::Omitted, Gap::Skip) => lost(&around, segment),
            (Wanted::Due, Gap::Skip) | (Wanted::Omitted, Gap::Shift) => Vec::new(),
        };
        shown.chain(lost).collect()
    }

    /// Whether a wall time that both segments show is the other's.
    fn yields(self, segment: Segment, other: Segment) -> bool {
        match self.fold {
            Fold::First => other.start < segment.start,
            Fold::Last => other.start > segment.start,
            Fold::Both => false,
        }
    }
}

/// The wall times that were jumped over at a segment's start or shortly before, and that no other segment shows; those
/// whose instants by the clock before the jump lie in this segment.
fn lost(around: &[Segment], segment: Segment) -> Vec<Strip> {
    let mut before: Vec<Range<i64>> = Vec::new();
    let mut strips = Vec::new();
    for pair in around.windows(2) {
        let [old, new] = pair else { continue };
        if new.start > segment.start {
            break;
        }
        let gap = old.walls().end..new.walls().start;
        let there = Segment {
            offset: old.offset,
            ..segment
        };
        let mut walls = vec![common(&gap, &there.walls())];
        let taken = around.iter().map(|segment| segment.walls());
        for taken in taken.chain(before.iter().cloned()) {
            walls = without(walls, &taken);
        }
        strips.extend(walls.into_iter().map(|walls| Strip {
            walls,
            offset: old.offset,
            kind: Kind::Lost,
        }));
        before.push(gap);
    }
    strips
}

fn common(one: &Range<i64>, other: &Range<i64>) -> Range<i64> {
    one.start.max(other.start)..one.end.min(other.end)
}

fn without(ranges: Vec<Range<i64>>, taken: &Range<i64>) -> Vec<Range<i64>> {
    if taken.is_empty() {
        return ranges;
    }
    let pieces = ranges.into_iter().flat_map(|range| {
        [
            range.start..range.end.min(taken.start),
            range.start.max(taken.end)..range.end,
        ]
    });
    pieces.filter(|piece| !piece.is_empty()).collect()
}
