//! The push: what the registry lacks is sent, the tag is confirmed, what may pass is tried again.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::remote::PARALLEL;
use super::{Assembled, AssemblerBackend};
use crate::image::credentials::{self, Credentials};
use crate::image::diagnosis::diagnose;
use crate::image::push::{ATTEMPTS, LONGEST_PAUSE, backoff};
use crate::image::registry::session::{Refusal, Session};
use crate::image::registry::upload::{Brought, Content};
use crate::image::registry::{Descriptor, Registry, Shown};
use crate::image::{BuiltImage, LogSink, PublishedImage, PublishedLayer, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

impl AssemblerBackend {
    pub(super) async fn publish(
        &self,
        built: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
    ) -> Result<PublishedImage, Failure> {
        let image = self.image(built)?;
        let mut layers: Option<Vec<PublishedLayer>> = None;
        for reference in references {
            if reference.tag().is_none() || reference.digest().is_some() {
                let message = format!("`{reference}` cannot be pushed to: a push needs a tag and no digest.");
                return Err(Failure::new(FailureCode::RequestInvalid, message));
            }
            let credentials = match &access.credentials {
                Some(credentials) => Some(credentials.clone()),
                None => credentials::of_docker(reference.registry()).await?,
            };
            log(&format!("pushing {reference}"));
            let pushed = self.with_retries(&image, reference, credentials.as_ref(), access, log).await?;
            layers.get_or_insert(pushed);
        }
        let layers = layers
            .ok_or_else(|| Failure::new(FailureCode::RequestInvalid, "There is no reference to push the image to."))?;
        Ok(PublishedImage {
            references: references.to_vec(),
            digest: image.manifest.digest.clone(),
            size: image.config.size + layers.iter().map(|layer| layer.size).sum::<u64>(),
            layers,
        })
    }

    async fn with_retries(
        &self,
        image: &Assembled,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        log: LogSink<'_>,
    ) -> Result<Vec<PublishedLayer>, Failure> {
        let mut attempt = 1;
        loop {
            // What is known of the repository may be out of date once something went wrong.
            let trust = attempt == 1;
            let pushed = self.once(image, reference, credentials, access, trust, log).await;
            let said = match pushed {
                Ok(layers) => return self.confirmed(image, reference, credentials, access).await.map(|()| layers),
                Err(refusal) if trust && refusal.to_string().contains("blob unknown") => {
                    // What was there is gone: the registry cleans up.
                    attempt += 1;
                    continue;
                }
                Err(refusal) => refusal.to_string(),
            };
            // An immutable tag refuses even the image that it has. What a gate hides may be another.
            if self.holds(image, reference, credentials, access).await {
                let all = image.layers.iter().map(|layer| PublishedLayer {
                    digest: layer.blob.digest.clone(),
                    size: layer.blob.size,
                    reused: true,
                });
                return Ok(all.collect());
            }
            let diagnosis = diagnose(reference, credentials, access, &said).await;
            let pause = diagnosis.retry_after.unwrap_or_else(|| backoff(attempt));
            if !diagnosis.failure.retryable || attempt == ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(diagnosis.failure);
            }
            log(&format!("{} Trying again in {:.1} s.", diagnosis.failure, pause.as_secs_f64()));
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Sends what the repository lacks, then the manifest. Blobs that were brought there before are not asked for again
    /// while that is trusted.
    async fn once(
        &self,
        image: &Assembled,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        trust: bool,
        log: LogSink<'_>,
    ) -> Result<Vec<PublishedLayer>, Refusal> {
        let own = |failure: Failure| Refusal::Own(failure.message);
        let home = image.home.as_deref().and_then(|home| home.split_once('/'));
        let home = home.filter(|(registry, repository)| {
            *registry == reference.registry() && *repository != reference.repository()
        });
        let home: Vec<String> = home.map(|(_, repository)| repository.to_owned()).into_iter().collect();
        let session = Session::new(reference, credentials, access, &home).map_err(own)?;
        let bring = |blob: Descriptor, sources: Vec<String>| {
            let session = &session;
            async move {
                if trust && self.store.knows(reference, &blob) {
                    return Ok(true);
                }
                let brought = session.bring(&blob, &sources, Content::File(&self.store.path(&blob.digest), 0)).await?;
                self.store.learn(reference, &blob);
                let short = blob.digest.hex().get(..12).unwrap_or_default();
                match brought {
                    Brought::There => log(&format!("{short}: already there")),
                    Brought::Mounted => log(&format!("{short}: mounted from {}", sources.join(", "))),
                    Brought::Sent => log(&format!("{short}: pushed, {} bytes", blob.size)),
                }
                Ok::<bool, Refusal>(brought != Brought::Sent)
            }
        };
        let mut bringing = Vec::new();
        for layer in &image.layers {
            bringing.push(bring(layer.blob.clone(), home.clone()));
        }
        bringing.push(bring(image.config.clone(), Vec::new()));
        let reused: Vec<bool> = stream::iter(bringing).buffered(PARALLEL).try_collect().await?;
        let manifest = self.store.read(&image.manifest.digest).map_err(own)?;
        let tag = reference.tag().map_or("latest", |tag| tag.as_str());
        session.put_manifest(tag, oci_client::manifest::OCI_IMAGE_MEDIA_TYPE, &manifest).await?;
        let layers = image.layers.iter().zip(reused).map(|(layer, reused)| PublishedLayer {
            digest: layer.blob.digest.clone(),
            size: layer.blob.size,
            reused,
        });
        Ok(layers.collect())
    }

    /// Whether the tag is seen to name the image.
    async fn holds(
        &self,
        image: &Assembled,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> bool {
        let Ok(registry) = Registry::new(reference, credentials, access) else { return false };
        matches!(registry.show(reference).await, Ok(Shown::Image(digest, _)) if digest == image.manifest.digest)
    }

    /// Sees that the tag names the image.
    async fn confirmed(
        &self,
        image: &Assembled,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> Result<(), Failure> {
        let pushed = &image.manifest.digest;
        let shows = match Registry::new(reference, credentials, access)?.show(reference).await {
            Ok(Shown::Image(digest, _)) if digest == *pushed => return Ok(()),
            Ok(Shown::Gated) => return Ok(()),
            Ok(Shown::Image(digest, _)) => format!("shows `{digest}`"),
            Ok(Shown::Missing) => "shows no image".to_owned(),
            Err(error) => format!("does not confirm it: {error}"),
        };
        let message =
            format!("`{pushed}` was pushed to `{reference}`, and the registry `{}` {shows}.", reference.registry());
        Err(Failure::new(FailureCode::DigestMismatch, message))
    }
}
