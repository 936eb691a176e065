//! What a URL of `/sync` asks for: `?storeId=<id>&transport=ws|http[&payload=<JSON>]`, as `@livestore/sync-cf` 0.4 writes
//! it. Whatever is wrong is told to whoever wrote the URL, without repeating the payload.

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

use super::answer::Refusal;

/// What a client wants. No `Debug`: the payload is secret.
pub(super) struct Wanted {
    /// The store, by the name that the client has for it.
    pub(super) store: String,
    pub(super) transport: Transport,
    pub(super) payload: Option<Value>,
}

/// How it wants to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// `ws`.
    WebSocket,
    /// `http`: one call in one request.
    Http,
}

/// The parameters of the protocol.
const PARAMETERS: [&str; 3] = ["storeId", "transport", "payload"];

/// Whether somebody only wants to know what this address is.
pub(super) fn is_question(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    (parts.method == Method::GET || parts.method == Method::HEAD)
        && !names.any(|name| PARAMETERS.contains(&&*name))
        && !is_upgrade(&parts.headers)
}

/// What follows `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Whether a header asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    names(headers, header::CONNECTION, "upgrade") && names(headers, header::UPGRADE, "websocket")
}

impl Wanted {
    /// Reads the query of a URL.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let get = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let store = get("storeId").unwrap_or_default().into_owned();
        if store.is_empty() {
            return Err("the parameter storeId is missing".to_owned());
        }
        let transport = match get("transport").as_deref() {
            Some("ws") => Transport::WebSocket,
            Some("http") => Transport::Http,
            Some(_) => return Err("the parameter transport is neither ws nor http".to_owned()),
            None => return Err("the parameter transport is missing".to_owned()),
        };
        let payload = match get("payload") {
            Some(text) => Some(payload(&text).ok_or("the parameter payload is no JSON")?),
            None => None,
        };
        Ok(Self {
            store,
            transport,
            payload,
        })
    }

    /// Whether the request is of the kind that its transport needs.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Refusal> {
        match self.transport {
            Transport::WebSocket if is_upgrade(&parts.headers) && parts.method == Method::GET => {
                Ok(())
            }
            Transport::WebSocket => Err(Refusal::UpgradeNeeded),
            Transport::Http if parts.method == Method::POST => Ok(()),
            Transport::Http => Err(Refusal::PostNeeded),
        }
    }
}

/// The value of `payload`: JSON that LiveStore percent-encodes once more before it becomes a part of a URL. Clients that
/// do not are understood too, unless what they say means something else when it is decoded.
fn payload(text: &str) -> Option<Value> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok());
    decoded.or_else(|| serde_json::from_str(text).ok())
}

/// Whether a header that lists words has `word` among them.
fn names(headers: &HeaderMap, header: header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(header).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(query: &str) -> Result<(String, Transport, Option<Value>), String> {
        let wanted = Wanted::parse(query)?;
        Ok((wanted.store, wanted.transport, wanted.payload))
    }

    #[test]
    fn a_url_of_livestore_s_own_client_is_understood() {
        assert_eq!(
            parse("storeId=shop&transport=ws"),
            Ok(("shop".to_owned(), Transport::WebSocket, None))
        );
        let payload = json!({ "authToken": "s3cret" });
        for query in [
            "storeId=shop&payload=%257B%2522authToken%2522%253A%2522s3cret%2522%257D&transport=http",
            "transport=http&storeId=shop&payload=%7B%22authToken%22%3A%22s3cret%22%7D&other=1",
            "storeId=shop&transport=http&payload={\"authToken\":\"s3cret\"}",
        ] {
            let expected = ("shop".to_owned(), Transport::Http, Some(payload.clone()));
            assert_eq!(parse(query), Ok(expected), "{query}");
        }
        // Encoded once, and no valid encoding of something else.
        let percent = parse("storeId=shop&transport=ws&payload=%22100%25%22");
        assert_eq!(
            percent.map(|(.., payload)| payload),
            Ok(Some(json!("100%")))
        );
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_payload() {
        for (query, problem) in [
            ("", "the parameter storeId is missing"),
            ("storeId=&transport=ws", "the parameter storeId is missing"),
            ("storeId=shop", "the parameter transport is missing"),
            (
                "storeId=shop&transport=tcp",
                "the parameter transport is neither ws nor http",
            ),
            (
                "storeId=shop&transport=ws&payload=canary",
                "the parameter payload is no JSON",
            ),
            (
                "storeId=shop&transport=ws&payload=%ff",
                "the parameter payload is no JSON",
            ),
        ] {
            assert_eq!(parse(query), Err(problem.to_owned()), "{query}");
        }
    }

    #[test]
    fn a_bearer_token_is_found_however_its_scheme_is_written() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a value"));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer s3cret").as_deref(), Some("s3cret"));
        assert_eq!(of("bearer  s3cret ").as_deref(), Some("s3cret"));
        assert_eq!(of("Basic s3cret"), None);
        assert_eq!(of("s3cret"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn an_upgrade_is_found_among_other_words() {
        let of = |connection: &'static str, upgrade: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, connection.parse().expect("a value"));
            headers.insert(header::UPGRADE, upgrade.parse().expect("a value"));
            is_upgrade(&headers)
        };
        assert!(of("Upgrade", "websocket"));
        assert!(of("keep-alive, upgrade", "WebSocket"));
        assert!(!of("keep-alive", "websocket"));
        assert!(!of("Upgrade", "h2c"));
    }
}
