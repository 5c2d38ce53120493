//! The Docker Engine as base images need it: look at, import, pull, build and tag images.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuilderVersion, CreateImageOptions, TagImageOptions};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::maker::{Build, label};
use super::{INPUTS_LABEL, inputs};
use crate::image::{lost_layer, messages};
use crate::model::failure::{Failure, FailureCode};

/// A build's last lines that a failure shows.
const TAIL: usize = 40;

/// Building an image from packages takes minutes, most of them without a byte from the Engine.
const TIMEOUT: Duration = Duration::from_hours(1);

/// The Engine.
pub(super) struct Engine(Docker);

/// An image that is kept.
pub(super) struct Found {
    /// The digest of its configuration.
    pub(super) id: String,
    /// The label that says what it was made of.
    pub(super) inputs: Option<String>,
    /// Bytes, as whoever keeps it counts them.
    pub(super) size: u64,
    /// The user that it starts as.
    pub(super) user: String,
    /// `repository@digest` where it was pushed to or pulled from.
    pub(super) digests: Vec<String>,
    /// Digests of its layers, uncompressed.
    pub(super) layers: Vec<String>,
}

impl Found {
    /// See [`inputs::identity`].
    pub(super) fn identity(&self) -> String {
        inputs::identity(&self.layers, self.inputs.as_deref())
    }
}

impl Engine {
    pub(super) fn new(docker: &Docker) -> Self {
        Self(docker.clone().with_timeout(TIMEOUT))
    }

    /// The image that a reference stands for, if the Engine has it.
    pub(super) async fn find(&self, reference: &str) -> Result<Option<Found>, Failure> {
        let image = match self.0.inspect_image(reference).await {
            Ok(image) => image,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        };
        let config = image.config.unwrap_or_default();
        Ok(Some(Found {
            id: image.id.unwrap_or_default(),
            inputs: config.labels.unwrap_or_default().remove(INPUTS_LABEL),
            size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            digests: image.repo_digests.unwrap_or_default(),
            layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
        }))
    }

    /// Like [`Self::find`], where the image has to be there.
    pub(super) async fn get(&self, reference: &str) -> Result<Found, Failure> {
        there(self.find(reference).await?, reference)
    }

