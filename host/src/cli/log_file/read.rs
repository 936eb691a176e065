//! Reading a log's file event by event, whatever the order of its keys and however it is laid out. What is wrong is told
//! with its line and the number of the event.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::cli::log_file::{VERSION, compact_json};
use crate::event::{Event, SeqNum};

/// What stands beside the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Header {
    /// The store that was exported, as the file spells it.
    pub(in crate::cli) store_id: String,
    /// The events in the file, which are as many as it says.
    pub(in crate::cli) events: u64,
}

/// Reads a whole file, and gives `take` each event in its turn; what `take` complains about is told with its place. The
/// arguments come without blanks between their tokens, and are else as they stand in the file.
///
/// # Errors
/// What is wrong, and where: in the file, or with an event.
pub(in crate::cli) fn read(
    file: impl Read,
    take: impl FnMut(Event) -> Result<(), String>,
) -> Result<Header, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_reader(file);
    let events = Events { count: 0, take };
    let header = deserializer.deserialize_map(File { events })?;
    deserializer.end()?;
    Ok(header)
}

/// The fields of an event, as they stand in a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    name: String,
    /// Left out for an event without arguments.
    #[serde(default)]
    args: Option<Box<RawValue>>,
    seq_num: u64,
    parent_seq_num: u64,
    client_id: String,
    session_id: String,
}

impl From<Fields> for Event {
    fn from(fields: Fields) -> Self {
        let args = match &fields.args {
            Some(args) => Cow::Owned(compact_json(args.get())),
            None => Cow::Borrowed("null"),
        };
        Self {
            seq: SeqNum::new(fields.seq_num),
            parent: SeqNum::new(fields.parent_seq_num),
            name: fields.name.into(),
            args: args.into(),
            client_id: fields.client_id.into(),
            session_id: fields.session_id.into(),
            created_at: None,
        }
    }
}

/// The whole object.
struct File<F> {
    events: Events<F>,
}

impl<'de, F: FnMut(Event) -> Result<(), String>> Visitor<'de> for File<F> {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exported log: an object with version, storeId and events")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Header, A::Error> {
        let (mut version, mut store_id, mut told, mut seen) = (None, None, None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => version = Some(self.version(map.next_value()?)?),
                "storeId" => store_id = Some(map.next_value()?),
                "eventCount" => told = Some(map.next_value::<u64>()?),
                "events" if seen => return Err(A::Error::duplicate_field("events")),
                "events" => {
                    map.next_value_seed(&mut self.events)?;
                    seen = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        version.ok_or_else(|| A::Error::missing_field("version"))?;
        let store_id = store_id.ok_or_else(|| A::Error::missing_field("storeId"))?;
        if !seen {
            return Err(A::Error::missing_field("events"));
        }
        let events = self.events.count;
        match told {
            Some(told) if told != events => Err(A::Error::custom(format_args!(
                "eventCount says {told}, but {events} events are there: the file was cut or edited"
            ))),
            Some(_) | None => Ok(Header { store_id, events }),
        }
    }
}

impl<F> File<F> {
    fn version<E: serde::de::Error>(&self, version: u64) -> Result<u64, E> {
        match version {
            VERSION => Ok(version),
            _ => Err(E::custom(format_args!(
                "version {version}: this version of quartermaster reads version {VERSION} only"
            ))),
        }
    }
}

/// The list of events.
struct Events<F> {
    count: u64,
    take: F,
}

impl<'de, F: FnMut(Event) -> Result<(), String>> DeserializeSeed<'de> for &mut Events<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Event) -> Result<(), String>> Visitor<'de> for &mut Events<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let number = self.count + 1;
            let at = |problem: &dyn fmt::Display| {
                A::Error::custom(format_args!("event number {number}: {problem}"))
            };
            let Some(fields) = list.next_element::<Fields>().map_err(|error| at(&error))? else {
                return Ok(());
            };
            (self.take)(Event::from(fields)).map_err(|problem| at(&problem))?;
            self.count += 1;
        }
    }
}
