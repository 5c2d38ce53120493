//! The push: what the registry lacks is sent, the tag is confirmed, what may pass is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::StatusCode;

use super::ahead::{Entered, Seen};
use super::pool::lock;
use super::remote::PARALLEL;
use super::store::Store;
use super::{Ahead, Assembled, AssemblerBackend};
use crate::image::push::{ATTEMPTS, LONGEST_PAUSE, backoff};
use crate::image::registry::Descriptor;
use crate::image::registry::refusal::Refusal;
use crate::image::registry::session::Session;
use crate::image::registry::upload::{Brought, Content};
use crate::image::transfer::Place;
use crate::image::{BuiltImage, LogSink, PublishedImage, PublishedLayer, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};
use crate::work::blocking;

impl AssemblerBackend {
    pub(super) async fn publish(
        &self,
        built: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
    ) -> Result<PublishedImage, Failure> {
        let image = self.image(built)?;
        let mut reused: Option<Vec<bool>> = None;
        let mut known: Option<(String, Arc<Session>)> = None;
        for reference in references {
            if reference.tag().is_none() || reference.digest().is_some() {
                let message = format!("`{reference}` cannot be pushed to: a push needs a tag and no digest.");
                return Err(Failure::new(FailureCode::RequestInvalid, message));
            }
            log(&format!("pushing {reference}"));
            let sources = sources(&self.store, &image, reference);
            let entered = built.ahead.entered(reference, access).await;
            let Entered { place, session, seen } = if let Some(entered) = entered {
                entered
            } else {
                let place = Place::new(reference.clone(), access.clone()).await?;
                // One login for all tags of a repository.
                let session = match known.take().filter(|(name, _)| *name == reference.name()) {
                    Some((_, session)) => session,
                    None => Arc::new(place.session(&[])?),
                };
                Entered { place, session, seen: None }
            };
            session.reads(&all(&sources)).await;
            let push = Push {
                store: &self.store,
                image: &image,
                place,
                session,
                sources,
                seen: Mutex::new(seen),
                sent: Mutex::default(),
                ahead: built.ahead.clone(),
                log,
            };
            push.with_retries().await?;
            self.store.pushed_to(reference);
            reused.get_or_insert(push.reused());
            known = Some((reference.name(), push.session));
        }
        let reused = reused
            .ok_or_else(|| Failure::new(FailureCode::RequestInvalid, "There is no reference to push the image to."))?;
        let layers: Vec<PublishedLayer> = image
            .layers
            .iter()
            .zip(reused)
            .map(|(layer, reused)| PublishedLayer { digest: layer.blob.digest.clone(), size: layer.blob.size, reused })
            .collect();
        Ok(PublishedImage {
            references: references.to_vec(),
            digest: image.manifest.digest.clone(),
            size: image.config.size + layers.iter().map(|layer| layer.size).sum::<u64>(),
            layers,
        })
    }
}

/// Whether a manifest may have been refused for what it names.
fn is_of_content(refusal: &Refusal) -> bool {
    let status = refusal.status().map(|status| status.as_u16());
    matches!(status, Some(400 | 404 | 422)) || refusal.to_string().contains("blob unknown")
}

/// The repository of the base, where a registry of this reference has it.
pub(super) fn home<'a>(base: Option<&'a str>, reference: &ImageReference) -> Option<&'a str> {
    let (registry, repository) = base?.split_once('/')?;
    (registry == reference.registry() && repository != reference.repository()).then_some(repository)
}

/// Where the registry may have the image's blobs: layers in the repository of the base, and what was brought to other
/// repositories there.
fn sources(store: &Store, image: &Assembled, reference: &ImageReference) -> Sources {
    let home = home(image.home.as_deref(), reference);
    let layers = image.layers.iter().map(|layer| (&layer.blob, home));
    let mut found = Sources::new();
    for (blob, home) in layers.chain([(&image.config, None)]) {
        let mut names: Vec<String> = home.map(str::to_owned).into_iter().collect();
        names.extend(store.holders(reference, blob).into_iter().filter(|name| Some(name.as_str()) != home));
        names.retain(|name| name != reference.repository());
        found.insert(blob.digest.clone(), names);
    }
    found
}

/// All of these repositories, each once: the token has to name them.
fn all(sources: &Sources) -> Vec<String> {
    let all: BTreeSet<&String> = sources.values().flatten().collect();
    all.into_iter().take(NAMED).cloned().collect()
}

/// Repositories by what they may have.
type Sources = BTreeMap<Digest, Vec<String>>;

/// The most repositories that a token is asked for, which all stand in one URL.
const NAMED: usize = 16;

/// An image on its way to one tag.
struct Push<'a> {
    store: &'a Store,
    image: &'a Assembled,
    place: Place,
    session: Arc<Session>,
    sources: Sources,
    /// What the registry has just said of the tag.
    seen: Mutex<Option<Seen>>,
    /// What any attempt has sent.
    sent: Mutex<BTreeSet<Digest>>,
    /// What is on its way already.
    ahead: Ahead,
    log: LogSink<'a>,
}

