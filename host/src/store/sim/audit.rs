//! The oracle's account of tasks: every time at which a task was due has a record in each journal whose host could see to
//! it, what is done is in kv and in the log once, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Event;
use crate::id::PluginName;
use crate::stamp::{DraftStamp, RunId, TraceStep, Trigger};
use crate::store::sim::clockwork::{self, JITTER_MAX, PERIOD_MAX};
use crate::store::sim::diary::occurrence_of;
use crate::store::sim::guest::{self, Guest, Kv};
use crate::store::sim::host::Standing;
use crate::store::sim::journal::Content;
use crate::store::sim::oracle::{Evidence, Rule, Sets, Violation};
use crate::store::{ExecutionState, Origin, TaskKey, TaskRecord};
use crate::time::Timestamp;

/// How many due times of one task are looked for, latest first.
const DUES_MAX: usize = 400;

impl Evidence<'_> {
    /// What a task's run has left in the log, or what is told of it.
    pub(super) fn judge_occurrence(
        &self,
        set: &[Event],
        author: &DraftStamp,
    ) -> Result<(), Violation> {
        let run = &author.stamp.run;
        let guest = self.guest(&run.plugin)?;
        let (key, due) = occurrence_of(run).expect("it is no run of an event");
        let diary = &self.chronicle.diary;
        let broken = |rule, text| Err(Violation::new(rule, format!("{run}: {text}")));
        if !diary.is_named(guest, &key, due) {
            return broken(Rule::Alien, "nobody wanted it then");
        }
        if !diary.may_have_depth(guest, &key, author.stamp.depth) {
            return broken(Rule::Depth, "whoever scheduled it had another depth");
        }
        let names = clockwork::trace_names();
        let told = set.last().map(|event| &event.name);
        let (told_as, drafts) = match &run.trigger {
            Trigger::Trace { step, .. } => {
                let name = match step {
                    TraceStep::Started => &names.started,
                    TraceStep::Failed => &names.failed,
                };
                (Some(name), 0)
            }
            Trigger::Occurrence { .. } | Trigger::Event(_) => {
                (guest.traced.then_some(&names.completed), guest.drafts)
            }
        };
        if told_as.is_some() && told != told_as {
            return broken(Rule::Torn, "nobody is told of it");
        }
        let own = &set[..set.len() - usize::from(told_as.is_some())];
        let subject = format!("{}@{}", key.task, due.as_millis());
        self.judge_drafts(guest, own, run, &subject, drafts)
    }

    /// What a guest's kv says of its occurrences, against the journal and the log. Answers how many of those have drafts of
    /// the guest's own.
    pub(super) fn judge_occurrences(
        &self,
        number: usize,
        content: &Content,
        guest: &Guest,
        kv: &Kv,
        sets: &Sets,
    ) -> Result<u64, Violation> {
        let plugin = &guest.plugin;
        let counted = kv.keys().filter_map(|it| guest::ran(plugin, it));
        let counted: BTreeSet<(TaskKey, Timestamp)> = counted.collect();
        let is_done = |place: &(TaskKey, Timestamp)| {
            let record = content.executions.get(place);
            record.is_some_and(|it| it.state == ExecutionState::Done)
        };
        for place in &counted {
            if !is_done(place) {
                let text = format!(
                    "journal {number}: {} ran, and is not done",
                    place.0.run(place.1)
                );
                return Err(Violation::new(Rule::Kv, text));
            }
        }
        let mut answers = 0;
        let own = content.executions.iter();
        for ((key, due), record) in own.filter(|((key, _), _)| key.plugin == *plugin) {
            let run = key.run(*due);
            let ran = guest::read(kv, &guest::ran_key(&key.task, *due));
            let done = record.state == ExecutionState::Done;
            if ran != u64::from(done) {
                let text = format!(
                    "journal {number}: {run} is {:?}, and ran {ran} times",
                    record.state
                );
                return Err(Violation::new(Rule::Kv, text));
            }
            let there = sets.contains_key(&run) || content.outbox.contains_key(&run);
            if done && guest.speaks() && !there {
                let text = format!("journal {number}: {run} is done, its drafts are nowhere");
                return Err(Violation::new(Rule::Lost, text));
            }
            answers += u64::from(done && guest.drafts > 0);
            let failed = record.state == ExecutionState::Failed;
            let letter = content.dead_letters.get(&run);
            let discarded = self.chronicle.discarded.contains(&(number, run.clone()));
            if failed != letter.is_some() && !discarded {
                let text = format!(
                    "journal {number}: {run} is {:?}, as a dead letter: {letter:?}",
                    record.state
                );
                return Err(Violation::new(Rule::Lost, text));
            }
            if let Some(letter) = letter {
                let usual = self.plan.timing.run.attempts_max;
                let attempts_max = self.chronicle.diary.attempts_max(guest, key, usual);
                if guest.tasks.contains_key(&key.task) {
                    self.judge_letter(guest, letter, attempts_max)?;
                }
            }
        }
        Ok(answers)
    }

    /// The tasks of a journal at rest.
    pub(super) fn judge_tasks(
        &self,
        number: usize,
        content: &Content,
        configured: &BTreeMap<PluginName, Standing>,
        sets: &Sets,
    ) -> Result<(), Violation> {
        for record in content.tasks.values() {
            if configured[&record.key.plugin] == Standing::Serving {
                self.judge_task(number, content, record)?;
            }
        }
        for key in &self.wanted[number] {
            if content.tasks.get(key).is_none_or(|it| it.gone) {
                let text = format!("journal {number}: {key} is declared, and is not there");
                return Err(Violation::new(Rule::Lost, text));
            }
        }
        for record in content.executions.values() {
            let serves = configured[&record.key.plugin] == Standing::Serving;
            if serves && record.state.is_open() {
                let text = format!("journal {number}: {record:?} is not over");
                return Err(Violation::new(Rule::Wedge, text));
            }
        }
        for guest in &self.plan.guests {
            if configured[&guest.plugin] == Standing::Serving {
                self.judge_schedule(number, content, guest)?;
            }
        }
        self.judge_remembered(number, content, configured)?;
        self.judge_told(number, content, sets)
    }

    /// Every time at which a task was due has a record.
    fn judge_task(
        &self,
        number: usize,
        content: &Content,
        record: &TaskRecord,
    ) -> Result<(), Violation> {
        let key = &record.key;
        let diary = &self.chronicle.diary;
        let from = diary.counts_from(number, key);
        let Some(from) = from.filter(|_| !record.gone && record.paused.is_none()) else {
            return Ok(());
        };
        let to = self.walls[number] - JITTER_MAX;
        for due in clockwork::dues(&record.plan, from, to, DUES_MAX) {
            let known = content.executions.contains_key(&(key.clone(), due));
            if !known && !diary.is_shared(number, key, due) {
                let text = format!(
                    "journal {number}: {} has no record; {record:?}",
                    key.run(due)
                );
                return Err(Violation::new(Rule::Lost, text));
            }
        }
        Ok(())
    }

    /// What a guest's runs scheduled is what is scheduled: the guest has noted it in its kv, in the same commits.
    fn judge_schedule(
        &self,
        number: usize,
        content: &Content,
        guest: &Guest,
    ) -> Result<(), Violation> {
        let kv = content.kv.get(&guest.plugin).cloned().unwrap_or_default();
        let of_guest = |it: &&std::sync::Arc<TaskRecord>| it.key.plugin == guest.plugin;
        let scheduled = content.tasks.values().filter(of_guest);
        let scheduled = scheduled.filter(|it| matches!(it.origin, Origin::Scheduled { .. }));
        for record in scheduled.filter(|it| !it.gone) {
            let noted = kv.get(&guest::plan_key(&record.key.task));
            if noted.map(|it| &**it) != Some(format!("{:?}", record.plan).as_bytes()) {
                let text = format!("journal {number}: its plugin did not schedule {record:?}");
                return Err(Violation::new(Rule::Kv, text));
            }
        }
        for (noted, plan) in &kv {
            let Some(task) = noted.strip_prefix("plan/") else {
                continue;
            };
            let key = TaskKey {
                plugin: guest.plugin.clone(),
                task: task.into(),
            };
            // What is due once is over then.
            let repeats = !String::from_utf8_lossy(plan).contains("At(");
            if repeats && content.tasks.get(&key).is_none_or(|it| it.gone) {
                let text = format!("journal {number}: {key} was scheduled, and is not there");
                return Err(Violation::new(Rule::Lost, text));
            }
        }
        Ok(())
    }

    /// A run that landed is not remembered any longer than it may be of use.
    fn judge_remembered(
        &self,
        number: usize,
        content: &Content,
        configured: &BTreeMap<PluginName, Standing>,
    ) -> Result<(), Violation> {
        let wall = self.walls[number];
        for run in &content.landed_occurrences {
            let (key, due) = occurrence_of(run).expect("only those of tasks are remembered");
            let task = content.tasks.get(&key);
            let counts = task.is_some_and(|it| !it.gone && it.paused.is_none());
            let repeats = task.is_some_and(|it| {
                !clockwork::dues(
                    &it.plan,
                    wall - PERIOD_MAX - JITTER_MAX,
                    wall - JITTER_MAX,
                    1,
                )
                .is_empty()
            });
            let from = self.chronicle.diary.counts_from(number, &key);
            let counts = counts && from.is_some_and(|it| it + PERIOD_MAX + JITTER_MAX < wall);
            // Should the clock go back behind it, it may come again.
            let unseen = task.is_some_and(|it| it.unseen.iter().any(|of| of.contains(due)));
            let counts = counts && !unseen;
            let serves = configured[&key.plugin] == Standing::Serving;
            if counts && repeats && serves && due + PERIOD_MAX + JITTER_MAX < wall {
                let text = format!("journal {number} still remembers that {run} landed");
                return Err(Violation::new(Rule::Held, text));
            }
        }
        Ok(())
    }

    /// The app is told of whatever began, and of whatever was given up.
    fn judge_told(&self, number: usize, content: &Content, sets: &Sets) -> Result<(), Violation> {
        if self.chronicle.commits_lost || self.chronicle.restored {
            return Ok(());
        }
        for ((key, due), record) in &content.executions {
            if !self.guest(&key.plugin)?.traced {
                continue;
            }
            let trace = |step| RunId {
                plugin: key.plugin.clone(),
                trigger: Trigger::Trace {
                    task: key.task.clone(),
                    due: *due,
                    step,
                },
            };
            let there = |run: &RunId| sets.contains_key(run) || content.outbox.contains_key(run);
            let started = trace(TraceStep::Started);
            let failed = trace(TraceStep::Failed);
            let done_by_others = sets.contains_key(&key.run(*due));
            let untold = record.started.is_some() && !there(&started);
            let unmourned =
                record.state == ExecutionState::Failed && !done_by_others && !there(&failed);
            if untold || unmourned {
                let text = format!("journal {number}: nobody was told of {record:?}");
                return Err(Violation::new(Rule::Lost, text));
            }
        }
        Ok(())
    }
}
