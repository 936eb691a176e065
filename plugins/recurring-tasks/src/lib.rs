//! `recurring-tasks` is the clock of an app's own recurring tasks: it follows the events that create, change and remove them,
//! keeps each one scheduled, and commits its prompt as a chat message whenever it is due.
//!
//! This file is all that touches the host. What an event means is decided in `change`, what is known of a task in `kept`, and
//! what a due task says in `message`; these run, and are tested, on any machine.

mod change;
mod iso_time;
mod kept;
mod message;

use change::Change;
use exports::quartermaster::plugin::about::{self, Description, History};
use exports::quartermaster::plugin::on_event::{self, Event, Failure, Run};
use exports::quartermaster::plugin::on_task::{self, Occurrence};
use kept::Kept;
use message::{Action, Config};
use quartermaster::plugin::log::{Level, log};
use quartermaster::plugin::schedule::{self, ScheduleError};
use quartermaster::plugin::types::{Mode, Task};
use quartermaster::plugin::{kv, store};

wit_bindgen::generate!({ path: "../../wit", world: "event-and-task-plugin" });

/// What a due task's prompt becomes.
const CHAT_MESSAGE_SENT: &str = "v1.ChatMessageSent";
/// What the host tells the app of each execution in the plugin's name.
const TASK_EXECUTION: &str = "v1.TaskExecution*";

/// Why an event has no effect.
enum Problem {
    /// The app wrote something that makes no sense; it is logged, and all stays as it is.
    Wrong(String),
    /// The run fails.
    Failure(Failure),
}

struct RecurringTasks;

impl about::Guest for RecurringTasks {
    fn describe() -> Description {
        Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            events: change::EVENTS.map(str::to_owned).to_vec(),
            commits: [CHAT_MESSAGE_SENT, TASK_EXECUTION]
                .map(str::to_owned)
                .to_vec(),
            own_events: false,
            history: History::Project,
            tasks: Vec::new(),
        }
    }
}

impl on_event::Guest for RecurringTasks {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        match follow(&run, &event) {
            Ok(()) => Ok(()),
            Err(Problem::Wrong(what)) => {
                let line = format!(
                    "{} in place {}: {what}; it changes nothing",
                    event.name, event.seq
                );
                log(Level::Warn, &line);
                Ok(())
            }
            Err(Problem::Failure(failure)) => Err(failure),
        }
    }
}

impl on_task::Guest for RecurringTasks {
    fn on_task(run: Run, occurrence: Occurrence) -> Result<Option<String>, Failure> {
        let config = Config::parse(&run.config).map_err(Failure::Reject)?;
        let id = kept::id_in(&occurrence.payload).map_err(Failure::Reject)?;
        let Some(task) = known(&id).map_err(failure)? else {
            return Ok(Some("the app has removed the task meanwhile".to_owned()));
        };
        match config.action {
            Action::None => Ok(None),
            Action::Chat => {
                let args = message::of(&task, &config, &run.stamp, occurrence.due_ms);
                store::commit(CHAT_MESSAGE_SENT, &args.to_string()).map_err(|refusal| {
                    Failure::Reject(format!("the prompt of {id} was refused: {refusal}"))
                })?;
                Ok(Some("sent its prompt as a chat message".to_owned()))
            }
        }
    }
}

/// Does what an event says.
fn follow(run: &Run, event: &Event) -> Result<(), Problem> {
    match Change::read(&event.name, &event.args).map_err(Problem::Wrong)? {
        Change::Created(task) => keep(&task),
        Change::Updated { id, updates, next } => {
            let task = must_know(&id)?;
            keep(&task.updated(&updates, next).map_err(Problem::Wrong)?)
        }
        Change::Enabled { id, next } => {
            let task = must_know(&id)?;
            keep(&task.enabled(next).map_err(Problem::Wrong)?)
        }
        Change::Disabled { id } => keep(&must_know(&id)?.disabled()),
        Change::Deleted { id } => {
            let task = must_know(&id)?;
            schedule::remove(&task.id).map_err(unscheduled)?;
            kv::delete(&task.key()).map_err(unkept)
        }
        // Whoever wanted it run before this plugin came does not wait any more.
        Change::Execute { .. } if run.mode == Mode::Projecting => Ok(()),
        Change::Execute { id, triggered_at } => {
            let task = must_know(&id)?;
            let at = if run.now_ms == 0 {
                triggered_at
            } else {
                run.now_ms
            };
            put(&task.now(event.seq, at))
        }
    }
}

/// Keeps a task, and its place in the schedule if it is enabled. First the schedule: only it knows whether a cron pattern and a
/// time zone make sense.
fn keep(task: &Kept) -> Result<(), Problem> {
    let planned = task.planned().map_err(Problem::Wrong)?;
    match planned {
        Some(planned) => put(&planned)?,
        None => schedule::remove(&task.id).map_err(unscheduled)?,
    }
    kv::put(&task.key(), task.to_json().as_bytes()).map_err(unkept)
}

fn put(task: &Task) -> Result<(), Problem> {
    schedule::put(task).map_err(unscheduled)
}

fn must_know(id: &str) -> Result<Kept, Problem> {
    known(id)?.ok_or_else(|| Problem::Wrong(format!("there is no task {id:?}")))
}

fn known(id: &str) -> Result<Option<Kept>, Problem> {
    let kept = kv::get(&kept::key(id)).map_err(unkept)?;
    let read = |bytes: Vec<u8>| {
        Kept::read(&bytes).map_err(|error| Problem::Failure(Failure::Reject(error)))
    };
    kept.map(read).transpose()
}

fn unscheduled(refusal: ScheduleError) -> Problem {
    match refusal {
        ScheduleError::BadTask(text) => Problem::Wrong(text),
        // Not the app's mistake, and nobody else would tell the operator; once there is room, the event can be tried again.
        ScheduleError::TooMuch(text) => Problem::Failure(Failure::Reject(format!(
            "the task cannot be scheduled: {text}"
        ))),
        ScheduleError::Unavailable(text) => Problem::Failure(Failure::Retry(text)),
    }
}

fn unkept(refusal: kv::KvError) -> Problem {
    Problem::Failure(match refusal {
        kv::KvError::BadKey(text) => return Problem::Wrong(text),
        kv::KvError::TooMuch(text) => Failure::Reject(format!("the task cannot be kept: {text}")),
        kv::KvError::Unavailable(text) => Failure::Retry(text),
    })
}

/// Where nothing depends on an app's event any more.
fn failure(problem: Problem) -> Failure {
    match problem {
        Problem::Wrong(text) => Failure::Reject(text),
        Problem::Failure(failure) => failure,
    }
}

export!(RecurringTasks);