impl Push<'_> {
    async fn with_retries(&self) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            // What is known of the repository may be out of date once something went wrong.
            let trust = attempt == 1;
            let refusal = match self.once(trust).await {
                Ok(confirmed) => return self.confirmed(confirmed).await,
                Err(refusal) if is_of_content(&refusal) => {
                    self.undamaged().await?;
                    if trust {
                        // What was there may be gone: registries clean up, and each says so in its own words.
                        attempt += 1;
                        continue;
                    }
                    refusal
                }
                Err(refusal) => refusal,
            };
            // A fixed tag refuses even the image that it has, which another build may have given it just now.
            let fixed = refusal.status() == Some(StatusCode::PRECONDITION_FAILED);
            if fixed && self.place.names(&self.session, &self.image.manifest.digest).await.unwrap_or(false) {
                return Ok(());
            }
            let diagnosis = self.place.diagnosis(&refusal).await;
            let pause = diagnosis.retry_after.unwrap_or_else(|| backoff(attempt));
            let again = diagnosis.failure.retryable || diagnosis.doubtful && attempt == 1;
            if !again || attempt == ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(diagnosis.failure);
            }
            (self.log)(&format!("{} Trying again in {:.1} s.", diagnosis.failure, pause.as_secs_f64()));
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Sends what the repository lacks, then the manifest; gives the digest that the registry confirms, if it does. Blobs
    /// that were brought there before are not asked for again while that is trusted.
    async fn once(&self, trust: bool) -> Result<Option<Digest>, Refusal> {
        let seen = lock(&self.seen).take();
        let seen = match seen {
            Some(seen) => seen,
            None => self.session.digest_of(self.place.tag()).await,
        };
        if self.place.shows(seen, &self.image.manifest.digest).await? {
            return Ok(Some(self.image.manifest.digest.clone()));
        }
        let mut bringing = Vec::new();
        for layer in &self.image.layers {
            bringing.push(self.bring(&layer.blob, trust));
        }
        bringing.push(self.bring(&self.image.config, trust));
        let all = stream::iter(bringing).buffered(PARALLEL).try_collect::<()>();
        self.session.told(self.log, all).await?;
        let own = |failure: Failure| Refusal::Own(failure.message);
        let manifest = self.store.read(&self.image.manifest.digest).map_err(own)?;
        self.session.put_manifest(self.place.tag(), self.image.types.manifest(), &manifest).await
    }

    async fn bring(&self, blob: &Descriptor, trust: bool) -> Result<(), Refusal> {
        let reference = self.place.reference();
        if trust && self.store.knows(reference, blob) {
            return Ok(());
        }
        let sources = self.sources.get(&blob.digest).map(Vec::as_slice).unwrap_or_default();
        let brought = match self.ahead.arrived(&reference.name(), &blob.digest).await {
            Some(brought) => brought,
            None => self.session.bring(blob, sources, Content::File(&self.store.path(&blob.digest), 0)).await?,
        };
        self.store.learn(reference, blob);
        let short = blob.digest.hex().get(..12).unwrap_or_default();
        match brought {
            Brought::There => (self.log)(&format!("{short}: already there")),
            Brought::Mounted(source) => (self.log)(&format!("{short}: mounted from {source}")),
            Brought::Sent => {
                lock(&self.sent).insert(blob.digest.clone());
                (self.log)(&format!("{short}: pushed, {} bytes", blob.size));
            }
        }
        Ok(())
    }

    /// Sees that what is to be sent is what it was made as. What is not leaves the cache: the next build makes it anew.
    async fn undamaged(&self) -> Result<(), Failure> {
        let (store, image) = (self.store.clone(), self.image.clone());
        let damaged = blocking(move || Ok(image.parts().filter(|part| store.drops_damaged(part)).last().cloned()));
        let Some(blob) = damaged.await? else { return Ok(()) };
        let message = format!(
            "The cache of images had another content for `{}`, which a disk or a program has damaged.",
            blob.digest
        );
        Err(Failure::new(FailureCode::CacheDamaged, message)
            .hint("It is removed: build again. `slipway cache verify` says what else is damaged."))
    }

    /// Which layers the registry had, lowest first.
    fn reused(&self) -> Vec<bool> {
        let sent = lock(&self.sent);
        self.image.layers.iter().map(|layer| !sent.contains(&layer.blob.digest)).collect()
    }

    /// Sees that the tag names the image. The answer to the push is enough: a look may be refused by a gate.
    async fn confirmed(&self, said: Option<Digest>) -> Result<(), Failure> {
        let (pushed, reference) = (&self.image.manifest.digest, self.place.reference());
        let said = match said {
            None => self.session.digest_of(self.place.tag()).await,
            said => Ok(said),
        };
        let shows = match said {
            Ok(Some(digest)) if digest == *pushed => return Ok(()),
            Err(refusal) if refusal.is_gate() => return Ok(()),
            Ok(Some(digest)) => format!("shows `{digest}`"),
            Ok(None) => "does not say what it has".to_owned(),
            Err(refusal) => format!("does not confirm it: {refusal}"),
        };
        let message =
            format!("`{pushed}` was pushed to `{reference}`, and the registry `{}` {shows}.", reference.registry());
        Err(Failure::new(FailureCode::DigestMismatch, message))
    }
}
