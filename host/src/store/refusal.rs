//! What a run was refused, for whoever asks which limit it was: the guest was told at once, or could see it.

use serde::{Deserialize, Serialize};

/// What a run came up against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Bytes of linear memory: `memory.grow` answered -1.
    Memory,
    /// Elements of tables: `table.grow` answered -1.
    TableElements,
    /// Fuel of a run, which ended it.
    Fuel,
    /// Milliseconds of a run, which ended it.
    WallTime,
    /// Events that a run commits.
    Drafts,
    /// Bytes of their names and arguments.
    DraftBytes,
    /// Bytes of one value of kv.
    KvValue,
    /// Keys of kv that a run writes.
    KvKeysPerRun,
    /// Bytes of kv that a run writes.
    KvBytesPerRun,
    /// Entries of the plugin's kv in the store.
    KvEntries,
    /// Bytes of their keys and values.
    KvSize,
    /// Tasks that the plugin schedules in the store, or changes in one run.
    Tasks,
    /// Bytes of their ids and payloads.
    TaskBytes,
    /// Bytes of log lines: lines were dropped.
    LogBytes,
    /// Events that the plugin may not commit in this store, or does not say that it commits.
    GrantCommit,
}

/// One limit, and how a run came up against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The limit.
    pub limit: Limit,
    /// What there would have been at the highest, as far as it is known. A run that is ended has told no more than that
    /// it wanted to go past `max`.
    pub asked: u64,
    /// What there may be.
    pub max: u64,
    /// How often.
    pub times: u32,
}

/// The refusals of one run: at most one for each limit, however often the guest asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refusals(Vec<Refusal>);

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 15] = [
        Self::Memory,
        Self::TableElements,
        Self::Fuel,
        Self::WallTime,
        Self::Drafts,
        Self::DraftBytes,
        Self::KvValue,
        Self::KvKeysPerRun,
        Self::KvBytesPerRun,
        Self::KvEntries,
        Self::KvSize,
        Self::Tasks,
        Self::TaskBytes,
        Self::LogBytes,
        Self::GrantCommit,
    ];

    /// A word for labels and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::TableElements => "table-elements",
            Self::Fuel => "fuel",
            Self::WallTime => "wall-time",
            Self::Drafts => "drafts",
            Self::DraftBytes => "draft-bytes",
            Self::KvValue => "kv-value",
            Self::KvKeysPerRun => "kv-keys-per-run",
            Self::KvBytesPerRun => "kv-bytes-per-run",
            Self::KvEntries => "kv-entries",
            Self::KvSize => "kv-size",
            Self::Tasks => "tasks",
            Self::TaskBytes => "task-bytes",
            Self::LogBytes => "log-bytes",
            Self::GrantCommit => "grant-commit",
        }
    }
}

impl Refusals {
    /// The guest asked for so much that there would have been `asked`, of which there may be `max`.
    pub fn note(&mut self, limit: Limit, asked: u64, max: u64) {
        self.add(Refusal {
            limit,
            asked,
            max,
            times: 1,
        });
    }

    /// Takes in a refusal, with what there is of the same limit.
    pub fn add(&mut self, refusal: Refusal) {
        let known = self.0.iter_mut().find(|it| it.limit == refusal.limit);
        match known {
            Some(known) => {
                known.asked = known.asked.max(refusal.asked);
                known.times = known.times.saturating_add(refusal.times);
            }
            None => self.0.push(refusal),
        }
    }

    /// Takes in several.
    pub fn extend(&mut self, refusals: impl IntoIterator<Item = Refusal>) {
        refusals.into_iter().for_each(|refusal| self.add(refusal));
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_called_the_same_everywhere() {
        for limit in Limit::ALL {
            let json = serde_json::to_value(limit).expect("a word");
            assert_eq!(json, limit.as_str());
        }
    }

    #[test]
    fn refusals_of_one_limit_are_one_however_many_there_are() {
        let mut refusals = Refusals::default();
        for asked in [11, 15, 12] {
            refusals.note(Limit::Drafts, asked, 10);
        }
        refusals.note(Limit::Memory, 1, 0);
        let of_drafts = Refusal {
            limit: Limit::Drafts,
            asked: 15,
            max: 10,
            times: 3,
        };
        assert_eq!(refusals.iter().next(), Some(&of_drafts));
        assert_eq!(refusals.iter().count(), 2);
    }
}
