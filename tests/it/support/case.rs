//! `slipway-test.json` of an example: how its container is probed. One object, or a list of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// One build of an example, and what has to be true of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Case {
    /// Further arguments of `slipway build`.
    pub(crate) args: Vec<String>,
    /// `service` if absent.
    pub(crate) kind: Option<String>,
    /// The toolchain that has to be recognised.
    pub(crate) toolchain: String,
    /// Its release.
    pub(crate) version: Option<String>,
    /// The process that has to be planned.
    pub(crate) process: Option<String>,
    /// Environment of the container.
    pub(crate) env: BTreeMap<String, String>,
    /// The port that answers.
    pub(crate) port: Option<u16>,
    /// Requests; the first is repeated until the application has started.
    pub(crate) probes: Vec<Probe>,
    /// For what speaks no HTTP: bytes to send, and what the answer begins with.
    pub(crate) tcp: Option<Exchange>,
    /// For what has no port: text of the log that says that it has started.
    pub(crate) ready: Option<String>,
    /// Text that is in the log once the container has ended.
    pub(crate) log_contains: Vec<String>,
    /// The container does not start, and its log says why.
    pub(crate) fails: Option<String>,
    /// Layers above the base image, lowest first.
    pub(crate) layers: Vec<String>,
    /// Paths that are in the image.
    pub(crate) files: Vec<String>,
    /// Whether the image has a `HEALTHCHECK`.
    pub(crate) healthcheck: bool,
    /// Paths that a library leaves in the package repository.
    pub(crate) deployed: Vec<String>,
}

/// One HTTP request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// Path and query.
    pub(crate) path: String,
    /// The status that has to come.
    pub(crate) status: u16,
    /// Text of the body; `{commit}` stands for the commit's first 12 digits.
    #[serde(default)]
    pub(crate) contains: String,
}

/// One exchange of bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    /// What is sent.
    pub(crate) send: String,
    /// What the answer begins with.
    pub(crate) contains: String,
}

impl Case {
    /// The cases of an example.
    pub(crate) fn read(example: &Path) -> Vec<Self> {
        let path = example.join("slipway-test.json");
        let wrong = |error: &dyn std::fmt::Display| -> ! { panic!("{}: {error}", path.display()) };
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| wrong(&error));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| wrong(&error));
        let cases = match value {
            serde_json::Value::Array(cases) => cases,
            one => vec![one],
        };
        cases.into_iter().map(|case| serde_json::from_value(case).unwrap_or_else(|error| wrong(&error))).collect()
    }

    /// Whether it ends as an image.
    pub(crate) fn is_service(&self) -> bool {
        self.kind.as_deref() != Some("library")
    }
}
