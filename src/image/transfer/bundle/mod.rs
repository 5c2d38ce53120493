//! Bundles: images in one archive, an OCI image layout, for registries that no network leads to.
//!
//! The archive's order is settled by its content, so that an export that was broken off goes on where it was, and its last
//! entry, `SHA256SUMS`, says that it is whole; `SHA256SUMS.sig` after it says whose it is, where it is signed. What the far side has, by its inventory, is left out and mounted there.

mod archive;
mod export;
mod import;
mod inventory;
mod signature;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

pub use archive::verify;
pub use export::{Exported, export};
pub use import::{Imported, import, targets};
pub use inventory::Inventory;
pub use signature::{SigningKey, TrustedKey};

/// The file that says what a bundle holds.
const CONTENTS: &str = "slipway-bundle.json";

/// The last entry but for its signature: digests of all the others, as `sha256sum --check` reads them.
const SUMS: &str = "SHA256SUMS";

/// The 64 bytes of the sums' signature, where somebody signed them.
const SIGNATURE: &str = "SHA256SUMS.sig";

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    images: Vec<BundledImage>,
    /// Blobs that are not in it, since the far side has them.
    left_out: Vec<LeftOut>,
}

/// An image of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundledImage {
    /// What it was called where it comes from.
    reference: ImageReference,
    digest: Digest,
    /// Its manifests, lowest first; the last is the image's own.
    manifests: Vec<BundledManifest>,
    /// Digests of its configurations and layers.
    blobs: Vec<Digest>,
    /// What refers to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    referrers: Vec<BundledReferrer>,
}

/// A signature, attestation or bill of materials of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundledReferrer {
    /// The manifest that it refers to, where that is not the image's own but one that its index names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Digest>,
    /// The tag that it is found by, where its manifest does not say what it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// Its manifests, lowest first.
    manifests: Vec<BundledManifest>,
    /// Digests of what they name.
    blobs: Vec<Digest>,
}

/// A manifest of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundledManifest {
    digest: Digest,
    media_type: String,
}

/// A blob that the far side has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    digest: Digest,
    size: u64,
    /// The repository there that has it.
    repository: String,
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("`{}` is no usable bundle: {why}", path.display()))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    let code = if full { FailureCode::DiskFull } else { FailureCode::RequestInvalid };
    Failure::new(code, format!("`{}` cannot be written: {error}", path.display()))
}
