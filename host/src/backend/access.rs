//! Who may do what in a store: credentials and the time in, rights or a refusal out. It reads no clock and does no I/O,
//! and no error of it repeats a credential or any part of one.
//!
//! There are two kinds of credentials: tokens that the operator wrote down, and signed ones (JWT, RFC 7519) from somebody
//! whose key the operator wrote down. A store with neither is open; who may reach such a store at all is not decided here.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use crate::id::StoreId;
use crate::time::Timestamp;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Pull.
    ReadOnly,
    /// Pull and push.
    ReadWrite,
}

/// The rules of one store. Equal ones let the same clients in.
#[derive(Debug, Default, PartialEq)]
pub struct Access {
    tokens: Vec<Token>,
    jwt: Option<Jwt>,
}

/// What a client shows at the door.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// LiveStore's `payload`.
    pub payload: Option<&'a Value>,
    /// What followed `Authorization: Bearer`.
    pub bearer: Option<&'a str>,
}

/// What a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may do.
    pub rights: Rights,
    /// Until when; for ever if that is not said.
    pub expires: Option<Timestamp>,
}

/// Why a client stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It showed nothing.
    #[error(
        "no token; give it as `authToken` of LiveStore's syncPayload, or as `Authorization: Bearer`"
    )]
    Missing,
    /// What it showed is not worth anything.
    #[error("the token is not valid here: {0}")]
    Invalid(&'static str),
    /// It was worth something, once.
    #[error("the token has expired; get a new one and connect again")]
    Expired,
    /// It is worth something, in other stores.
    #[error("the token is not for this store")]
    OtherStore,
}

/// Which signed tokens are good.
#[derive(Clone, Copy, Debug)]
pub struct JwtRules<'a> {
    /// The only way of signing that is accepted.
    pub algorithm: Algorithm,
    /// The secret for [`Algorithm::Hs256`], else the public key as PEM.
    pub key: &'a str,
    /// What `iss` must be.
    pub issuer: Option<&'a str>,
    /// What `aud` must be or contain.
    pub audience: Option<&'a str>,
    /// The claim that names the stores.
    pub store_claim: &'a str,
    /// The claim that says what may be done in them.
    pub mode_claim: &'a str,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// With a secret that both sides have.
    Hs256,
    /// With an RSA key.
    Rs256,
    /// With an Ed25519 key.
    EdDsa,
}

/// The key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access.jwt.key: expected a public key as PEM that fits access.jwt.algorithm")]
pub struct BadKey;

/// A token that the operator wrote down. Its hash is kept instead of it: hashes are compared in constant time and have
/// one length, so that the time tells nothing of either.
#[derive(PartialEq)]
struct Token {
    hash: blake3::Hash,
    rights: Rights,
}

struct Jwt {
    key: DecodingKey,
    /// Of the text of the key, because keys themselves cannot be compared.
    key_hash: blake3::Hash,
    /// Signature and algorithm only: the claims are checked here, against a time that is handed in.
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
    store_claim: String,
    mode_claim: String,
}

/// Clocks of signers differ by some seconds; RFC 7519 (4.1.4) leaves the allowance to us.
const LEEWAY: Duration = Duration::from_secs(30);

/// Where apps put their token in LiveStore's payload, which the protocol leaves to them. The first is what LiveStore's
/// own documentation uses.
const PAYLOAD_FIELDS: [&str; 4] = ["authToken", "token", "accessToken", "jwt"];

/// In the store claim: every store.
const EVERY_STORE: &str = "*";

impl Access {
    /// The rules that `tokens` and `jwt` make.
    ///
    /// # Errors
    /// The key of `jwt` cannot be read.
    pub fn new<'a>(
        tokens: impl IntoIterator<Item = (&'a str, Rights)>,
        jwt: Option<&JwtRules<'_>>,
    ) -> Result<Self, BadKey> {
        let token = |(text, rights): (&str, Rights)| Token {
            hash: blake3::hash(text.as_bytes()),
            rights,
        };
        Ok(Self {
            tokens: tokens.into_iter().map(token).collect(),
            jwt: jwt.map(Jwt::new).transpose()?,
        })
    }

    /// Whether the store asks for no credentials.
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.jwt.is_none()
    }

    /// What `credentials` are worth in `store` at `now`.
    ///
    /// # Errors
    /// They are worth nothing.
    pub fn admit(
        &self,
        store: &StoreId,
        credentials: &Credentials<'_>,
        now: Timestamp,
    ) -> Result<Grant, Denied> {
        if self.is_open() {
            return Ok(Grant {
                rights: Rights::ReadWrite,
                expires: None,
            });
        }
        let token = credentials.token().ok_or(Denied::Missing)?;
        if let Some(rights) = self.rights_of_token(token) {
            return Ok(Grant {
                rights,
                expires: None,
            });
        }
        match &self.jwt {
            Some(jwt) => jwt.admit(store, token, now),
            None => Err(Denied::Invalid("it is unknown")),
        }
    }

    /// Every token is compared, so that the time does not tell which one it was.
    fn rights_of_token(&self, token: &str) -> Option<Rights> {
        let hash = blake3::hash(token.as_bytes());
        self.tokens
            .iter()
            .fold(None, |found, token| match token.hash == hash {
                true => Some(token.rights),
                false => found,
            })
    }
}

