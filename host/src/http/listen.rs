//! The TCP side of HTTP: it takes connections in, gives each a task, and bounds what those cost that have not asked for
//! anything: how many there are, how many of one address, and how long the head of a request may take. A connection
//! that becomes a WebSocket is no longer counted here.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections that are open without being a WebSocket. Beyond it new ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 2048;

/// Of those, from one address; others are closed at once. A browser opens six, and whole offices share an address.
const CONNECTIONS_PER_ADDRESS: u32 = 512;

/// For the head of a request to come, the first and every later one. Longer than proxies keep a quiet connection for the
/// next request (60 s is common), so that they and not we end it.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);

/// For what goes on to end, once the host stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// After the system refused a connection, as it does when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The connections that are open.
struct Connections {
    tasks: JoinSet<IpAddr>,
    of_address: HashMap<IpAddr, u32>,
}

/// Answers requests with `pages` until `closing` is cancelled; then finishes what goes on, for a moment. Handlers find
/// the peer as [`ConnectInfo`].
pub async fn serve(listener: TcpListener, pages: Router, closing: CancellationToken) {
    let mut connections = Connections {
        tasks: JoinSet::new(),
        of_address: HashMap::new(),
    };
    loop {
        let has_room = connections.tasks.len() < CONNECTIONS_MAX;
        // Cancel-safe: accepting and joining are tokio's own, and the rest has no state.
        tokio::select! {
            () = closing.cancelled() => break,
            Some(ended) = connections.tasks.join_next() => connections.on_ended(ended),
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, peer)) => connections.open(stream, peer, pages.clone(), &closing),
                Err(error) => {
                    on_refused(&error);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finish = async { while connections.tasks.join_next().await.is_some() {} };
    // What takes longer is given up: its client asks again.
    timeout(CLOSE_PATIENCE, finish).await.ok();
    connections.tasks.shutdown().await;
}

impl Connections {
    fn open(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        pages: Router,
        closing: &CancellationToken,
    ) {
        let address = peer.ip().to_canonical();
        let count = self.of_address.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS {
            tracing::debug!(%address, "too many connections of one address; closed this one");
            return;
        }
        *count += 1;
        let closing = closing.clone();
        self.tasks.spawn(async move {
            serve_connection(stream, peer, pages, closing).await;
            address
        });
    }

    fn on_ended(&mut self, ended: Result<IpAddr, JoinError>) {
        let Ok(address) = ended else {
            // A handler panicked. Its address counts one more from now on, which is better than none.
            tracing::error!("the handler of a request panicked");
            return;
        };
        if let Some(count) = self.of_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&address);
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    pages: Router,
    closing: CancellationToken,
) {
    // An answer in two frames must not wait for the other side's delayed acknowledgement of the first.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let pages = TowerToHyperService::new(pages);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        pages.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

fn on_refused(error: &io::Error) {
    // The client has gone meanwhile: nothing is wrong with us.
    if error.kind() == io::ErrorKind::ConnectionAborted {
        tracing::debug!(%error, "a connection was gone before it was taken in");
    } else {
        tracing::warn!(%error, "cannot take in connections at the moment; tries again");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn start(closing: &CancellationToken) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        let pages = Router::new().route("/peer", get(peer));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, pages, closing.clone()));
        (address, tasks)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream
            .write_all(b"GET /peer HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut answer = vec![0; 4096];
        let bytes = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..bytes]).into_owned()
    }

    #[tokio::test]
    async fn handlers_know_who_asks_and_a_stop_ends_quiet_connections() {
        let closing = CancellationToken::new();
        let (address, mut tasks) = start(&closing).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let peer = stream.local_addr().unwrap().to_string();
        assert!(ask(&mut stream).await.ends_with(&peer));
        assert!(ask(&mut stream).await.ends_with(&peer), "it is kept alive");
        closing.cancel();
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn one_address_cannot_take_all_connections() {
        let closing = CancellationToken::new();
        let (address, tasks) = start(&closing).await;
        let mut quiet = Vec::new();
        for _ in 0..CONNECTIONS_PER_ADDRESS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert!(!ask(&mut stream).await.is_empty());
            quiet.push(stream);
        }
        let mut one_more = TcpStream::connect(address).await.unwrap();
        let read = one_more.read(&mut [0; 16]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        quiet.pop();
        // Its place is free as soon as its end was noticed.
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .ok();
            if stream.read(&mut [0; 16]).await.is_ok_and(|bytes| bytes > 0) {
                break;
            }
        }
        drop(tasks);
    }
}
