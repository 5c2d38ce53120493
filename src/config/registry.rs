//! `[registry]`: where images go, and what is done there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[registry]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Host and port; without one, images are named without a registry and cannot be pushed.
    pub host: Option<String>,
    /// The name of the credentials for it.
    pub credentials: Option<String>,
    /// What it is, where it should not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RegistryKind>,
    /// How Harbor's projects are made that are missing; without it, they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<ProjectsConfig>,
}

/// What a registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryKind {
    /// Harbor: its API is asked for rights, quota and rules before a build.
    Harbor,
    /// Any other: only the distribution specification is spoken.
    Plain,
}

/// `[registry.projects]`: a product line whose project is missing gets one when its first image is pushed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectsConfig {
    /// The name of the credentials of a system robot that may create projects.
    pub credentials: String,
    /// Whether everyone may pull from them.
    #[serde(default)]
    pub public: bool,
    /// What one may hold: `50GiB`. Harbor heeds it only from an administrator; without it, its own default holds.
    #[serde(default, with = "super::some_size", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub storage_limit: Option<u64>,
    /// Harbor's further settings of them: `{ auto_scan = "true" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}
