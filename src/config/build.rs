//! Where commands run and what makes images.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use crate::catalog::OwnDockerfiles;

/// `[build]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Where commands run. If absent: in containers; for `slipway build DIRECTORY` by hand, on this machine itself where no Engine answers.
    pub runner: Option<RunnerKind>,
    /// What makes images. If absent: the Docker Engine; for `slipway build` by hand, Slipway itself where no Engine answers or an OCI layout is asked for.
    pub image_backend: Option<BackendKind>,
    /// The media types of images that Slipway makes itself: `"oci"` (as if absent), or `"docker"` for registries and tools that know only Docker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_types: Option<MediaTypesKind>,
    /// A directory that overlays the catalogue.
    pub catalog: Option<PathBuf>,
    /// Whose own Dockerfiles are built: a list of product lines, `true` for all, `false` for none (as if absent). Their `RUN` executes as root in the Engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_dockerfiles: Option<OwnDockerfiles>,
    /// The images that own Dockerfiles may use, after `mirrors.images`, as patterns in which `*` stands for any text; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_dockerfile_bases: Option<Vec<String>>,
    /// How long a base image's tag keeps the digest that its registry gave, without being asked for again, where Slipway makes the image: `10s` if absent, `0s` to ask each time.
    #[serde(with = "super::some_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub base_tags: Option<Duration>,
    /// Whether built images are started once before anyone gets them.
    pub start_check: StartCheck,
}

/// `[build.start_check]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartCheck {
    /// Whether it is done: the image is started alone, without a network, and a crash fails the build.
    pub enabled: bool,
    /// How long it is watched at most, where it neither ends nor answers: `5s`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub time: Duration,
}

impl Default for StartCheck {
    fn default() -> Self {
        Self { enabled: true, time: Duration::from_secs(5) }
    }
}

/// Where a toolchain's commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// In a container of the release's build image.
    Container,
    /// On this machine, with what is installed on it.
    Host,
}

/// Whose media types images have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MediaTypesKind {
    /// Those of the OCI image specification.
    Oci,
    /// `application/vnd.docker.distribution.manifest.v2+json` and what belongs to it.
    Docker,
}

/// What makes images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The Docker Engine.
    Docker,
    /// Slipway itself, without an Engine; no `RUN`.
    Assembler,
    /// Slipway itself for what it can make, the Docker Engine for the rest. An Engine that answers also gets what Slipway made, where it is started for a trial or not pushed.
    Auto,
}
