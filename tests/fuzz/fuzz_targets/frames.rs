//! Any bytes as a frame for the embedded backend: it is understood or refused in few words, and what was understood can
//! be written, is as long as it was measured, and is read back as it was.
//!
//! The decoder is taken in by its path, not through the host's crate: with it would come wasmtime and SQLite, and the
//! sanitizer's build would take minutes instead of seconds.
#![no_main]

#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../../host/src/event.rs"]
mod event;
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../../host/src/id.rs"]
mod id;
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../../host/src/time.rs"]
mod time;

// The path of a module in braces is the folder that its own modules lie in.
#[path = "../../../host/src/backend"]
mod backend {
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use crate::event::Event;
    use crate::time::Timestamp;

    #[allow(dead_code, unused_imports, reason = "the host uses more of it")]
    mod wire;

    use wire::{Call, Frame, Malformed, Transport};

    /// Longer than any answer to a frame that was not understood: none may repeat what it was sent.
    const ANSWER_BYTES_MAX: usize = 2_000;

    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        batch: Vec<Item<'a>>,
    }

    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, rename = "eventEncoded")]
        event: &'a RawValue,
    }

    pub(super) fn check(text: &str) {
        for transport in [Transport::WebSocket, Transport::Http] {
            match wire::decode(text, transport) {
                Ok(Frame::Request { id, call }) => check_call(id, call),
                Ok(Frame::Ack { .. } | Frame::Interrupt { .. } | Frame::Ping | Frame::Eof) => {}
                Err(Malformed::Frame(problem)) => check_answer(&wire::defect(&problem)),
                Err(Malformed::Call { id, problem }) => {
                    check_answer(&wire::exit_die(id, &problem));
                }
            }
        }
    }

    fn check_call(request: u64, call: Call) {
        match call {
            Call::Pull { .. } => check_answer(&wire::exit_pull(request)),
            Call::Ping => check_answer(&wire::exit_ping(request)),
            Call::Push { batch, backend_id } => {
                check_page(request, batch, &backend_id.unwrap_or_default());
            }
        }
    }

    fn check_answer(frame: &str) {
        assert!(frame.len() <= ANSWER_BYTES_MAX, "{frame}");
        serde_json::from_str::<&RawValue>(frame).expect("an answer is JSON");
    }

    fn check_page(request: u64, mut batch: Vec<Event>, backend_id: &str) {
        for (index, event) in batch.iter_mut().enumerate() {
            // As the log would give them: some with a time, some without.
            event.created_at = (index % 2 == 0).then_some(Timestamp::from_millis(event.seq.get()));
        }
        let body = wire::page_body(&batch, 0, backend_id);
        if !batch.is_empty() {
            let events: usize = batch.iter().map(wire::page_event_bytes).sum();
            assert_eq!(wire::page_envelope_bytes(backend_id) + events, body.len());
        }
        serde_json::from_str::<&RawValue>(&wire::chunk(request, &body)).expect("a chunk is JSON");

        let page: Page<'_> = serde_json::from_str(&body).expect("a page is JSON");
        let events: Vec<&str> = page.batch.iter().map(|item| item.event.get()).collect();
        let again = format!(
            r#"{{"_tag":"Request","id":"0","tag":"SyncWsRpc.Push","payload":{{"storeId":"s","batch":[{}],"backendId":{{"_tag":"None"}}}}}}"#,
            events.join(",")
        );
        let Ok(Frame::Request {
            call: Call::Push {
                batch: mut read, ..
            },
            ..
        }) = wire::decode(&again, Transport::WebSocket)
        else {
            panic!("what was written cannot be read: {again}");
        };
        for (event, written) in read.iter_mut().zip(&batch) {
            event.created_at = written.created_at;
        }
        assert_eq!(read, batch);
    }
}

libfuzzer_sys::fuzz_target!(|frame: &[u8]| {
    // A socket hands over text frames as UTF-8, and refuses others by itself.
    if let Ok(text) = str::from_utf8(frame) {
        backend::check(text);
    }
});
