//! Registries that base images come from.

use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde_json::Value;

use super::base::{ACCEPTED, Base, PulledManifest};
use super::store::{Store, unwritable};
use crate::image::credentials::Credentials;
use crate::image::registry::{Descriptor, Registry};
use crate::image::{LogSink, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// Blobs that are sent or fetched at a time.
pub(super) const PARALLEL: usize = 4;

/// A repository of a registry, with an account.
pub(super) struct Remote<'a> {
    client: Client,
    auth: RegistryAuth,
    reference: &'a ImageReference,
}

impl<'a> Remote<'a> {
    pub(super) fn new(
        reference: &'a ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> Result<Self, Failure> {
        let (client, auth) = Registry::new(reference, credentials, access)?.into_parts();
        Ok(Self { client, auth, reference })
    }

    fn tagged(&self) -> Reference {
        let (registry, repository) = (self.reference.registry().to_owned(), self.reference.repository().to_owned());
        if let Some(digest) = self.reference.digest() {
            Reference::with_digest(registry, repository, digest.to_string())
        } else {
            let tag = self.reference.tag().map_or("latest", |tag| tag.as_str());
            Reference::with_tag(registry, repository, tag.to_owned())
        }
    }

    /// Fetches an image; blobs that the store has are not fetched again.
    pub(super) async fn pull(&self, store: &Store, log: LogSink<'_>) -> Result<Base, Failure> {
        let reference = self.tagged();
        let missing = |error: OciDistributionError| self.pull_failure(&error);
        self.client.auth(&reference, &self.auth, RegistryOperation::Pull).await.map_err(missing)?;
        let digest = if let Some(digest) = self.reference.digest() {
            digest.clone()
        } else {
            let digest = self.client.fetch_manifest_digest(&reference, &self.auth).await.map_err(missing)?;
            digest.parse().map_err(|_| missing(OciDistributionError::RegistryNoDigestError))?
        };
        let key = format!("{}-{}", digest.hex(), self.reference.registry().replace(':', "_"));
        if let Some(base) =
            store.recall::<Base>("bases", &key).filter(|base| base.layers.iter().all(|layer| store.has(&layer.blob)))
        {
            return Ok(base);
        }
        log(&format!("pulling {}@{digest}", self.reference.name()));
        let manifest = self.manifest(&digest).await?;
        let blobs = manifest.layers.iter().map(|layer| Descriptor { digest: layer.digest.clone(), size: layer.size });
        let blobs: Vec<Descriptor> = blobs.chain([manifest.config.clone()]).filter(|blob| !store.has(blob)).collect();
        let mut fetching = Vec::new();
        for blob in &blobs {
            fetching.push(self.fetch(store, blob));
        }
        stream::iter(fetching).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        let config: Value = serde_json::from_slice(&store.read(&manifest.config.digest)?).map_err(|error| {
            Failure::new(FailureCode::ImageFailed, format!("the base image `{}`: {error}", self.reference))
        })?;
        let base = manifest.base(config, self.reference.name())?;
        store.note("bases", &key, &base);
        Ok(base)
    }

    /// The image's manifest; of an index, the one for this platform.
    async fn manifest(&self, digest: &Digest) -> Result<PulledManifest, Failure> {
        let mut digest = digest.to_string();
        for _ in 0..2 {
            let exact = Reference::with_digest(
                self.reference.registry().to_owned(),
                self.reference.repository().to_owned(),
                digest.clone(),
            );
            let (bytes, _) = self
                .client
                .pull_manifest_raw(&exact, &self.auth, &ACCEPTED)
                .await
                .map_err(|error| self.pull_failure(&error))?;
            let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let Some(entries) = value["manifests"].as_array() else {
                return serde_json::from_value(value).map_err(|error| {
                    Failure::new(FailureCode::ImageFailed, format!("the manifest of `{}`: {error}", self.reference))
                });
            };
            let here = |entry: &&Value| {
                entry["platform"]["os"] == "linux" && entry["platform"]["architecture"] == architecture()
            };
            let Some(found) = entries.iter().find(here).and_then(|entry| entry["digest"].as_str()) else {
                let message = format!("`{}` has no image for linux/{}", self.reference, architecture());
                return Err(Failure::new(FailureCode::BaseImageMissing, message));
            };
            found.clone_into(&mut digest);
        }
        Err(Failure::new(FailureCode::ImageFailed, format!("`{}` is an index of indexes", self.reference)))
    }

    async fn fetch(&self, store: &Store, blob: &Descriptor) -> Result<(), Failure> {
        let descriptor = OciDescriptor { digest: blob.digest.to_string(), ..OciDescriptor::default() };
        let mut pulled = self
            .client
            .pull_blob_stream(&self.tagged(), &descriptor)
            .await
            .map_err(|error| self.pull_failure(&error))?
            .stream;
        let mut writer = store.writer()?;
        while let Some(chunk) = pulled.next().await {
            let chunk = chunk.map_err(|error| {
                Failure::new(FailureCode::RegistryUnavailable, format!("fetching `{}`: {error}", blob.digest))
            })?;
            std::io::Write::write_all(&mut writer, &chunk)
                .map_err(|error| unwritable(Path::new("the cache"), &error))?;
        }
        let got = store.finish(writer)?;
        if got == *blob {
            return Ok(());
        }
        let message = format!(
            "`{}` gave {} bytes of `{}` for `{}`",
            self.reference.registry(),
            got.size,
            got.digest,
            blob.digest
        );
        Err(Failure::new(FailureCode::DigestMismatch, message))
    }

    fn pull_failure(&self, error: &OciDistributionError) -> Failure {
        let code = match error {
            OciDistributionError::RequestError(_) | OciDistributionError::ServerError { code: 500.., .. } => {
                FailureCode::RegistryUnavailable
            }
            _ => FailureCode::BaseImageMissing,
        };
        Failure::new(code, format!("The base image `{}` cannot be pulled: {error}", self.reference))
    }
}

/// The machine's architecture as Go names it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
