//! One build by `BuildKit` in the Engine: base images, context, progress, result.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuilderVersion, CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt;

use super::assembler::Ahead;
use super::build_log::BuildLog;
use super::engine::{self, Engine};
use super::{BuildSpec, BuiltImage, LogSink, Maker, lost_layer, own_base, tar_stream};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{DiffId, Digest, ImageReference};
use crate::model::layout_reference::LayoutReference;

/// Builds the image and tags it.
pub(super) async fn build(engine: &Engine, spec: &BuildSpec, log: LogSink<'_>) -> Result<BuiltImage, Failure> {
    let docker = engine.docker().await?;
    let mut lines = BuildLog::new(log);
    for base in &spec.base_images {
        if LayoutReference::is_meant(base) {
            let message = format!("The Docker Engine cannot start an image from `{base}`, an OCI image layout.");
            return Err(Failure::new(FailureCode::BaseImageMissing, message).hint(
                "choose `--image-backend assembler` or `auto`, or push the base image to a registry and name it there",
            ));
        }
        pull_if_missing(docker, spec, base, &mut lines).await?;
    }
    let (id, cached) = match run(docker, spec, lines).await {
        Err(failure) if lost_layer::is_cause(&failure) => {
            log("a layer that was cached is gone: building without the cache");
            let afresh = BuildSpec { no_cache: true, ..spec.clone() };
            run(docker, &afresh, BuildLog::new(log)).await.map_err(lost_layer::again)?
        }
        done => done?,
    };
    for reference in &spec.references {
        tag(docker, &id, reference).await?;
    }
    inspect(docker, &id, cached).await
}

/// Gives a local image a reference's tag.
pub(super) async fn tag(docker: &Docker, id: &Digest, reference: &ImageReference) -> Result<(), Failure> {
    let name = reference.name();
    let mut options = TagImageOptionsBuilder::new().repo(&name);
    if let Some(tag) = reference.tag() {
        options = options.tag(tag.as_str());
    }
    match docker.tag_image(id.as_str(), Some(options.build())).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let what = format!("The image cannot be tagged `{reference}`");
            Err(engine::failure_of(docker, &error, FailureCode::ImageFailed, &what).await)
        }
    }
}

/// Pulls a base image that the Engine has not. `BuildKit` could do so itself, but would then ask
/// the registry at every build, and its errors do not tell a missing image from a broken one.
async fn pull_if_missing(docker: &Docker, spec: &BuildSpec, base: &str, log: &mut BuildLog<'_>) -> Result<(), Failure> {
    if base == "scratch" || docker.inspect_image(base).await.is_ok() {
        return Ok(());
    }
    if own_base::is_meant(base) {
        return Err(own_base::not_here(base));
    }
    log.line(&format!("pulling {base}"));
    let reference = ImageReference::familiar(base).ok();
    let credentials = reference.as_ref().and_then(|reference| {
        spec.credentials.get(reference.registry()).map(|found| found.for_engine(reference.registry()))
    });
    let mut options = CreateImageOptionsBuilder::new().from_image(base);
    if !base.contains('@') && reference.as_ref().is_none_or(|reference| reference.tag().is_none()) {
        // Without a tag the Engine would pull every tag there is.
        let tagged = base.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if !tagged {
            options = options.tag("latest");
        }
    }
    let mut pull = engine::messages(docker.create_image(Some(options.build()), None, credentials));
    while let Some(message) = pull.next().await {
        if let Err(error) = message {
            let what = format!("The base image `{base}` is not on this machine and cannot be pulled");
            // The Engine answers 404 for an image that is not there or not shown to the account,
            // 500 when the registry did not answer it.
            let code = match &error {
                Error::DockerResponseServerError { status_code: 500.., .. } if !unauthorized(&error) => {
                    FailureCode::RegistryUnavailable
                }
                _ => FailureCode::BaseImageMissing,
            };
            return Err(engine::failure_of(docker, &error, code, &what).await);
        }
    }
    Ok(())
}

/// A registry that wants a login that the Engine was not given, or refused it: Go's client has
/// no code for the first, the distribution specification's code begins the second.
fn unauthorized(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("no basic auth credentials") || text.contains("unauthorized:")
}

