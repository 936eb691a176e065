//! Clients over real loopback sockets, against a backend in a temporary folder: who gets in, what the others are told,
//! and how connections end.

mod changes;
mod clients;
mod doors;
mod ends;
mod http;

use std::fs;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::backend::access::{Algorithm, JwtRules};
use crate::backend::{Backend, BackendConfig, LogSettings, Rights};

/// A hang is a failure.
const SOON: Duration = Duration::from_secs(20);

const SECRET: &str = "a secret of thirty-two bytes, yes";

const LIMITS: Limits = Limits {
    connections: 100,
    connections_per_address: 100,
    events_per_second: 1_000_000,
    message_bytes_max: 1 << 20,
};

/// How one store is served.
struct Rules {
    tokens: &'static [(&'static str, Rights)],
    jwt: bool,
    origins: Origins,
    limits: Limits,
}

/// A host that serves some stores.
struct Host {
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    metrics: Arc<Metrics>,
    backend: Backend,
    folder: TempDir,
    _tasks: JoinSet<()>,
}

/// A client's WebSocket.
struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// An HTTP answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// In lower case, with `: ` between name and value.
    headers: Vec<String>,
    body: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tokens: &[("s3cret", Rights::ReadWrite), ("look", Rights::ReadOnly)],
            jwt: false,
            origins: Origins::Any,
            limits: LIMITS,
        }
    }
}

/// A store without rules.
fn open() -> Rules {
    Rules {
        tokens: &[],
        origins: Origins::Local,
        ..Rules::default()
    }
}

fn jwt_rules() -> JwtRules<'static> {
    JwtRules {
        algorithm: Algorithm::Hs256,
        key: SECRET,
        issuer: None,
        audience: None,
        store_claim: "store",
        mode_claim: "mode",
    }
}

/// A token that is signed with [`SECRET`].
fn signed(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &key).expect("it can be signed")
}

fn addresses() -> Addresses {
    Addresses {
        connections: 1000,
        connects_per_minute: 10_000,
        trusted_proxies: Vec::new(),
    }
}

fn served(backend: &Backend, stores: Vec<(&str, Rules)>) -> Vec<Served> {
    let stores = stores.into_iter().map(|(name, rules)| {
        let store = name.parse().expect("an id");
        let jwt = rules.jwt.then(jwt_rules);
        let access = Access::new(rules.tokens.iter().copied(), jwt.as_ref());
        let log = backend.log(&store, LogSettings::default());
        Served::new(log, access.expect("a key"), rules.origins, rules.limits)
    });
    stores.collect()
}

impl Host {
    /// Serves these from now on.
    fn apply(&self, stores: Vec<(&str, Rules)>) {
        self.endpoint
            .apply(addresses(), served(&self.backend, stores));
    }

    async fn new(stores: Vec<(&str, Rules)>) -> Self {
        Self::with(stores, |_| {}).await
    }

