//! The socket of the control API: who may open it, how many may at once, and who is at the other end.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{BODY_BYTES_MAX, Orders, router};

/// The socket's name in the data folder.
pub const SOCKET: &str = "control.sock";

/// Connections at once: people and their scripts. Beyond it new ones wait.
const CONNECTIONS_MAX: usize = 32;

/// For the head of a request to come.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// For its body to come.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// For an order to be answered once the host stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// After the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    uid: u32,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)
    }
}

/// Listens at `path`, for its own user only. What lies there from an earlier life is replaced: whoever calls this holds
/// the folder.
///
/// # Errors
/// The system's.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made where nobody else can reach it, so that it is never open to others, not even for a moment.
    let private = folder.join(".control");
    fs::create_dir_all(&private)?;
    fs::set_permissions(&private, Permissions::from_mode(0o700))?;
    let made = private.join("s");
    if made.exists() {
        fs::remove_file(&made)?;
    }
    // A socket's path may have 107 bytes at most. This one is short, wherever the folder lies.
    let handle = File::open(&private)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}/s", handle.as_raw_fd()));
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    fs::rename(&made, path)?;
    fs::remove_dir(&private)?;
    Ok(listener)
}

/// Carries out orders until `closing` is cancelled; then finishes what goes on, for a moment.
pub async fn serve(listener: UnixListener, orders: Orders, closing: CancellationToken) {
    let pages = router(orders);
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        // Cancel-safe: accepting and joining are tokio's own.
        tokio::select! {
            () = closing.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve_connection(stream, pages.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "cannot take in an order");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    timeout(CLOSE_PATIENCE, finish).await.ok();
    connections.shutdown().await;
}

async fn serve_connection(stream: UnixStream, pages: Router) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    let peer = Peer {
        uid: credentials.uid(),
    };
    let pages = TowerToHyperService::new(pages);
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        async move {
            let (mut head, body) = request.into_parts();
            head.extensions.insert(peer);
            // Taken in whole before it is looked at: whoever sends it slowly must not keep a place for ever.
            let body = Limited::new(body, BODY_BYTES_MAX).collect();
            let Ok(Ok(body)) = timeout(BODY_PATIENCE, body).await else {
                return Ok(StatusCode::REQUEST_TIMEOUT.into_response());
            };
            let request = Request::from_parts(head, Full::new(body.to_bytes()));
            pages.call(request).await
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for orders ended");
    }
}
