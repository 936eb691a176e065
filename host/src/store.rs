//! The pure machine: all that is decided about one store, and nothing that is done. An [`Input`] and the time go in,
//! [`Effect`]s come out. No socket, file, clock or task is known here, so that whole lives of a store, with every
//! crash between any two effects, run in a simulation.

mod beginning;
mod breaker;
mod charge;
mod commit;
mod effect;
mod ending;
mod grants;
mod input;
mod machine;
mod occurrences;
mod orders;
mod outbox;
mod pulls;
mod push;
mod ration;
mod reconfigure;
mod redrive;
mod refusal;
mod runs;
mod sabotage;
mod scan;
mod session;
mod settings;
#[cfg(test)]
mod sim;
mod staging;
mod status;
#[cfg(test)]
mod stories;
mod subscription;
mod task;
mod tasks;
mod trace;
mod usage;
mod window;
mod wish;

pub use breaker::{BreakerRecord, BreakerSettings};
pub use commit::{
    Cause, Commit, DeadLetter, Durability, Failure, KvWrite, Landed, OutboxEntry, Snapshot,
    SubscriptionRecord,
};
pub use effect::{Effect, Generation, PullKind, RequestId, RunRequest, RunToken, StopReason};
pub use grants::Grants;
pub use input::{Input, Mode, PushAnswer, RunEnd, RunOutcome};
pub use machine::StoreState;
pub use ration::{
    Deferral, Provision, RationRecord, RationSettings, RationStatus, TankSettings, TankStatus,
};
pub use refusal::{Limit, Refusal, Refusals};
pub use settings::{
    History, Limits, OnReset, Pattern, PatternError, Retry, Settings, SubscriptionSettings, Timing,
};
pub use status::{SessionStatus, Status, SubscriptionState, SubscriptionStatus, TasksStatus};
pub use task::{
    Declared, ExecutionRecord, ExecutionState, Missed, Occurrence, OccurrenceKind, Origin, Overlap,
    Pause, ScheduleWrite, Stretch, TaskKey, TaskOrder, TaskPlan, TaskRecord, TraceNames,
};
pub use usage::{Ending, KvTotals, Usage, UsageRecord, UsageTotals};
pub use wish::{PAYLOAD_BYTES_MAX, TASK_ID_BYTES_MAX, TaskDefaults, TaskWish, is_task_id};
