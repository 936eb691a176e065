//! One life of a store's machine, from its journal to its end: the loop that takes in what happens and carries out what
//! is wanted.

mod leaving;
mod limits;
mod tasks;
mod telling;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tracing::{debug, info, warn};

use crate::actor::guest::{GuestLog, OfJournal};
use crate::actor::handle::{Face, Mailbox, Message, Report};
use crate::actor::link::Link;
use crate::actor::{End, Shared, StoreSpec, end_of};
use crate::catalog::Stocked;
use crate::journal::{self, Confirmation, Lease};
use crate::runtime::{Call, Limits, RunReport};
use crate::stamp::Stamp;
use crate::store::{
    Cause, Commit, Effect, Ending, Input, RunEnd, RunOutcome, RunRequest, RunToken, SessionStatus,
    Snapshot, StoreState, Usage,
};
use leaving::{Leaving, Towards};
use limits::Waits;
use tasks::Ordered;

/// The machine and everything it has under way.
pub(super) struct Life {
    spec: Arc<StoreSpec>,
    shared: Shared,
    machine: StoreState,
    lease: Option<Lease>,
    /// The commit in flight.
    commit: Option<Confirmation>,
    link: Link,
    /// Runs under way; dropping them ends them.
    runs: JoinSet<RunReport>,
    tokens: HashMap<Id, (RunToken, Stamp, Arc<Stocked>)>,
    /// What was last told to the log about the session.
    told: Option<SessionStatus>,
    /// What was last counted of what it waits for.
    waits: Waits,
    /// What was ordered and may not be written yet.
    ordered: Ordered,
    /// Why this life ends as soon as what runs is finished, if it does.
    leaving: Option<Leaving>,
}

impl Life {
    pub(super) fn new(
        spec: Arc<StoreSpec>,
        shared: Shared,
        lease: Lease,
        snapshot: Snapshot,
    ) -> Self {
        let mut shared = shared;
        let (now, ahead) = (shared.clock.now(), *shared.wall.borrow_and_update());
        let machine = StoreState::new(
            spec.settings.clone(),
            snapshot,
            fastrand::u64(..),
            (now, ahead),
        );
        Self {
            spec,
            shared,
            machine,
            lease: Some(lease),
            commit: None,
            link: Link::Closed,
            runs: JoinSet::new(),
            tokens: HashMap::new(),
            told: None,
            waits: Waits::default(),
            ordered: Ordered::default(),
            leaving: None,
        }
    }

