//! Where a store's backend is and what it wants to hear at the door. The payload and the URL's query are secret: they
//! go to the backend and nowhere else, and are struck out of what it says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use url::{Host, Url};

use crate::id::StoreId;
use crate::sync::{Error, shorten};

/// What `encodeURIComponent` escapes in JavaScript.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Shorter strings in a payload are no secrets: striking out every `en` would make messages unreadable.
const SECRET_CHARS_MIN: usize = 4;

/// The query parameters that the protocol defines.
const OWN_PARAMETERS: [&str; 3] = ["storeId", "transport", "payload"];

/// One store at one backend.
pub struct Endpoint {
    /// Without query, user and fragment: what logs and errors show.
    address: Arc<str>,
    /// The whole of it, with our own query parameters.
    url: SecretString,
    host: Host<String>,
    port: u16,
    tls: bool,
    store_id: StoreId,
    /// JSON text.
    payload: Option<SecretString>,
    /// Every spelling of every secret that a backend might repeat, longest first.
    secrets: Vec<SecretString>,
    limits: Limits,
}

/// Bounds on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For DNS, TCP, TLS and the upgrade together.
    pub connect_timeout: Duration,
    /// Between pings. A socket on which a whole period after a ping brings no byte is dead.
    pub ping_period: Duration,
    /// For a frame to go out.
    pub write_timeout: Duration,
    /// The largest message taken in.
    pub message_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            // LiveStore's own client pings every 10 s; proxies close what is silent for 60 s or so.
            ping_period: Duration::from_secs(10),
            // As long as the machine waits for the answer to a push.
            write_timeout: Duration::from_secs(20),
            // A page is at most 900,000 bytes of JSON, unless one event alone is more: then what its backend took in,
            // which is under 2 MiB where it is stored in SQLite on Cloudflare.
            message_bytes_max: 4 * 1024 * 1024,
        }
    }
}

impl PartialEq for Endpoint {
    /// Whether a connection to the one is a connection to the other.
    fn eq(&self, other: &Self) -> bool {
        let secret = |secret: &SecretString| secret.expose_secret().to_owned();
        let (url, payload) = (&self.url, self.payload.as_ref());
        url.expose_secret() == other.url.expose_secret()
            && payload.map(secret) == other.payload.as_ref().map(secret)
            && self.store_id == other.store_id
            && self.limits == other.limits
    }
}

impl Endpoint {
    /// Checks `url` (`ws` or `wss`; its path and query are kept) and makes the address that is asked for `store_id`.
    ///
    /// # Errors
    /// [`Error::Endpoint`] if no connection could ever be made with these.
    pub fn new(
        url: &str,
        store_id: StoreId,
        payload: Option<&Value>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let parsed = Url::parse(url).map_err(|error| refuse("(not shown)", &error.to_string()))?;
        let address = address_of(&parsed);
        let refuse = |problem: &str| refuse(&address, problem);
        let tls = match parsed.scheme() {
            "ws" => false,
            "wss" => true,
            other => {
                return Err(refuse(&format!(
                    "expected ws:// or wss://, found {other}://"
                )));
            }
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refuse(
                "user and password are not sent; put a token into the store's payload",
            ));
        }
        if let Some((key, _)) = parsed
            .query_pairs()
            .find(|(key, _)| OWN_PARAMETERS.contains(&&**key))
        {
            return Err(refuse(&format!(
                "the query parameter {key} is set by the server; leave it out"
            )));
        }
        let (Some(host), Some(port)) = (parsed.host(), parsed.port_or_known_default()) else {
            return Err(refuse("expected a host"));
        };
        let payload_text = payload.map(Value::to_string);
        let full = full_url(&parsed, &store_id, payload_text.as_deref());
        // The request is made anew for each connection, because its key is; that it can be made is known from here on.
        full.as_str()
            .into_client_request()
            .map_err(|_| refuse("cannot be asked for over HTTP; its payload may be too large"))?;
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            url: full.into(),
            secrets: secrets_of(&parsed, payload),
            payload: payload_text.map(SecretString::from),
            address,
            store_id,
            limits,
        })
    }

    /// The URL without its query: fit for a log.
    pub fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// The bounds on its connections.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn store_id(&self) -> &StoreId {
        &self.store_id
    }

    pub(super) fn host(&self) -> &Host<String> {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn tls(&self) -> bool {
        self.tls
    }

    /// The URL with its secrets, for the upgrade request only.
    pub(super) fn secret_url(&self) -> &str {
        self.url.expose_secret()
    }

    /// The payload with its secrets, for requests only.
    pub(super) fn secret_payload(&self) -> Option<&RawValue> {
        let text = self.payload.as_ref()?.expose_secret();
        Some(serde_json::from_str(text).expect("it was written by serde_json"))
    }

    /// `text`, which a backend sent, without our secrets and short enough for a log line.
    pub(super) fn quote(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose_secret(), "[secret]");
        }
        // A text that was cut off may end in the first part of a secret.
        let cut = self
            .secrets
            .iter()
            .filter_map(|secret| cut_secret(&text, secret.expose_secret()));
        if let Some(start) = cut.min() {
            text.truncate(start);
        }
        shorten(&text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("store_id", &self.store_id)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn refuse(url: &str, problem: &str) -> Error {
    Error::Endpoint {
        url: url.into(),
        problem: problem.into(),
    }
}

fn address_of(url: &Url) -> Arc<str> {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path()).into()
}

