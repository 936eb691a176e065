//! `echo` answers every chat message of a user with what the user said.
//!
//! This file is all that touches the host; what an answer says is decided in `answer`, which runs, and is tested, on
//! any machine.

mod answer;
mod iso_time;

use answer::{Config, Question, answer};
use exports::quartermaster::plugin::about::{self, Description, History};
use exports::quartermaster::plugin::on_event::{self, Event, Failure, Run};
use quartermaster::plugin::store;
use quartermaster::plugin::types::Mode;

wit_bindgen::generate!({ path: "../../wit", world: "plugin" });

/// The event that a chat message is, the user's as well as ours.
const CHAT_MESSAGE_SENT: &str = "v1.ChatMessageSent";

struct Echo;

impl about::Guest for Echo {
    fn describe() -> Description {
        Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            events: vec![CHAT_MESSAGE_SENT.to_owned()],
            commits: vec![CHAT_MESSAGE_SENT.to_owned()],
            own_events: false,
            history: History::Ignore,
            tasks: Vec::new(),
        }
    }
}

impl on_event::Guest for Echo {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        if run.mode == Mode::Projecting {
            return Ok(()); // What was said before this plugin came stays unanswered.
        }
        let Some(question) = Question::of(&event.args) else {
            return Ok(());
        };
        let config = Config::parse(&run.config).map_err(Failure::Reject)?;
        let args = answer(&question, &config, &run.stamp, run.now_ms);
        store::commit(CHAT_MESSAGE_SENT, &args.to_string())
            .map_err(|refusal| Failure::Reject(format!("the answer was refused: {refusal}")))
    }
}

export!(Echo);
