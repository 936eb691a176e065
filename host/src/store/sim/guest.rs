//! Model guests: what a plugin answers is a pure function of the event and its kv, so that a second attempt, another host
//! and the oracle all come to the same drafts. Only whether an attempt succeeds may depend on more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Draft, Event, SeqNum};
use crate::id::PluginName;
use crate::stamp::DraftStamp;
use crate::store::sim::clockwork;
use crate::store::sim::host::Standing;
use crate::store::{
    Cause, Declared, History, KvWrite, Mode, RationSettings, ScheduleWrite, SubscriptionSettings,
    TaskKey,
};
use crate::time::Timestamp;

/// One plugin's kv in one store.
pub(super) type Kv = BTreeMap<Arc<str>, Arc<[u8]>>;

/// A plugin: which events it wants, and how many drafts it answers.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) plugin: PluginName,
    pub(super) wants: &'static [&'static str],
    /// What else it wants while its patterns are wide.
    also: &'static [&'static str],
    pub(super) own_events: bool,
    pub(super) history: History,
    answer: &'static str,
    pub(super) drafts: usize,
    /// What it describes as its tasks.
    pub(super) tasks: Declared,
    /// Whether its runs schedule others.
    pub(super) plans: bool,
    /// Whether the app is told of its executions.
    pub(super) traced: bool,
}

/// What a successful attempt asks for.
pub(super) struct Answer {
    pub(super) drafts: Vec<Draft>,
    pub(super) kv: Vec<KvWrite>,
    pub(super) schedule: Vec<ScheduleWrite>,
}

/// How often each kind of trigger goes wrong, in permille of all triggers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moods {
    /// Fails once or twice, then succeeds.
    pub(super) hesitant: u64,
    /// Fails on every attempt.
    pub(super) hopeless: u64,
    /// Refuses its trigger at once.
    pub(super) rejecting: u64,
    /// Kills the process on every attempt.
    pub(super) poisonous: u64,
    /// Succeeds on half of its attempts, whichever they are.
    pub(super) flaky: u64,
}

/// What a trigger does to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Fine,
    Hesitant { failures: u32 },
    Hopeless,
    Rejecting,
    Poisonous,
    Flaky,
}

