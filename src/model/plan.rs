//! Everything decided about a build. After it nothing is chosen, only done and verified.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Network;
use super::failure::{Step, Warning};
use super::installation::{Extra, Host};
use super::origin::Decision;
use super::settings::Kind;

/// Where commands see the checkout.
pub const WORKSPACE: &str = "/workspace";

/// The script that runs the hook before the application starts, as the image sees it.
pub const BEFORE_START: &str = "/usr/local/bin/slipway-before-start";

/// The plan of one build, as `slipway plan --format json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Plan {
    /// The format's version.
    pub version: u32,
    /// What is built.
    pub source: PlannedSource,
    /// As what it is built.
    pub application: PlannedApplication,
    /// How it is built.
    pub toolchain: PlannedToolchain,
    /// Every decision with its origin.
    pub decisions: Vec<Decision>,
    /// The commands, in order.
    pub steps: Vec<PlannedStep>,
    /// The image; none for a library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PlannedImage>,
    /// The Dockerfile's text, byte for byte as it is built; none for a library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// What people should know.
    pub warnings: Vec<Warning>,
    /// What a library deploys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PlannedLibrary>,
    /// Values for the `ARG`s of the repository's own Dockerfile.
    #[serde(skip)]
    pub build_args: BTreeMap<String, String>,
    /// The stage of the repository's own Dockerfile.
    #[serde(skip)]
    pub target: Option<String>,
    /// Images that the Dockerfile starts from.
    #[serde(skip)]
    pub bases: Vec<String>,
    /// What the commands leave behind and has to be read.
    #[serde(skip)]
    pub artifact: Option<PlannedArtifact>,
    /// Patterns of files that belong into the image although they usually do not.
    #[serde(skip)]
    pub include: Vec<String>,
    /// Patterns of files that the application does not need to run.
    #[serde(skip)]
    pub leave_out: Vec<String>,
    /// Which line a command prints tells why it failed: regular expressions, the most telling first.
    #[serde(skip)]
    pub causes: Vec<String>,
    /// What is said of a failure, by texts that the last lines of the command hold.
    #[serde(skip)]
    pub hints: Vec<(Vec<String>, String)>,
    /// Output directories: name, and where commands see them.
    #[serde(skip)]
    pub outputs: BTreeMap<String, String>,
    /// Where commands see a file of the operator's, and the setting that says where it is.
    #[serde(skip)]
    pub files: BTreeMap<String, String>,
    /// Where commands see a text that planning made.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
    /// Where machines have the release, and where commands see it.
    #[serde(skip)]
    pub host: Option<PlannedHost>,
    /// Files with credentials, by where the commands of one step see them.
    #[serde(skip)]
    pub secret_files: BTreeMap<String, PlannedSecretFile>,
}

impl Plan {
    /// Whether the image is that of the repository's own Dockerfile.
    #[must_use]
    pub fn has_own_dockerfile(&self) -> bool {
        self.image.as_ref().is_some_and(|image| image.layers.is_empty())
    }

    /// The commands that make what the layers are filled with, and those that see the layers where the image has them.
    #[must_use]
    pub fn commands(&self) -> (&[PlannedStep], &[PlannedStep]) {
        self.steps.split_at(self.steps.partition_point(|planned| planned.step != Step::Dockerfile))
    }

    /// Whether nothing is written beside the source's files.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.steps.is_empty() && self.has_own_dockerfile()
    }
}

/// The release on a machine of its own, for the host runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedHost {
    /// The release.
    pub version: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// Where the build image has it, if commands name that place.
    pub home: Option<String>,
    /// Where to look.
    pub host: Host,
}

/// A file with credentials; the plan holds names, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSecretFile {
    /// The only step that sees it.
    pub step: Step,
    /// The settings that hold `url` and the name of the `credentials`, or a list of such.
    pub settings: Vec<String>,
    /// How values are escaped.
    pub escape: Escape,
    /// The template of its text.
    pub text: String,
}

/// How values are written into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Escape {
    /// As XML's text.
    Xml,
    /// As they are; what a `netrc` cannot hold is refused.
    Netrc,
}

/// What the commands leave behind, and what is known of it beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArtifact {
    /// The directory that holds it, relative to the repository's root.
    pub directory: String,
    /// The class that starts.
    pub main_class: Option<String>,
    /// The file's name without its extension.
    pub final_name: Option<String>,
    /// Where a web application answers below the container's root, without slashes around it.
    pub context_root: Option<String>,
    /// Files and directories of the repository that belong beside it: path, and place in the application's directory.
    pub files: Vec<(String, String)>,
}