    /// Makes an image of one layer from a tar archive.
    pub(super) async fn import(&self, archive: &Path, repository: &str, inputs: &str) -> Result<(), Failure> {
        let file = tokio::fs::File::open(archive).await.map_err(|error| {
            Failure::new(FailureCode::Internal, format!("`{}` cannot be read: {error}", archive.display()))
        })?;
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some("latest".to_owned()),
            changes: vec![format!("LABEL {INPUTS_LABEL}={inputs}")],
            ..CreateImageOptions::default()
        };
        let body = bollard::body_try_stream(tokio_util::io::ReaderStream::with_capacity(file, 256 << 10));
        messages(self.0.create_image(Some(options), Some(body), None))
            .try_for_each(|_| async { Ok(()) })
            .await
            .map_err(|error| failed(&format!("importing `{repository}`"), &error))
    }

    /// Pulls an image.
    pub(super) async fn pull(&self, reference: &str) -> Result<(), Failure> {
        let options = CreateImageOptions { from_image: Some(reference.to_owned()), ..CreateImageOptions::default() };
        let pulled = messages(self.0.create_image(Some(options), None, None)).try_for_each(|_| async { Ok(()) }).await;
        pulled.map_err(|error| {
            let message = format!("`{reference}` cannot be pulled: {error}");
            Failure::new(FailureCode::BaseImageMissing, message)
                .hint("Correct `reference` in `base-images/images.toml`, or give the Engine access to the registry.")
        })
    }

    /// Gives an image another name.
    pub(super) async fn tag(&self, reference: &str, repository: &str, tag: &str) -> Result<(), Failure> {
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
        self.0
            .tag_image(reference, Some(options))
            .await
            .map_err(|error| failed(&format!("tagging `{reference}`"), &error))
    }

    /// Builds an image with `BuildKit`; progress gets one line for each step that begins. What loses a cached layer is built
    /// once more, without the cache.
    pub(super) async fn build(&self, build: Build<'_>, progress: &(dyn Fn(&str) + Sync)) -> Result<(), Failure> {
        match self.once(&build, false, progress).await {
            Err(failure) if lost_layer::is_cause(&failure) => {
                progress(&format!("{}: a layer that was cached is gone: building without the cache", build.name));
                self.once(&build, true, progress).await.map_err(lost_layer::again)
            }
            done => done,
        }
    }

    async fn once(&self, build: &Build<'_>, no_cache: bool, progress: &(dyn Fn(&str) + Sync)) -> Result<(), Failure> {
        let options = BuildImageOptions {
            dockerfile: build.dockerfile.clone(),
            t: Some(build.reference.to_owned()),
            buildargs: Some(build.args.clone()),
            labels: Some(label(build.inputs).into_iter().collect()),
            nocache: no_cache,
            rm: true,
            version: BuilderVersion::BuilderBuildKit,
            // Two builds must never share a session.
            session: Some(format!("slipway-{}", uuid::Uuid::now_v7())),
            ..BuildImageOptions::default()
        };
        let context = bollard::body_full(build.context.clone().into());
        let mut stream = Box::pin(messages(self.0.build_image(options, None, Some(context))));
        let mut log = Log::default();
        let mut done = false;
        while let Some(item) = stream.next().await {
            match item {
                Ok(BuildInfo { aux: Some(BuildInfoAux::Default(_)), .. }) => done = true,
                Ok(BuildInfo { aux: Some(BuildInfoAux::BuildKit(status)), .. }) => {
                    for step in log.take(&status) {
                        progress(&format!("{}: {step}", build.name));
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(failed(&format!("building `{}`", build.name), &error).log_tail(log.tail)),
            }
        }
        if done {
            return Ok(());
        }
        let message = format!("building `{}`: the Engine ended the build without an image", build.name);
        Err(Failure::new(FailureCode::EngineUnavailable, message).log_tail(log.tail))
    }

    /// The client itself.
    pub(super) fn docker(&self) -> &Docker {
        &self.0
    }
}

/// What a build said: its last lines, and which steps have begun.
#[derive(Default)]
struct Log {
    tail: Vec<String>,
    begun: BTreeSet<String>,
}

impl Log {
    /// Keeps the log lines and returns the steps that began with this message.
    fn take(&mut self, status: &bollard::moby::buildkit::v1::StatusResponse) -> Vec<String> {
        for log in &status.logs {
            let text = String::from_utf8_lossy(&log.msg);
            self.tail.extend(text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned));
        }
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        let begins = status.vertexes.iter().filter(|vertex| vertex.started.is_some() && !vertex.cached);
        let mut steps = Vec::new();
        for vertex in begins.filter(|vertex| vertex.name.starts_with('[') && !vertex.name.starts_with("[internal]")) {
            if self.begun.insert(vertex.digest.clone()) {
                steps.push(vertex.name.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        steps
    }
}

/// An image that has to be kept.
pub(super) fn there(found: Option<Found>, reference: &str) -> Result<Found, Failure> {
    found.ok_or_else(|| {
        let message = format!("there is no base image `{reference}`");
        Failure::new(FailureCode::BaseImageMissing, message).hint("make it with `slipway base-images build`")
    })
}

/// A failure of the connection, or of what was asked for.
fn failed(doing: &str, error: &Error) -> Failure {
    match error {
        Error::DockerStreamError { error } => Failure::new(FailureCode::ImageFailed, format!("{doing}: {error}"))
            .hint("Read the log's last lines: often a mirror cannot be reached from inside a build."),
        Error::DockerResponseServerError { status_code, message } if *status_code < 500 => {
            Failure::new(FailureCode::ImageFailed, format!("{doing}: {message}"))
        }
        _ => Failure::new(FailureCode::EngineUnavailable, format!("{doing}: {error}")),
    }
}

/// The Engine did not answer as it should.
pub(super) fn unavailable(error: &Error) -> Failure {
    Failure::new(FailureCode::EngineUnavailable, format!("the Docker Engine: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};

    #[test]
    fn a_step_is_told_once_and_the_log_keeps_its_end() {
        let vertex = |name: &str, started: bool| Vertex {
            digest: name.to_owned(),
            name: name.to_owned(),
            started: started.then(Default::default),
            ..Vertex::default()
        };
        let mut log = Log::default();
        let vertexes = vec![vertex("[1/2] FROM  x", true), vertex("[2/2] RUN y", false), vertex("[internal] z", true)];
        let mut status = StatusResponse { vertexes, ..StatusResponse::default() };
        assert_eq!(log.take(&status), ["[1/2] FROM x"]);
        assert!(log.take(&status).is_empty());
        let lines = (0..100).map(|n| format!("line {n}\n\n")).collect::<Vec<_>>().concat();
        status.logs = vec![VertexLog { msg: lines.into_bytes(), ..VertexLog::default() }];
        log.take(&status);
        assert_eq!((log.tail.len(), log.tail[TAIL - 1].as_str()), (TAIL, "line 99"));
    }

    #[test]
    fn a_failing_command_is_not_the_engines_fault() {
        let failure = failed("building `x`", &Error::DockerStreamError { error: "exit code: 1".into() });
        assert_eq!((failure.code, failure.message.as_str()), (FailureCode::ImageFailed, "building `x`: exit code: 1"));
        let timeout = failed("building `x`", &Error::RequestTimeoutError);
        assert_eq!(timeout.code, FailureCode::EngineUnavailable);
    }
}
