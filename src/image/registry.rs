//! Registries: what they say of a pushed image ([`confirm`]), the push of blobs ([`upload`]) and their pull ([`download`]).

pub(in crate::image) mod alone;
mod confirm;
mod connections;
pub(super) mod download;
mod location;
mod login;
pub(super) mod meter;
mod outside;
pub(super) mod ready;
pub(super) mod refusal;
pub(super) mod session;
pub(super) mod stream;
pub(super) mod upload;

/// The media type of an index of images.
pub(super) use oci_client::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE as IMAGE_INDEX;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use reqwest::StatusCode;

pub(super) use self::location::secured;
use self::refusal::Refusal;
use self::session::Session;
use super::RegistryAccess;
use crate::http::{TIMEOUT, USER_AGENT};
use crate::model::image_reference::{Digest, ImageReference};

/// Content with its size, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The part of an image manifest that Slipway reads (OCI image specification, "Image Manifest").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl Descriptor {
    fn of(said: &OciDescriptor) -> Result<Self, String> {
        let digest = said.digest.parse().map_err(|_| format!("`{}` is no digest", said.digest.escape_debug()))?;
        Ok(Self { digest, size: said.size.try_into().map_err(|_| format!("{} is no size", said.size))? })
    }
}

impl Manifest {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let said: OciImageManifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let layers = said.layers.iter().map(Descriptor::of).collect::<Result<_, _>>()?;
        Ok(Self { config: Descriptor::of(&said.config)?, layers })
    }
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
                let manifest = Manifest::read(&found.bytes)
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
