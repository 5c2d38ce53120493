//! `base-images push`: copies the images into the organisation's registry and pins their digests.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::PushImageOptions;
use futures_util::TryStreamExt as _;

use super::build::locked;
use super::definition::Images;
use super::engine::Engine;
use super::lock::Lock;
use super::reference;
use crate::model::failure::{Failure, FailureCode};

/// An account at the registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name, which a log may show.
    pub username: String,
    /// Its password, which nothing shows.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

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
    engine: &Docker,
    prefix: &str,
    credentials: Option<&Credentials>,
    progress: impl Fn(&str),
) -> Result<Lock, Failure> {
    let engine = Engine::new(&base64url(engine.clone()));
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
        let repository = format!("{}/{name}", prefix.trim_end_matches('/'));
        let mut image = locked(&name, engine.get(&reference(&name)).await?);
        let pinned = image.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag).to_owned();
        for tag in [pinned.as_str(), "latest"] {
            engine.tag(&reference(&name), &repository, tag).await?;
            push_one(&engine, &repository, tag, credentials).await?;
        }
        let found = engine.get(&format!("{repository}:latest")).await?;
        image.digest = found.digests.into_iter().find(|digest| digest.starts_with(&format!("{repository}@")));
        progress(&format!("{name}: pushed as `{}`", image.digest.as_deref().unwrap_or(&repository)));
        lock.images.insert(name, image);
    }
    Ok(lock)
}

async fn push_one(
    engine: &Engine,
    repository: &str,
    tag: &str,
    credentials: Option<&Credentials>,
) -> Result<(), Failure> {
    // The Engine wants a header even where nobody logs in.
    let account = credentials.map_or_else(DockerCredentials::default, |account| DockerCredentials {
        username: Some(account.username.clone()),
        password: Some(account.password.clone()),
        serveraddress: repository.split('/').next().map(str::to_owned),
        ..DockerCredentials::default()
    });
    let options = PushImageOptions { tag: Some(tag.to_owned()), ..PushImageOptions::default() };
    let stream = engine.docker().push_image(repository, Some(options), Some(account));
    stream
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(|error| Failure::new(FailureCode::RegistryRefused, format!("pushing `{repository}:{tag}`: {error}")))
}

/// The Engine reads the credentials' header as base64url, the client writes base64: where the two
/// differ, the Engine would silently see no credentials.
fn base64url(docker: Docker) -> Docker {
    docker.with_request_modifier(|mut request| {
        if let Some(value) = request.headers_mut().get_mut("x-registry-auth")
            && let Some(fixed) =
                value.to_str().ok().and_then(|text| text.replace('+', "-").replace('/', "_").parse().ok())
        {
            *value = fixed;
        }
        request
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let credentials = Credentials { username: "robot".into(), password: "hunter2".into() };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("robot") && !shown.contains("hunter2"), "{shown}");
    }
}
