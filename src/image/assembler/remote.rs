//! Registries that base images come from.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::base::{self, Base, Listed, PulledManifest};
use super::store::{Store, unwritable};
use crate::clock;
use crate::harbor;
use crate::image::credentials::Credentials;
use crate::image::push::{ATTEMPTS, LONGEST_PAUSE, backoff};
use crate::image::registry::Descriptor;
use crate::image::registry::refusal::Refusal;
use crate::image::registry::session::Session;
use crate::image::{LogSink, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// Blobs that are sent or fetched at a time.
pub(super) const PARALLEL: usize = 4;

/// A repository of a registry, with an account.
pub(super) struct Remote<'a> {
    session: Session,
    reference: &'a ImageReference,
    harbor: harbor::Client,
    /// The name of the account, who alone is told from memory what a tag stands for.
    account: String,
    /// How long a tag keeps its digest without being asked for again.
    tags: Duration,
}

impl<'a> Remote<'a> {
    pub(super) fn new(
        reference: &'a ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        tags: Duration,
    ) -> Result<Self, Failure> {
        let harbor = access.harbor(reference, credentials)?;
        let account = match credentials {
            Some(Credentials::Password { username, .. }) => username.clone(),
            Some(Credentials::IdentityToken(_)) | None => String::new(),
        };
        Ok(Self { session: Session::reading(reference, credentials, access)?, reference, harbor, account, tags })
    }

    /// Fetches an image. What the store has is not fetched again; one that is named by its digest is not even asked for.
    pub(super) async fn pull(&self, store: &Store, log: LogSink<'_>) -> Result<Base, Failure> {
        let known = |digest: &Digest| {
            let base = store.recall::<Base>("bases", &self.key(digest));
            base.filter(|base| base.layers.iter().all(|layer| store.has(&layer.blob)))
        };
        if let Some(base) = self.reference.digest().and_then(known) {
            return Ok(base);
        }
        let digest = match self.reference.digest() {
            Some(digest) => digest.clone(),
            None => self.remembered(store).await?,
        };
        if let Some(base) = known(&digest) {
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
        let config: Value = serde_json::from_slice(&store.read(&manifest.config.digest)?)
            .map_err(|error| self.unusable(&format!("has a configuration that is none: {error}")))?;
        base::fits(&config, &self.reference.to_string())?;
        let base = manifest.base(config, &self.reference.to_string(), Some(self.reference.name()))?;
        store.note("bases", &self.key(&digest), &base);
        Ok(base)
    }

    fn key(&self, digest: &Digest) -> String {
        format!("{}-{}", digest.hex(), self.reference.registry().replace(':', "_"))
    }

    /// The digest that the tag stands for, or stood for a moment ago.
    async fn remembered(&self, store: &Store) -> Result<Digest, Failure> {
        if self.tags.is_zero() {
            return self.tagged().await;
        }
        let key = hex::encode(Sha256::digest(format!("{}\n{}", self.reference, self.account)));
        let now = clock::since_epoch();
        let life = |at: &Duration| now.checked_sub(*at).is_some_and(|age| age < self.tags);
        if let Some((digest, _)) = store.recall::<(Digest, Duration)>("tags", &key).filter(|(_, at)| life(at)) {
            return Ok(digest);
        }
        let digest = self.tagged().await?;
        store.note("tags", &key, &(&digest, now));
        Ok(digest)
    }

    /// The digest that the tag stands for.
    async fn tagged(&self) -> Result<Digest, Failure> {
        let tag = self.reference.tag().map_or("latest", |tag| tag.as_str());
        let said = self.patiently(|| self.session.digest_of(tag)).await?;
        match said {
            Some(digest) => Ok(digest),
            None => Ok(self.patiently(|| self.session.manifest(tag)).await?.digest),
        }
    }

    /// The image's manifest; of an index, the one for this platform.
    async fn manifest(&self, digest: &Digest) -> Result<PulledManifest, Failure> {
        let mut digest = digest.to_string();
        for _ in 0..2 {
            let bytes = self.patiently(|| self.session.manifest(&digest)).await?.bytes;
            match base::manifest(&bytes, architecture()).map_err(|why| self.unusable(&why))? {
                Listed::Image(manifest) => return Ok(manifest),
                Listed::Elsewhere(here) => digest = here.to_string(),
                Listed::Nowhere => {
                    let message = format!("`{}` has no image for linux/{}", self.reference, architecture());
                    return Err(Failure::new(FailureCode::BaseImageMissing, message));
                }
            }
        }
        Err(self.unusable("is an index of indexes"))
    }

    async fn fetch(&self, store: &Store, blob: &Descriptor) -> Result<(), Failure> {
        self.patiently(|| self.download(store, blob)).await
    }

    /// Brings a blob into the store, where it is what its name says.
    async fn download(&self, store: &Store, blob: &Descriptor) -> Result<(), Refusal> {
        let own = |failure: Failure| Refusal::Own(failure.message);
        let mut answer = self.session.blob(blob).await?;
        let mut writer = store.writer().map_err(own)?;
        while let Some(chunk) = answer.piece().await? {
            if writer.size() + chunk.len() as u64 > blob.size {
                return Err(Refusal::Own(format!("`{}` has more than its {} bytes", blob.digest, blob.size)));
            }
            std::io::Write::write_all(&mut writer, &chunk)
                .map_err(|error| own(unwritable(Path::new("the cache"), &error)))?;
        }
        let got = writer.digest();
        if writer.size() == blob.size && got == blob.digest {
            return store.finish(writer).map(drop).map_err(own);
        }
        let words = format!("the registry gave {} bytes of `{got}` for `{}`", writer.size(), blob.digest);
        // What is too short may have been cut off on its way.
        Err(if writer.size() < blob.size { Refusal::Lost(words) } else { Refusal::Own(words) })
    }

    /// Asks again for a while, where that may help.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F + Send + Sync) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Refusal>> + Send,
    {
        let mut attempt = 1;
        loop {
            let refusal = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            let pause = refusal.retry_after().unwrap_or_else(|| backoff(attempt));
            if !refusal.may_pass() || attempt == ATTEMPTS || pause > LONGEST_PAUSE {
                let code = match refusal {
                    Refusal::Own(_) => FailureCode::ImageFailed,
                    _ if refusal.may_pass() => FailureCode::RegistryUnavailable,
                    // A Harbor whose database is away knows nobody.
                    Refusal::Answered { status, .. } if status.as_u16() == 401 && self.harbor.is_down().await => {
                        FailureCode::RegistryUnavailable
                    }
                    _ => FailureCode::BaseImageMissing,
                };
                let message = format!("The base image `{}` cannot be pulled: {refusal}", self.reference);
                return Err(Failure::new(code, message));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn unusable(&self, why: &str) -> Failure {
        Failure::new(FailureCode::ImageFailed, format!("The base image `{}` {why}", self.reference))
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