    /// A host whose endpoint was changed before it serves.
    async fn with(stores: Vec<(&str, Rules)>, change: impl FnOnce(&mut Endpoint)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let backend = Backend::open(&BackendConfig::new(folder.path())).expect("a backend");
        let metrics = Arc::new(Metrics::default());
        let clock = Clock::start();
        let mut endpoint = Endpoint::new(addresses(), clock, Arc::clone(&metrics));
        endpoint.apply(addresses(), served(&backend, stores));
        change(&mut endpoint);
        let endpoint = Arc::new(endpoint);
        let site = Site {
            roster: tokio::sync::watch::channel(Arc::default()).1,
            metrics: Arc::clone(&metrics),
            sync: Arc::clone(&endpoint),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let pages = crate::http::router(site).into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, pages).await.expect("it serves");
        });
        Self {
            address,
            endpoint,
            metrics,
            backend,
            folder,
            _tasks: tasks,
        }
    }

    /// Opens a WebSocket, or says with which status and text that was refused.
    async fn connect(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, Answer> {
        let url = format!("ws://{}/sync?transport=ws&{query}", self.address);
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in headers {
            let value = value.parse().expect("a header");
            request.headers_mut().insert(*name, value);
        }
        match timeout(SOON, connect_async(request))
            .await
            .expect("in time")
        {
            Ok((stream, _)) => Ok(Socket(stream)),
            Err(WebSocketError::Http(response)) => {
                let (parts, body) = response.into_parts();
                let header = |(name, value): (_, &axum::http::HeaderValue)| {
                    format!("{name}: {}", value.to_str().expect("text"))
                };
                Err(Answer {
                    status: parts.status.as_u16(),
                    headers: parts.headers.iter().map(header).collect(),
                    body: String::from_utf8(body.unwrap_or_default()).expect("text"),
                })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A client of `shop` with the first token.
    async fn enter(&self) -> Socket {
        let token = [("authorization", "Bearer s3cret")];
        self.connect("storeId=shop", &token)
            .await
            .expect("it is let in")
    }

    /// One HTTP request, as its head without the last empty line, and its answer.
    async fn request(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let length = body.len();
        let request =
            format!("{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers: Vec<String> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').expect("a header");
                format!("{}: {}", name.to_lowercase(), value.trim())
            })
            .collect();
        let chunked = headers
            .iter()
            .any(|header| header == "transfer-encoding: chunked");
        Answer {
            status: status
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            body: if chunked {
                dechunked(body)
            } else {
                body.to_owned()
            },
            headers,
        }
    }

    async fn get(&self, path: &str, headers: &str) -> Answer {
        let host = self.address;
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: {host}{headers}"), "")
            .await
    }

    async fn post(&self, query: &str, body: &str) -> Answer {
        let head = format!(
            "POST /sync?storeId=shop&transport=http{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer s3cret",
            self.address
        );
        self.request(&head, body).await
    }

    /// The number of a metric; waits until it is `expected`.
    async fn until_metric(&self, name: &str, expected: u64) {
        let line = format!("{name} {expected}");
        let there = async {
            while !self.metrics.render().lines().any(|other| other == line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(SOON, there).await;
        waited.unwrap_or_else(|_| panic!("no {line} in\n{}", self.metrics.render()));
    }
}

impl Socket {
    async fn send(&mut self, frame: &Value) {
        self.say(Message::text(frame.to_string())).await;
    }

    async fn say(&mut self, message: Message) {
        timeout(SOON, self.0.send(message))
            .await
            .expect("in time")
            .expect("it is open");
    }

    /// The next frame.
    async fn frame(&mut self) -> Value {
        match timeout(SOON, self.0.next()).await.expect("in time") {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("expected a frame, found {other:?}"),
        }
    }

    /// Code and reason with which the server closes it, after whatever comes before.
    async fn closed(mut self) -> (u16, String) {
        loop {
            match timeout(SOON, self.0.next()).await.expect("in time") {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("expected a close frame, found {other:?}"),
            }
        }
    }

    async fn push(&mut self, id: u64, seqs: std::ops::RangeInclusive<u64>, text: &str) {
        self.send(&push("SyncWsRpc.Push", id, seqs, text)).await;
    }

    /// Pushes and waits until that is answered; whether it was accepted.
    async fn pushed(&mut self, id: u64, seqs: std::ops::RangeInclusive<u64>, text: &str) -> bool {
        self.push(id, seqs, text).await;
        loop {
            let frame = self.frame().await;
            if frame["_tag"] == "Exit" && frame["requestId"] == json!(id.to_string()) {
                return frame["exit"]["_tag"] == "Success";
            }
        }
    }

    async fn pull_live(&mut self, id: u64) {
        let payload = json!({ "storeId": "shop", "live": true, "cursor": { "_tag": "None" } });
        self.send(&request("SyncWsRpc.Pull", id, payload)).await;
        assert_eq!(self.frame().await["_tag"], "Chunk");
        self.send(&json!({ "_tag": "Ack", "requestId": id.to_string() }))
            .await;
    }
}

fn request(tag: &str, id: u64, payload: Value) -> Value {
    json!({ "_tag": "Request", "id": id.to_string(), "tag": tag, "payload": payload, "headers": [] })
}

/// A push of events with these numbers, each with `text`.
fn push(tag: &str, id: u64, seqs: std::ops::RangeInclusive<u64>, text: &str) -> Value {
    let event = |seq: u64| {
        json!({
            "name": "v1.Said", "args": { "text": text }, "seqNum": seq, "parentSeqNum": seq - 1,
            "clientId": "alice", "sessionId": "s",
        })
    };
    let batch: Vec<Value> = seqs.map(event).collect();
    let payload = json!({ "storeId": "shop", "batch": batch, "backendId": { "_tag": "None" } });
    request(tag, id, payload)
}

/// The body in chunks of HTTP/1.1; panics if it does not end as one.
fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return whole;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
}

impl Answer {
    #[track_caller]
    fn assert(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.contains(text), "{self:?}");
    }

    fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|other| other == header)
    }
}
