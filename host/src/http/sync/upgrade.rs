//! From an HTTP request to a WebSocket, by hand on hyper's upgrade: axum's own would bring a second tungstenite with
//! buffers that cannot be given back.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::Instrument;

use super::answer::Refusal;
use super::connection::Connection;
use super::socket::Socket;
use super::stream::Stream;
use super::{Admitted, Endpoint};
use crate::backend::{Session, Transport};

/// The version of RFC 6455.
const VERSION: &str = "13";

impl Endpoint {
    /// Answers that the WebSocket is open, and serves it in a task of its own.
    pub(super) fn upgrade(
        &self,
        parts: &mut Parts,
        admitted: Admitted,
    ) -> Result<Response, Refusal> {
        let version = parts.headers.get(header::SEC_WEBSOCKET_VERSION);
        if version.is_none_or(|version| version != VERSION) {
            return Err(Refusal::UpgradeNeeded);
        }
        let Some(key) = parts.headers.get(header::SEC_WEBSOCKET_KEY) else {
            return Err(Refusal::BadRequest(
                "the header Sec-WebSocket-Key is missing".to_owned(),
            ));
        };
        let accept = derive_accept_key(key.as_bytes());
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or(Refusal::UpgradeNeeded)?;

        let patience = self.patience.transfer;
        let opened = async move {
            // The other side is this process's own HTTP server, which is done once our answer is out.
            match timeout(patience, upgrade).await {
                Ok(Ok(io)) => Some(io),
                Ok(Err(_)) | Err(_) => None,
            }
        };
        let span = tracing::debug_span!("client", store = %admitted.open.served.log.store());
        self.connections
            .spawn(self.serve(opened, admitted).instrument(span));
        let headers = [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_ACCEPT, &accept),
        ];
        Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
    }

    /// The task of one connection: it owns what it needs, and nothing of the endpoint.
    pub(super) fn serve(
        &self,
        opened: impl Future<Output = Option<Upgraded>> + Send + 'static,
        admitted: Admitted,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (metrics, patience) = (Arc::clone(&self.metrics), self.patience);
        let now = self.clock.now();
        let expires = admitted.grant.expires;
        let expires = expires.and_then(|at| Instant::now().checked_add(at.since(now)));
        async move {
            let Admitted {
                open,
                place,
                client,
                ..
            } = admitted;
            // On the heap: a task is as large as all that it ever awaits, and this is over in a moment.
            let Some(io) = Box::pin(opened).await else {
                return;
            };
            let bytes_max = open.served.limits.message_bytes_max;
            let socket = Socket::new(Stream::new(io), bytes_max, patience);
            let connection = Box::new(Connection {
                socket: Box::pin(socket).await,
                session: Session::new(client, Transport::WebSocket),
                tenure: Arc::clone(&open.tenure),
                metrics,
                expires,
                slowed: None,
                held: None,
            });
            tracing::debug!("a client has come");
            connection.run().await;
            drop(place);
        }
    }
}
