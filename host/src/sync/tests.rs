//! Connections against a backend that follows a script, over real sockets.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else comes fails the test"
)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::event::{Draft, NumberedDraft, SeqNum};
use crate::id::BackendId;
use crate::store::{Generation, Input, PullKind, PushAnswer, RequestId};

const GENERATION: Generation = Generation(3);
const TOKEN: &str = "s3cret-t0ken";

/// Longer than any test takes, shorter than a hung one is waited for.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The backend's end of a socket, and the URI that was asked for.
pub(super) struct Peer {
    pub(super) stream: WebSocketStream<TcpStream>,
    uri: String,
}

impl Peer {
    async fn accept(tcp: TcpStream) -> Self {
        let mut uri = String::new();
        #[expect(
            clippy::result_large_err,
            reason = "tungstenite's callback has this type"
        )]
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            uri = request.uri().to_string();
            Ok(response)
        };
        let stream = accept_hdr_async(tcp, callback).await.expect("an upgrade");
        Self { stream, uri }
    }

    pub(super) async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.stream
            .send(Message::text(text))
            .await
            .expect("the client is there");
    }

    /// The next frame that is no ping.
    async fn frame(&mut self) -> Value {
        loop {
            let message = self.stream.next().await.expect("a frame").expect("a frame");
            let frame: Value =
                serde_json::from_str(message.to_text().expect("text")).expect("JSON");
            if frame != json!({"_tag": "Ping"}) {
                return frame;
            }
        }
    }

    /// Waits until the client has gone.
    pub(super) async fn gone(&mut self) {
        while self
            .stream
            .next()
            .await
            .is_some_and(|message| message.is_ok())
        {}
    }
}

/// Runs a client against a backend for which `backend` does what follows the TCP connect.
async fn with_tcp<T>(
    payload: Option<Value>,
    limits: Limits,
    backend: impl AsyncFnOnce(TcpStream),
    client: impl AsyncFnOnce(Arc<Endpoint>) -> T,
) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "ws://{}/sync?room=1",
        listener.local_addr().expect("an address")
    );
    let store_id = "shop".parse().expect("a store id");
    let endpoint = Endpoint::new(&url, store_id, payload.as_ref(), limits).expect("an endpoint");
    let serve = async {
        let (tcp, _) = listener.accept().await.expect("a client");
        backend(tcp).await;
    };
    let both = async { tokio::join!(serve, client(Arc::new(endpoint))).1 };
    timeout(TEST_TIMEOUT, both)
        .await
        .expect("nobody waits for ever")
}

/// The same for what follows the upgrade, with an open connection.
async fn with_peer<T>(
    limits: Limits,
    backend: impl AsyncFnOnce(Peer),
    client: impl AsyncFnOnce(Connection) -> T,
) -> T {
    with_tcp(
        Some(json!({"authToken": TOKEN})),
        limits,
        async |tcp| backend(Peer::accept(tcp).await).await,
        async |endpoint| {
            client(
                Connection::open(&endpoint, GENERATION)
                    .await
                    .expect("it opens"),
            )
            .await
        },
    )
    .await
}

/// How the first connection fails if the TCP peer does `backend`.
async fn failed_open(limits: Limits, backend: impl AsyncFnOnce(TcpStream)) -> Error {
    with_tcp(
        Some(json!({"authToken": TOKEN})),
        limits,
        backend,
        async |endpoint| {
            Connection::open(&endpoint, GENERATION)
                .await
                .err()
                .expect("it does not open")
        },
    )
    .await
}

/// How a connection ends on which the backend sends `message`.
async fn lost_after(limits: Limits, message: Message) -> String {
    let backend = async |mut peer: Peer| {
        peer.stream
            .send(message)
            .await
            .expect("the client is there");
        peer.gone().await;
    };
    with_peer(limits, backend, async |mut connection| {
        disconnected(&connection.receive().await)
    })
    .await
}

