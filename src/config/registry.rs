//! `[registry]`: where images go, and what is done there.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::scan::ScanConfig;
use crate::model::image_reference::ImageReference;

/// `[registry]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Host and port; without one, images are named without a registry and cannot be pushed.
    #[serde(deserialize_with = "some_host")]
    pub host: Option<String>,
    /// The name of the credentials for it; product lines that may not use them push with those that list it and them.
    pub credentials: Option<String>,
    /// What it is, where it should not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RegistryKind>,
    /// How Harbor's projects are made that are missing; without it, they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<ProjectsConfig>,
    /// Requests and uploads that a registry has at a time from all builds of this process; 8 if absent. Pushes by the Docker
    /// Engine are the Engine's own (`max-concurrent-uploads`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<NonZeroU16>,
    /// Labels that Harbor shows on every pushed image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelKind>,
    /// Further tags, which name one image for good: `["build-{id}", "commit-{commit}"]`; `{branch}` may stand there too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Registries that every pushed image is copied to, each by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyConfig>,
    /// What is shown to registries that ask for a client certificate, by host and port.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// Public Ed25519 keys (PEM), one of which has to have signed a bundle that is imported; anybody's is taken without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bundle_keys: Vec<PathBuf>,
    /// Whether Harbor's scan of an image is awaited, and what it may find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanConfig>,
}

/// `[registry.client_certificates."harbor.example.com"]`: who Slipway is to a registry that demands mutual TLS. Both files
/// are read anew for each connection's client, so that they may be renewed while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM file with the certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with its private key, which is not encrypted.
    pub key: PathBuf,
}

/// `[[registry.copies]]`: a further registry, such as a site's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyConfig {
    /// Host and port.
    #[serde(deserialize_with = "host")]
    pub host: String,
    /// The name of the credentials for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// PEM bundle of certificate authorities for it alone; those of `network.ca_bundle` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// How long a copy may take: `10m`. One that is away delays a build no longer.
    #[serde(default = "ten_minutes", with = "super::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Whether the build fails where the copy does; it is a warning otherwise.
    #[serde(default)]
    pub required: bool,
    /// The product lines whose images are copied; `*` is all.
    #[serde(default = "super::credentials::everyone")]
    pub product_lines: Vec<String>,
}

impl CopyConfig {
    /// Whether images of the product line are copied there.
    #[must_use]
    pub fn is_of(&self, product_line: &str) -> bool {
        self.product_lines.iter().any(|line| line == "*" || line == product_line)
    }
}

fn ten_minutes() -> Duration {
    Duration::from_mins(10)
}

/// A label of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// `product-line/trade`
    ProductLine,
    /// `application/order`
    Application,
    /// `branch/main`
    Branch,
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

/// A registry's host and port, refused where the configuration is read rather than where the first image is named.
fn host<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let host = String::deserialize(from)?;
    ImageReference::check_registry(&host).map_err(D::Error::custom)?;
    Ok(host)
}

fn some_host<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    host(from).map(Some)
}
