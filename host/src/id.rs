//! Names of things: a store, a plugin, a backend's log, a run's place in the host. Parsing is the only way to make
//! one, so whoever holds a `StoreId` may use it as a file name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A store's id: 1 to 128 letters, digits, `-`, `_` and `.`; never starts with a dot; safe as a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreId(Arc<str>);

/// A plugin's name: 1 to 64 of `[a-z0-9-]`, starting with a letter. It stands in every stamp, so a rename makes
/// another plugin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(Arc<str>);

/// The identity that a sync backend gave to one log. Another id means another log, whatever the store's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendId(Arc<str>);

/// The SHA-256 of a plugin's file: 64 hexadecimal digits in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginDigest(Arc<str>);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a store id.
    #[error(
        "store id {0:?}: expected 1 to 128 letters, digits, `-`, `_` or `.`, not starting with `.`"
    )]
    Store(String),
    /// Not a plugin name.
    #[error("plugin name {0:?}: expected 1 to 64 of `a-z`, `0-9` and `-`, starting with a letter")]
    Plugin(String),
    /// Not a digest.
    #[error("digest {0:?}: expected the 64 hexadecimal digits of a SHA-256")]
    Digest(String),
}

impl StoreId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PluginName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PluginDigest {
    /// Digits that tell versions apart in a line for people.
    const SHORT: usize = 12;

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for people and for labels.
    pub fn short(&self) -> &str {
        &self.0[..Self::SHORT]
    }
}

impl BackendId {
    /// Takes the id as the backend spells it.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let valid =
            (1..=128).contains(&text.len()) && !text.starts_with('.') && text.chars().all(allowed);
        valid
            .then(|| Self(text.into()))
            .ok_or_else(|| Error::Store(text.to_owned()))
    }
}

impl FromStr for PluginName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(allowed);
        valid
            .then(|| Self(text.into()))
            .ok_or_else(|| Error::Plugin(text.to_owned()))
    }
}

impl FromStr for PluginDigest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let valid = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid
            .then(|| Self(text.to_ascii_lowercase().into()))
            .ok_or_else(|| Error::Digest(text.to_owned()))
    }
}

impl TryFrom<String> for PluginDigest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<PluginDigest> for String {
    fn from(digest: PluginDigest) -> Self {
        digest.0.as_ref().to_owned()
    }
}

impl fmt::Display for PluginDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PluginDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginDigest({})", self.short())
    }
}

impl TryFrom<String> for StoreId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for PluginName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_id_is_always_safe_as_a_file_name() {
        for good in ["a", "workspace-123", "A_b.c", &"x".repeat(128)] {
            assert_eq!(
                good.parse::<StoreId>().map(|id| id.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "a\\b",
            "a b",
            "ä",
            "a\0",
            "a:b",
            &"x".repeat(129),
        ] {
            assert!(bad.parse::<StoreId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_plugin_name_can_stand_in_a_stamp() {
        for good in ["echo", "recurring-tasks", "v2"] {
            assert!(good.parse::<PluginName>().is_ok());
        }
        for bad in ["", "Echo", "2fast", "-x", "a:b", "a/b", "a_b"] {
            assert!(bad.parse::<PluginName>().is_err(), "{bad:?} was accepted");
        }
    }
}