/// Source: `@livestore/sync-cf` 0.4.0. The payload's JSON is percent-encoded, and once more as a query parameter.
fn full_url(url: &Url, store_id: &StoreId, payload: Option<&str>) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let mut query = url.query_pairs_mut();
    query
        .append_pair("storeId", store_id.as_str())
        .append_pair("transport", "ws");
    if let Some(payload) = payload {
        query.append_pair("payload", &encode_uri_component(payload));
    }
    drop(query);
    url.into()
}

fn encode_uri_component(text: &str) -> String {
    utf8_percent_encode(text, URI_COMPONENT).to_string()
}

/// Every text in the payload and every value in the URL's query, as it is and as JSON and URLs spell it.
fn secrets_of(url: &Url, payload: Option<&Value>) -> Vec<SecretString> {
    let mut plain: Vec<String> = url
        .query_pairs()
        .map(|(_, value)| value.into_owned())
        .collect();
    let mut values: Vec<&Value> = payload.into_iter().collect();
    while let Some(value) = values.pop() {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => plain.push(number.to_string()),
            Value::String(text) => plain.push(text.clone()),
            Value::Array(items) => values.extend(items),
            Value::Object(fields) => values.extend(fields.values()),
        }
    }
    plain.retain(|text| text.chars().count() >= SECRET_CHARS_MIN);
    let mut spelled: Vec<String> = plain
        .into_iter()
        .flat_map(|text| {
            let json = Value::from(text.as_str()).to_string();
            let json = json[1..json.len() - 1].to_owned();
            let once = encode_uri_component(&json);
            let twice = encode_uri_component(&once);
            [encode_uri_component(&text), text, json, once, twice]
        })
        .collect();
    spelled.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    spelled.dedup();
    spelled.into_iter().map(SecretString::from).collect()
}

/// Where `text` begins to end in a beginning of `secret`.
fn cut_secret(text: &str, secret: &str) -> Option<usize> {
    let beginnings = secret
        .char_indices()
        .map(|(index, _)| &secret[..index])
        .skip(SECRET_CHARS_MIN);
    beginnings
        .filter(|beginning| text.ends_with(beginning))
        .map(|beginning| text.len() - beginning.len())
        .min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(url: &str, payload: Option<Value>) -> Result<Endpoint, Error> {
        let store_id = "shop".parse().expect("a store id");
        Endpoint::new(url, store_id, payload.as_ref(), Limits::default())
    }

    #[test]
    fn the_payload_is_percent_encoded_twice() {
        let endpoint = endpoint("ws://h:1", Some(json!({"authToken": "s3cret"}))).unwrap();
        assert_eq!(
            endpoint.secret_url(),
            "ws://h:1/?storeId=shop&transport=ws&payload=%257B%2522authToken%2522%253A%2522s3cret%2522%257D"
        );
    }

    #[test]
    fn path_and_query_are_kept() {
        let endpoint = endpoint("wss://h/a/b?room=1&x=%20y#part", None).unwrap();
        assert_eq!(
            endpoint.secret_url(),
            "wss://h/a/b?room=1&x=%20y&storeId=shop&transport=ws"
        );
        assert_eq!(&**endpoint.address(), "wss://h/a/b");
        assert!(endpoint.tls());
        assert_eq!(endpoint.port(), 443);
    }

    #[test]
    fn what_can_never_connect_is_refused_with_its_reason() {
        for (url, reason) in [
            ("", "relative URL without a base"),
            ("example.com", "relative URL without a base"),
            (
                "https://example.com",
                "expected ws:// or wss://, found https://",
            ),
            (
                "ws://user:hunter2@example.com",
                "user and password are not sent",
            ),
            (
                "ws://example.com?transport=ws",
                "the query parameter transport",
            ),
            ("ws:///", "empty host"),
        ] {
            let error = endpoint(url, None).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let large = endpoint("ws://h", Some(json!("x".repeat(100_000))))
            .unwrap_err()
            .to_string();
        assert!(large.contains("too large") && large.len() < 200, "{large}");
    }

    #[test]
    fn a_secret_is_struck_out_however_it_is_spelled() {
        let token = "tök\"en %/+1234";
        let payload = json!({"deep": [{"token": token}], "pin": 98_765, "lang": "en"});
        let endpoint = endpoint("ws://h/?key=qwertz", Some(payload.clone())).unwrap();
        let once = encode_uri_component(&payload.to_string());
        let twice = encode_uri_component(&once);
        let said = format!(
            "en {token} {payload} {once} {twice} 98765 qwertz {}",
            endpoint.secret_url()
        );
        let quoted = endpoint.quote(&said);
        for part in ["1234", "98765", "qwertz"] {
            assert!(!quoted.contains(part), "{part} in {quoted}");
        }
        assert!(quoted.starts_with("en [secret]"), "{quoted}");
        let debug = format!("{endpoint:?}");
        assert!(
            !debug.contains("1234") && !debug.contains("qwertz"),
            "{debug}"
        );
    }

    #[test]
    fn the_first_part_of_a_secret_is_struck_out_at_the_end_of_a_text_that_was_cut() {
        let endpoint = endpoint("ws://h", Some(json!({"token": "abcdefghij"}))).unwrap();
        assert_eq!(endpoint.quote("token: abcdefgh"), "token:");
        assert_eq!(endpoint.quote("alphabet: abc"), "alphabet: abc");
    }
}