/// What a library deploys, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedLibrary {
    /// How the ecosystem names it: `group:artifact:version`.
    pub coordinates: String,
    /// The repository that takes it.
    pub repository: String,
}

/// The source of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSource {
    /// The repository's URL; absent for a directory without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What it resolved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the working tree differs from the commit.
    pub dirty: bool,
    /// The application's directory, `""` for the root.
    pub directory: String,
}

/// The application of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedApplication {
    /// The product line.
    pub product_line: String,
    /// The application.
    pub name: String,
    /// Service or library.
    pub kind: Kind,
    /// The module that is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The process that starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// The toolchain of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedToolchain {
    /// Its name.
    pub name: String,
    /// Its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Versions of further tools.
    pub tools: BTreeMap<String, String>,
    /// The image its commands run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Further releases within the commands' reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<PlannedExtra>,
    /// The shape of the application, a word of the toolchain's data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shape: String,
}

/// A release within the reach of another's commands: taken out of its build image once, and mounted read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedExtra {
    /// `jdk-8`
    pub name: String,
    /// The release.
    pub version: String,
    /// The build image that it is taken from.
    pub image: String,
    /// Where commands see it.
    pub home: String,
    /// How it is copied out of its image, and checked.
    #[serde(skip)]
    pub recipe: Extra,
    /// Other names of the release.
    #[serde(skip)]
    pub aliases: Vec<String>,
    /// Where machines have it.
    #[serde(skip)]
    pub host: Option<Host>,
}

/// One command of a plan. Its environment shows no secret: those join it when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlannedStep {
    /// The step.
    pub step: Step,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Working directory, below `/workspace`; the application's own for commands that see the layers.
    pub workdir: String,
    /// The image it runs in, where that is not the toolchain's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// What it may reach.
    pub network: Network,
    /// Name of a cache and where the command sees it.
    pub caches: BTreeMap<String, String>,
    /// Whether the build goes on when the command fails.
    #[serde(skip)]
    pub may_fail: bool,
    /// After so many seconds it is stopped, however much time the build has left.
    #[serde(skip)]
    pub seconds: Option<u32>,
    /// Arguments that make it run without a network, and the files that say what it needs.
    #[serde(skip)]
    pub offline: Option<Offline>,
}

/// See [`PlannedStep::offline`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Arguments put behind the program.
    pub args: Vec<String>,
    /// A hash over the manifests: what was resolved for it once can be used again.
    pub key: String,
    /// What its last lines say where something is missing that the network has; without any, every failure is taken for that.
    pub missing: Vec<String>,
}

/// The image of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlannedImage {
    /// The base image's reference, pinned where the catalogue knows the digest.
    pub base: String,
    /// What the image is called.
    pub references: Vec<String>,
    /// The numeric user.
    pub user: String,
    /// The working directory.
    pub workdir: String,
    /// `ENTRYPOINT`, exec form.
    pub entrypoint: Vec<String>,
    /// `CMD`, exec form.
    pub cmd: Vec<String>,
    /// TCP ports.
    pub ports: Vec<u16>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Layers, least changing first.
    pub layers: Vec<PlannedLayer>,
    /// Files that the repository does not hold and says so (`.gitignore`): whoever runs the image brings them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// How the container is asked whether it is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Vec<String>>,
    /// The script that runs the hook before the application starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_start: Option<Vec<String>>,
}

/// One layer: a tree relative to the root, made of one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlannedLayer {
    /// Its name; its directory in the build context is `layer-NAME`.
    pub name: String,
    /// What it is made of.
    pub from: LayerSource,
    /// The directory in the image that it fills.
    pub to: String,
}

/// What a layer is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerSource {
    /// A part of the jar that the reader takes apart.
    Jar,
    /// The application's directory, without what does not belong into an image.
    Source,
    /// A directory that the toolchain's commands filled.
    Output(String),
    /// A directory of the repository, relative to the application's.
    Directory(String),
    /// Files that the toolchain's reader found, by the name of its variable `{directory, paths}`; plans name the files.
    Found(String),
    /// Files and directories of the repository.
    Files {
        /// What they are relative to.
        directory: String,
        /// Their paths.
        paths: Vec<String>,
    },
}
