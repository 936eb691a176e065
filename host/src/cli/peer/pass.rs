//! What lets a command into a store of the host that runs: whoever reads the host's configuration may do what it allows,
//! so the token is taken from there, or made with the key that stands there.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value};

use crate::cli::peer::Intent;
use crate::config::{Access, Algorithm, Hidden, Jwt, Mode};
use crate::id::StoreId;

/// A new one is made for each connection; until then the server does not end it.
const VALIDITY: Duration = Duration::from_secs(60 * 60);

/// The way through a store's door.
pub(super) enum Pass {
    /// It is open.
    Open,
    /// A token as it is.
    Token(String),
    /// Tokens are made.
    Signed { jwt: Jwt, mode: Mode },
}

impl Pass {
    /// The one to take for what is intended; `given` goes before all others.
    ///
    /// # Errors
    /// The configuration holds none, and what to do.
    pub(super) fn of(access: &Access, intent: Intent, given: Option<&str>) -> anyhow::Result<Self> {
        if let Some(given) = given {
            return Ok(Self::Token(given.to_owned()));
        }
        let mode = match intent {
            Intent::Read => Mode::ReadOnly,
            Intent::Write => Mode::ReadWrite,
        };
        // No more than what is needed, if there is a choice.
        let fits = |wanted: Mode| access.tokens.iter().find(move |token| token.mode == wanted);
        let token = match intent {
            Intent::Read => fits(Mode::ReadOnly).or_else(|| fits(Mode::ReadWrite)),
            Intent::Write => fits(Mode::ReadWrite),
        };
        match (token, &access.jwt) {
            (Some(token), _) => Ok(Self::Token(text(&token.secret)?.to_owned())),
            (None, Some(jwt)) if jwt.algorithm == Algorithm::Hs256 => Ok(Self::Signed {
                jwt: jwt.clone(),
                mode,
            }),
            (None, Some(_)) => bail!(
                "the server runs, and its access.jwt.key is a public key, which makes no tokens; give a token with \
                 --token or QM_TOKEN, or stop the server meanwhile"
            ),
            (None, None) if access.tokens.is_empty() => Ok(Self::Open),
            (None, None) => bail!(
                "the server runs, and all of its access.tokens are read-only; give another token with --token or \
                 QM_TOKEN, or stop the server meanwhile"
            ),
        }
    }

    /// The token to show now, if one is needed.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(super) fn token(&self, store: &StoreId) -> anyhow::Result<Option<String>> {
        match self {
            Self::Open => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::Signed { jwt, mode } => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                sign(jwt, *mode, store, now + VALIDITY).map(Some)
            }
        }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(hidden)")
    }
}

/// A token that the store's own rules accept until `expires`, since the Unix epoch.
fn sign(jwt: &Jwt, mode: Mode, store: &StoreId, expires: Duration) -> anyhow::Result<String> {
    let mode = match mode {
        Mode::ReadOnly => "read-only",
        Mode::ReadWrite => "read-write",
    };
    let mut claims: Map<String, Value> = Map::new();
    let mut claim = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    claim(&jwt.store_claim, store.as_str().into());
    claim(&jwt.mode_claim, mode.into());
    claim("exp", expires.as_secs().into());
    if let Some(issuer) = &jwt.issuer {
        claim("iss", issuer.as_str().into());
    }
    if let Some(audience) = &jwt.audience {
        claim("aud", audience.as_str().into());
    }
    let key = EncodingKey::from_secret(text(&jwt.key)?.as_bytes());
    encode(&Header::new(jsonwebtoken::Algorithm::HS256), &claims, &key)
        .context("a token cannot be signed with access.jwt.key")
}

fn text(secret: &Hidden) -> anyhow::Result<&str> {
    secret
        .expose()
        .as_str()
        .context("a secret of access is no text")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::access::{self, Credentials, JwtRules, Rights};
    use crate::config::Token;
    use crate::time::Timestamp;

    const KEY: &str = "a secret of thirty-two bytes, yes";

    fn token(secret: &str, mode: Mode) -> Token {
        Token {
            name: secret.to_owned(),
            secret: Hidden::new(json!(secret)),
            mode,
        }
    }

    fn jwt(algorithm: Algorithm) -> Jwt {
        Jwt {
            algorithm,
            key: Hidden::new(json!(KEY)),
            issuer: Some("us".to_owned()),
            audience: Some("them".to_owned()),
            store_claim: "stores".to_owned(),
            mode_claim: "may".to_owned(),
        }
    }

    fn chosen(access: &Access, intent: Intent) -> Option<String> {
        let pass = Pass::of(access, intent, None).unwrap();
        pass.token(&"shop".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_least_token_that_does_is_taken() {
        let mut access = Access::default();
        assert_eq!(chosen(&access, Intent::Write), None);
        access.tokens = vec![token("all", Mode::ReadWrite), token("look", Mode::ReadOnly)];
        assert_eq!(chosen(&access, Intent::Read).as_deref(), Some("look"));
        assert_eq!(chosen(&access, Intent::Write).as_deref(), Some("all"));
        access.tokens.pop();
        assert_eq!(chosen(&access, Intent::Read).as_deref(), Some("all"));
    }

    #[test]
    fn what_cannot_be_taken_from_the_configuration_must_be_given() {
        let mut access = Access {
            tokens: vec![token("look", Mode::ReadOnly)],
            ..Access::default()
        };
        let refused = |access: &Access| {
            Pass::of(access, Intent::Write, None)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&access).contains("read-only; give another token with --token"));
        access.jwt = Some(jwt(Algorithm::EdDsa));
        assert!(
            refused(&access)
                .contains("public key, which makes no tokens; give a token with --token")
        );
        let given = Pass::of(&access, Intent::Write, Some("mine")).unwrap();
        let token = given.token(&"shop".parse().unwrap()).unwrap();
        assert_eq!(token.as_deref(), Some("mine"));
    }

    #[test]
    fn a_token_that_is_made_is_good_for_this_store_and_this_purpose() {
        let (access, shop) = (
            Access {
                jwt: Some(jwt(Algorithm::Hs256)),
                ..Access::default()
            },
            "shop".parse().unwrap(),
        );
        let rules = JwtRules {
            algorithm: access::Algorithm::Hs256,
            key: KEY,
            issuer: Some("us"),
            audience: Some("them"),
            store_claim: "stores",
            mode_claim: "may",
        };
        let door = access::Access::new([], Some(&rules)).unwrap();
        for (intent, rights) in [
            (Intent::Read, Rights::ReadOnly),
            (Intent::Write, Rights::ReadWrite),
        ] {
            let made = chosen(&access, intent).unwrap();
            let credentials = Credentials {
                bearer: Some(&made),
                ..Credentials::default()
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let now = Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap());
            let admitted = |store: &StoreId, now| door.admit(store, &credentials, now);
            assert_eq!(admitted(&shop, now).map(|grant| grant.rights), Ok(rights));
            assert!(admitted(&"lab".parse().unwrap(), now).is_err());
            assert!(admitted(&shop, now + 2 * VALIDITY).is_err());
        }
    }
}
