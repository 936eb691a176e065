//! The oracle: what the promises say of a world, judged from what anybody could see: the logs, the journals, and what
//! went over the border of the machine. It knows the guests, and nothing of how the machine works.

use std::collections::BTreeMap;
use std::fmt;

use crate::event::{Event, SeqNum};
use crate::id::PluginName;
use crate::stamp::{DraftStamp, RunId, Trigger};
use crate::store::sim::backend::Log;
use crate::store::sim::chronicle::Chronicle;
use crate::store::sim::guest::{self, Guest, Mood};
use crate::store::sim::host::Standing;
use crate::store::sim::journal::Content;
use crate::store::sim::plan::{Hosts, Plan};
use crate::store::{DeadLetter, History, Landed, SubscriptionRecord, TaskKey};
use crate::time::Timestamp;

/// A promise that a world broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// P2: an effect is in the log twice.
    Double,
    /// P2: an effect is in the log in part, or its log and kv differ.
    Torn,
    /// P1, P5: a trigger has neither effect nor dead letter, or a committed draft is nowhere.
    Lost,
    /// P2: kv counts a trigger twice, or not at all.
    Kv,
    /// P2: an effect answers an event of another log, or none.
    Alien,
    /// P3: effects lie in another order than their triggers.
    Order,
    /// The past was reacted to where the plugin does not want it.
    Past,
    /// P1: a start moved.
    Start,
    /// P2: a cursor went back.
    Cursor,
    /// P4: more attempts than allowed, or a dead letter without cause.
    Attempts,
    /// P10: a run begins that its store has no fuel for.
    Ration,
    /// An occurrence runs unclaimed, or is claimed when it is done.
    Claim,
    /// An occurrence was left out without cause.
    Omitted,
    /// A chain of runs longer than allowed.
    Depth,
    /// Drafts left the host that the journal did not have.
    Uncommitted,
    /// A push that breaks the protocol's limits or numbering.
    Push,
    /// A dead letter or parked draft does not know that it is in the log.
    Deaf,
    /// P5: something does not settle although all faults have stopped.
    Wedge,
    /// P13, P22: something is held that should be bounded or forgotten.
    Held,
    /// The store stopped, and no reason for it was true.
    Stopped,
    /// The machine, or the model, broke down.
    Panic,
}

/// A broken promise, and how it shows.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) text: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self {
            rule,
            text: text.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// Everything that is judged.
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a Plan,
    pub(super) chronicle: &'a Chronicle,
    pub(super) logs: &'a [Log],
    /// Journals at rest, each with the plugins that are served from it. None if the world came to an end that needs
    /// somebody to look.
    pub(super) journals: Vec<(&'a Content, &'a BTreeMap<PluginName, Standing>)>,
    /// What the wall clock of each journal's host shows.
    pub(super) walls: Vec<Timestamp>,
    /// The tasks that its settings declare.
    pub(super) wanted: Vec<Vec<TaskKey>>,
}

/// A run's drafts in a log: where they begin, and how many there are.
pub(super) type Sets = BTreeMap<RunId, SeqNum>;

