//! Registries: what they say of a pushed image, the push of blobs ([`upload`]) and their pull ([`download`]).

pub(super) mod download;
mod location;
mod login;
pub(super) mod session;
pub(super) mod upload;

use reqwest::StatusCode;

pub(super) use self::location::secured;
use self::session::{Refusal, Session};
use super::RegistryAccess;
use crate::http::{TIMEOUT, USER_AGENT, install_tls};
use crate::model::image_reference::{Digest, ImageReference};

/// The media type of an image's manifest (OCI image specification, "Media Types").
pub(super) const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// That of an index.
pub(super) const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// That of an image's configuration.
pub(super) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// That of a layer.
pub(super) const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Content with its size, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The part of an image manifest that Slipway reads (OCI image specification, "Image Manifest").
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// What a registry answered when asked for an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The image, with its manifest's digest.
    Image(Digest, Manifest),
    /// It is there, but a scan or signing gate hides it: in Harbor even a `HEAD` is a pull.
    Gated,
    /// There is no such image.
    Missing,
}

impl Session {
    /// Asks for the image that a tag names.
    pub(super) async fn show(&self, reference: &ImageReference) -> Result<Shown, Refusal> {
        let tag = reference.tag().map_or("latest", |tag| tag.as_str());
        match self.manifest(tag).await {
            Ok(found) => {
                let manifest = serde_json::from_slice(&found.bytes)
                    .map_err(|error| Refusal::Own(format!("the manifest of `{reference}` is none: {error}")))?;
                Ok(Shown::Image(found.digest, manifest))
            }
            Err(refusal) if refusal.is_gate() => Ok(Shown::Gated),
            Err(refusal) if refusal.status() == Some(StatusCode::NOT_FOUND) => Ok(Shown::Missing),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Whether the registry is spoken to without TLS: as for Docker, loopback is; else only where
/// the operator says so.
pub(super) fn speaks_plain_http(reference: &ImageReference, access: &RegistryAccess) -> bool {
    let host = reference.registry_host();
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    access.plain_http || loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_speaks_plain_http_and_others_where_told() {
        let plain = |registry: &str, plain_http| {
            let reference = format!("{registry}/a").parse().unwrap();
            speaks_plain_http(&reference, &RegistryAccess { plain_http, ..Default::default() })
        };
        assert!(plain("127.0.0.1:5000", false) && plain("127.1.2.3:1", false) && plain("localhost", false));
        assert!(plain("[::1]:5000", false));
        assert!(!plain("harbor.example.com", false) && !plain("10.0.0.1:5000", false));
        assert!(plain("10.0.0.1:5000", true));
    }
}
