//! Model guests: what a plugin answers is a pure function of the event and its kv, so that a second attempt, another host
//! and the oracle all come to the same drafts. Only whether an attempt succeeds may depend on more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Draft, Event, SeqNum};
use crate::id::PluginName;
use crate::stamp::DraftStamp;
use crate::store::sim::host::Standing;
use crate::store::{Declared, History, KvWrite, Mode, RationSettings, SubscriptionSettings};

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

    pub(super) fn with_history(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// The guest as the machine is told of it.
    pub(super) fn settings(&self, standing: Standing, wide: bool) -> SubscriptionSettings {
        let pattern = |text: &&str| text.parse().expect("model patterns are well formed");
        let also = if wide { self.also } else { &[] };
        SubscriptionSettings {
            plugin: self.plugin.clone(),
            available: standing == Standing::Serving,
            described: matches!(standing, Standing::Serving | Standing::Barred),
            patterns: self.wants.iter().chain(also).map(pattern).collect(),
            own_events: self.own_events,
            history: self.history,
            build: None,
            fuel_per_run: FUEL_PER_RUN,
            ration: RationSettings::default(),
            tasks: Declared::new(),
            trace: None,
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

    /// What a successful attempt asks for. In kv it counts how often it saw each event, and how often it reacted; the
    /// latter stands in its drafts too.
    pub(super) fn answer(&self, event: &Event, mode: Mode, kv: &Kv) -> (Vec<Draft>, Vec<KvWrite>) {
        let seen = seen_key(event.seq);
        let seen_write = KvWrite {
            value: Some(number(read(kv, &seen) + 1)),
            key: seen,
        };
        if mode == Mode::Projecting {
            return (Vec::new(), vec![seen_write]);
        }
        let reacted = read(kv, REACTED) + 1;
        let reacted_write = KvWrite {
            key: REACTED.into(),
            value: Some(number(reacted)),
        };
        (self.drafts(event, reacted), vec![seen_write, reacted_write])
    }

    /// The drafts that answer `event`. They say which event they answer, as nothing but that event can say it: its
    /// place would do in this log but not in another.
    pub(super) fn drafts(&self, event: &Event, reacted: u64) -> Vec<Draft> {
        let of = fingerprint(&event.args);
        let args = |index| format!("\"{of:016x} {index} {reacted}\"").into();
        let draft = |index| Draft {
            name: self.answer.into(),
            args: args(index),
        };
        (0..self.drafts).map(draft).collect()
    }

    /// What `event` does to this guest in the world of `seed`.
    pub(super) fn mood(&self, moods: &Moods, seed: u64, event: &Event) -> Mood {
        let roll = mix(
            mix(seed, fingerprint(self.plugin.as_str())),
            fingerprint(&event.args),
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
fn fingerprint(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One round of splitmix64 over two numbers.
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a
        .wrapping_add(b.rotate_left(32))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
