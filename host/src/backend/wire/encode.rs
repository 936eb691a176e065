//! From values to the text that a client gets, its keys in the order in which the original writes them. Pages are
//! written and measured by the same code, so a measure is exact.

use crate::backend::wire::Refusal;
use crate::event::Event;

/// The answer to a ping.
pub(in crate::backend) const PONG: &str = r#"{"_tag":"Pong"}"#;

const BATCH_OPEN: &str = r#"{"batch":["#;
const BATCH_CLOSE: &str = r#"],"pageInfo":{"_tag":"#;
const BACKEND_ID: &str = r#"},"backendId":"#;
const NO_MORE: &str = r#""NoMore""#;
const MORE_KNOWN: &str = r#""MoreKnown","remaining":"#;

/// Bytes of an event on the wire besides its texts: keys, numbers, time. Only for reserving memory.
const EVENT_FIXED_BYTES: usize = 280;

/// Bytes of any frame besides what it carries. Only for reserving memory.
const FRAME_FIXED_BYTES: usize = 160;

/// Takes text: a frame in the making, or only its length.
trait Sink {
    fn put(&mut self, text: &str);
}

impl Sink for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

/// Counts bytes and keeps none.
struct Measure(usize);

impl Sink for Measure {
    fn put(&mut self, text: &str) {
        self.0 += text.len();
    }
}

/// A part of a pull's answer, made of one [`page_body`]. The same body serves many clients.
pub(in crate::backend) fn chunk(request: u64, body: &str) -> String {
    let mut frame = String::with_capacity(body.len() + FRAME_FIXED_BYTES);
    frame.put(r#"{"_tag":"Chunk","requestId":""#);
    put_number(&mut frame, request);
    frame.put(r#"","values":["#);
    frame.put(body);
    frame.put("]}");
    frame
}

/// One item of a pull's stream: `events`, and how many `more` lie behind them.
pub(in crate::backend) fn page_body(events: &[Event], more: usize, backend_id: &str) -> String {
    let texts: usize = events
        .iter()
        .map(|event| {
            let texts = [
                &event.name,
                &event.args,
                &event.client_id,
                &event.session_id,
            ];
            EVENT_FIXED_BYTES + texts.iter().map(|text| text.len()).sum::<usize>()
        })
        .sum();
    let mut body = String::with_capacity(texts + backend_id.len() + FRAME_FIXED_BYTES);
    body.put(BATCH_OPEN);
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.put(",");
        }
        put_event(&mut body, event);
    }
    body.put(BATCH_CLOSE);
    if more == 0 {
        body.put(NO_MORE);
    } else {
        body.put(MORE_KNOWN);
        put_number(&mut body, more as u64);
    }
    body.put(BACKEND_ID);
    put_string(&mut body, backend_id);
    body.put("}");
    body
}

/// Bytes that this event adds to a page, its comma included.
pub(in crate::backend) fn page_event_bytes(event: &Event) -> usize {
    let mut measure = Measure(1);
    put_event(&mut measure, event);
    measure.0
}

/// Bytes of a page besides its events: with theirs it makes exactly the page that the original measures, which is one
/// that says `NoMore`. One less than an empty page, for the comma that the first event does not have.
pub(in crate::backend) fn page_envelope_bytes(backend_id: &str) -> usize {
    let mut measure = Measure(0);
    for part in [BATCH_OPEN, BATCH_CLOSE, NO_MORE, BACKEND_ID, "}"] {
        measure.put(part);
    }
    put_string(&mut measure, backend_id);
    measure.0 - 1
}