    /// Lives until the machine, the journal or a message ends it. `spec` becomes what the next life is to be.
    pub(super) async fn run(
        &mut self,
        spec: &mut Arc<StoreSpec>,
        mailbox: &mut Mailbox,
        face: &mut Face,
    ) -> End {
        loop {
            if let Some(end) = self.perform().await {
                return self.end(end).await;
            }
            self.tell(face);
            self.count_waits();
            let clock = self.shared.clock;
            let patience_ends = self.patience_ends();
            // Every arm is cancel-safe: a commit and a run are futures that are kept, a socket's input is returned as
            // soon as it is whole, and the rest is tokio's own.
            tokio::select! {
                input = self.link.next() => match input {
                    Ok(input) => self.on_input(input),
                    Err(end) => return self.end(end).await,
                },
                written = written(&mut self.commit) => {
                    self.commit = None;
                    match written {
                        Ok(()) => {
                            self.shared.metrics.commit_written();
                            self.machine.handle(Input::Committed, clock.now());
                            self.ordered.on_committed();
                        }
                        Err(error) => return self.end(end_of(error)).await,
                    }
                }
                Some(ended) = self.runs.join_next_with_id() => self.on_run_ended(ended),
                message = mailbox.next() => {
                    if let Message::Reconfigure(new) = &message {
                        *spec = new.clone();
                    }
                    self.on_message(message);
                }
                Ok(()) = self.shared.wall.changed() => {
                    let ahead = *self.shared.wall.borrow_and_update();
                    self.machine.handle(Input::ClockSet { ahead }, clock.now());
                }
                () = clock.sleep_until(self.machine.poll_timeout()) => {
                    self.machine.handle_timeout(clock.now());
                }
                () = clock.sleep_until(patience_ends) => {
                    let end = self.leave(false);
                    return self.end(end).await;
                }
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        let now = self.shared.clock.now();
        match message {
            Message::Report(answer) => {
                // Whoever asked may have stopped waiting.
                answer.send(Report::of(self.machine.status())).ok();
            }
            Message::Reconfigure(spec) => self.reconfigure(spec, now),
            Message::Drain { within, answer } => {
                self.leave_by(Towards::Drained(answer), now + within);
                self.machine.handle(Input::Drain, now);
            }
            Message::Task { key, order, answer } => self.order(key, order, answer),
            Message::Stop { grace } => {
                self.leave_by(Towards::Stop, now + grace);
                self.machine.handle(Input::Drain, now);
            }
        }
    }

    /// Does what the machine wants, until it wants nothing or this life is over.
    async fn perform(&mut self) -> Option<End> {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Connect { generation } => {
                    let (source, openings) = (&self.spec.source, &self.shared.openings);
                    self.link.open(source.clone(), generation, openings.clone());
                }
                Effect::Disconnect { generation } => self.link.drop_generation(generation),
                Effect::Pull {
                    generation,
                    request,
                    after,
                    backend_id,
                    kind,
                } => {
                    self.link
                        .pull(generation, request, after, backend_id.as_ref(), kind)
                        .await;
                }
                Effect::Ack {
                    generation,
                    request,
                } => self.link.ack(generation, request).await,
                Effect::Push {
                    generation,
                    request,
                    backend_id,
                    drafts,
                } => {
                    self.link
                        .push(generation, request, &backend_id, &drafts)
                        .await;
                }
                Effect::Commit(commit) => {
                    if let Err(error) = self.commit(*commit).await {
                        return Some(end_of(error));
                    }
                }
                Effect::Run(request) => self.start(*request),
                Effect::Restart => {
                    let leaves = self.leaving.is_some();
                    return Some(if leaves {
                        self.leave(false)
                    } else {
                        End::Again
                    });
                }
                Effect::StartOver { backend_id } => {
                    warn!(
                        store = %self.spec.id, backend = ?backend_id,
                        "the backend holds another log; begins anew as configured, the journal is kept aside"
                    );
                    return Some(self.start_over().await);
                }
                Effect::Drained => return Some(self.leave(true)),
            }
        }
        None
    }

    /// Sends a commit to the journal.
    async fn commit(&mut self, commit: Commit) -> Result<(), journal::Error> {
        assert!(
            self.commit.is_none(),
            "the machine sends one commit at a time"
        );
        self.tell_commit(&commit);
        let lease = self
            .lease
            .as_mut()
            .expect("it is given back at the end only");
        self.commit = Some(self.shared.journal.commit(lease, commit).await?);
        Ok(())
    }

    /// Hands an event to its plugin, on the guests' runtime.
    fn start(&mut self, request: RunRequest) {
        let plugin = &request.stamp.run.plugin;
        let worker = self
            .spec
            .workers
            .get(plugin)
            .expect("only plugins at hand are run")
            .clone();
        let (store, journal) = (self.spec.id.clone(), self.shared.journal.clone());
        let journaled = Arc::new(OfJournal {
            journal,
            store: store.clone(),
            plugin: plugin.clone(),
        });
        let stamp = request.stamp.to_string();
        let log = GuestLog {
            store: store.clone(),
            plugin: plugin.clone(),
            stamp,
        };
        debug!(%store, stamp = %request.stamp, attempt = request.attempt, "run started");
        self.tell_lateness(&request);
        let (token, stamp) = (request.token, request.stamp.clone());
        let traced = matches!(request.cause, Cause::Occurrence(_));
        let limits = Limits {
            fuel_per_run: request.fuel,
            // One place is kept for the event that tells of the end of the execution.
            drafts_max: worker.limits.drafts_max.saturating_sub(traced.into()),
            ..worker.limits
        };
        let call = Call {
            store,
            request,
            config: worker.config,
            grants: worker.grants,
            limits,
            weight: worker.weight,
            kv: journaled.clone(),
            schedule: journaled,
            task_defaults: worker.task_defaults,
            declared: worker.declared,
            log: Arc::new(log),
        };
        // Queued here and now: a thread for guests may look at the task only after another slice of what it computes.
        let run = worker.stocked.plugin.run(call);
        let task = self.runs.spawn_on(run, &self.shared.guests);
        self.tokens
            .insert(task.id(), (token, stamp, worker.stocked));
    }

