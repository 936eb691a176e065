//! The mark that a run leaves on every event it commits: `qm1:<plugin>:e<seq>:<depth>:<index>/<count>`, or for a task's
//! occurrence `qm1:<plugin>:t/<task>/<due unix ms>:<depth>:<index>/<count>`, where the due time is followed by `/started` or
//! `/failed` on the events by which the host itself tells of the occurrence. It stands in the event's `sessionId`, so
//! the log itself says what was already done. A stamp is derived from a run and never generated.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::event::SeqNum;
use crate::id::PluginName;
use crate::time::Timestamp;

/// What may not stand bare in a task id inside a stamp: the stamp's own separators, and what is not plain ASCII.
const TASK_ESCAPES: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b':')
    .add(b'/')
    .add(b'%')
    .add(b'"')
    .add(b'\\');

/// What a run answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// An event of the log.
    Event(SeqNum),
    /// One due time of a task.
    Occurrence {
        /// The task's id, as its plugin chose it.
        task: Arc<str>,
        /// When it was due.
        due: Timestamp,
    },
    /// No run: what the host itself tells of an occurrence, apart from its run.
    Trace {
        /// The task's id.
        task: Arc<str>,
        /// When it was due.
        due: Timestamp,
        /// What is told.
        step: TraceStep,
    },
}

/// What is told of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceStep {
    /// It has begun.
    Started,
    /// It was given up.
    Failed,
}

impl TraceStep {
    /// How it stands in a stamp.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Failed => "failed",
        }
    }
}

/// The identity of a run: one plugin, one trigger. Depth, attempt and client id are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The plugin that runs.
    pub plugin: PluginName,
    /// What it answers.
    pub trigger: Trigger,
}

/// A run's stamp: its identity and how many runs led to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The run.
    pub run: RunId,
    /// Causation depth: 1 for a run on an event that no run wrote, else one more than that event's depth.
    pub depth: u32,
}

/// A stamp as it stands on one event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftStamp {
    /// The run that wrote the event.
    pub stamp: Stamp,
    /// Which of the run's drafts this is, from 0.
    pub index: u32,
    /// How many drafts the run had.
    pub count: u32,
}

impl Stamp {
    /// The `sessionId` of draft `index` of `count`.
    pub fn session_id(&self, index: u32, count: u32) -> String {
        format!("{self}:{index}/{count}")
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trigger {
            Trigger::Event(seq) => write!(f, "qm1:{}:e{seq}", self.plugin),
            Trigger::Occurrence { task, due } => {
                let task = utf8_percent_encode(task, TASK_ESCAPES);
                write!(f, "qm1:{}:t/{task}/{}", self.plugin, due.as_millis())
            }
            Trigger::Trace { task, due, step } => {
                let task = utf8_percent_encode(task, TASK_ESCAPES);
                let (due, step) = (due.as_millis(), step.as_str());
                write!(f, "qm1:{}:t/{task}/{due}/{step}", self.plugin)
            }
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.depth)
    }
}

impl DraftStamp {
    /// Reads a `sessionId`; `None` if it is not one of ours. Only the canonical spelling counts: what we would not
    /// write ourselves is somebody else's session.
    pub fn parse(session_id: &str) -> Option<Self> {
        let rest = session_id.strip_prefix("qm1:")?;
        let (plugin, rest) = rest.split_once(':')?;
        let (trigger, rest) = rest.split_once(':')?;
        let (depth, place) = rest.split_once(':')?;
        let (index, count) = place.split_once('/')?;
        let parsed = Self {
            stamp: Stamp {
                run: RunId {
                    plugin: plugin.parse().ok()?,
                    trigger: parse_trigger(trigger)?,
                },
                depth: depth.parse().ok()?,
            },
            index: index.parse().ok()?,
            count: count.parse().ok()?,
        };
        let canonical = parsed.stamp.session_id(parsed.index, parsed.count) == session_id;
        (canonical && parsed.index < parsed.count).then_some(parsed)
    }
}

fn parse_trigger(text: &str) -> Option<Trigger> {
    if let Some(occurrence) = text.strip_prefix("t/") {
        let (task, rest) = occurrence.split_once('/')?;
        let (due, step) = rest
            .split_once('/')
            .map_or((rest, None), |(due, step)| (due, Some(step)));
        let task = percent_decode_str(task).decode_utf8().ok()?.into();
        let due = Timestamp::from_millis(due.parse().ok()?);
        return Some(match step {
            None => Trigger::Occurrence { task, due },
            Some("started") => Trigger::Trace {
                task,
                due,
                step: TraceStep::Started,
            },
            Some("failed") => Trigger::Trace {
                task,
                due,
                step: TraceStep::Failed,
            },
            Some(_) => return None,
        });
    }
    let seq = text.strip_prefix('e')?.parse().ok()?;
    Some(Trigger::Event(SeqNum::new(seq)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(trigger: Trigger) -> Stamp {
        let plugin = "echo".parse().expect("a plugin name");
        Stamp {
            run: RunId { plugin, trigger },
            depth: 1,
        }
    }

    #[test]
    fn a_stamp_reads_back_as_written() {
        let triggers = [
            Trigger::Event(SeqNum::new(42)),
            Trigger::Occurrence {
                task: "daily: a/b %ü".into(),
                due: Timestamp::from_millis(1_700_000_000_000),
            },
            Trigger::Trace {
                task: "daily".into(),
                due: Timestamp::from_millis(1_700_000_000_000),
                step: TraceStep::Failed,
            },
        ];
        for trigger in triggers {
            let stamp = stamp(trigger);
            let read = DraftStamp::parse(&stamp.session_id(0, 3));
            assert_eq!(
                read,
                Some(DraftStamp {
                    stamp,
                    index: 0,
                    count: 3
                })
            );
        }
        assert_eq!(
            stamp(Trigger::Event(SeqNum::new(42))).session_id(0, 1),
            "qm1:echo:e42:1:0/1"
        );
    }

    #[test]
    fn what_we_would_not_write_is_not_ours() {
        for other in [
            "",
            "static",
            "qm1:",
            "qm1:echo",
            "qm1:echo:e42",
            "qm1:echo:e42:1",
            "qm1:echo:e42:1:0",
            "qm1:echo:e42:1:1/1",
            "qm1:echo:e042:1:0/1",
            "qm1:Echo:e42:1:0/1",
            "qm1:echo:e-1:1:0/1",
            "qm1:echo:e42:1:0/1 ",
            "qm2:echo:e42:1:0/1",
            "qm1:echo:e99999999999999999999:1:0/1",
            "qm1:echo:t/x:1:0/1",
            "qm1:echo:t/x/1/ended:1:0/1",
            "qm1:echo:t/x/1/:1:0/1",
        ] {
            assert_eq!(
                DraftStamp::parse(other),
                None,
                "{other:?} was taken for a stamp"
            );
        }
    }
}
