//! `[registry.scan]`: what a scanner has to find, or not to find, in pushed images.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::scan::{Exception, Severity};

/// `[registry.scan]`: Harbor's scan of a pushed image is awaited, and stands in the report.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScanConfig {
    /// The severity from which a vulnerability fails the build: `high`. Without it, scans are only reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<Severity>,
    /// How long the end of the scan is awaited: `5m`.
    #[serde(with = "super::duration")]
    #[schemars(with = "String")]
    pub wait: Duration,
    /// Whether base images are held to the same: those that `slipway base-images push` publishes, and those that builds
    /// which are pushed start from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub base_images: bool,
    /// What is accepted all the same, each to a last day: `{ cve = "CVE-2024-3094", until = "2026-12-31", reason = "…" }`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Exception>,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self { refuse: None, wait: Duration::from_mins(5), base_images: false, accept: Vec::new() }
    }
}
