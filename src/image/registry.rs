//! Registries: what they say of a pushed image, the push of blobs ([`upload`]) and their pull ([`download`]).

pub(super) mod download;
mod location;
pub(super) mod session;
pub(super) mod upload;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::RegistryAccess;
use super::credentials::Credentials;
use crate::http::{TIMEOUT, USER_AGENT, certificate_texts, install_tls};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// A registry and an account. oci-client keeps the first account per registry for ever, so a
/// client is made for each use and never shared.
pub(super) struct Registry {
    client: Client,
    auth: RegistryAuth,
}

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

impl Registry {
    /// A client for the reference's registry.
    pub(super) fn new(
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> Result<Self, Failure> {
        install_tls();
        let plain = speaks_plain_http(reference, access);
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: access.ca_bundle.as_deref().map(certificates).unwrap_or_default(),
            connect_timeout: Some(TIMEOUT),
            read_timeout: Some(TIMEOUT),
            user_agent: USER_AGENT,
            // A known blob takes two requests then, not one for each 4 MiB.
            use_monolithic_push: true,
            ..ClientConfig::default()
        };
        // `Client::new` would fall back to other settings when these are wrong.
        let client = Client::try_from(config).map_err(|error| {
            let message = format!("The client of the registry `{}` cannot be made: {error}.", reference.registry());
            Failure::new(FailureCode::ConfigurationInvalid, message).hint("Correct `network.ca_bundle`.")
        })?;
        let auth = match credentials {
            Some(Credentials::Password { username, password }) => {
                RegistryAuth::Basic(username.clone(), password.expose().to_owned())
            }
            Some(Credentials::IdentityToken(_)) | None => RegistryAuth::Anonymous,
        };
        Ok(Self { client, auth })
    }

    /// Asks for the image that a tag names: its digest by `HEAD`, its manifest by that digest.
    pub(super) async fn show(&self, reference: &ImageReference) -> Result<Shown, OciDistributionError> {
        let tag = reference.tag().map_or("latest", |tag| tag.as_str());
        let tagged =
            Reference::with_tag(reference.registry().to_owned(), reference.repository().to_owned(), tag.to_owned());
        match self.ask(&tagged, reference).await {
            Err(OciDistributionError::RegistryError { envelope, .. })
                if envelope.errors.iter().any(|error| is_gate(&error.code)) =>
            {
                Ok(Shown::Gated)
            }
            Err(OciDistributionError::RegistryError { envelope, .. })
                if envelope.errors.iter().any(|error| is_missing(&error.code)) =>
            {
                Ok(Shown::Missing)
            }
            Err(
                OciDistributionError::ServerError { code: 404, .. }
                | OciDistributionError::ImageManifestNotFoundError(_),
            ) => Ok(Shown::Missing),
            other => other,
        }
    }

    async fn ask(&self, tagged: &Reference, reference: &ImageReference) -> Result<Shown, OciDistributionError> {
        self.client.auth(tagged, &self.auth, RegistryOperation::Pull).await?;
        let digest = self.client.fetch_manifest_digest(tagged, &self.auth).await?;
        let exact =
            Reference::with_digest(reference.registry().to_owned(), reference.repository().to_owned(), digest.clone());
        let accepted = [IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE];
        let (bytes, _) = self.client.pull_manifest_raw(&exact, &self.auth, &accepted).await?;
        let digest = digest.parse().map_err(|_| OciDistributionError::RegistryNoDigestError)?;
        Ok(Shown::Image(digest, serde_json::from_slice(&bytes)?))
    }
}

/// Whether the registry is spoken to without TLS: as for Docker, loopback is; else only where
/// the operator says so.
pub(super) fn speaks_plain_http(reference: &ImageReference, access: &RegistryAccess) -> bool {
    let host = reference.registry_host();
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    access.plain_http || loopback
}

/// The bundle's certificates one by one: oci-client reads only the first of each.
fn certificates(bundle: &[u8]) -> Vec<Certificate> {
    let texts = certificate_texts(bundle).into_iter();
    texts.map(|text| Certificate { encoding: CertificateEncoding::Pem, data: text.into_bytes() }).collect()
}

/// Harbor's code for an image that a project's policy does not let be pulled.
fn is_gate(code: &OciErrorCode) -> bool {
    matches!(code, OciErrorCode::Other(other) if other == "PROJECTPOLICYVIOLATION")
}

fn is_missing(code: &OciErrorCode) -> bool {
    matches!(code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound)
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