impl<'a> Credentials<'a> {
    /// The token among them: a header is set by whoever routes the request, a payload by the app.
    fn token(&self) -> Option<&'a str> {
        let in_payload = || {
            let payload = self.payload?;
            let field = |name: &&str| payload.get(*name)?.as_str();
            payload
                .as_str()
                .or_else(|| PAYLOAD_FIELDS.iter().find_map(field))
        };
        self.bearer
            .or_else(in_payload)
            .filter(|text| !text.is_empty())
    }
}

impl Jwt {
    fn new(rules: &JwtRules<'_>) -> Result<Self, BadKey> {
        let key = rules.key.as_bytes();
        let key_hash = blake3::hash(key);
        let (key, algorithm) = match rules.algorithm {
            Algorithm::Hs256 => (
                Ok(DecodingKey::from_secret(key)),
                jsonwebtoken::Algorithm::HS256,
            ),
            Algorithm::Rs256 => (
                DecodingKey::from_rsa_pem(key),
                jsonwebtoken::Algorithm::RS256,
            ),
            Algorithm::EdDsa => (
                DecodingKey::from_ed_pem(key),
                jsonwebtoken::Algorithm::EdDSA,
            ),
        };
        // One algorithm, ours: what the token's header says is never a choice.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self {
            key: key.map_err(|_| BadKey)?,
            key_hash,
            validation,
            issuer: rules.issuer.map(str::to_owned),
            audience: rules.audience.map(str::to_owned),
            store_claim: rules.store_claim.to_owned(),
            mode_claim: rules.mode_claim.to_owned(),
        })
    }

    fn admit(&self, store: &StoreId, token: &str, now: Timestamp) -> Result<Grant, Denied> {
        let decoded = decode::<Map<String, Value>>(token, &self.key, &self.validation);
        // The library's errors quote what they read.
        let decoded = decoded.map_err(|_| {
            Denied::Invalid("it is neither one of the tokens nor signed by the configured key")
        })?;
        if decoded.header.crit.is_some() {
            // RFC 7515 (4.1.11): an extension that is critical and unknown invalidates the token.
            return Err(Denied::Invalid("it needs an extension of JWT"));
        }
        let claims = decoded.claims;
        let expires = time(&claims, "exp")?.map(|exp| exp + LEEWAY);
        if expires.is_some_and(|expires| expires <= now) {
            return Err(Denied::Expired);
        }
        if time(&claims, "nbf")?.is_some_and(|begins| begins > now + LEEWAY) {
            return Err(Denied::Invalid("its time has not come yet"));
        }
        let is = |name: &str, wanted: &Option<String>| match wanted {
            Some(wanted) => texts(claims.get(name)).any(|text| text == wanted),
            None => true,
        };
        if !is("iss", &self.issuer) {
            return Err(Denied::Invalid("its issuer is another"));
        }
        if !is("aud", &self.audience) {
            return Err(Denied::Invalid("its audience is another"));
        }
        let mut stores = texts(claims.get(&self.store_claim));
        if !stores.any(|text| text == EVERY_STORE || text == store.as_str()) {
            return Err(Denied::OtherStore);
        }
        let rights = match claims.get(&self.mode_claim).map(Value::as_str) {
            None | Some(Some("read-write")) => Rights::ReadWrite,
            Some(Some("read-only")) => Rights::ReadOnly,
            // Less than what was meant rather than more.
            Some(Some(_) | None) => {
                return Err(Denied::Invalid(
                    "its mode is neither \"read-only\" nor \"read-write\"",
                ));
            }
        };
        Ok(Grant { rights, expires })
    }
}

/// The texts that a claim holds: one, or those of a list.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = claim.and_then(Value::as_array).map(Vec::as_slice);
    let one = claim.and_then(Value::as_str);
    one.into_iter()
        .chain(list.unwrap_or_default().iter().filter_map(Value::as_str))
}

/// A claim in seconds since the Unix epoch, maybe with a fraction (RFC 7519, 2). A claim that is there and is no time
/// must not pass for one that is not there.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, Denied> {
    let Some(claim) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = claim.as_f64().filter(|seconds| *seconds >= 0.0);
    let seconds = seconds.ok_or(Denied::Invalid("one of its times is no number of seconds"))?;
    // Times that do not fit are later than any that matters.
    let since_epoch = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok(Some(Timestamp::from_millis(0) + since_epoch))
}

impl PartialEq for Jwt {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            key: _,
            key_hash,
            validation,
            issuer,
            audience,
            store_claim,
            mode_claim,
        } = self;
        *key_hash == other.key_hash
            && validation.algorithms == other.validation.algorithms
            && *issuer == other.issuer
            && *audience == other.audience
            && *store_claim == other.store_claim
            && *mode_claim == other.mode_claim
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, hidden)", self.rights)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwt({:?}, hidden)", self.validation.algorithms)
    }
}

#[cfg(test)]
mod tests;
