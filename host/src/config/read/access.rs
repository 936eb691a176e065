//! The meaning of `access`: tokens, signed tokens, origins. Whatever is wrong in here costs the store; nothing wrong may
//! leave it open to everybody.

use figment::value::Value;
use jsonwebtoken::DecodingKey;
use url::Url;

use super::{choice, list, text};
use crate::config::document::{found, kind};
use crate::config::fields::{Context, Fields, join};
use crate::config::keys::{ACCESS, JWT, TOKEN};
use crate::config::load::Declared;
use crate::config::problem::Wrong;
use crate::config::secret::{self, Hidden};
use crate::config::serving::{Access, Algorithm, Jwt, Mode, Token};
use crate::config::types::{Server, Sync};

/// `access`, of which defaults may say one half and a store the other.
#[derive(Clone, Default)]
pub(in crate::config) struct AccessValues {
    tokens: Vec<Token>,
    /// None if nothing is said about signed tokens.
    jwt: Option<JwtValues>,
    origins: Option<Vec<String>>,
}

/// `access.jwt`.
#[derive(Clone, Default)]
struct JwtValues {
    algorithm: Option<Algorithm>,
    key: Option<Hidden>,
    /// Whether there is an algorithm, be it right or wrong.
    has_algorithm: bool,
    /// Whether there is a key, be it right or wrong.
    has_key: bool,
    issuer: Option<String>,
    audience: Option<String>,
    store_claim: Option<String>,
    mode_claim: Option<String>,
}

/// The shortest secret for HS256: as long as its hash, as RFC 7518 (3.2) demands.
const SECRET_BYTES_MIN: usize = 32;

/// The entry `access` of a store's table.
pub(super) fn access(store: &Fields<'_>, context: &mut Context<'_>) -> AccessValues {
    let Some(fields) = store.section("access", ACCESS, context) else {
        return AccessValues::default();
    };
    let mut values = AccessValues::default();
    if let Some(value) = fields.whole("tokens") {
        values.tokens = tokens(value, &fields.path("tokens"), context);
    }
    if let Some(fields) = fields.section("jwt", JWT, context) {
        values.jwt = Some(jwt(&fields, context));
    }
    if let Some(value) = fields.whole("origins") {
        let expected = "a list of origins such as [\"https://app.example.com\"]";
        let path = fields.path("origins");
        values.origins = Some(list(value, &path, expected, context, origin));
    }
    values
}

impl AccessValues {
    /// What holds for `store`, once everything about it is read; none if something is missing or out of place.
    pub(in crate::config) fn complete(
        self,
        sync: &Sync,
        store: &Declared,
        server: &Server,
        context: &mut Context<'_>,
    ) -> Option<Access> {
        match sync {
            Sync::Remote(_) => {
                refuse_misplaced(store, context);
                // What the defaults say is meant for other stores.
                return Some(Access::default());
            }
            Sync::Embedded => {}
        }
        let jwt = match self.jwt {
            Some(values) => Some(values.complete(store, context)?),
            None => None,
        };
        let open = self.tokens.is_empty() && jwt.is_none();
        if open && !server.listen.ip().is_loopback() {
            let text = format!(
                "anyone who reaches server.listen ({}) could read and write it",
                server.listen
            );
            let hint = "give it access.tokens or access.jwt, or listen on a loopback address";
            let key = join(&store.key, "access");
            context.refuse(&store.place, &key, Wrong::new(text).hint(hint));
        }
        Some(Access {
            tokens: self.tokens,
            jwt,
            origins: self.origins,
        })
    }
}

impl JwtValues {
    fn complete(self, store: &Declared, context: &mut Context<'_>) -> Option<Jwt> {
        let missing = [("algorithm", !self.has_algorithm), ("key", !self.has_key)];
        for (name, _) in missing.into_iter().filter(|(_, missing)| *missing) {
            let key = join(&join(&join(&store.key, "access"), "jwt"), name);
            let wrong = Wrong::new("missing")
                .hint("signed tokens need both access.jwt.algorithm and access.jwt.key");
            context.refuse(&store.place, &key, wrong);
        }
        let name = |name: Option<String>, default: &str| name.unwrap_or_else(|| default.to_owned());
        Some(Jwt {
            algorithm: self.algorithm?,
            key: self.key?,
            issuer: self.issuer,
            audience: self.audience,
            store_claim: name(self.store_claim, Jwt::STORE_CLAIM),
            mode_claim: name(self.mode_claim, Jwt::MODE_CLAIM),
        })
    }
}

/// What a store says itself about a log that is not kept here has no effect, and whoever wrote it believes otherwise.
fn refuse_misplaced(store: &Declared, context: &mut Context<'_>) {
    for name in ["access", "limits", "log_durability"] {
        let own = store.layers.as_ref();
        if let Some(value) = own.and_then(|own| own.find_value(name).ok()) {
            let wrong =
                Wrong::new("this store's log is at another backend, which has its own rules")
                    .hint("leave it out, or set sync = \"embedded\" to keep the log here");
            context.report(&value, &join(&store.key, name), wrong);
        }
    }
}

