//! Which accounts there are, who may use them, and where their secrets are.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// `[credentials.NAME]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialsConfig {
    /// The account.
    #[serde(default)]
    pub username: String,
    /// Where its password is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
    /// Where the private key for Git over SSH is; it has no passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<SecretSource>,
    /// The file with the SSH hosts' keys, as ssh-keyscan(1) prints them; the machine's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// The hosts that may see it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The product lines that may use it; `*` is all.
    #[serde(default = "everyone")]
    pub product_lines: Vec<String>,
}

/// Where a secret is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretSource {
    /// In a file; a trailing line break is not part of it.
    File(PathBuf),
    /// In an environment variable of Slipway's own.
    Env(String),
    /// What a command prints.
    Command(Vec<String>),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Where)
    }
}

/// Reads where a secret is, and never repeats one that was put there itself.
struct Where;

/// What `SecretSource` is read as.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stated {
    File(PathBuf),
    Env(String),
    Command(Vec<String>),
}

impl<'de> Visitor<'de> for Where {
    type Value = SecretSource;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`{ file = \"…\" }`, `{ env = \"NAME\" }` or `{ command = [\"…\"] }`")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<SecretSource, E> {
        let way = "`{ file = \"…\" }`, `{ env = \"NAME\" }` or `{ command = [\"…\"] }`";
        Err(E::custom(format!("a secret does not stand in the configuration itself; say where it is: {way}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
        Ok(match Stated::deserialize(MapAccessDeserializer::new(map))? {
            Stated::File(path) => SecretSource::File(path),
            Stated::Env(name) => SecretSource::Env(name),
            Stated::Command(command) => SecretSource::Command(command),
        })
    }
}

pub(super) fn everyone() -> Vec<String> {
    vec!["*".into()]
}
