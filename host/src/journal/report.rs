//! What is told of what runs used: rows of plain numbers, put together by run, hour, day, or not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{PluginName, StoreId};
use crate::store::{Ending, UsageTotals};
use crate::time::Timestamp;

/// What one row of a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// One of the last 1,000 runs of a store.
    Run,
    /// A plugin's hour; hours are kept for 35 days.
    Hour,
    /// A plugin's day in UTC; days are kept for 400 days.
    Day,
    /// All that a plugin used.
    Total,
}

/// One row of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// The store.
    pub store: StoreId,
    /// The plugin.
    pub plugin: PluginName,
    /// When the hour or the day began, or the run ended.
    #[serde(
        serialize_with = "write_time",
        deserialize_with = "read_time",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub at: Option<Timestamp>,
    /// Which run it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunShown>,
    /// What was used.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// What several stores used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// What each plugin used, a store after the other.
    pub usage: Vec<UsageRow>,
    /// Stores whose journals could not be read, and why.
    pub problems: Vec<String>,
}

/// Which run a row is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunShown {
    /// Its name: `qm1:<plugin>:<trigger>`.
    pub id: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub ending: Ending,
}

/// Adds up what one store used, for each plugin, and for each time if times are told apart.
pub(super) struct Reckoning<'a> {
    store: &'a StoreId,
    by: By,
    sums: BTreeMap<(Option<Timestamp>, PluginName), UsageTotals>,
}

impl<'a> Reckoning<'a> {
    pub(super) fn new(store: &'a StoreId, by: By) -> Self {
        Self {
            store,
            by,
            sums: BTreeMap::new(),
        }
    }

    /// Adds what a plugin used in the hour or day that began at `at`.
    pub(super) fn add(&mut self, plugin: PluginName, at: Timestamp, totals: &UsageTotals) {
        const DAY_MILLIS: u64 = 86_400_000;
        let at = match self.by {
            By::Run | By::Hour => Some(at),
            By::Day => {
                let millis = at.as_millis();
                Some(Timestamp::from_millis(millis - millis % DAY_MILLIS))
            }
            By::Total => None,
        };
        self.sums.entry((at, plugin)).or_default().add(totals);
    }

    /// In the order of times, then of names.
    pub(super) fn rows(self) -> Vec<UsageRow> {
        let store = self.store;
        let rows = self.sums.into_iter();
        rows.map(|((at, plugin), totals)| UsageRow {
            store: store.clone(),
            plugin,
            at,
            run: None,
            totals,
        })
        .collect()
    }
}

impl By {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Run, Self::Hour, Self::Day, Self::Total];

    /// As it is asked for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Total => "total",
        }
    }
}

/// As people and other programs read it.
fn write_time<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(serializer)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let read = |text: String| {
        let wrong = || serde::de::Error::custom(format!("{text} is no time"));
        Timestamp::parse_iso(&text).ok_or_else(wrong)
    };
    text.map(read).transpose()
}