/// A table from names to tokens.
fn tokens(value: &Value, path: &str, context: &mut Context<'_>) -> Vec<Token> {
    let Some(table) = value.as_dict() else {
        let expected = "a table of tokens such as { app = \"env:APP_TOKEN\" }";
        context.report(value, path, Wrong::expected(expected, kind(value)));
        return Vec::new();
    };
    let token = |(name, value): (&String, &Value)| token(name, value, &join(path, name), context);
    table.iter().filter_map(token).collect()
}

/// A reference, or a table with one.
fn token(name: &str, value: &Value, path: &str, context: &mut Context<'_>) -> Option<Token> {
    let name = name.to_owned();
    let Some(table) = value.as_dict() else {
        let secret = secret::reference(value, path, context)?;
        let mode = Mode::default();
        return Some(Token { name, secret, mode });
    };
    let fields = Fields::new(table, path, TOKEN, context);
    let mode = fields.read("mode", context, |value| choice(value, &Mode::CHOICES));
    let Some(secret) = fields.get("secret") else {
        let wrong = Wrong::expected("secret = \"env:NAME\" in it", "none");
        context.report(value, path, wrong);
        return None;
    };
    Some(Token {
        name,
        secret: secret::reference(secret, &fields.path("secret"), context)?,
        mode: mode.unwrap_or_default(),
    })
}

fn jwt(fields: &Fields<'_>, context: &mut Context<'_>) -> JwtValues {
    let algorithm = |value: &Value| choice(value, &Algorithm::CHOICES);
    let mut values = JwtValues {
        algorithm: fields.read("algorithm", context, algorithm),
        has_algorithm: fields.get("algorithm").is_some(),
        issuer: fields.read("issuer", context, name),
        audience: fields.read("audience", context, name),
        store_claim: fields.read("store_claim", context, name),
        mode_claim: fields.read("mode_claim", context, name),
        ..JwtValues::default()
    };
    let Some(value) = fields.get("key") else {
        return values;
    };
    values.has_key = true;
    let key = secret::reference(value, &fields.path("key"), context);
    if let (Some(algorithm), Some(key)) = (values.algorithm, &key)
        && let Err(wrong) = check_key(algorithm, key.expose_text())
    {
        // A key of the defaults that does not fit the algorithm of the store is the store's mistake.
        let (name, value) = match fields.get("algorithm") {
            Some(algorithm) if context.is_default(value) => ("algorithm", algorithm),
            Some(_) | None => ("key", value),
        };
        context.report(value, &fields.path(name), wrong);
    }
    values.key = key;
    values
}

/// The key is never repeated.
fn check_key(algorithm: Algorithm, key: &str) -> Result<(), Wrong> {
    let is_readable = match algorithm {
        Algorithm::Hs256 => {
            let bytes = key.len();
            if bytes >= SECRET_BYTES_MIN {
                return Ok(());
            }
            let expected = format!("a secret of at least {SECRET_BYTES_MIN} bytes");
            let wrong = Wrong::expected(expected, format_args!("one of {bytes}"));
            return Err(wrong.hint("a shorter one can be guessed from any token signed with it"));
        }
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(key.as_bytes()).is_ok(),
        Algorithm::EdDsa => DecodingKey::from_ed_pem(key.as_bytes()).is_ok(),
    };
    let kind = match algorithm {
        Algorithm::Hs256 | Algorithm::Rs256 => "an RSA public key as PEM",
        Algorithm::EdDsa => "an Ed25519 public key as PEM",
    };
    if key.contains("PRIVATE KEY") {
        let wrong = Wrong::expected(kind, "a private key");
        return Err(wrong.hint("only who signs tokens needs that one; give the public one"));
    }
    match is_readable {
        true => Ok(()),
        false => Err(Wrong::expected(kind, "a text that is none")),
    }
}

/// A text that says something.
fn name(value: &Value) -> Result<String, Wrong> {
    match text(value, "a text")? {
        "" => Err(Wrong::expected("a text", "an empty one")),
        text => Ok(text.to_owned()),
    }
}

/// As a browser writes it: no path, the port only if it is not the usual one.
fn origin(value: &Value) -> Result<String, Wrong> {
    let expected = "an origin such as \"https://app.example.com\"";
    let text = text(value, expected)?;
    let wrong = || Wrong::expected(expected, found(value));
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(wrong)?;
    let port = url.port().map(|port| format!(":{port}"));
    let origin = format!("{}://{host}{}", url.scheme(), port.unwrap_or_default());
    let rest = url.as_str().strip_prefix(&origin);
    match rest {
        Some("" | "/") => Ok(origin),
        Some(_) | None => Err(wrong().hint("leave out what is not scheme, host and port")),
    }
}