    /// Something came over the socket.
    fn on_input(&mut self, input: Input) {
        let metrics = &self.shared.metrics;
        if let Input::PushAnswered { answer, .. } = &input {
            metrics.push_answered(answer);
        }
        if matches!(input, Input::Connected { generation } if generation.0 > 1) {
            metrics.reconnected();
        }
        let head = self.machine.head();
        self.machine.handle(input, self.shared.clock.now());
        metrics.events_scanned(self.machine.head().get().saturating_sub(head.get()));
    }

    fn on_run_ended(&mut self, ended: Result<(Id, RunReport), tokio::task::JoinError>) {
        let store = &self.spec.id;
        let (id, report) = match ended {
            Ok((id, report)) => (id, report),
            Err(error) => {
                let outcome = RunOutcome::Retry {
                    error: format!("the host failed: {error}").into(),
                };
                let report = RunReport {
                    outcome,
                    ending: Ending::HostPanicked,
                    usage: Usage::default(),
                    not_granted: None,
                };
                (error.id(), report)
            }
        };
        let run = self.tokens.remove(&id);
        let (token, stamp, stocked) = run.expect("every run was started here");
        let RunReport {
            outcome,
            ending,
            usage,
            not_granted,
        } = report;
        let build = &stocked.build;
        let (version, sha256) = (&build.version, build.sha256.short());
        debug!(%store, %stamp, %version, sha256, ?ending, fuel = usage.fuel, wall = ?usage.wall, "run ended");
        let failed = match &outcome {
            RunOutcome::Finished { .. } => false,
            RunOutcome::Retry { error } | RunOutcome::Reject { error } => {
                let ending = ending.as_str();
                warn!(%store, %stamp, %version, sha256, ending, %error, "run failed");
                true
            }
        };
        if let Some(not_granted) = not_granted {
            self.tell_not_granted(&stamp, &not_granted);
        }
        stocked.tally.record(failed);
        let build_told = format!("{version} (sha256 {sha256})");
        self.shared.metrics.run_finished(
            &stamp.run.plugin,
            &build.version,
            build.sha256.as_str(),
            &outcome,
            ending,
            &usage,
        );
        self.tell_refusals(&stamp, &usage.refusals);
        let end = RunEnd {
            outcome,
            ending,
            usage,
            build: Some(build_told.into()),
        };
        let ended = Input::RunFinished { token, end };
        self.machine.handle(ended, self.shared.clock.now());
    }

    /// Ends the life in order: runs first, then the socket, then the journal.
    async fn end(&mut self, end: End) -> End {
        self.runs.shutdown().await;
        self.tokens.clear();
        std::mem::replace(&mut self.link, Link::Closed)
            .close()
            .await;
        let rests = matches!(end, End::Again) && self.spec.rest.is_some();
        let over = matches!(end, End::Stopped | End::Drained) || rests;
        if let Some(lease) = self.lease.take_if(|_| over) {
            if let Err(error) = self.shared.journal.release(lease).await {
                warn!(store = %self.spec.id, %error, "the journal was not closed in order");
            }
            if matches!(end, End::Stopped) {
                info!(store = %self.spec.id, "store stopped");
            }
        }
        end
    }
}

/// Waits for the commit in flight; for ever if there is none.
async fn written(commit: &mut Option<Confirmation>) -> Result<(), journal::Error> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}
