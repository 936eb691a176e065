//! What a run answers, as its guest is handed it.

use wasmtime::Store;

use crate::event::Event;
use crate::runtime::bindings::{RawEvent, RawMode, RawOccurrence, RawRun};
use crate::runtime::run::Call;
use crate::runtime::state::State;
use crate::runtime::task::raw_occurrence;
use crate::runtime::world::{Answer, ON_EVENT, ON_TASK, World};
use crate::store::{Cause, Mode};

/// What a guest is handed besides the run.
pub(super) enum RawCause {
    Event(RawEvent),
    Occurrence(RawOccurrence),
}

impl RawCause {
    pub(super) fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Event(event) => Self::Event(raw_event(event)),
            Cause::Occurrence(occurrence) => Self::Occurrence(raw_occurrence(occurrence)),
        }
    }

    /// Why the component cannot be handed this, if it cannot: another version of it had the handler, or the store's
    /// configuration gives a task to one that never had.
    pub(super) fn lack(&self, world: &World) -> Option<String> {
        let (handled, what, export) = match self {
            Self::Event(_) => (world.handles_events(), "events", ON_EVENT),
            Self::Occurrence(_) => (world.handles_tasks(), "tasks", ON_TASK),
        };
        let lack = || format!("this version of the plugin handles no {what}: it lacks `{export}`");
        (!handled).then(lack)
    }

    /// Hands it to a fresh instance that does not lack its handler.
    pub(super) async fn hand_to(
        &self,
        world: &World,
        store: &mut Store<State>,
        run: &RawRun,
    ) -> wasmtime::Result<Answer> {
        match self {
            Self::Event(event) => world.on_event(store, run, event).await,
            Self::Occurrence(occurrence) => world.on_task(store, run, occurrence).await,
        }
    }
}

/// The run at hand, as its guest is told of it.
pub(super) fn raw_run(call: &Call) -> RawRun {
    let request = &call.request;
    RawRun {
        store: call.store.to_string(),
        stamp: request.stamp.to_string(),
        mode: match request.mode {
            Mode::Projecting => RawMode::Projecting,
            Mode::Reacting => RawMode::Reacting,
        },
        attempt: request.attempt,
        now_ms: request.now.as_millis(),
        depth: request.stamp.depth,
        config: call.config.as_ref().to_owned(),
    }
}

fn raw_event(event: &Event) -> RawEvent {
    RawEvent {
        seq: event.seq.get(),
        name: event.name.as_ref().to_owned(),
        args: event.args.as_ref().to_owned(),
        client_id: event.client_id.as_ref().to_owned(),
        session_id: event.session_id.as_ref().to_owned(),
        created_at_ms: event.created_at.map(|at| at.as_millis()),
    }
}
