//! A component that fits the contract: which handlers it has, and how a fresh instance of it is made and called. Each handler
//! is optional, so no world of the WIT is bound as a whole.

use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use crate::runtime::bindings::{
    About, OnEvent, OnTask, RawDescription, RawEvent, RawFailure, RawOccurrence, RawRun,
};
use crate::runtime::log::one_line;
use crate::runtime::plugin::ERROR_BYTES_MAX;
use crate::runtime::state::State;
use crate::runtime::{Engine, Error, imports};

/// The handler of events, by its full name.
pub(super) const ON_EVENT: &str = "quartermaster:plugin/on-event@0.1.0";
/// The handler of tasks, by its full name.
pub(super) const ON_TASK: &str = "quartermaster:plugin/on-task@0.1.0";

/// What a handler says: what it did, or why it failed.
pub(super) type Answer = Result<Option<String>, RawFailure>;

/// A linked component with what it exports of the contract.
pub(super) struct World {
    instances: InstancePre<State>,
    about: About,
    on_event: Option<OnEvent>,
    on_task: Option<OnTask>,
}

impl World {
    /// Checks a component's imports and exports.
    ///
    /// # Errors
    /// It imports what no plugin gets, lacks `about`, or has no handler at all.
    pub(super) fn link(engine: &Engine, component: &Component) -> Result<Self, Error> {
        imports::check(engine, component)?;
        let misfit =
            |error: wasmtime::Error| Error::World(one_line(&format!("{error:#}"), ERROR_BYTES_MAX));
        let instances = engine.linker().instantiate_pre(component);
        let instances = instances.map_err(misfit)?;
        let about = About::new(&instances).map_err(misfit)?;
        let exports = |name| component.get_export_index(None, name).is_some();
        let on_event = exports(ON_EVENT).then(|| OnEvent::new(&instances));
        let on_task = exports(ON_TASK).then(|| OnTask::new(&instances));
        if on_event.is_none() && on_task.is_none() {
            return Err(Error::World(format!(
                "it has no handler: it exports neither `{ON_EVENT}` nor `{ON_TASK}`"
            )));
        }
        Ok(Self {
            about,
            on_event: on_event.transpose().map_err(misfit)?,
            on_task: on_task.transpose().map_err(misfit)?,
            instances,
        })
    }

    /// Whether it can be handed events.
    pub(super) fn handles_events(&self) -> bool {
        self.on_event.is_some()
    }

    /// Whether it can be handed occurrences of tasks.
    pub(super) fn handles_tasks(&self) -> bool {
        self.on_task.is_some()
    }

    /// Asks a fresh instance what it is. wasmtime compares the types of an export only here, where it looks it up in an
    /// instance; so the handlers are looked up too, and no run has to find out.
    pub(super) async fn describe(
        &self,
        store: &mut Store<State>,
    ) -> wasmtime::Result<RawDescription> {
        let instance = self.instance(store).await?;
        if let Some(on_event) = &self.on_event {
            on_event.load(&mut *store, &instance)?;
        }
        if let Some(on_task) = &self.on_task {
            on_task.load(&mut *store, &instance)?;
        }
        let about = self.about.load(&mut *store, &instance)?;
        about.call_describe(store).await
    }

    /// Hands an event to a fresh instance.
    pub(super) async fn on_event(
        &self,
        store: &mut Store<State>,
        run: &RawRun,
        event: &RawEvent,
    ) -> wasmtime::Result<Answer> {
        let handler = self.on_event.as_ref().expect("the caller has looked");
        let instance = self.instance(store).await?;
        let handler = handler.load(&mut *store, &instance)?;
        let answer = handler.call_on_event(store, run, event).await?;
        Ok(answer.map(|()| None))
    }

    /// Hands an occurrence of a task to a fresh instance.
    pub(super) async fn on_task(
        &self,
        store: &mut Store<State>,
        run: &RawRun,
        occurrence: &RawOccurrence,
    ) -> wasmtime::Result<Answer> {
        let handler = self.on_task.as_ref().expect("the caller has looked");
        let instance = self.instance(store).await?;
        let handler = handler.load(&mut *store, &instance)?;
        handler.call_on_task(store, run, occurrence).await
    }

    async fn instance(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        self.instances.instantiate_async(store).await
    }
}
