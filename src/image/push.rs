//! The push: the Engine sends, the registry confirms, what may pass is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::{BollardRequest, Docker};
use futures_util::StreamExt;

use super::credentials::{self, Credentials};
use super::diagnosis::{Diagnosis, diagnose};
use super::engine::{self, Engine};
use super::pushing::Pushing;
use super::registry::refusal::Refusal;
use super::registry::session::Session;
use super::registry::{Manifest, Shown};
use super::{BuiltImage, LogSink, PublishedImage, PublishedLayer, RegistryAccess, build};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// How often a push is tried.
pub(super) const ATTEMPTS: u32 = 3;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest `Retry-After` that is waited for here; a longer one ends the build, which may
/// be asked for again.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Pushes an image under every reference.
pub(super) async fn push(
    engine: &Engine,
    image: &BuiltImage,
    references: &[ImageReference],
    access: &RegistryAccess,
    log: LogSink<'_>,
) -> Result<PublishedImage, Failure> {
    for reference in references {
        if reference.tag().is_none() || reference.digest().is_some() {
            let message = format!("`{reference}` cannot be pushed to: a push needs a tag and no digest.");
            return Err(Failure::new(FailureCode::RequestInvalid, message));
        }
    }
    let docker = engine.docker().await?;
    let mut published: Option<PublishedImage> = None;
    for reference in references {
        let credentials = match &access.credentials {
            Some(credentials) => Some(credentials.clone()),
            None => credentials::of_docker(reference.registry()).await?,
        };
        build::tag(docker, &image.id, reference).await?;
        let push = Push { docker, image, reference, credentials, access, log };
        let (digest, manifest, reused) = push.with_retries().await?;
        match &mut published {
            // Further tags find every layer there; what the first push found counts.
            Some(first) if first.digest == digest => first.references.push(reference.clone()),
            Some(first) => {
                let message =
                    format!("`{reference}` has the digest `{digest}`, the tags before it `{}`.", first.digest);
                return Err(Failure::new(FailureCode::DigestMismatch, message));
            }
            None => published = Some(summary(image, reference, digest, manifest, &reused)),
        }
    }
    published.ok_or_else(|| Failure::new(FailureCode::RequestInvalid, "There is no reference to push the image to."))
}

/// The short ids of the layers that the registry had.
type Reused = BTreeSet<String>;

struct Push<'a> {
    docker: &'a Docker,
    image: &'a BuiltImage,
    reference: &'a ImageReference,
    credentials: Option<Credentials>,
    access: &'a RegistryAccess,
    log: LogSink<'a>,
}

