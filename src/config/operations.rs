//! The sections of whoever keeps workers running: `[logs]`, `[probes]` and `[traces]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, size};

/// `[logs]`: the whole log of every build of a worker, as a compressed file each.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Where they are; `logs` in the cache directory if absent.
    pub directory: Option<PathBuf>,
    /// How long one is kept: `14d`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub keep: Duration,
    /// What all together may take of the disk; the oldest go first: `5GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub size: u64,
}

impl Default for Logs {
    fn default() -> Self {
        Self { directory: None, keep: Duration::from_hours(14 * 24), size: 5 << 30 }
    }
}

/// `[probes]`: the worker's own port, with `/livez`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// Address and port; only this machine is answered unless another address stands here. Empty for none.
    #[serde(with = "listen")]
    #[schemars(with = "String")]
    pub listen: Option<SocketAddr>,
}

impl Default for Probes {
    fn default() -> Self {
        Self { listen: Some(([127, 0, 0, 1], 9464).into()) }
    }
}

/// `[traces]`: requests, builds and their steps as spans, for an OpenTelemetry collector.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// The collector that worker and server send to, by OTLP over HTTP: `http://collector:4318`. Nothing is sent if absent. Takes a program that was built with the feature `otlp`.
    pub endpoint: Option<String>,
}

/// An address, or an empty text.
mod listen {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |_| D::Error::custom(format!("`{text}` is no address with a port: write `127.0.0.1:9464`"));
        text.parse().map(Some).map_err(wrong)
    }

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(listen: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&listen.map(|address| address.to_string()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn an_address_has_a_port_or_is_empty() {
        let parse = |text: &str| toml::from_str::<Config>(&format!("[probes]\nlisten = {text:?}\n"));
        assert_eq!(parse("0.0.0.0:9464").unwrap().probes.listen.unwrap().to_string(), "0.0.0.0:9464");
        assert_eq!(parse("").unwrap().probes.listen, None);
        let error = parse("9464").unwrap_err();
        assert!(error.message().contains("write `127.0.0.1:9464`"), "{error}");
    }

    #[test]
    fn logs_are_kept_for_days() {
        let config: Config = toml::from_str("[logs]\nkeep = \"3d\"\nsize = \"512MiB\"\n").unwrap();
        assert_eq!((config.logs.keep.as_secs(), config.logs.size), (3 * 86400, 512 << 20));
    }
}
