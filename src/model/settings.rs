//! What people may set about a build: in a message, by flags, in `slipway.toml`, as the operator's defaults.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of one place; what is absent there is decided elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is built.
    pub application: ApplicationSettings,
    /// How it is built.
    pub toolchain: ToolchainSettings,
    /// What the image looks like.
    pub image: ImageSettings,
    /// How the container runs.
    pub runtime: RuntimeSettings,
    /// Ways to start the application, by name.
    pub processes: BTreeMap<String, CommandLine>,
    /// Files that look like secrets and belong into the image all the same.
    pub include: Vec<String>,
}

/// The table `application`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApplicationSettings {
    /// The image's name; counts for local builds only.
    pub name: Option<String>,
    /// The product line; counts for local builds only.
    pub product_line: Option<String>,
    /// `service` or `library`; counts for local builds only.
    pub kind: Option<Kind>,
    /// Which module of the repository is the application.
    pub module: Option<String>,
    /// Which of the processes starts.
    pub process: Option<String>,
}

/// What an application ends as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ends as an image.
    #[default]
    Service,
    /// Ends in the package repository.
    Library,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Library => "library",
        })
    }
}

/// The table `toolchain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolchainSettings {
    /// The toolchain, by its folder's name.
    pub name: Option<String>,
    /// The release of the toolchain.
    pub version: Option<String>,
    /// Arguments for the toolchain's command.
    pub args: Option<Vec<String>>,
    /// Environment of the toolchain's commands.
    pub env: BTreeMap<String, String>,
    /// Further releases within the build's reach, by name: `["jdk-8"]`. Commands see it at `/slipway/extras/jdk-8`, which `JDK_8_HOME` names too. JDKs that a pom's toolchains ask for need no mention.
    pub extras: Option<Vec<String>>,
    /// Whether the project's tests run.
    pub tests: Option<bool>,
    /// Whether a service's artifacts are deployed too.
    pub deploy: Option<bool>,
    /// Values for the `ARG`s of the repository's own Dockerfile.
    pub build_args: BTreeMap<String, String>,
    /// The stage of the repository's own Dockerfile.
    pub target: Option<String>,
}

/// The table `image`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSettings {
    /// Tags; count for local builds only where a repository states them.
    pub tags: Option<Vec<String>>,
    /// The base image: a name of the catalogue, or a reference.
    pub base: Option<String>,
    /// Labels added to the image.
    pub labels: BTreeMap<String, String>,
}

/// The table `runtime`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeSettings {
    /// How the application starts.
    pub command: Option<CommandLine>,
    /// TCP ports it listens on.
    pub ports: Option<Vec<u16>>,
    /// Arguments for the Java virtual machine.
    pub jvm_args: Option<Vec<String>>,
    /// Whether the Java application is started once in the build, without a network, so that its later starts map the classes
    /// that it loads from an archive in the image instead of reading them: class data sharing.
    pub class_data_sharing: Option<bool>,
    /// Arguments for the application.
    pub args: Option<Vec<String>>,
    /// Environment of the container.
    pub env: BTreeMap<String, String>,
    /// The numeric user, `UID` or `UID:GID`.
    pub user: Option<String>,
    /// Directories that outlive the container.
    pub volumes: Option<Vec<String>>,
    /// A command that runs before every start.
    pub before_start: Option<CommandLine>,
    /// The path that answers when the application is healthy.
    pub health: Option<String>,
}

/// A program and its arguments; never a shell line.
pub type CommandLine = Vec<String>;
