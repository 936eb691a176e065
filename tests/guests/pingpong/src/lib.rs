//! Answers `v1.Ping` with `v1.Pong` and the other way, its own included: a loop that only the host's `max_depth` ends.
//! A chat message `ping` starts one.

use guest::{
    About, CHAT_MESSAGE_SENT, ChatMessage, Description, Event, Failure, OnEvent, Run, store,
};
use serde_json::json;

const PING: &str = "v1.Ping";
const PONG: &str = "v1.Pong";

struct Pingpong;

impl About for Pingpong {
    fn describe() -> Description {
        Description {
            events: [PING, PONG, CHAT_MESSAGE_SENT].map(str::to_owned).to_vec(),
            commits: [PING, PONG].map(str::to_owned).to_vec(),
            own_events: true,
            ..guest::chat_messages()
        }
    }
}

impl OnEvent for Pingpong {
    fn on_event(run: Run, event: Event) -> Result<(), Failure> {
        let answer = match event.name.as_str() {
            PING => PONG,
            PONG => PING,
            _ => match ChatMessage::of_user(&event) {
                Some(message) if message.text == "ping" => PING,
                _ => return Ok(()),
            },
        };
        let args = json!({ "id": run.stamp, "depth": run.depth });
        store::commit(answer, &args.to_string()).map_err(guest::refused)
    }
}

guest::export!(Pingpong);