fn disconnected(input: &Input) -> String {
    match input {
        Input::Disconnected {
            generation: GENERATION,
            error,
        } => error.to_string(),
        other => panic!("not disconnected: {other:?}"),
    }
}

fn chunk(request: u64, seqs: &[u64]) -> Value {
    let batch: Vec<Value> = seqs
        .iter()
        .map(|seq| {
            let event = json!({"name": "n", "args": {"n": seq}, "seqNum": seq, "parentSeqNum": seq - 1, "clientId": "c", "sessionId": "s"});
            json!({"eventEncoded": event, "metadata": {"_tag": "None"}})
        })
        .collect();
    json!({"_tag": "Chunk", "requestId": request.to_string(), "values": [{"batch": batch, "pageInfo": {"_tag": "NoMore"}, "backendId": "b1"}]})
}

fn exit(request: u64, exit: &Value) -> Value {
    json!({"_tag": "Exit", "requestId": request.to_string(), "exit": exit})
}

fn failure(request: u64, error: &Value) -> Value {
    exit(
        request,
        &json!({"_tag": "Failure", "cause": {"_tag": "Fail", "error": error}}),
    )
}

/// The places of a pulled chunk's events.
fn pulled(input: &Input, expected: u64) -> Vec<u64> {
    match input {
        Input::Pulled {
            generation: GENERATION,
            request,
            backend_id,
            events,
        } => {
            assert_eq!((*request, backend_id.as_str()), (RequestId(expected), "b1"));
            events.iter().map(|event| event.seq.get()).collect()
        }
        other => panic!("not pulled: {other:?}"),
    }
}

fn drafts(args: &[&str]) -> Vec<NumberedDraft> {
    let numbered = (1..).zip(args);
    let draft = |(seq, args): (u64, &&str)| NumberedDraft {
        seq: SeqNum::new(seq),
        parent: SeqNum::new(seq - 1),
        draft: Draft {
            name: "n".into(),
            args: (*args).into(),
        },
        client_id: "q".into(),
        session_id: "qm1:echo:e1:1:0/1".into(),
    };
    numbered.map(draft).collect()
}

#[tokio::test]
async fn each_page_waits_for_its_ack_and_an_ended_pull_is_interrupted() {
    let backend = async |mut peer: Peer| {
        let request = peer.frame().await;
        assert_eq!(request["payload"]["live"], json!(false));
        assert_eq!(request["payload"]["payload"], json!({"authToken": TOKEN}));
        for seqs in [[1, 2], [3, 4]] {
            peer.send(&chunk(0, &seqs)).await;
            assert_eq!(peer.frame().await, json!({"_tag": "Ack", "requestId": "0"}));
        }
        peer.send(&exit(0, &json!({"_tag": "Success"}))).await;
        // A broadcast that crosses our interrupt.
        peer.send(&chunk(0, &[5])).await;
        assert_eq!(
            peer.frame().await,
            json!({"_tag": "Interrupt", "requestId": "0"})
        );
        let interrupt = json!({"_tag": "Sequential", "left": {"_tag": "Empty"}, "right": {"_tag": "Interrupt", "fiberId": {}}});
        peer.send(&exit(0, &json!({"_tag": "Failure", "cause": interrupt})))
            .await;
        peer.send(&chunk(1, &[6])).await;
        peer.gone().await;
    };
    let client = async |mut connection: Connection| {
        let request = RequestId(0);
        connection
            .pull(request, SeqNum::ROOT, None, PullKind::Finite)
            .await
            .unwrap();
        for seqs in [[1, 2], [3, 4]] {
            assert_eq!(pulled(&connection.receive().await, 0), seqs);
            connection.ack(request).await.unwrap();
        }
        let ended = connection.receive().await;
        assert!(
            matches!(
                ended,
                Input::PullEnded {
                    generation: GENERATION,
                    request: RequestId(0)
                }
            ),
            "{ended:?}"
        );
        assert_eq!(pulled(&connection.receive().await, 0), [5]);
        // Not the end of the interrupted pull, but what follows it.
        assert_eq!(pulled(&connection.receive().await, 1), [6]);
        connection.close().await;
    };
    with_peer(Limits::default(), backend, client).await;
}

