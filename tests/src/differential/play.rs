//! Runs a case against one backend and gives what it said, made comparable.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite;

use crate::differential::connection::{Connection, LAST_REQUEST, State};
use crate::differential::frames::{NONE, http_pull};
use crate::differential::normal::{normal, normal_text};
use crate::differential::script::Step;
use crate::differential::{Case, Difference};
use crate::http;
use crate::wait::PATIENCE;

/// A backend, wherever it is.
#[derive(Clone, Copy)]
pub struct Side {
    /// Where it listens.
    pub address: SocketAddr,
    /// The path of its endpoint.
    pub path: &'static str,
    /// Whether some frames make it fall silent.
    pub falls_silent: bool,
}

/// What the original does not answer for so long, it never does. It is asked for on purpose in few cases, and shorter
/// than the original's objects take to go to sleep and wake up as new ones.
const SILENCE: Duration = Duration::from_secs(8);

impl Side {
    fn query(&self, store: &str, transport: &str) -> String {
        format!("{}?storeId={store}&transport={transport}", self.path)
    }

    async fn post(&self, store: &str, body: &str) -> Result<http::Answer> {
        http::post(self.address, &self.query(store, "http"), body).await
    }
}

/// What one run needs to know.
struct Run<'a> {
    side: Side,
    store: &'a str,
    backend_id: String,
    patience: Duration,
    connections: BTreeMap<usize, Connection>,
    /// What HTTP calls were answered.
    answers: Vec<Value>,
}

/// Runs `case` on `store`, which nobody else uses: by connection and request, all that was said, in order.
///
/// # Errors
/// If it cannot be run at all. What the backend says is no error, whatever it is.
pub async fn play(side: Side, case: &Case, store: &str) -> Result<Value> {
    let silence = case.differs.is_some_and(Difference::is_silence);
    let mut run = Run {
        side,
        patience: if silence && side.falls_silent {
            SILENCE
        } else {
            PATIENCE
        },
        store,
        backend_id: backend_id_of(side, store).await?,
        connections: BTreeMap::new(),
        answers: Vec::new(),
    };
    for step in &case.steps {
        run.step(step).await?;
    }
    for connection in run.connections.values_mut() {
        connection.finish(&run.backend_id).await;
    }
    Ok(run.told())
}

/// Over HTTP, as a socket that came and went would be broadcast to.
async fn backend_id_of(side: Side, store: &str) -> Result<String> {
    let body = http_pull(NONE).replace("$STORE", store);
    let answer = side.post(store, &body).await?;
    let frames: Value = serde_json::from_str(&answer.body)
        .with_context(|| format!("a first pull was answered {answer:?}"))?;
    let id = frames[0]["values"][0]["backendId"].as_str();
    Ok(id.context("a first pull without a backend id")?.to_owned())
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Send { on, frame } => {
                let frame = self.filled(frame);
                self.connection(*on).await?.send(&frame).await;
            }
            Step::Take { on, until } => self.connection(*on).await?.take(until).await,
            Step::StopAcks { on } => self.connection(*on).await?.stop_acks(),
            Step::Seed { body } => {
                let answer = self.side.post(self.store, &self.filled(body)).await?;
                ensure!(
                    answer.body.contains(r#"{"_tag":"Success","value":{}}"#),
                    "the store could not be filled: {answer:?}"
                );
            }
            Step::Post { body } => {
                let answer = self.side.post(self.store, &self.filled(body)).await?;
                let frames = match serde_json::from_str(&answer.body) {
                    Ok(frames) => normal(&frames, &self.backend_id),
                    Err(_) => normal_text(&answer.body, &self.backend_id),
                };
                self.answers
                    .push(json!({ "status": answer.status, "frames": frames }));
            }
            Step::Upgrade { query } => {
                let url = format!(
                    "ws://{}{}{}",
                    self.side.address,
                    self.side.path,
                    self.filled(query)
                );
                let status = match connect_async(url).await {
                    Ok((_, response)) => response.status().as_u16(),
                    Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
                    Err(error) => bail!("a WebSocket could not even be refused: {error}"),
                };
                self.answers.push(json!({ "status": status }));
            }
            Step::Get { query } => {
                let path = format!("{}{}", self.side.path, self.filled(query));
                let answer = http::get(self.side.address, &path).await?;
                self.answers.push(json!({ "status": answer.status }));
            }
        }
        Ok(())
    }

    fn filled(&self, text: &str) -> String {
        text.replace("$STORE", self.store)
            .replace("$BACKEND", &self.backend_id)
    }

    async fn connection(&mut self, on: usize) -> Result<&mut Connection> {
        if !self.connections.contains_key(&on) {
            let query = self.side.query(self.store, "ws");
            let url = format!("ws://{}{query}", self.side.address);
            self.connections
                .insert(on, Connection::open(&url, self.patience).await?);
        }
        let connection = self.connections.get_mut(&on);
        connection.context("a connection that was just made")
    }

    /// All that was said. Between requests of one connection there is no order that anybody promises.
    fn told(self) -> Value {
        let backend_id = &self.backend_id;
        let connections = self.connections.values().map(|connection| {
            let mut by_request: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for (text, frame) in &connection.frames {
                let (request, told) = match frame {
                    Some(frame) => {
                        let request = frame["requestId"].as_str().unwrap_or("none");
                        (request, normal(frame, backend_id))
                    }
                    None => ("unreadable", normal_text(text, backend_id)),
                };
                if request != LAST_REQUEST {
                    by_request.entry(request.to_owned()).or_default().push(told);
                }
            }
            let state = match connection.state {
                State::Open => "answers",
                State::Silent => "is silent",
                State::Closed => "is closed",
            };
            json!({ "at the end": state, "requests": by_request })
        });
        let connections: Vec<Value> = connections.collect();
        json!({ "connections": connections, "http": self.answers })
    }
}
