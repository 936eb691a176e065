//! Wants memory: `hog` takes what it can get until the allocation that fails, which is a trap; `nibble` does the same
//! but accepts the refusal and says how much it got. Answers all others.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};
use std::hint::black_box;

const MIB: usize = 1 << 20;

/// Takes mebibytes until there are no more, gives them back, and says how many there were.
fn nibble() -> usize {
    let mut taken = Vec::new();
    loop {
        let mut piece: Vec<u8> = Vec::new();
        if piece.try_reserve_exact(MIB).is_err() {
            return taken.len();
        }
        piece.resize(MIB, 1);
        taken.push(black_box(piece));
    }
}

struct Hog;

impl About for Hog {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Hog {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let result = match message.text.as_str() {
            "hog" => {
                let mut taken = Vec::new();
                loop {
                    taken.push(black_box(vec![1_u8; MIB]));
                }
            }
            "nibble" => format!("{} MiB", nibble()),
            _ => "ok".to_owned(),
        };
        guest::commit_task(&format!("hog-{}", message.id), &message, &result)
    }
}

guest::export!(Hog);
