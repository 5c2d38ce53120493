//! Where a decision comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of thing a value was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OriginKind {
    /// The build message.
    Message,
    /// A flag of the command line.
    Flag,
    /// The text of a file in the repository.
    File,
    /// The listing of the repository: that a file exists, or its mode.
    Tree,
    /// The operator's or the toolchain's default.
    Default,
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The kind of place.
    pub kind: OriginKind,
    /// The file, relative to the repository's root, if it was a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The key, the flag or the rule, for people: `maven.compiler.release`.
    pub detail: String,
}

impl Origin {
    /// A value read from the text of a file.
    pub fn file(path: impl Into<String>, line: Option<u32>, detail: impl Into<String>) -> Self {
        Self { kind: OriginKind::File, path: Some(path.into()), line, detail: detail.into() }
    }

    /// A value that follows from a file's being there.
    pub fn tree(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: OriginKind::Tree, path: Some(path.into()), line: None, detail: detail.into() }
    }

    /// A default of the toolchain or the operator.
    pub fn default(detail: impl Into<String>) -> Self {
        Self { kind: OriginKind::Default, path: None, line: None, detail: detail.into() }
    }

    /// A value stated by whoever asked for the build.
    pub fn asked(kind: OriginKind, detail: impl Into<String>) -> Self {
        Self { kind, path: None, line: None, detail: detail.into() }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.path, self.line, self.kind) {
            (Some(path), Some(line), _) => write!(f, "{path}:{line}: {}", self.detail),
            (Some(path), None, _) => write!(f, "{path}: {}", self.detail),
            (None, _, OriginKind::Message) => write!(f, "message: {}", self.detail),
            (None, _, OriginKind::Flag) => write!(f, "flag {}", self.detail),
            (None, _, _) => write!(f, "default: {}", self.detail),
        }
    }
}

/// A value with the place it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub origin: Origin,
}

impl<T> Found<T> {
    /// Pairs a value with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// One decided value, why, and what lost against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The message's path of the setting: `toolchain.version`.
    pub key: String,
    /// What was decided.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
    /// What else was there.
    pub rejected: Vec<Rejected>,
}

/// A value that was found and not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejected {
    /// The value.
    pub value: Value,
    /// Where it was found.
    pub origin: Origin,
    /// Why it lost.
    pub why: String,
}
