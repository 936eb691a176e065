//! From an endpoint to an open WebSocket: DNS, TCP, TLS, the upgrade; and what it means if the answer is another.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};
use url::Host;

use crate::sync::transport::Transport;
use crate::sync::{Endpoint, Error};

/// Of a refusal's body: more than any error text, so that a secret repeated in it is rarely cut in two.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// For the next piece of a refusal's body: it comes with the head or right behind it.
const BODY_PATIENCE: Duration = Duration::from_millis(500);

/// One for the process: it holds all root certificates, and the tickets that make a reconnect cheaper.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| Arc::new(tls_config()));

/// Opens a WebSocket within the endpoint's `connect_timeout`.
pub(super) async fn connect(
    endpoint: &Endpoint,
    config: WebSocketConfig,
) -> Result<WebSocketStream<Transport>, Error> {
    let patience = endpoint.limits().connect_timeout;
    timeout(patience, open(endpoint, config))
        .await
        .unwrap_or_else(|_| {
            Err(unreachable(
                endpoint,
                format_args!("no answer within {patience:?}"),
            ))
        })
}

async fn open(
    endpoint: &Endpoint,
    config: WebSocketConfig,
) -> Result<WebSocketStream<Transport>, Error> {
    let port = endpoint.port();
    let tcp = match endpoint.host() {
        Host::Domain(domain) => TcpStream::connect((domain.as_str(), port)).await,
        Host::Ipv4(address) => TcpStream::connect((*address, port)).await,
        Host::Ipv6(address) => TcpStream::connect((*address, port)).await,
    };
    let tcp = tcp.map_err(|error| unreachable(endpoint, error))?;
    // Small frames that somebody waits for: an ack, a push.
    tcp.set_nodelay(true)
        .map_err(|error| unreachable(endpoint, error))?;
    let stream = if endpoint.tls() {
        let name = server_name(endpoint)?;
        let tls = TlsConnector::from(TLS.clone()).connect(name, tcp).await;
        let tls =
            tls.map_err(|error| unreachable(endpoint, format_args!("TLS failed: {error}")))?;
        MaybeTlsStream::Rustls(tls)
    } else {
        MaybeTlsStream::Plain(tcp)
    };
    upgrade(endpoint, stream, config).await
}

fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, Error> {
    match endpoint.host() {
        Host::Domain(domain) => ServerName::try_from(domain.clone())
            .map_err(|_| unreachable(endpoint, "TLS needs a valid host name")),
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
    }
}

async fn upgrade(
    endpoint: &Endpoint,
    stream: MaybeTlsStream<TcpStream>,
    config: WebSocketConfig,
) -> Result<WebSocketStream<Transport>, Error> {
    let request = endpoint
        .secret_url()
        .into_client_request()
        .map_err(|_| unreachable(endpoint, "its URL cannot be asked for over HTTP"))?;
    // The handshake borrows the transport: a refusal's body can still be read from it, and after success the stream
    // begins with exactly the bytes that follow the head.
    let mut transport = Transport::recording(stream);
    let handshake = client_async_with_config(request, &mut transport, Some(config)).await;
    let answer = handshake.map(drop);
    let behind_head = transport.cut_head();
    match answer {
        Ok(()) => {
            let Some(tail) = behind_head else {
                return Err(unreachable(
                    endpoint,
                    "the head of the HTTP answer has no end",
                ));
            };
            Ok(
                WebSocketStream::from_partially_read(transport, tail, Role::Client, Some(config))
                    .await,
            )
        }
        Err(WebSocketError::Http(response)) => {
            let body = read_body(&mut transport, &response, behind_head.unwrap_or_default()).await;
            Err(refused(endpoint, &response, &body))
        }
        Err(error) => Err(unreachable(endpoint, error)),
    }
}

/// The rest of a refusal's body, as far as it comes promptly.
async fn read_body(transport: &mut Transport, response: &Response, mut body: Vec<u8>) -> String {
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let wanted = length.unwrap_or(usize::MAX).min(BODY_BYTES_MAX);
    let mut piece = [0; 2048];
    while body.len() < wanted {
        // A body that ends early, for whatever reason, is as good as it gets.
        let Ok(Ok(read @ 1..)) = timeout(BODY_PATIENCE, transport.read(&mut piece)).await else {
            break;
        };
        body.extend_from_slice(&piece[..read]);
    }
    body.truncate(wanted);
    if response.headers().contains_key(TRANSFER_ENCODING) {
        body = join_chunks(&body);
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// The content of a body in HTTP/1.1 chunks, as far as it is there.
fn join_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = str::from_utf8(&body[..end])
            .ok()
            .and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let rest = &body[end + 2..];
        let Some(size @ 1..) = size else { break };
        content.extend_from_slice(&rest[..size.min(rest.len())]);
        body = rest.get(size.saturating_add(2)..).unwrap_or_default();
    }
    content
}

fn unreachable(endpoint: &Endpoint, problem: impl std::fmt::Display) -> Error {
    Error::Unreachable {
        url: endpoint.address().clone(),
        problem: endpoint.quote(&problem.to_string()).into(),
    }
}

fn refused(endpoint: &Endpoint, response: &Response, body: &str) -> Error {
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION);
    let said = match location.and_then(|location| location.to_str().ok()) {
        Some(location) => endpoint.quote(&format!("location {location}")),
        None => endpoint.quote(body),
    };
    let meaning = meaning_of(status, body);
    let problem = match said.as_str() {
        "" => meaning.to_owned(),
        said => format!("{meaning}; it said: {said}"),
    };
    Error::Refused {
        url: endpoint.address().clone(),
        status,
        problem: problem.into(),
    }
}

/// What an answer other than 101 means. Source: `@livestore/sync-cf` 0.4.0, whose stock worker answers 200 to what
/// it takes for no sync request, and 400 to a payload that its `validatePayload` refuses.
fn meaning_of(status: u16, body: &str) -> &'static str {
    match status {
        200..=299 => {
            "not a LiveStore sync backend, or one that does not understand the query parameters of LiveStore 0.4; \
             check the sync URL"
        }
        300..=399 => "it sends us elsewhere; set the sync URL to the new place",
        401 | 403 => "authentication refused; check the store's payload",
        400 if body.contains("Unauthorized") => "authentication refused; check the store's payload",
        400 => "the backend refused the store or its payload; check both",
        404 => "there is no sync backend at this path; check the sync URL",
        426 => {
            "the request to upgrade to a WebSocket was lost on the way; check the proxies in between"
        }
        429 => "too many connections; trying again later",
        500.. => "the backend or a proxy before it is in trouble; trying again later",
        _ => "no WebSocket was opened; check the sync URL",
    }
}

/// The operating system's root certificates and, for machines that have none, Mozilla's. Loading takes some
/// milliseconds, once, at the first `wss` connection.
fn tls_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's root certificates could not be loaded; going on without them");
    }
    roots.add_parsable_certificates(native.certs);
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Without it, a server may pick HTTP/2, which has no such upgrade.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_chunks_is_joined_as_far_as_it_came() {
        for (body, content) in [
            ("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!"),
            ("5\r\nhel", "hel"),
            ("5\r\nhello\r\n", "hello"),
            ("ffffffffffffffff\r\nhello", "hello"),
            ("fffffffffffffffff\r\nhello", ""),
            ("x\r\nhello", ""),
            ("", ""),
        ] {
            assert_eq!(join_chunks(body.as_bytes()), content.as_bytes(), "{body:?}");
        }
    }

    #[test]
    fn the_tls_settings_can_be_made_without_a_process_wide_default() {
        let config = tls_config();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
