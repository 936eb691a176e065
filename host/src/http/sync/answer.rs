//! What is said to those who may not come in, and which web pages may read an answer (CORS). Every refusal says what
//! happened and what to do; none repeats a credential.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::backend::access::Denied;
use crate::telemetry::SyncRefused;

/// For whoever opens the address without parameters.
pub(super) const ABOUT: &str = "\
Quartermaster's sync backend for LiveStore. Apps connect to it with @livestore/sync-cf:\n\n    \
makeWsSync({ url: 'ws://<this host>/sync' })\n\n\
which asks for ?storeId=<id>&transport=ws and, if the store has access rules, &payload=<JSON with authToken>.\n";

/// What a right URL looks like.
const RIGHT: &str = "expected /sync?storeId=<id>&transport=ws (or http), and &payload=<percent-encoded JSON> if the \
                     store needs a token";

/// How long a browser may remember that a page is allowed.
const PREFLIGHT_SECONDS: &str = "600";

/// When to come again after a limit on connections: they change within seconds.
const RETRY_SECONDS: u64 = 5;

/// Why a client stays outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The URL makes no sense; why.
    BadRequest(String),
    /// No store by that name is served.
    UnknownStore(String),
    /// Its credentials are worth nothing.
    Denied(Denied),
    /// The page that it speaks for may not.
    Origin,
    /// The store asks for no credentials, and is for this machine only.
    NotLocal,
    /// `transport=ws` without a WebSocket.
    UpgradeNeeded,
    /// `transport=http` without a body.
    PostNeeded,
    /// The body or frame is larger than this number of bytes.
    TooLarge(usize),
    /// The body did not come, or is not text.
    BadBody(&'static str),
    /// Its address begins too many connections; for how long it should wait.
    TooOften(Duration),
    /// Too many connections are open: of what.
    TooMany(&'static str),
    /// The log cannot be used at the moment; why.
    Unavailable(String),
}

impl Refusal {
    /// What it counts as among the metrics.
    pub(super) fn counts_as(&self) -> SyncRefused {
        match self {
            Self::BadRequest(_)
            | Self::UpgradeNeeded
            | Self::PostNeeded
            | Self::TooLarge(_)
            | Self::BadBody(_) => SyncRefused::BadRequest,
            Self::UnknownStore(_) => SyncRefused::UnknownStore,
            Self::Denied(_) => SyncRefused::Denied,
            Self::Origin => SyncRefused::Origin,
            Self::NotLocal => SyncRefused::NotLocal,
            Self::TooOften(_) => SyncRefused::Rate,
            Self::TooMany(_) => SyncRefused::Connections,
            Self::Unavailable(_) => SyncRefused::Unavailable,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::UnknownStore(_) => StatusCode::NOT_FOUND,
            Self::Denied(Denied::OtherStore) | Self::Origin | Self::NotLocal => {
                StatusCode::FORBIDDEN
            }
            Self::Denied(Denied::Missing | Denied::Invalid(_) | Denied::Expired) => {
                StatusCode::UNAUTHORIZED
            }
            Self::UpgradeNeeded => StatusCode::UPGRADE_REQUIRED,
            Self::PostNeeded => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooMany(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::BadRequest(wrong) => format!("{wrong}; {RIGHT}"),
            Self::UnknownStore(name) => format!(
                "no store {:?} is kept here; it needs a place in the configuration, with sync = \"embedded\"",
                shorten(name)
            ),
            Self::Denied(denied) => denied.to_string(),
            Self::Origin => {
                "pages of this origin may not sync with this store; add it to access.origins".to_owned()
            }
            Self::NotLocal => "this store has no access rules, so it is served to this machine only, by its own name \
                               and not through a proxy; give it access.tokens or access.jwt"
                .to_owned(),
            Self::UpgradeNeeded => {
                "transport=ws needs a WebSocket (Upgrade: websocket, version 13)".to_owned()
            }
            Self::PostNeeded => "transport=http needs a POST with one request as its body".to_owned(),
            Self::TooLarge(bytes_max) => {
                format!("the message is larger than {bytes_max} bytes (limits.message_size)")
            }
            Self::BadBody(what) => format!("the body {what}"),
            Self::TooOften(wait) => format!(
                "this address connects too often (server.connects_per_minute); try again in {} s",
                seconds(*wait)
            ),
            Self::TooMany(what) => format!("too many connections {what}; try again later"),
            Self::Unavailable(reason) => format!("the store cannot be served: {reason}"),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{}\n", self.text())).into_response();
        let headers = response.headers_mut();
        let mut say =
            |name, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        match &self {
            Self::Denied(Denied::Missing | Denied::Invalid(_) | Denied::Expired) => {
                say(header::WWW_AUTHENTICATE, "Bearer");
            }
            Self::UpgradeNeeded => {
                say(header::UPGRADE, "websocket");
                say(header::SEC_WEBSOCKET_VERSION, "13");
            }
            Self::PostNeeded => {
                say(header::ALLOW, "POST, OPTIONS");
            }
            Self::TooOften(wait) => {
                headers.insert(header::RETRY_AFTER, seconds(*wait).into());
            }
            Self::TooMany(_) | Self::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, RETRY_SECONDS.into());
            }
            Self::BadRequest(_)
            | Self::UnknownStore(_)
            | Self::Denied(Denied::OtherStore)
            | Self::Origin
            | Self::NotLocal
            | Self::TooLarge(_)
            | Self::BadBody(_) => {}
        }
        response
    }
}

/// Lets the page of `origin` read the answer; without it a browser shows its page nothing but a failure.
pub(super) fn readable(mut response: Response, origin: Option<&HeaderValue>) -> Response {
    let headers = response.headers_mut();
    // A cache must not hand one page's permission to another.
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

/// The answer to a browser that asks before it sends: the page of `origin` may, with whatever headers it wants.
pub(super) fn preflight(asked: &HeaderMap, origin: Option<&HeaderValue>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, OPTIONS");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let wanted = wanted.cloned().unwrap_or(HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    let age = HeaderValue::from_static(PREFLIGHT_SECONDS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, age);
    readable(response, origin)
}

/// Whole seconds, and never none.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

/// A name that somebody sent, short enough for a line.
fn shorten(name: &str) -> String {
    // The longest id that there is.
    name.chars().take(128).collect()
}