#[tokio::test]
async fn a_chunk_without_values_is_acked_by_the_connection_itself() {
    let backend = async |mut peer: Peer| {
        peer.send(&json!({"_tag": "Chunk", "requestId": "4", "values": []}))
            .await;
        assert_eq!(peer.frame().await, json!({"_tag": "Ack", "requestId": "4"}));
        peer.send(&chunk(4, &[1])).await;
        peer.gone().await;
    };
    let client = async |mut connection: Connection| pulled(&connection.receive().await, 4);
    assert_eq!(with_peer(Limits::default(), backend, client).await, [1]);
}

#[tokio::test]
async fn the_payload_is_sent_percent_encoded_twice_and_the_urls_own_query_is_kept() {
    let backend = async |mut peer: Peer| {
        assert_eq!(
            peer.uri,
            "/sync?room=1&storeId=shop&transport=ws&payload=%257B%2522authToken%2522%253A%2522s3cret-t0ken%2522%257D"
        );
        peer.gone().await;
    };
    with_peer(
        Limits::default(),
        backend,
        async |connection: Connection| connection.close().await,
    )
    .await;
}

#[tokio::test]
async fn every_answer_to_a_push_is_told_apart() {
    let answers = [
        (
            json!({"_tag": "ServerAheadError", "minimumExpectedNum": 9, "providedNum": 0}),
            PushAnswer::ServerAhead {
                head: SeqNum::new(9),
            },
        ),
        (
            json!({"_tag": "BackendIdMismatchError", "expected": "b2", "received": "b1"}),
            PushAnswer::BackendIdMismatch {
                actual: Some(BackendId::new("b2")),
            },
        ),
        (
            json!({"_tag": "UnknownError", "cause": {"name": "Error", "message": format!("no entry with {TOKEN}")}}),
            PushAnswer::Unknown {
                error: "Error: no entry with [secret]".into(),
            },
        ),
    ];
    let (errors, expected): (Vec<Value>, Vec<PushAnswer>) = answers.into_iter().unzip();
    let backend = async |mut peer: Peer| {
        let push = peer.frame().await;
        assert_eq!(push["payload"]["batch"][1]["args"], json!([2]));
        assert_eq!(
            push["payload"]["backendId"],
            json!({"_tag": "Some", "value": "b1"})
        );
        peer.send(&exit(0, &json!({"_tag": "Success", "value": {}})))
            .await;
        for (request, error) in (1..).zip(&errors) {
            assert_eq!(peer.frame().await["id"], json!(request.to_string()));
            peer.send(&failure(request, error)).await;
        }
        peer.gone().await;
    };
    let client = async |mut connection: Connection| {
        let backend_id = BackendId::new("b1");
        let mut answers = Vec::new();
        for number in 0..=expected.len() as u64 {
            connection
                .push(RequestId(number), &backend_id, &drafts(&["1", "[2]"]))
                .await
                .unwrap();
            match connection.receive().await {
                Input::PushAnswered {
                    generation: GENERATION,
                    request,
                    answer,
                } if request == RequestId(number) => answers.push(answer),
                other => panic!("not an answer: {other:?}"),
            }
        }
        connection.close().await;
        assert_eq!(answers.remove(0), PushAnswer::Accepted);
        assert_eq!(answers, expected);
    };
    with_peer(Limits::default(), backend, client).await;
}

