//! Burns fuel before it answers: `spin 20` does twenty million rounds of some 20 fuel each, `forever` never ends, and
//! everything else takes about a second.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};
use std::hint::black_box;

/// Millions of rounds that take about a second on a usual machine.
const ROUNDS_OF_A_SECOND: u64 = 1_000;

struct Slow;

impl About for Slow {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Slow {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let rounds = match message.text.as_str() {
            "forever" => u64::MAX,
            text => guest::number_after("spin ", text).unwrap_or(ROUNDS_OF_A_SECOND) * 1_000_000,
        };
        let mut sum = 0_u64;
        for round in 0..rounds {
            sum = black_box(sum.wrapping_mul(31) ^ round);
        }
        guest::commit_task(&format!("slow-{}", message.id), &message, "ok")
    }
}

guest::export!(Slow);