/// Sends the context, follows the progress, returns the image's id and whether nothing had to be done.
async fn run(docker: &Docker, spec: &BuildSpec, mut log: BuildLog<'_>) -> Result<(Digest, bool), Failure> {
    let (mut writer, chunks) = tar_stream::channel();
    let (context, dockerfile) = (spec.context.clone(), spec.dockerfile.clone());
    let sending = tokio::task::spawn_blocking(move || {
        let result = context.write_tar(&dockerfile, &mut writer);
        if let Err(failure) = &result {
            writer.fail(&failure.message);
        }
        result
    });
    let credentials: HashMap<_, _> = spec
        .credentials
        .iter()
        .map(|(registry, credentials)| (registry.clone(), credentials.for_engine(registry)))
        .collect();
    let context = bollard::body_try_stream(tar_stream::stream(chunks));
    let mut messages = Box::pin(engine::messages(docker.build_image(options(spec), Some(credentials), Some(context))));
    let mut id = None;
    let mut fault = None;
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) => note(message, &mut id, &mut log),
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    // Closes the connection: a writer that still waits for its reader is released.
    drop(messages);
    let sent =
        sending.await.map_err(|_| Failure::new(FailureCode::Internal, "Sending the context ended abnormally."))?;
    let what = "The image build failed";
    let failure = match (fault, id) {
        (None, Some(id)) => return Ok((id, log.is_cached())),
        // A context that cannot be read breaks the request too; its own words say why.
        (_, _) if sent.as_ref().is_err_and(|failure| failure.code != FailureCode::Internal) => {
            sent.err().unwrap_or_else(|| Failure::new(FailureCode::Internal, what))
        }
        (Some(error), _) => engine::failure_of(docker, &error, FailureCode::ImageFailed, what).await,
        (None, None) => engine::died(what, "the build ended without an image and without an error"),
    };
    Err(missing_base(failure).log_tail(log.finish()))
}

fn note(message: BuildInfo, id: &mut Option<Digest>, log: &mut BuildLog<'_>) {
    match message.aux {
        Some(BuildInfoAux::BuildKit(status)) => log.progress(&status),
        Some(BuildInfoAux::Default(image)) => *id = image.id.and_then(|id| id.parse().ok()).or(id.take()),
        None => {}
    }
}

/// A `FROM` that `BuildKit` itself looked up, in a repository's own Dockerfile. `BuildKit` has no
/// codes; these are the wrappings that its resolver puts around the registry's answer.
fn missing_base(mut failure: Failure) -> Failure {
    let signs = ["failed to resolve source metadata for", "pull access denied", "failed to create LLB definition"];
    let missing = ["not found", "does not exist", "no active session"];
    let text = &failure.message;
    if failure.code == FailureCode::ImageFailed
        && signs.iter().any(|sign| text.contains(sign))
        && missing.iter().any(|sign| text.contains(sign))
    {
        failure = Failure { message: failure.message, ..Failure::new(FailureCode::BaseImageMissing, "") };
        failure = failure.hint("Correct the `FROM` line, or make the image available to the Engine.");
    }
    failure
}

fn options(spec: &BuildSpec) -> BuildImageOptions {
    let map = |pairs: &std::collections::BTreeMap<String, String>| {
        Some(pairs.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<HashMap<_, _>>())
    };
    BuildImageOptions {
        dockerfile: spec.context.dockerfile_entry().to_owned(),
        t: spec.references.first().map(|reference| reference.name() + &tag_suffix(reference)),
        nocache: spec.no_cache,
        buildargs: map(&spec.build_args),
        labels: map(&spec.labels),
        target: spec.target.clone().unwrap_or_default(),
        version: BuilderVersion::BuilderBuildKit,
        // A session belongs to one build: the Engine refuses a second connection under its id.
        session: Some(uuid::Uuid::now_v7().simple().to_string()),
        rm: true,
        forcerm: true,
        ..Default::default()
    }
}

fn tag_suffix(reference: &ImageReference) -> String {
    reference.tag().map_or_else(String::new, |tag| format!(":{tag}"))
}

async fn inspect(docker: &Docker, id: &Digest, cached: bool) -> Result<BuiltImage, Failure> {
    let image = match docker.inspect_image(id.as_str()).await {
        Ok(image) => image,
        Err(error) => {
            let what = format!("The image `{id}` was built and cannot be looked at");
            return Err(engine::failure_of(docker, &error, FailureCode::EngineUnavailable, &what).await);
        }
    };
    let layers = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
    let layers = layers.iter().map(|layer| layer.parse::<DiffId>()).collect::<Result<Vec<_>, _>>();
    let layers = layers
        .map_err(|error| Failure::new(FailureCode::Internal, format!("The Engine named a layer so: {error}.")))?;
    let size = image.size.and_then(|size| size.try_into().ok()).unwrap_or(0);
    Ok(BuiltImage {
        id: id.clone(),
        size,
        layers,
        cached,
        made_by: Maker::Engine,
        in_engine: Some(id.clone()),
        ahead: Ahead::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_from_is_told_apart() {
        let text = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: \
                    pull access denied, repository does not exist or may require authorization";
        assert_eq!(missing_base(Failure::new(FailureCode::ImageFailed, text)).code, FailureCode::BaseImageMissing);
        let text = "failed to compute cache key: \"/x\" not found";
        assert_eq!(missing_base(Failure::new(FailureCode::ImageFailed, text)).code, FailureCode::ImageFailed);
    }
}