#[tokio::test]
async fn a_refused_pull_is_interrupted_and_names_the_other_log_if_that_is_why() {
    let backend = async |mut peer: Peer| {
        peer.send(&failure(
            0,
            &json!({"_tag": "BackendIdMismatchError", "expected": "b2", "received": "b1"}),
        ))
        .await;
        peer.send(&failure(
            1,
            &json!({"_tag": "UnknownError", "cause": {"message": "out of order"}}),
        ))
        .await;
        peer.send(&exit(2, &json!({"_tag": "Success"}))).await;
        for _ in 0..3 {
            assert_eq!(peer.frame().await["tag"], json!("SyncWsRpc.Pull"));
        }
        for request in ["0", "1", "2"] {
            let interrupt = json!({"_tag": "Interrupt", "requestId": request});
            assert_eq!(peer.frame().await, interrupt);
        }
        peer.gone().await;
    };
    let client = async |mut connection: Connection| {
        let mut refusals = Vec::new();
        for number in 0..3 {
            connection
                .pull(
                    RequestId(number),
                    SeqNum::new(4),
                    Some(&BackendId::new("b1")),
                    PullKind::Live,
                )
                .await
                .unwrap();
        }
        for number in 0..3 {
            match connection.receive().await {
                Input::PullRefused {
                    request,
                    error,
                    mismatch,
                    ..
                } if request == RequestId(number) => {
                    refusals.push((error.to_string(), mismatch));
                }
                other => panic!("not refused: {other:?}"),
            }
        }
        connection.close().await;
        refusals
    };
    assert_eq!(
        with_peer(Limits::default(), backend, client).await,
        [
            (
                "the backend holds another log".to_owned(),
                Some(BackendId::new("b2"))
            ),
            ("out of order".to_owned(), None),
            ("the backend ended a live pull".to_owned(), None),
        ]
    );
}

#[tokio::test]
async fn drafts_that_are_not_json_are_answered_here() {
    let backend = async |mut peer: Peer| {
        assert_eq!(peer.frame().await["id"], json!("1"));
        peer.gone().await;
    };
    let client = async |mut connection: Connection| {
        let backend_id = BackendId::new("b1");
        connection
            .push(RequestId(0), &backend_id, &drafts(&["1", "{"]))
            .await
            .unwrap();
        connection
            .push(RequestId(1), &backend_id, &drafts(&["1"]))
            .await
            .unwrap();
        match connection.receive().await {
            Input::PushAnswered {
                request: RequestId(0),
                answer: PushAnswer::Unknown { error },
                ..
            } => error.to_string(),
            other => panic!("not answered: {other:?}"),
        }
    };
    assert_eq!(
        with_peer(Limits::default(), backend, client).await,
        "not sent: the arguments of draft 1 (n) are not JSON"
    );
}

