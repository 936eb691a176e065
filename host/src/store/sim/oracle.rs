//! The oracle: what the promises say of a world, judged from what anybody could see: the logs, the journals, and what
//! went over the border of the machine. It knows the guests, and nothing of how the machine works.

use std::collections::BTreeMap;
use std::fmt;

use crate::event::SeqNum;
use crate::id::PluginName;
use crate::stamp::{RunId, Trigger};
use crate::store::sim::backend::Log;
use crate::store::sim::chronicle::Chronicle;
use crate::store::sim::guest::{self, Guest, Mood};
use crate::store::sim::host::Standing;
use crate::store::sim::journal::Content;
use crate::store::sim::plan::Plan;
use crate::store::{DeadLetter, Landed, SubscriptionRecord, TaskKey};
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
