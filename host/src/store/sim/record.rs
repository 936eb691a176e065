//! The oracle's reading of a log: every run's drafts lie in it once, whole, and answer what is there.

use std::collections::BTreeMap;

use crate::event::{Event, SeqNum};
use crate::id::PluginName;
use crate::stamp::{DraftStamp, RunId, Trigger};
use crate::store::History;
use crate::store::sim::backend::Log;
use crate::store::sim::guest::Guest;
use crate::store::sim::oracle::{Evidence, Rule, Sets, Violation};
use crate::store::sim::plan::Hosts;

impl Evidence<'_> {
    /// Every run's drafts are in a log once, whole, together, and answer what is there.
    pub(super) fn judge_log(&self, number: usize, log: &Log) -> Result<Sets, Violation> {
        let head = usize::try_from(log.head.get()).expect("model logs are short");
        let rows = &log.rows[..head];
        let mut sets = Sets::new();
        let mut latest: BTreeMap<PluginName, SeqNum> = BTreeMap::new();
        let mut position = 0;
        while position < rows.len() {
            let Some(author) = DraftStamp::parse(&rows[position].session_id) else {
                position += 1;
                continue;
            };
            let run = author.stamp.run.clone();
            let set = &rows[position..rows.len().min(position + author.count as usize)];
            if let Some(first) = sets.insert(run.clone(), rows[position].seq) {
                let text = format!("{run} is in the log at {first} and {}", rows[position].seq);
                return Err(Violation::new(Rule::Double, text));
            }
            position += set.len();
            let Some(trigger) = self.judge_set(rows, set, &author)? else {
                continue;
            };
            self.judge_past(number, &run, trigger)?;
            let before = latest
                .insert(run.plugin.clone(), trigger)
                .unwrap_or_default();
            if before > trigger && self.chronicle.order_is_promised(self.plan) {
                let text = format!("{run} lies behind the answer to {before}");
                return Err(Violation::new(Rule::Order, text));
            }
        }
        Ok(sets)
    }

    /// One run's drafts, or what is told of one; says which event they answer.
    fn judge_set(
        &self,
        rows: &[Event],
        set: &[Event],
        author: &DraftStamp,
    ) -> Result<Option<SeqNum>, Violation> {
        let run = &author.stamp.run;
        for (index, event) in set.iter().enumerate() {
            let place = DraftStamp::parse(&event.session_id);
            let whole = place.is_some_and(|place| {
                place.stamp == author.stamp
                    && place.index as usize == index
                    && place.count == author.count
            });
            if !whole || set.len() != author.count as usize {
                let text = format!("{run} at {}: its drafts are not together", set[0].seq);
                return Err(Violation::new(Rule::Torn, text));
            }
        }
        match run.trigger {
            Trigger::Event(seq) => self
                .judge_answer(rows, set, author, seq)
                .map(|()| Some(seq)),
            Trigger::Occurrence { .. } | Trigger::Trace { .. } => {
                self.judge_occurrence(set, author).map(|()| None)
            }
        }
    }

    fn judge_answer(
        &self,
        rows: &[Event],
        set: &[Event],
        author: &DraftStamp,
        seq: SeqNum,
    ) -> Result<(), Violation> {
        let run = &author.stamp.run;
        let alien =
            |what: &str| Violation::new(Rule::Alien, format!("{run} at {}: {what}", set[0].seq));
        let trigger = rows
            .iter()
            .find(|event| event.seq == seq && seq < set[0].seq);
        let Some(trigger) = trigger else {
            return Err(alien("its trigger does not lie before it"));
        };
        let guest = self.guest(&run.plugin)?;
        self.judge_drafts(guest, set, run, &trigger.args, guest.drafts)?;
        if !guest.may_want(trigger) {
            return Err(alien("its plugin does not want that event"));
        }
        let depth = DraftStamp::parse(&trigger.session_id).map_or(0, |cause| cause.stamp.depth) + 1;
        if author.stamp.depth != depth || depth > self.plan.limits.depth_max {
            let text = format!(
                "{run} has depth {}, its trigger makes it {depth}",
                author.stamp.depth
            );
            return Err(Violation::new(Rule::Depth, text));
        }
        Ok(())
    }

    /// Drafts are those that the guest gives to what has this subject, all `count` of them.
    pub(super) fn judge_drafts(
        &self,
        guest: &Guest,
        set: &[Event],
        run: &RunId,
        subject: &str,
        count: usize,
    ) -> Result<(), Violation> {
        if set.len() != count {
            let text = format!("{run}: some of its drafts are not there");
            return Err(Violation::new(Rule::Torn, text));
        }
        let Some(first) = set.first() else {
            return Ok(());
        };
        let reacted = first.args.trim_matches('"').rsplit(' ').next();
        let reacted = reacted.and_then(|text| text.parse().ok()).unwrap_or(0);
        let expected = guest.drafts(subject, reacted);
        let mut same = expected.iter().zip(set);
        if same.all(|(draft, event)| draft.name == event.name && draft.args == event.args) {
            return Ok(());
        }
        let text = format!("{run} at {}: it answers something else", first.seq);
        Err(Violation::new(Rule::Alien, text))
    }

    /// The past was reacted to only by those who want it.
    fn judge_past(&self, log: usize, run: &RunId, trigger: SeqNum) -> Result<(), Violation> {
        let wanted = self.guest(&run.plugin)?.history == History::React;
        let past = if log == 0 {
            self.plan.history_events
        } else {
            0
        };
        let records = self
            .journals
            .iter()
            .map(|(content, _)| content.subscriptions.get(&run.plugin));
        // With one journal, whose starts no removal and no backup moved, the record itself says what the past is.
        let steady = !self.chronicle.membership_changed && !self.chronicle.restored;
        let react_from = match self.plan.hosts {
            Hosts::One | Hosts::Shared if steady && log + 1 == self.logs.len() => records
                .flatten()
                .map(|record| record.react_from.get())
                .max()
                .unwrap_or(0),
            Hosts::One | Hosts::Shared | Hosts::Two | Hosts::Copied => 0,
        };
        if !wanted && trigger.get() <= past.max(react_from) {
            let text = format!("{run} reacts to what lies before {}", past.max(react_from));
            return Err(Violation::new(Rule::Past, text));
        }
        Ok(())
    }
}