impl Evidence<'_> {
    /// Judges a world in which everything has settled.
    pub(super) fn judge(&self) -> Result<(), Violation> {
        let mut served = Sets::new();
        for (number, log) in self.logs.iter().enumerate() {
            served = self.judge_log(number, log)?;
        }
        for (number, (content, configured)) in self.journals.iter().enumerate() {
            self.judge_journal(number, content, configured, &served)?;
            self.judge_tasks(number, content, configured, &served)?;
        }
        self.judge_promises(&served)
    }

    pub(super) fn guest(&self, plugin: &PluginName) -> Result<&Guest, Violation> {
        self.plan.guest(plugin)
    }

    /// Every run's drafts are in a log once, whole, together, and answer what is there.
    fn judge_log(&self, number: usize, log: &Log) -> Result<Sets, Violation> {
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

    /// A journal at rest: every trigger has its effect once, or is a dead letter.
    fn judge_journal(
        &self,
        number: usize,
        content: &Content,
        configured: &BTreeMap<PluginName, Standing>,
        sets: &Sets,
    ) -> Result<(), Violation> {
        let log = self.logs.last().expect("there is always a log");
        if content.backend_id.as_ref() != Some(&log.id) {
            let text = format!("journal {number} belongs to {:?}", content.backend_id);
            return Err(Violation::new(Rule::Wedge, text));
        }
        for (run, entry) in &content.outbox {
            if entry.parked.is_none() {
                let text = format!("journal {number} still wants to push {run}");
                return Err(Violation::new(Rule::Wedge, text));
            }
            if sets.contains_key(run) {
                let text = format!("journal {number} has {run} parked, and it is in the log");
                return Err(Violation::new(Rule::Deaf, text));
            }
            let innocent = !entry
                .drafts
                .iter()
                .any(|draft| self.plan.refuses.covers(&draft.args));
            if innocent && self.plan.refuses.permille > 0 {
                let text = format!("journal {number} has {run} parked, which nobody refused");
                return Err(Violation::new(Rule::Wedge, text));
            }
        }
        for (run, letter) in &content.dead_letters {
            let landed = if sets.contains_key(run) {
                Landed::Yes
            } else {
                Landed::No
            };
            if letter.landed != landed {
                let text = format!(
                    "journal {number} has {run} dead, landed: {:?}",
                    letter.landed
                );
                return Err(Violation::new(Rule::Deaf, text));
            }
        }
        for guest in &self.plan.guests {
            let standing = configured[&guest.plugin];
            match (content.subscriptions.get(&guest.plugin), standing) {
                (Some(record), Standing::Serving) => {
                    self.judge_subscription(number, content, guest, record, sets)?;
                }
                (_, Standing::Missing | Standing::Barred) | (None, Standing::Removed) => {}
                (None, Standing::Serving) => {
                    let text = format!("journal {number}: {} never started", guest.plugin);
                    return Err(Violation::new(Rule::Wedge, text));
                }
                (Some(_), Standing::Removed) => {
                    let text = format!("journal {number}: {} is still there", guest.plugin);
                    return Err(Violation::new(Rule::Wedge, text));
                }
            }
        }
        Ok(())
    }

    fn judge_subscription(
        &self,
        number: usize,
        content: &Content,
        guest: &Guest,
        record: &SubscriptionRecord,
        sets: &Sets,
    ) -> Result<(), Violation> {
        let log = self.logs.last().expect("there is always a log");
        let kv = content.kv.get(&guest.plugin).cloned().unwrap_or_default();
        let mut answers = self.judge_occurrences(number, content, guest, &kv, sets)?;
        for event in &log.rows {
            let run = RunId {
                plugin: guest.plugin.clone(),
                trigger: Trigger::Event(event.seq),
            };
            let letter = content.dead_letters.get(&run);
            let wanted = guest.wants(event) && event.seq > record.start;
            let allowed = guest.may_want(event) && event.seq > record.start;
            let reacting = event.seq > record.react_from;
            let seen = guest::read(&kv, &guest::seen_key(event.seq));
            let discarded = self.chronicle.discarded.contains(&(number, run.clone()));
            let there = sets.contains_key(&run) || content.outbox.contains_key(&run);
            answers += u64::from(there && allowed && reacting && seen > 0);
            let expected = u64::from(wanted && letter.is_none());
            let wide = allowed && letter.is_none() && seen == 1;
            if seen != expected && !wide && !(discarded && seen == 0) {
                let rule = if seen == 0 && event.seq > record.cursor {
                    Rule::Lost
                } else {
                    Rule::Kv
                };
                let text = format!(
                    "journal {number}: {run} was seen {seen} times and not {expected}; {record:?}"
                );
                return Err(Violation::new(rule, text));
            }
            if seen > 0 && reacting && guest.drafts > 0 && !there {
                let text = format!("journal {number}: {run} is in kv, its drafts are nowhere");
                return Err(Violation::new(Rule::Lost, text));
            }
            if let Some(letter) = letter {
                let attempts_max = self.plan.timing.run.attempts_max;
                self.judge_letter(guest, letter, attempts_max)?;
            }
        }
        let reacted = guest::read(&kv, guest::REACTED);
        if guest.drafts > 0 && reacted != answers {
            let text = format!(
                "journal {number}: {} reacted {reacted} times, {answers} answers are there",
                guest.plugin
            );
            return Err(Violation::new(Rule::Kv, text));
        }
        Ok(())
    }

    /// In a world where nothing went wrong but guests, only those die that must.
    pub(super) fn judge_letter(
        &self,
        guest: &Guest,
        letter: &DeadLetter,
        attempts_max: u32,
    ) -> Result<(), Violation> {
        let failures = letter.failures.len();
        if self.chronicle.disturbed || letter.stamp.depth > self.plan.limits.depth_max {
            return Ok(());
        }
        let subject = guest::subject(&letter.cause);
        let mood = guest.mood(&self.plan.moods, self.plan.seed, &subject);
        let attempts_max = attempts_max as usize;
        let deserved = match mood {
            Mood::Hopeless => failures == attempts_max,
            Mood::Rejecting => failures == 1,
            Mood::Hesitant { failures: needed } => needed as usize >= attempts_max,
            Mood::Poisonous | Mood::Flaky => true,
            Mood::Fine => false,
        };
        if deserved {
            return Ok(());
        }
        let text = format!(
            "{} was given up after {failures} failures: {mood:?}",
            letter.stamp
        );
        Err(Violation::new(Rule::Attempts, text))
    }

    /// What was committed once lands, or is parked.
    fn judge_promises(&self, sets: &Sets) -> Result<(), Violation> {
        if self.chronicle.commits_lost || self.chronicle.restored || self.journals.is_empty() {
            return Ok(());
        }
        let log = self.logs.last().expect("there is always a log");
        for (id, run) in &self.chronicle.promised {
            let parked = self
                .journals
                .iter()
                .any(|(content, _)| content.outbox.contains_key(run));
            if *id == log.id && !parked && !sets.contains_key(run) {
                let text = format!("the drafts of {run} were committed and are nowhere");
                return Err(Violation::new(Rule::Lost, text));
            }
        }
        Ok(())
    }
}