impl Push<'_> {
    async fn with_retries(&self) -> Result<(Digest, Option<Manifest>, Reused), Failure> {
        // What an attempt that failed has sent counts as sent.
        let mut sent = BTreeSet::new();
        let mut attempt = 1;
        loop {
            let Diagnosis { failure, retry_after, doubtful } = match self.once(&mut sent).await {
                Ok((digest, manifest, mut reused)) => {
                    reused.retain(|layer| !sent.contains(layer));
                    return Ok((digest, manifest, reused));
                }
                Err(diagnosis) => diagnosis,
            };
            let pause = retry_after.unwrap_or_else(|| backoff(attempt));
            // An Engine that went away does not come back within seconds.
            let again = failure.retryable && failure.code != FailureCode::EngineUnavailable || doubtful && attempt == 1;
            if !again || attempt == ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(failure);
            }
            (self.log)(&format!("{failure} Trying again in {:.1} s.", pause.as_secs_f64()));
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn once(&self, sent: &mut BTreeSet<String>) -> Result<(Digest, Option<Manifest>, Reused), Diagnosis> {
        let (pushed, reused) = match self.send(sent).await {
            Ok(pushed) => pushed,
            Err(diagnosis) if is_refusal(diagnosis.failure.code) => {
                // An immutable tag refuses even the image that it has: a push whose answer was
                // lost would otherwise never succeed.
                let (digest, manifest) = self.already_there().await.ok_or(diagnosis)?;
                let all = self.image.layers.iter().map(|layer| short(layer.0.hex()).to_owned()).collect();
                return Ok((digest, Some(manifest), all));
            }
            Err(diagnosis) => return Err(diagnosis),
        };
        if matches!(self.credentials, Some(Credentials::IdentityToken(_))) {
            // Only the Engine can use such a login, so its word has to do.
            return Ok((pushed, None, reused));
        }
        match self.shown().await? {
            Ok(Shown::Image(digest, manifest)) if digest == pushed => Ok((digest, Some(manifest), reused)),
            Ok(Shown::Gated) => Ok((pushed, None, reused)),
            Ok(Shown::Image(digest, _)) => Err(self.mismatch(&format!("shows `{digest}`"), &pushed)),
            Ok(Shown::Missing) => Err(self.mismatch("shows no image", &pushed)),
            Err(error) => {
                let said = format!("the digest cannot be confirmed: {error}");
                Err(diagnose(self.reference, self.credentials.as_ref(), self.access, &said).await)
            }
        }
    }

    /// Lets the Engine push; gives the digest that it names and the layers that were there.
    async fn send(&self, sent: &mut BTreeSet<String>) -> Result<(Digest, Reused), Diagnosis> {
        let credentials = self.credentials.as_ref().map(|found| found.for_engine(self.reference.registry()));
        let tag = self.reference.tag().map_or("latest", |tag| tag.as_str());
        let client = pushing_client(self.docker, &self.reference.name());
        let options = CreateImageOptionsBuilder::new().tag(tag).build();
        // The header must be there even when there is nobody to log in as.
        let pushed = client.create_image(Some(options), None, Some(credentials.unwrap_or_default()));
        let mut messages = engine::messages(pushed);
        let mut digest = None;
        let mut reused = BTreeSet::new();
        let mut pushing = Pushing::begin();
        (self.log)(&format!("pushing {}", self.reference));
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => {
                    if let Some(line) = pushing.line(&message) {
                        (self.log)(&line);
                    }
                    self.note(&message, &mut digest, &mut reused, sent);
                }
                Err(error) => {
                    let what = format!("The push of `{}` failed", self.reference);
                    let failure = engine::failure_of(self.docker, &error, FailureCode::RegistryRefused, &what).await;
                    if failure.code == FailureCode::EngineUnavailable {
                        return Err(failure.into());
                    }
                    let said = match &error {
                        bollard::errors::Error::DockerStreamError { error } => error.clone(),
                        other => other.to_string(),
                    };
                    return Err(diagnose(self.reference, self.credentials.as_ref(), self.access, &said).await);
                }
            }
        }
        let what = format!("The push of `{}` failed", self.reference);
        digest
            .map(|digest| (digest, reused))
            .ok_or_else(|| engine::died(&what, "the push ended without a digest and without an error").into())
    }

    fn note(
        &self,
        message: &CreateImageInfo,
        digest: &mut Option<Digest>,
        reused: &mut Reused,
        sent: &mut BTreeSet<String>,
    ) {
        let Some(status) = message.status.as_deref() else { return };
        let Some(layer) = message.id.as_deref() else {
            *digest = digest_in(status).or(digest.take());
            return;
        };
        if status == "Layer already exists" || status.starts_with("Mounted from") {
            reused.insert(short(layer).to_owned());
        } else if status == "Pushed" {
            sent.insert(short(layer).to_owned());
        } else {
            return;
        }
        (self.log)(&format!("{layer}: {status}"));
    }

    /// The digest under which the registry already has exactly this image.
    async fn already_there(&self) -> Option<(Digest, Manifest)> {
        match self.shown().await.ok()? {
            Ok(Shown::Image(digest, manifest)) if manifest.config.digest == self.image.id => Some((digest, manifest)),
            _ => None,
        }
    }

    /// What the registry shows under the tag: the manifest, for its sizes, and the digest that everyone is told.
    async fn shown(&self) -> Result<Result<Shown, Refusal>, Failure> {
        let session = Session::reading(self.reference, self.credentials.as_ref(), self.access)?;
        Ok(match session.show(self.reference).await {
            Ok(Shown::Image(read, manifest)) => match session.digest(self.reference, self.access).await {
                Ok(said) if said == read => Ok(Shown::Image(read, manifest)),
                Ok(said) => Err(Refusal::Own(format!("it shows `{said}` by `HEAD` and `{read}` by `GET`"))),
                Err(refusal) if refusal.is_gate() => Ok(Shown::Gated),
                Err(refusal) => Err(refusal),
            },
            other => other,
        })
    }

    fn mismatch(&self, shows: &str, pushed: &Digest) -> Diagnosis {
        let registry = self.reference.registry();
        let message = format!("`{pushed}` was pushed to `{}`, and the registry `{registry}` {shows}.", self.reference);
        Failure::new(FailureCode::DigestMismatch, message).into()
    }
}

