//! Frames as text, so that a case can send what no library would write. `$STORE` and `$BACKEND` stand for the store's
//! name and its log's id, which each side has its own of.

/// An option without a value.
pub(super) const NONE: &str = r#"{"_tag":"None"}"#;

/// The option of the log's true id.
pub(super) const THIS_LOG: &str = r#"{"_tag":"Some","value":"$BACKEND"}"#;

/// An option with this JSON.
pub(super) fn some(value: &str) -> String {
    format!(r#"{{"_tag":"Some","value":{value}}}"#)
}

/// A cursor at a place of the log, spelled as given.
pub(super) fn cursor(seq: &str) -> String {
    some(&format!(
        r#"{{"backendId":"$BACKEND","eventSequenceNumber":{seq}}}"#
    ))
}

/// A request whose parts are any JSON.
pub(super) fn request(id: &str, tag: &str, payload: &str) -> String {
    format!(r#"{{"_tag":"Request","id":{id},"tag":"{tag}","payload":{payload},"headers":[]}}"#)
}

/// A pull over a socket.
pub(super) fn pull(id: &str, live: bool, cursor: &str) -> String {
    let payload = format!(r#"{{"storeId":"$STORE","live":{live},"cursor":{cursor}}}"#);
    request(&format!("\"{id}\""), "SyncWsRpc.Pull", &payload)
}

/// A push over a socket. `events` are separated by commas.
pub(super) fn push(id: &str, events: &str, backend_id: &str) -> String {
    push_on("SyncWsRpc.Push", id, events, backend_id)
}

/// A push over HTTP.
pub(super) fn http_push(events: &str, backend_id: &str) -> String {
    push_on("SyncHttpRpc.Push", "0", events, backend_id)
}

fn push_on(tag: &str, id: &str, events: &str, backend_id: &str) -> String {
    let payload = format!(r#"{{"storeId":"$STORE","batch":[{events}],"backendId":{backend_id}}}"#);
    request(&format!("\"{id}\""), tag, &payload)
}

/// A pull over HTTP.
pub(super) fn http_pull(cursor: &str) -> String {
    let payload = format!(r#"{{"storeId":"$STORE","cursor":{cursor}}}"#);
    request("\"0\"", "SyncHttpRpc.Pull", &payload)
}

/// `Ack` or `Interrupt` of a request.
pub(super) fn steer(kind: &str, id: &str) -> String {
    format!(r#"{{"_tag":"{kind}","requestId":"{id}"}}"#)
}

/// An event after `seq - 1`.
pub(super) fn event(seq: u64, args: &str) -> String {
    event_from("n", &seq.to_string(), &(seq - 1).to_string(), args)
}

/// An event with numbers spelled as given.
pub(super) fn event_from(name: &str, seq: &str, parent: &str, args: &str) -> String {
    format!(
        r#"{{"name":"{name}","args":{args},"seqNum":{seq},"parentSeqNum":{parent},"clientId":"c","sessionId":"s"}}"#
    )
}

/// `count` events from the place `first` on.
pub(super) fn events(first: u64, count: u64) -> String {
    let events: Vec<String> = (first..first + count)
        .map(|seq| event(seq, &format!(r#"{{"n":{seq}}}"#)))
        .collect();
    events.join(",")
}

/// An event with arguments of this many bytes.
pub(super) fn big_event(seq: u64, bytes: usize) -> String {
    event(seq, &format!("\"{}\"", "x".repeat(bytes - 2)))
}
