//! The faults that the simulation plants in the machine, one at a time, to see that it would notice each of them. In
//! every other build none is ever planted, and the questions fold to `false`.

/// One rule of exactly-once effects, broken. What each breaks is said where the simulation expects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(test), allow(dead_code, reason = "planted in tests only"))]
pub(crate) enum Sabotage {
    /// A refused push is renumbered to the head that the refusal told.
    ParentFromServerAhead,
    /// A second push follows the first, on the head that it will make if it is admitted.
    ParentHopedFor,
    /// Stamps in the log are not looked at.
    StampsNotScanned,
    /// A stamp seen before its run here is not remembered.
    StampNotRemembered,
    /// A remembered stamp is forgotten when its run starts.
    StampForgottenAtStart,
    /// A stamp is looked up when the run starts, not when it ends.
    StampLookedUpAtStartOnly,
    /// What a stamp settled is committed after the cursor that passed it.
    SettledAfterCursor,
    /// A start scans from the highest position it knows.
    ScanFromHighest,
    /// A start scans from the lowest cursor, and ignores how far the last commit had scanned; and runs do not wait for
    /// the head of the log, without which no commit is decided behind a cursor.
    ScanFromLowestCursorOnly,
    /// Runs do not wait for the head of the log. Harmless by itself: what they commit is pushed only there.
    RunBeforeHead,
    /// The drafts of one run may go in two pushes.
    RunSplit,
    /// A trigger whose stamp was seen is skipped instead of run for its kv.
    RunSkippedWhenSeen,
    /// A dead letter does not notice its stamp in the log.
    DeadLetterDeaf,
    /// A trigger that dies forgets that its stamp was seen before.
    DeadLetterBornDeaf,
    /// A redrive runs under a stamp of its own.
    RedriveWithNewStamp,
    /// A redrive of a projecting run reacts.
    RedriveReacts,
    /// An answer is matched by its request alone, over connections.
    AnswerOfOldConnection,
    /// Drafts are settled when they are sent.
    SettledOnSend,
    /// The ack of a push moves the head by what was pushed.
    AckMovesHead,
    /// An event is taken although its parent is not the head.
    TakenAcrossGap,
    /// There is no periodic pull.
    NoCheck,
    /// A full window stops the scan.
    FullWindowStopsScan,
    /// A parked subscription holds the window.
    ParkedHoldsWindow,
    /// The first chunk without a gap counts as caught up.
    ChunkIsCaughtUp,
    /// A start is not synced before the first delivery.
    StartNotSynced,
    /// A start is fixed anew in each life.
    StartReevaluated,
    /// A stamp under another client id, from before a rename, is another run.
    IdentityIncludesClientId,
    /// A subscription that is new behind the scan is served without scanning again.
    AddedWithoutRescan,
    /// A removed subscription's drafts are dropped.
    RemovedDraftsDropped,
    /// A removed subscription's kv stays for its return.
    KvKeptOnRemoval,
    /// A run can be in the outbox twice.
    OutboxNotUnique,
    /// A draft that fails alone is tried for ever.
    RejectedNeverParked,
    /// A batch that fails is never pushed run by run.
    RejectedNeverSingled,
    /// A parked draft does not notice its stamp in the log.
    ParkedDeaf,
    /// A run's cursor and its drafts are two commits.
    CursorAndOutboxApart,
    /// Drafts are pushed before they are committed.
    PushBeforeCommit,
    /// The newest run is pushed first.
    OutboxLastInFirstOut,
    /// A push does not say which log it is for.
    PushWithoutBackendId,
    /// The outbox survives a change of the log.
    OutboxKeptOverReset,
    /// Chunks of another log are taken.
    ChunkOfAnotherLog,
    /// An attempt is counted when it fails, not before it begins.
    AttemptsCountedAtFailure,
    /// Runs may lead to runs for ever.
    NoDepthLimit,
    /// A push waits for its answer for ever.
    NoPushTimeout,
    /// A remembered stamp is never forgotten.
    StampNeverForgotten,
    /// A plugin that is back in the catalog goes on in the life that had left its events and stamps unseen.
    UnparkWithoutRestart,
    /// A restart does not wait for the runs in flight.
    RestartDropsRuns,
    /// A restart does not give back the attempts that were counted and not begun.
    RestartKeepsReserved,
    /// A start finds every tank full.
    TankFullAtStart,
    /// A run that a crash cut off is not charged.
    LostRunsUncharged,
    /// An occurrence whose stamp was seen is done, and does not run for its kv.
    OccurrenceMarkedDone,
    /// That an occurrence's stamp was seen is not written to the journal.
    LandedOccurrenceInMemory,
    /// A task that is new is due at times before it was added.
    TaskStartsInPast,
    /// That an occurrence is done and what it has to say are two commits.
    DoneAndOutboxApart,
    /// A start forgets what was due and is not over.
    OpenForgottenAtStart,
    /// When the wall clock goes back, everything behind it comes again.
    ClockBackRepeats,
}