/// A client whose `images/create` is a push. bollard's own push drops the layers' ids from the
/// progress, the messages of a pull are the same and keep them.
fn pushing_client(docker: &Docker, name: &str) -> Docker {
    let path = format!("/images/{name}/push?");
    docker.clone().with_request_modifier(move |request: BollardRequest| {
        let mut request = engine::url_safe_credentials(request);
        let uri = request.uri().to_string().replacen("/images/create?", &path, 1);
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        request
    })
}

/// Whether the registry itself said no, which it also says to what it already has under an immutable tag.
fn is_refusal(code: FailureCode) -> bool {
    matches!(code, FailureCode::RegistryRefused | FailureCode::RegistryTagImmutable)
}

/// The digest of a push's last status line: `1.4.2: digest: sha256:… size: 740`.
fn digest_in(status: &str) -> Option<Digest> {
    status.split_whitespace().find_map(|word| word.parse().ok())
}

/// The first 12 digits, by which the Engine names a layer in its progress.
fn short(hex: &str) -> &str {
    hex.get(..12).unwrap_or(hex)
}

/// Doubling pauses, each between half and the whole of its length, so that builds that failed
/// together do not come back together.
pub(super) fn backoff(attempt: u32) -> Duration {
    let whole = FIRST_PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1));
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

fn summary(
    image: &BuiltImage,
    reference: &ImageReference,
    digest: Digest,
    manifest: Option<Manifest>,
    reused: &Reused,
) -> PublishedImage {
    let descriptors = manifest.as_ref().map(|manifest| manifest.layers.as_slice()).unwrap_or_default();
    let layers: Vec<_> = descriptors
        .iter()
        .enumerate()
        .map(|(index, layer)| PublishedLayer {
            digest: layer.digest.clone(),
            size: layer.size,
            // Manifest and configuration list the layers in the same order.
            reused: image.layers.get(index).is_some_and(|diff_id| reused.contains(short(diff_id.0.hex()))),
        })
        .collect();
    let size = manifest.map_or(0, |manifest| manifest.config.size) + layers.iter().map(|layer| layer.size).sum::<u64>();
    PublishedImage { references: vec![reference.clone()], digest, size, layers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_the_last_line() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let status = format!("1.4.2: digest: {digest} size: 740");
        assert_eq!(digest_in(&status).unwrap().as_str(), digest);
        assert_eq!(digest_in("The push refers to repository [127.0.0.1:5000/a]"), None);
    }

    #[test]
    fn pauses_grow_and_differ() {
        for attempt in 1..4 {
            let whole = FIRST_PAUSE * 2_u32.pow(attempt - 1);
            let pause = backoff(attempt);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?}");
        }
    }
}
