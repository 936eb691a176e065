//! One proxied connection: two pumps that read a frame, ask what is to become of it, and pass it on.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_hdr_async, connect_async};

use super::{Counts, Faults, Shared};

/// Frames of one connection that may wait for the other pump.
const FRAMES_MAX: usize = 64;

type Backend = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What the proxy knows of a request that goes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Push,
    /// A pull that is still at its pages.
    Pages,
    /// A pull that had its last page: what comes now are broadcasts. Even an ended one gets them, as long as its
    /// connection lasts.
    Broadcasts,
}

/// What becomes of a frame of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    /// Never arrives. `acknowledge` the backend in the host's place: it sends no more of a call without.
    Lose {
        acknowledge: bool,
    },
    Repeat,
    /// Comes after the next one.
    Delay,
}

/// The frames from the backend to the host, and what is decided about them.
struct Downstream {
    shared: Shared,
    calls: BTreeMap<String, Call>,
    /// A frame that waits for the next one.
    delayed: Option<Message>,
}

/// Joins the two ends until one of them closes.
pub(super) async fn relay(stream: TcpStream, shared: Shared) -> Result<()> {
    let mut target = String::new();
    // The query holds the store and the auth payload: it goes on as it came.
    #[allow(
        clippy::result_large_err,
        reason = "the callback's type is tungstenite's"
    )]
    let read_target = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        target = request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        Ok(response)
    };
    let host = accept_hdr_async(stream, read_target).await?;
    let request = format!("{}{target}", shared.target).into_client_request()?;
    let (backend, _) = connect_async(request).await?;
    shared.counts.send_modify(|counts| counts.connections += 1);

    let (to_host, from_host) = host.split();
    let (to_backend, from_backend) = backend.split();
    let (calls, calls_seen) = mpsc::channel(FRAMES_MAX);
    let (extra_acks, extra_acks_seen) = mpsc::channel(FRAMES_MAX);
    let downstream = Downstream {
        shared: shared.clone(),
        calls: BTreeMap::new(),
        delayed: None,
    };
    tokio::select! {
        ended = pump_up(from_host, to_backend, shared, calls, extra_acks_seen) => ended,
        ended = downstream.pump(from_backend, to_host, calls_seen, extra_acks) => ended,
    }
}

/// Waits while the proxy is silent, or while `also` holds.
async fn gate(shared: &Shared, also: impl Fn(&Faults) -> bool) -> Result<()> {
    let mut faults = shared.faults.clone();
    faults
        .wait_for(|faults| !faults.silent && !also(faults))
        .await?;
    Ok(())
}

async fn pump_up(
    mut from: SplitStream<WebSocketStream<TcpStream>>,
    mut to: SplitSink<Backend, Message>,
    shared: Shared,
    calls: mpsc::Sender<(String, Call)>,
    mut extra_acks: mpsc::Receiver<Message>,
) -> Result<()> {
    loop {
        // Both arms are cancel-safe: a stream's `next` and a channel's `recv` lose nothing.
        let message = tokio::select! {
            message = from.next() => message.context("the host closed the connection")??,
            Some(ack) = extra_acks.recv() => ack,
        };
        gate(&shared, |_| false).await?;
        let frame = parse(&message);
        if frame["_tag"] == "Ping" {
            shared.counts.send_modify(|counts| counts.pings += 1);
        }
        if let Some((id, call)) = call_of(&frame) {
            // Told before it is sent, so that the answer cannot come first.
            calls.send((id, call)).await?;
            if call == Call::Push {
                shared.counts.send_modify(|counts| counts.pushes += 1);
                gate(&shared, |faults| faults.hold_pushes).await?;
            }
        }
        to.send(message).await?;
    }
}

fn parse(message: &Message) -> Value {
    let text = message.to_text().unwrap_or_default();
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn call_of(frame: &Value) -> Option<(String, Call)> {
    let call = match frame["tag"].as_str()? {
        "SyncWsRpc.Push" => Call::Push,
        _ => Call::Pages,
    };
    Some((frame["id"].as_str()?.to_owned(), call))
}

impl Downstream {
    async fn pump(
        mut self,
        mut from: SplitStream<Backend>,
        mut to: SplitSink<WebSocketStream<TcpStream>, Message>,
        mut calls: mpsc::Receiver<(String, Call)>,
        extra_acks: mpsc::Sender<Message>,
    ) -> Result<()> {
        loop {
            let message = from
                .next()
                .await
                .context("the backend closed the connection")??;
            gate(&self.shared, |_| false).await?;
            while let Ok((id, call)) = calls.try_recv() {
                self.calls.insert(id, call);
            }
            let frame = parse(&message);
            match self.fate(&frame) {
                Fate::Pass => to.send(message).await?,
                Fate::Lose { acknowledge } => {
                    if acknowledge {
                        let ack = json!({ "_tag": "Ack", "requestId": frame["requestId"] });
                        extra_acks.send(Message::text(ack.to_string())).await?;
                    }
                    continue;
                }
                Fate::Repeat => {
                    to.feed(message.clone()).await?;
                    to.send(message).await?;
                }
                Fate::Delay => {
                    self.delayed = Some(message);
                    continue;
                }
            }
            if let Some(delayed) = self.delayed.take() {
                to.send(delayed).await?;
            }
        }
    }

    fn fate(&mut self, frame: &Value) -> Fate {
        let id = frame["requestId"].as_str().unwrap_or_default();
        let faults = self.shared.faults.borrow().clone();
        match (frame["_tag"].as_str(), self.calls.get(id).copied()) {
            (Some("Exit"), Some(Call::Push)) if faults.swallow_push_answers => {
                self.count(|counts| counts.answers_swallowed += 1);
                Fate::Lose { acknowledge: false }
            }
            (Some("Chunk"), Some(Call::Pages)) => {
                let last = &frame["values"][0]["pageInfo"]["_tag"];
                if last == "NoMore" {
                    self.calls.insert(id.to_owned(), Call::Broadcasts);
                }
                Fate::Pass
            }
            (Some("Chunk"), Some(Call::Broadcasts)) => self.broadcast_fate(&faults, frame),
            _ => Fate::Pass,
        }
    }

    fn broadcast_fate(&mut self, faults: &Faults, frame: &Value) -> Fate {
        // Every pull of a connection, ended ones too, gets its own copy of a broadcast: all of them share one fate, or
        // hardly anything would ever be lost.
        let place = frame["values"][0]["batch"][0]["eventEncoded"]["seqNum"].as_u64();
        let seed = self.shared.seed.wrapping_add(place.unwrap_or_default());
        let dice = fastrand::Rng::with_seed(seed).u8(0..100);
        let lose = if faults.swallow_broadcasts {
            100
        } else {
            faults.lose_percent
        };
        let repeat = lose.saturating_add(faults.repeat_percent);
        let reorder = repeat.saturating_add(faults.reorder_percent);
        let fate = match dice {
            dice if dice < lose => Fate::Lose { acknowledge: true },
            dice if dice < repeat => Fate::Repeat,
            dice if dice < reorder && self.delayed.is_none() => Fate::Delay,
            _ => return Fate::Pass,
        };
        self.count(|counts| counts.broadcasts_spoiled += 1);
        fate
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.shared.counts.send_modify(change);
    }
}