#[cfg(test)]
impl Sabotage {
    /// Every fault, in order.
    pub(crate) const ALL: [Sabotage; Sabotage::ClockBackRepeats as usize + 1] = [
        Sabotage::ParentFromServerAhead,
        Sabotage::ParentHopedFor,
        Sabotage::StampsNotScanned,
        Sabotage::StampNotRemembered,
        Sabotage::StampForgottenAtStart,
        Sabotage::StampLookedUpAtStartOnly,
        Sabotage::SettledAfterCursor,
        Sabotage::ScanFromHighest,
        Sabotage::ScanFromLowestCursorOnly,
        Sabotage::RunBeforeHead,
        Sabotage::RunSplit,
        Sabotage::RunSkippedWhenSeen,
        Sabotage::DeadLetterDeaf,
        Sabotage::DeadLetterBornDeaf,
        Sabotage::RedriveWithNewStamp,
        Sabotage::RedriveReacts,
        Sabotage::AnswerOfOldConnection,
        Sabotage::SettledOnSend,
        Sabotage::AckMovesHead,
        Sabotage::TakenAcrossGap,
        Sabotage::NoCheck,
        Sabotage::FullWindowStopsScan,
        Sabotage::ParkedHoldsWindow,
        Sabotage::ChunkIsCaughtUp,
        Sabotage::StartNotSynced,
        Sabotage::StartReevaluated,
        Sabotage::IdentityIncludesClientId,
        Sabotage::AddedWithoutRescan,
        Sabotage::RemovedDraftsDropped,
        Sabotage::KvKeptOnRemoval,
        Sabotage::OutboxNotUnique,
        Sabotage::RejectedNeverParked,
        Sabotage::RejectedNeverSingled,
        Sabotage::ParkedDeaf,
        Sabotage::CursorAndOutboxApart,
        Sabotage::PushBeforeCommit,
        Sabotage::OutboxLastInFirstOut,
        Sabotage::PushWithoutBackendId,
        Sabotage::OutboxKeptOverReset,
        Sabotage::ChunkOfAnotherLog,
        Sabotage::AttemptsCountedAtFailure,
        Sabotage::NoDepthLimit,
        Sabotage::NoPushTimeout,
        Sabotage::StampNeverForgotten,
        Sabotage::UnparkWithoutRestart,
        Sabotage::RestartDropsRuns,
        Sabotage::RestartKeepsReserved,
        Sabotage::TankFullAtStart,
        Sabotage::LostRunsUncharged,
        Sabotage::OccurrenceMarkedDone,
        Sabotage::LandedOccurrenceInMemory,
        Sabotage::TaskStartsInPast,
        Sabotage::DoneAndOutboxApart,
        Sabotage::OpenForgottenAtStart,
        Sabotage::ClockBackRepeats,
    ];
}
