//! An ordinary WASI 0.2 program as far as its imports go: asks the clocks, the random source and the environment,
//! writes a line to standard output, and records what it saw.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};
use wasip2::cli::{environment, stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::random::{insecure_seed, random};

struct Wasi;

impl About for Wasi {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Wasi {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let wall = wall_clock::now();
        let monotonic = monotonic_clock::now();
        let random = random::get_random_u64();
        let seed = insecure_seed::insecure_seed();
        let variables = environment::get_environment();
        let arguments = environment::get_arguments();
        let printed = stdout::get_stdout().blocking_write_and_flush(b"hello from wasi\n");
        let result = format!(
            "wall {}.{:09}, monotonic {monotonic}, random {random:016x}, seed {:016x}, variables {}, arguments {}, \
             printed {}",
            wall.seconds,
            wall.nanoseconds,
            seed.0,
            variables.len(),
            arguments.len(),
            printed.is_ok(),
        );
        guest::commit_task(&format!("wasi-{}", message.id), &message, &result)
    }
}

guest::export!(Wasi);
