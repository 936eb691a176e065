//! Events of a log as the protocol spells them, and the stamps on those that plugins wrote. Written anew and not taken
//! from the host, so that one mistake cannot hide on both sides.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// One event of a store's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// Its place, from 1.
    pub seq: u64,
    /// The place before it.
    pub parent: u64,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// Who wrote it.
    pub client_id: String,
    /// In which session; a plugin's run leaves its stamp here.
    pub session_id: String,
}

/// The mark of a run on one of its events: `qm1:<plugin>:e<trigger>:<depth>:<index>/<count>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The plugin that ran.
    pub plugin: String,
    /// The place of the event it answered.
    pub trigger: u64,
    /// How many runs led to it, itself included.
    pub depth: u32,
    /// Which of the run's events this is, from 0.
    pub index: u32,
    /// How many events the run had.
    pub count: u32,
}

impl LogEvent {
    /// Reads the protocol's `eventEncoded`.
    pub fn from_wire(value: &Value) -> Result<Self> {
        let number = |key: &str| {
            value[key]
                .as_u64()
                .with_context(|| format!("no {key} in {value}"))
        };
        let text = |key: &str| {
            value[key]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {key} in {value}"))
        };
        Ok(Self {
            seq: number("seqNum")?,
            parent: number("parentSeqNum")?,
            name: text("name")?,
            args: value["args"].clone(),
            client_id: text("clientId")?,
            session_id: text("sessionId")?,
        })
    }

    /// The protocol's `eventEncoded`.
    pub fn to_wire(&self) -> Value {
        json!({
            "name": self.name,
            "args": self.args,
            "seqNum": self.seq,
            "parentSeqNum": self.parent,
            "clientId": self.client_id,
            "sessionId": self.session_id,
        })
    }

    /// The stamp on it, if a plugin's run on an event wrote it.
    pub fn stamp(&self) -> Option<Stamp> {
        let parts: Vec<&str> = self.session_id.split(':').collect();
        let &["qm1", plugin, trigger, depth, place] = parts.as_slice() else {
            return None;
        };
        let (index, count) = place.split_once('/')?;
        Some(Stamp {
            plugin: plugin.to_owned(),
            trigger: trigger.strip_prefix('e')?.parse().ok()?,
            depth: depth.parse().ok()?,
            index: index.parse().ok()?,
            count: count.parse().ok()?,
        })
    }

    /// Whether it is a chat message of a user: what every answering plugin of the tests answers.
    pub fn is_question(&self) -> bool {
        self.name == CHAT && self.args["role"] == "user"
    }
}

/// The name of a chat message.
pub const CHAT: &str = "v1.ChatMessageSent";

/// The arguments of a user's chat message.
pub fn question(id: &str, text: &str) -> Value {
    json!({ "id": id, "role": "user", "text": text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(session_id: &str) -> LogEvent {
        LogEvent {
            seq: 2,
            parent: 1,
            name: CHAT.to_owned(),
            args: question("m", "hi"),
            client_id: "quartermaster".to_owned(),
            session_id: session_id.to_owned(),
        }
    }

    #[test]
    fn an_event_reads_back_as_the_protocol_spells_it() {
        let event = event("static");
        let read = LogEvent::from_wire(&event.to_wire()).unwrap();
        assert_eq!(read, event);
        assert!(LogEvent::from_wire(&json!({ "seqNum": 1 })).is_err());
    }

    #[test]
    fn a_stamp_names_its_run() {
        let stamp = event("qm1:echo:e42:1:0/3").stamp().unwrap();
        assert_eq!((stamp.plugin.as_str(), stamp.trigger), ("echo", 42));
        assert_eq!((stamp.depth, stamp.index, stamp.count), (1, 0, 3));
        for other in [
            "static",
            "qm1:echo:e42:1",
            "qm2:echo:e42:1:0/1",
            "qm1:a:t/x/1:1:0/1",
        ] {
            assert_eq!(event(other).stamp(), None, "{other}");
        }
    }
}