/// A finite pull is at its end.
pub(in crate::backend) fn exit_pull(request: u64) -> String {
    exit(request, r#"{"_tag":"Success"}"#)
}

/// A push is in the log.
pub(in crate::backend) fn exit_push(request: u64) -> String {
    exit(request, r#"{"_tag":"Success","value":{}}"#)
}

/// Somebody is there.
pub(in crate::backend) fn exit_ping(request: u64) -> String {
    exit(
        request,
        r#"{"_tag":"Success","value":{"_tag":"SyncMessage.Pong"}}"#,
    )
}

/// A call was refused.
pub(in crate::backend) fn exit_failure(request: u64, refusal: &Refusal) -> String {
    let mut result = String::from(r#"{"_tag":"Failure","cause":{"_tag":"Fail","error":{"#);
    match refusal {
        Refusal::ServerAhead { head, provided } => {
            result.put(r#""minimumExpectedNum":"#);
            put_number(&mut result, head.get());
            result.put(r#","providedNum":"#);
            put_number(&mut result, provided.get());
            result.put(r#","_tag":"ServerAheadError""#);
        }
        Refusal::BackendIdMismatch { expected, received } => {
            result.put(r#""expected":"#);
            put_string(&mut result, expected.as_str());
            result.put(r#","received":"#);
            put_string(&mut result, received);
            result.put(r#","_tag":"BackendIdMismatchError""#);
        }
        Refusal::Unknown { name, message } => {
            result.put(r#""cause":{"name":"#);
            put_string(&mut result, name);
            result.put(r#","message":"#);
            put_string(&mut result, message);
            result.put(r#"},"_tag":"UnknownError""#);
        }
    }
    result.put("}}}");
    exit(request, &result)
}

/// A call's payload could not be understood.
pub(in crate::backend) fn exit_die(request: u64, problem: &str) -> String {
    let mut result = String::from(r#"{"_tag":"Failure","cause":{"_tag":"Die","defect":"#);
    put_string(&mut result, problem);
    result.put("}}");
    exit(request, &result)
}

/// A call ended because the client wanted no more of it. The original nests this in a tree of causes, as deep as its
/// fibers happened to be; the fiber is the one that it always names, `-499`: the client itself.
pub(in crate::backend) fn exit_interrupted(request: u64) -> String {
    exit(
        request,
        r#"{"_tag":"Failure","cause":{"_tag":"Interrupt","fiberId":{"_tag":"Runtime","id":-499,"startTimeMillis":0}}}"#,
    )
}

/// A frame could not be understood, and belongs to no call.
pub(in crate::backend) fn defect(problem: &str) -> String {
    let mut frame = String::with_capacity(problem.len() + FRAME_FIXED_BYTES);
    frame.put(r#"{"_tag":"Defect","defect":"#);
    put_string(&mut frame, problem);
    frame.put("}");
    frame
}

fn exit(request: u64, result: &str) -> String {
    let mut frame = String::with_capacity(result.len() + FRAME_FIXED_BYTES);
    frame.put(r#"{"_tag":"Exit","requestId":""#);
    put_number(&mut frame, request);
    frame.put(r#"","exit":"#);
    frame.put(result);
    frame.put("}");
    frame
}

fn put_event(sink: &mut impl Sink, event: &Event) {
    sink.put(r#"{"eventEncoded":{"name":"#);
    put_string(sink, &event.name);
    sink.put(r#","args":"#);
    sink.put(&event.args);
    sink.put(r#","seqNum":"#);
    put_number(sink, event.seq.get());
    sink.put(r#","parentSeqNum":"#);
    put_number(sink, event.parent.get());
    sink.put(r#","clientId":"#);
    put_string(sink, &event.client_id);
    sink.put(r#","sessionId":"#);
    put_string(sink, &event.session_id);
    sink.put(r#"},"metadata":{"_tag":"#);
    match event.created_at {
        Some(time) => {
            sink.put(r#""Some","value":{"_tag":"SyncMessage.SyncMetadata","createdAt":""#);
            sink.put(&time.to_string());
            sink.put(r#""}}}"#);
        }
        None => sink.put(r#""None"}}"#),
    }
}

fn put_number(sink: &mut impl Sink, mut number: u64) {
    // The most digits that 64 bits have.
    let mut digits = [b'0'; 20];
    let mut start = digits.len() - 1;
    loop {
        // The remainder is below ten.
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        start -= 1;
    }
    sink.put(str::from_utf8(&digits[start..]).expect("digits are ASCII"));
}

/// Writes a JSON string, escaped as JavaScript escapes it.
fn put_string(sink: &mut impl Sink, text: &str) {
    const HEX: [&str; 16] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f",
    ];
    sink.put("\"");
    let mut written = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        sink.put(&text[written..index]);
        written = index + 1;
        match byte {
            b'"' => sink.put("\\\""),
            b'\\' => sink.put("\\\\"),
            b'\x08' => sink.put("\\b"),
            b'\x0c' => sink.put("\\f"),
            b'\n' => sink.put("\\n"),
            b'\r' => sink.put("\\r"),
            b'\t' => sink.put("\\t"),
            control => {
                sink.put("\\u00");
                sink.put(HEX[usize::from(control >> 4)]);
                sink.put(HEX[usize::from(control & 15)]);
            }
        }
    }
    sink.put(&text[written..]);
    sink.put("\"");
}