impl Guest {
    fn new(
        plugin: &str,
        wants: &'static [&'static str],
        answer: &'static str,
        drafts: usize,
    ) -> Self {
        let plugin = plugin.parse().expect("model plugins are well named");
        Self {
            plugin,
            wants,
            also: &[],
            own_events: false,
            history: History::Ignore,
            answer,
            drafts,
            tasks: Declared::new(),
            plans: false,
            traced: false,
        }
    }

    /// Answers each `said` with one draft; with wide patterns, each `noise` too.
    pub(super) fn echo() -> Self {
        Self {
            also: &["noise"],
            ..Self::new("echo", &["said"], "echoed", 1)
        }
    }

    /// Like `echo`; answers three drafts.
    pub(super) fn triple() -> Self {
        Self {
            also: &["noise"],
            ..Self::new("triple", &["said"], "tripled", 3)
        }
    }

    /// Sees every event but its own, and only writes kv.
    pub(super) fn quiet() -> Self {
        Self::new("quiet", &["*"], "", 0)
    }

    /// Answers `pong`, which answers it, until the depth ends it.
    pub(super) fn ping() -> Self {
        Self::new("ping", &["served", "ponged"], "pinged", 1)
    }

    /// The other half of `ping`.
    pub(super) fn pong() -> Self {
        Self::new("pong", &["pinged"], "ponged", 1)
    }

    /// Wants its own events, and so answers itself until the depth ends it.
    pub(super) fn parrot() -> Self {
        Self {
            own_events: true,
            ..Self::new("parrot", &["sung"], "sung", 1)
        }
    }

    /// Answers more drafts at once than the backend appends atomically.
    pub(super) fn big(drafts: usize) -> Self {
        Self::new("big", &["asked"], "told", drafts)
    }

    /// Wants nothing, and works by the clock alone.
    pub(super) fn clerk() -> Self {
        Self::new("clerk", &[], "filed", 2)
    }

    pub(super) fn with_history(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// The guest with so many tasks of its own in the world of `seed`.
    pub(super) fn with_tasks(self, seed: u64, count: usize) -> Self {
        let tasks = clockwork::declared(self.plugin.as_str(), seed, count);
        Self { tasks, ..self }
    }

    /// The guest with runs that schedule tasks.
    pub(super) fn planning(self) -> Self {
        Self {
            plans: true,
            ..self
        }
    }

    /// The guest with an app that is told of its executions.
    pub(super) fn traced(self) -> Self {
        Self {
            traced: true,
            ..self
        }
    }

    /// Whether a task may have events in the log: its own, or those that tell of it.
    pub(super) fn speaks(&self) -> bool {
        self.drafts > 0 || self.traced
    }

    /// The guest as the machine is told of it.
    pub(super) fn settings(
        &self,
        standing: Standing,
        wide: bool,
        retimed: bool,
    ) -> SubscriptionSettings {
        let described = matches!(standing, Standing::Serving | Standing::Barred);
        let tasks = match (described, retimed) {
            // Nobody knows what it would describe.
            (false, _) => Declared::new(),
            (true, false) => self.tasks.clone(),
            (true, true) => clockwork::redeclared(&self.tasks),
        };
        let pattern = |text: &&str| text.parse().expect("model patterns are well formed");
        let also = if wide { self.also } else { &[] };
        SubscriptionSettings {
            plugin: self.plugin.clone(),
            available: standing == Standing::Serving,
            described,
            patterns: self.wants.iter().chain(also).map(pattern).collect(),
            own_events: self.own_events,
            history: self.history,
            build: None,
            fuel_per_run: FUEL_PER_RUN,
            ration: RationSettings::default(),
            tasks,
            trace: self.traced.then(clockwork::trace_names),
        }
    }

    /// Whether the guest is to be handed `event`; the oracle's own reading of the patterns.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.is_named(self.wants, event)
    }

    /// Whether the guest may have been handed `event`, if its patterns were wide at the time.
    pub(super) fn may_want(&self, event: &Event) -> bool {
        self.wants(event) || self.is_named(self.also, event)
    }

    fn is_named(&self, wants: &[&str], event: &Event) -> bool {
        let named = wants
            .iter()
            .any(|want| *want == "*" || *want == &*event.name);
        let author = DraftStamp::parse(&event.session_id).map(|author| author.stamp.run.plugin);
        named && (self.own_events || author.as_ref() != Some(&self.plugin))
    }

    /// What a successful attempt asks for. In kv it counts how often it saw each event and each due time, and how often it
    /// reacted; the latter stands in its drafts too. What it has scheduled stands in kv as well.
    pub(super) fn answer(&self, cause: &Cause, mode: Mode, kv: &Kv) -> Answer {
        let seen = match cause {
            Cause::Event(event) => seen_key(event.seq),
            Cause::Occurrence(occurrence) => ran_key(&occurrence.task, occurrence.due),
        };
        let mut writes = vec![KvWrite {
            value: Some(number(read(kv, &seen) + 1)),
            key: seen,
        }];
        let schedule = if self.plans {
            clockwork::wishes(cause)
        } else {
            Vec::new()
        };
        writes.extend(schedule.iter().map(|wish| {
            KvWrite {
                key: plan_key(&wish.task),
                value: wish
                    .plan
                    .as_ref()
                    .map(|plan| format!("{plan:?}").into_bytes().into()),
            }
        }));
        if mode == Mode::Projecting {
            return Answer {
                drafts: Vec::new(),
                kv: writes,
                schedule,
            };
        }
        let reacted = read(kv, REACTED) + 1;
        writes.push(KvWrite {
            key: REACTED.into(),
            value: Some(number(reacted)),
        });
        Answer {
            drafts: self.drafts(&subject(cause), reacted),
            kv: writes,
            schedule,
        }
    }

    /// The drafts that answer what has this subject. They say which that is, as nothing but it can say it: the place of an
    /// event would do in this log but not in another.
    pub(super) fn drafts(&self, subject: &str, reacted: u64) -> Vec<Draft> {
        let of = fingerprint(subject);
        let args = |index| format!("\"{of:016x} {index} {reacted}\"").into();
        let draft = |index| Draft {
            name: self.answer.into(),
            args: args(index),
        };
        (0..self.drafts).map(draft).collect()
    }

    /// What a trigger of this subject does to this guest in the world of `seed`.
    pub(super) fn mood(&self, moods: &Moods, seed: u64, subject: &str) -> Mood {
        let roll = mix(
            mix(seed, fingerprint(self.plugin.as_str())),
            fingerprint(subject),
        );
        let mut rest = roll % 1000;
        let failures = if roll & 0x10000 == 0 { 1 } else { 2 };
        for (share, mood) in [
            (moods.hesitant, Mood::Hesitant { failures }),
            (moods.hopeless, Mood::Hopeless),
            (moods.rejecting, Mood::Rejecting),
            (moods.poisonous, Mood::Poisonous),
            (moods.flaky, Mood::Flaky),
        ] {
            if rest < share {
                return mood;
            }
            rest -= share;
        }
        Mood::Fine
    }
}

/// The budget of every run.
pub(super) const FUEL_PER_RUN: u64 = 1_000;

/// The kv key that counts reacting runs.
pub(super) const REACTED: &str = "reacted";

/// The kv key that counts successful runs on the event at `seq`.
pub(super) fn seen_key(seq: SeqNum) -> Arc<str> {
    format!("seen/{seq}").into()
}

/// The kv key that counts successful runs of a task that was due then.
pub(super) fn ran_key(task: &str, due: Timestamp) -> Arc<str> {
    format!("{RAN}{task}@{}", due.as_millis()).into()
}

/// What every key of `ran_key` begins with.
pub(super) const RAN: &str = "ran/";

/// The kv key of what the guest has scheduled as a task.
pub(super) fn plan_key(task: &str) -> Arc<str> {
    format!("plan/{task}").into()
}

/// The task and the due time that a kv key counts, if it counts one.
pub(super) fn ran(plugin: &PluginName, key: &str) -> Option<(TaskKey, Timestamp)> {
    let (task, due) = key.strip_prefix(RAN)?.rsplit_once('@')?;
    let key = TaskKey {
        plugin: plugin.clone(),
        task: task.into(),
    };
    Some((key, Timestamp::from_millis(due.parse().ok()?)))
}

/// What a trigger is about, as nothing else is.
pub(super) fn subject(cause: &Cause) -> String {
    match cause {
        Cause::Event(event) => event.args.to_string(),
        Cause::Occurrence(occurrence) => clockwork::subject(occurrence),
    }
}

/// A number in kv; 0 if it is not there.
pub(super) fn read(kv: &Kv, key: &str) -> u64 {
    let value = kv
        .get(key)
        .and_then(|value| <[u8; 8]>::try_from(&**value).ok());
    value.map_or(0, u64::from_be_bytes)
}

fn number(value: u64) -> Arc<[u8]> {
    value.to_be_bytes().as_slice().into()
}

/// FNV-1a: the same on every machine and in every version.
pub(super) fn fingerprint(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One round of splitmix64 over two numbers.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a
        .wrapping_add(b.rotate_left(32))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
