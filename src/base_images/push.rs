//! `base-images push`: copies the images into the organisation's registry and pins their digests.

use bollard::auth::DockerCredentials;
use bollard::query_parameters::PushImageOptions;
use futures_util::TryStreamExt as _;

use super::build::locked;
use super::definition::Images;
use super::engine::Engine;
use super::lock::Lock;
use super::maker::Maker;
use super::reference;
use crate::image::credentials::Credentials;
use crate::image::{RegistryAccess, messages, url_safe_credentials};
use crate::model::failure::{Failure, FailureCode};

/// Pushes the named images (all that are not internal, when none is named) to `prefix/NAME`
/// (`harbor.example.com/slipway`), each as `latest` and with its pinned tag. The lock that comes back
/// has their digests.
///
/// # Errors
///
/// `BaseImageMissing` for one that is not built, `RegistryRefused` with the registry's own words,
/// `EngineUnavailable`.
pub async fn push(
    images: &Images,
    names: &[String],
    maker: &Maker,
    prefix: &str,
    access: &RegistryAccess,
    progress: impl Fn(&str),
) -> Result<Lock, Failure> {
    let order = images.in_order(names)?;
    let asked = |name: &String| {
        if names.is_empty() {
            images.images.get(name).is_some_and(|image| !image.internal)
        } else {
            names.contains(name)
        }
    };
    let mut lock = Lock::new();
    for name in order.into_iter().filter(asked) {
        // Without an Engine only those are made that applications run on.
        if names.is_empty() && !maker.is_engine() && maker.find(&reference(&name)).await?.is_none() {
            progress(&format!("{name}: not built here, and not pushed"));
            continue;
        }
        let repository = format!("{}/{name}", prefix.trim_end_matches('/'));
        let mut image = locked(&name, maker.get(&reference(&name)).await?);
        let pinned = image.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag).to_owned();
        image.digest = maker.push(&reference(&name), &repository, [&pinned, "latest"], access).await?;
        progress(&format!("{name}: pushed as `{}`", image.digest.as_deref().unwrap_or(&repository)));
        lock.images.insert(name, image);
    }
    Ok(lock)
}

/// Lets the Engine push an image under these tags; gives its `repository@digest` there.
pub(super) async fn by_engine(
    engine: &Engine,
    from: &str,
    repository: &str,
    tags: [&str; 2],
    access: &RegistryAccess,
) -> Result<Option<String>, Failure> {
    let engine = Engine::new(&engine.docker().clone().with_request_modifier(url_safe_credentials));
    for tag in tags {
        engine.tag(from, repository, tag).await?;
        push_one(&engine, repository, tag, access.credentials.as_ref()).await?;
    }
    let found = engine.get(&format!("{repository}:latest")).await?;
    Ok(found.digests.into_iter().find(|digest| digest.starts_with(&format!("{repository}@"))))
}

async fn push_one(
    engine: &Engine,
    repository: &str,
    tag: &str,
    credentials: Option<&Credentials>,
) -> Result<(), Failure> {
    // The Engine wants a header even where nobody logs in.
    let server = repository.split('/').next().unwrap_or_default();
    let account = credentials.map_or_else(DockerCredentials::default, |account| account.for_engine(server));
    let options = PushImageOptions { tag: Some(tag.to_owned()), ..PushImageOptions::default() };
    let stream = engine.docker().push_image(repository, Some(options), Some(account));
    messages(stream)
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(|error| Failure::new(FailureCode::RegistryRefused, format!("pushing `{repository}:{tag}`: {error}")))
}