#[tokio::test]
async fn a_backend_that_falls_silent_is_noticed_after_an_unanswered_ping() {
    let limits = Limits {
        ping_period: Duration::from_millis(60),
        ..Limits::default()
    };
    let answered = 3;
    let backend = async |mut peer: Peer| {
        let mut pings = 0;
        while let Some(Ok(message)) = peer.stream.next().await {
            assert_eq!(message.to_text().unwrap(), r#"{"_tag":"Ping"}"#);
            pings += 1;
            if pings <= answered {
                peer.send(&json!({"_tag": "Pong"})).await;
            }
        }
        assert_eq!(pings, answered + 1);
    };
    let client = async |mut connection: Connection| disconnected(&connection.receive().await);
    assert_eq!(
        with_peer(limits, backend, client).await,
        "connection lost: the backend has sent nothing for 60ms after a ping"
    );
}

#[tokio::test]
async fn a_page_that_comes_slowly_is_a_sign_of_life() {
    let limits = Limits {
        ping_period: Duration::from_millis(100),
        ..Limits::default()
    };
    let backend = async |mut peer: Peer| {
        let text = chunk(0, &[1]).to_string();
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        let tcp = peer.stream.get_mut();
        tcp.write_all(&[0x81, 126, length[0], length[1]])
            .await
            .unwrap();
        // Far longer than two ping periods in all.
        for piece in text.as_bytes().chunks(8) {
            tcp.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peer.gone().await;
    };
    let client = async |mut connection: Connection| pulled(&connection.receive().await, 0);
    assert_eq!(with_peer(limits, backend, client).await, [1]);
}

#[tokio::test]
async fn a_caller_that_was_busy_does_not_take_its_own_pause_for_silence() {
    let period = Duration::from_millis(100);
    let limits = Limits {
        ping_period: period,
        ..Limits::default()
    };
    let backend = async |mut peer: Peer| {
        assert!(peer.stream.next().await.is_some());
        // The answer comes when nobody listens.
        tokio::time::sleep(period).await;
        peer.send(&chunk(0, &[1])).await;
        peer.gone().await;
    };
    let client = async |mut connection: Connection| {
        let until_pinged = timeout(period * 3 / 2, connection.receive()).await;
        assert!(until_pinged.is_err(), "{until_pinged:?}");
        tokio::time::sleep(period * 3).await;
        pulled(&connection.receive().await, 0)
    };
    assert_eq!(with_peer(limits, backend, client).await, [1]);
}

#[tokio::test]
async fn no_frame_is_lost_to_a_cancelled_receive() {
    const FRAMES: u64 = 300;
    let backend = async |mut peer: Peer| {
        for seq in 1..=FRAMES {
            // Split between two writes, so that a receive is cancelled in the middle of a frame.
            let text = chunk(0, &[seq]).to_string();
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            let tcp = peer.stream.get_mut();
            tcp.write_all(&[0x81, 126, length[0]]).await.unwrap();
            tokio::task::yield_now().await;
            tcp.write_all(&length[1..]).await.unwrap();
            tcp.write_all(text.as_bytes()).await.unwrap();
        }
        peer.gone().await;
    };
    let client = async |mut connection: Connection| {
        let (mut seen, mut cancelled) = (Vec::new(), 0);
        while seen.len() < FRAMES as usize {
            tokio::select! {
                biased;
                input = connection.receive() => seen.extend(pulled(&input, 0)),
                () = tokio::task::yield_now() => {
                    cancelled += 1;
                    connection.ack(RequestId(0)).await.unwrap();
                }
            }
        }
        assert_eq!(seen, (1..=FRAMES).collect::<Vec<_>>());
        assert!(cancelled > 0, "nothing was cancelled");
    };
    with_peer(Limits::default(), backend, client).await;
}

#[tokio::test]
async fn frames_right_behind_the_upgrade_are_not_lost() {
    let backend = async |mut tcp: TcpStream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .unwrap();
        let accept = derive_accept_key(key.as_bytes());
        let text = chunk(0, &[1]).to_string();
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(&[0x81, 126]);
        answer.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        // One whole frame and the beginning of the next in the packet of the answer, the rest later.
        answer.extend_from_slice(text.as_bytes());
        answer.extend_from_slice(&[0x81]);
        tcp.write_all(&answer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        tcp.write_all(&[126]).await.unwrap();
        tcp.write_all(&u16::try_from(text.len()).unwrap().to_be_bytes())
            .await
            .unwrap();
        tcp.write_all(text.as_bytes()).await.unwrap();
        // Until the client has gone.
        while tcp.read_u8().await.is_ok() {}
    };
    with_tcp(None, Limits::default(), backend, async |endpoint| {
        let mut connection = Connection::open(&endpoint, GENERATION)
            .await
            .expect("it opens");
        for _ in 0..2 {
            assert_eq!(pulled(&connection.receive().await, 0), [1]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_understood_ends_the_connection_with_a_reason() {
    let limits = Limits {
        message_bytes_max: 2000,
        ..Limits::default()
    };
    let mut bad = chunk(0, &[1]);
    bad["values"][0]["batch"][0]["eventEncoded"]["seqNum"] = json!(-1);
    for (message, reason) in [
        (
            Message::text("hello"),
            "the backend sent what cannot be understood: frame: expected value",
        ),
        (
            Message::text(bad.to_string()),
            "chunk of request 0: expected a sequence number",
        ),
        (
            Message::text(format!(r#"{{"_tag":"Defect","defect":"bad {TOKEN}"}}"#)),
            "could not read a request of ours: bad [secret]",
        ),
        (
            Message::text(format!(
                r#"{{"_tag":"Defect","defect":"{}"}}"#,
                "x".repeat(1500)
            )),
            "…",
        ),
        (Message::binary("x"), "a binary message"),
        (
            Message::text("x".repeat(2001)),
            "Message too long: 2001 > 2000",
        ),
        (
            Message::Close(Some(CloseFrame {
                code: 1009.into(),
                reason: TOKEN.into(),
            })),
            "closed by the backend, code 1009: [secret]",
        ),
        (Message::Close(None), "closed by the backend"),
    ] {
        let error = lost_after(limits, message).await;
        assert!(error.contains(reason) && error.len() < 400, "{error}");
    }
}

#[tokio::test]
async fn what_is_unknown_and_harmless_is_skipped() {
    let backend = async |mut peer: Peer| {
        for frame in [
            json!({"_tag": "ClientEnd"}),
            json!({"_tag": "Pong"}),
            exit(9, &json!({"_tag": "Success"})),
            chunk(0, &[1]),
        ] {
            peer.send(&frame).await;
        }
        peer.gone().await;
    };
    let client = async |mut connection: Connection| pulled(&connection.receive().await, 0);
    assert_eq!(with_peer(Limits::default(), backend, client).await, [1]);
}

#[tokio::test]
async fn a_lost_connection_says_so_to_whoever_asks() {
    let backend = async |peer: Peer| drop(peer);
    let client = async |mut connection: Connection| {
        let error = disconnected(&connection.receive().await);
        assert_eq!(disconnected(&connection.receive().await), error);
        assert_eq!(
            connection.ack(RequestId(0)).await,
            Err(Error::Lost(error.as_str().into()))
        );
        connection.close().await;
        error
    };
    let error = with_peer(Limits::default(), backend, client).await;
    assert!(error.starts_with("connection lost: "), "{error}");
}

#[tokio::test]
async fn a_backend_that_takes_nothing_in_is_given_up() {
    let limits = Limits {
        write_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let (done, mut wait) = tokio::sync::oneshot::channel::<()>();
    let backend = async |peer: Peer| {
        // Holds the socket open and reads nothing.
        assert!((&mut wait).await.is_ok());
        drop(peer);
    };
    let client = async |mut connection: Connection| {
        let large = format!("\"{}\"", "x".repeat(900_000));
        let large = drafts(&[&large]);
        for number in 0.. {
            if let Err(error) = connection
                .push(RequestId(number), &BackendId::new("b1"), &large)
                .await
            {
                assert_eq!(disconnected(&connection.receive().await), error.to_string());
                done.send(()).expect("the backend waits");
                return error.to_string();
            }
        }
        unreachable!("nothing is taken in for ever");
    };
    assert_eq!(
        with_peer(limits, backend, client).await,
        "connection lost: the backend has taken nothing in for 100ms"
    );
}

#[tokio::test]
async fn a_refusal_is_explained_and_quotes_the_backend_without_our_secrets() {
    for (status, body, reason) in [
        (
            "400 Bad Request",
            format!("UnknownError: {{ \"cause\": Error: Unauthorized {TOKEN} }}"),
            "authentication refused; check the store's payload; it said: UnknownError: { \"cause\": Error: Unauthorized [secret] }",
        ),
        (
            "400 Bad Request",
            "Invalid path".to_owned(),
            "refused the store or its payload; check both; it said: Invalid path",
        ),
        (
            "200 OK",
            "Info: sync backend".to_owned(),
            "not a LiveStore sync backend",
        ),
        ("401 Unauthorized", String::new(), "authentication refused"),
        (
            "404 Not Found",
            String::new(),
            "there is no sync backend at this path",
        ),
        (
            "426 Upgrade Required",
            String::new(),
            "check the proxies in between",
        ),
        (
            "503 Service Unavailable",
            "x".repeat(30_000),
            "trying again later; it said: xxx",
        ),
    ] {
        let backend = async |mut tcp: TcpStream| {
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            read_head(&mut tcp).await;
            tcp.write_all(head.as_bytes()).await.unwrap();
            // The body comes in packets of its own.
            for piece in body.as_bytes().chunks(10_000) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if tcp.write_all(piece).await.is_err() {
                    break;
                }
            }
        };
        let error = failed_open(Limits::default(), backend).await;
        let Error::Refused {
            status: told,
            ref problem,
            ref url,
        } = error
        else {
            panic!("{error:?}")
        };
        assert!(
            status.starts_with(&told.to_string()) && problem.contains(reason),
            "{error}"
        );
        assert!(
            url.starts_with("ws://127.0.0.1:") && url.ends_with("/sync"),
            "{url}"
        );
        assert!(
            error.to_string().len() < 600 && !format!("{error:?}").contains(TOKEN),
            "{error:?}"
        );
    }
}

async fn read_head(tcp: &mut TcpStream) {
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        last.rotate_left(1);
        last[3] = tcp.read_u8().await.unwrap();
    }
}

#[tokio::test]
async fn a_redirect_is_quoted_without_our_secrets() {
    let backend = async |mut tcp: TcpStream| {
        read_head(&mut tcp).await;
        let place = format!("wss://elsewhere/?authToken={TOKEN}");
        tcp.write_all(format!("HTTP/1.1 301 Moved\r\nLocation: {place}\r\n\r\n").as_bytes())
            .await
            .unwrap();
    };
    let error = failed_open(Limits::default(), backend).await.to_string();
    assert!(
        error.ends_with("it said: location wss://elsewhere/?authToken=[secret]"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_is_told_from_somebody_else() {
    let limits = Limits {
        connect_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let closed = failed_open(limits, async |tcp| drop(tcp)).await;
    assert!(matches!(closed, Error::Unreachable { .. }), "{closed:?}");
    let other = failed_open(limits, async |mut tcp: TcpStream| {
        // The client may leave in the middle of it.
        assert!(
            tcp.write_all(b"220 mail.example.com ESMTP\r\n\r\n")
                .await
                .is_ok()
        );
    })
    .await;
    assert!(matches!(other, Error::Unreachable { .. }), "{other:?}");
    let silent = failed_open(
        limits,
        async |mut tcp: TcpStream| while tcp.read_u8().await.is_ok() {},
    )
    .await;
    assert!(
        silent.to_string().ends_with("no answer within 200ms"),
        "{silent}"
    );

    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let store_id = "shop".parse().unwrap();
    let endpoint =
        Endpoint::new(&format!("ws://127.0.0.1:{port}"), store_id, None, limits).unwrap();
    let refused = Connection::open(&Arc::new(endpoint), GENERATION)
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("refused"), "{refused}");
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    let endpoint = Endpoint::new(&url, "shop".parse().unwrap(), None, Limits::default()).unwrap();
    let serve = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        assert!(
            tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .is_ok()
        );
        while tcp.read_u8().await.is_ok() {}
    };
    let endpoint = Arc::new(endpoint);
    let (opened, ()) = tokio::join!(Connection::open(&endpoint, GENERATION), serve);
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("TLS failed"), "{error}");
}

/// For the tests of the socket itself.
pub(super) async fn with_endpoint<T>(
    limits: Limits,
    backend: impl AsyncFnOnce(Peer),
    client: impl AsyncFnOnce(Arc<Endpoint>) -> T,
) -> T {
    with_tcp(
        None,
        limits,
        async |tcp| backend(Peer::accept(tcp).await).await,
        client,
    )
    .await
}
