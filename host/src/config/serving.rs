//! Who may sync with a log that is kept here, and how much of that is allowed: what `access` and `limits` say, checked.
//! Secrets are hidden in here; whether a client's credentials are good is not decided here.

use crate::config::Hidden;

/// Who may sync with a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// The tokens that let somebody in, sorted by name.
    pub tokens: Vec<Token>,
    /// The signed tokens that do.
    pub jwt: Option<Jwt>,
    /// The web pages that may connect, as browsers write their origin; none if the default holds: all where a token is
    /// needed, else those of this machine.
    pub origins: Option<Vec<String>>,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What the operator calls it.
    pub name: String,
    /// What a client shows: a text.
    pub secret: Hidden,
    /// What it is good for.
    pub mode: Mode,
}

/// What somebody may do in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Pull.
    ReadOnly,
    /// Pull and push.
    #[default]
    ReadWrite,
}

/// Which signed tokens are good.
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// The only way of signing that is accepted.
    pub algorithm: Algorithm,
    /// A text: the secret for [`Algorithm::Hs256`], else the public key as PEM.
    pub key: Hidden,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
    /// The claim that names the stores.
    pub store_claim: String,
    /// The claim that says what may be done in them.
    pub mode_claim: String,
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

/// How much may be done with one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time.
    pub connections: u32,
    /// Of those, from one address.
    pub connections_per_address: u32,
    /// Events that the store takes in a second; who has more is slowed.
    pub events_per_second: u32,
    /// Bytes of one message from a client.
    pub message_size: u64,
    /// Bytes of the log.
    pub log_size: u64,
}

impl Algorithm {
    /// All of them, by the names that JWT gives them.
    pub(super) const CHOICES: [(&'static str, Self); 3] = [
        ("HS256", Self::Hs256),
        ("RS256", Self::Rs256),
        ("EdDSA", Self::EdDsa),
    ];
}

impl Mode {
    /// Both, by name.
    pub(super) const CHOICES: [(&'static str, Self); 2] = [
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
    ];
}

impl Jwt {
    /// The claim that names the stores, unless configured.
    pub(super) const STORE_CLAIM: &'static str = "store";
    /// The claim that says what may be done in them, unless configured.
    pub(super) const MODE_CLAIM: &'static str = "mode";
}

impl Default for Limits {
    /// Room for one app with many users; a client that runs wild still leaves the machine to the other stores.
    fn default() -> Self {
        Self {
            connections: 5000,
            connections_per_address: 500,
            events_per_second: 10_000,
            message_size: 2 << 20,
            log_size: 16 << 30,
        }
    }
}
