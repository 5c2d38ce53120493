//! How one ecosystem is built: `toolchains/<name>/toolchain.toml` as a value.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::version::Version;
use crate::model::command::Network;
use crate::model::failure::Step;
use crate::model::installation::{Extra, Host};
use crate::model::plan::{Escape, LayerSource};

/// A toolchain's definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, equal to its folder's.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The reader of its manifests (`toolchain::manifest`); without one only files are looked at.
    pub manifest: Option<String>,
    /// What it is recognised by.
    pub detect: Detect,
    /// The release that is taken when nothing demands one.
    pub default: Option<String>,
    /// Which of several releases that satisfy all demands is taken.
    #[serde(default)]
    pub choose: Choose,
    /// How many days before versions were pinned a release must have been out to be taken for them; without it the age
    /// of pins says nothing.
    pub settled_after_days: Option<u32>,
    /// Whether the next release that is offered stands in for an exact one that is not.
    #[serde(default)]
    pub substitute: bool,
    /// The releases that are offered, oldest first.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// Run images by shape, where a shape needs another than the release's.
    #[serde(default)]
    pub run: BTreeMap<String, String>,
    /// Name of a cache and where commands see it.
    #[serde(default)]
    pub caches: BTreeMap<String, String>,
    /// Name of an output directory and where commands see it.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Versions of further tools, for the plan: templates.
    #[serde(default)]
    pub tools: BTreeMap<String, String>,
    /// Environment of every command: templates.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where commands see a file of the operator's, and the setting that says where it is.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Where commands see a text that planning makes: templates.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
    /// What a release of it brings along for other releases' commands.
    pub extra: Option<Extra>,
    /// Where a machine has it, for the host runner.
    pub host: Option<Host>,
    /// Where commands see a program of the toolchain's folder, and its file's name; the catalogue puts its text here.
    #[serde(default)]
    pub programs: BTreeMap<String, String>,
    /// Where commands of one step see a file with credentials, and what it is made of.
    #[serde(default)]
    pub secret_files: BTreeMap<String, SecretFile>,
    /// The commands, in order.
    #[serde(default)]
    pub steps: Vec<StepDefinition>,
    /// What plans warn of.
    #[serde(default)]
    pub warnings: Vec<WarningDefinition>,
    /// Which line a command prints tells why it failed: regular expressions, the most telling first; group 1 is told.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What is said of failures by what the commands printed.
    #[serde(default)]
    pub hints: Vec<HintDefinition>,
    /// What the commands leave behind.
    pub artifact: Option<ArtifactDefinition>,
    /// What a library deploys, and where: templates.
    pub library: Option<LibraryDefinition>,
    /// The image; without one the repository's own Dockerfile is built.
    pub image: Option<ImageDefinition>,
    /// What is known about the ecosystem, for the reader.
    #[serde(default)]
    pub facts: toml::Table,
}

/// What a toolchain is recognised by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// Any of these files in the application's directory.
    #[serde(default)]
    pub files: Vec<String>,
    /// Any of these directories in the application's directory.
    #[serde(default)]
    pub directories: Vec<String>,
    /// Endings of files in the application's directory, taken where no toolchain is recognised by a file's whole name.
    #[serde(default)]
    pub endings: Vec<String>,
    /// Whether the toolchain's own reader finds what starts in directories below.
    #[serde(default)]
    pub looks_below: bool,
    /// Files in a directory above the application's.
    pub above: Option<Above>,
    /// Only where somebody said how the application starts.
    #[serde(default)]
    pub needs_command: bool,
    /// Only where no other toolchain is recognised.
    #[serde(default)]
    pub fallback: bool,
}

/// Files above the application's directory that it belongs to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Above {
    /// Any of these.
    pub files: Vec<String>,
    /// How the name of a file ends that has to lie in the application's directory itself.
    pub beside: String,
}

/// Which of several releases is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choose {
    /// The default if it satisfies every demand, else the newest that does.
    #[default]
    Default,
    /// The oldest that satisfies every demand.
    Oldest,
    /// The newest that satisfies every demand.
    Newest,
}

/// One release of a toolchain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// `17`, `3.11`, `1.24`.
    #[serde(deserialize_with = "version")]
    pub version: Version,
    /// Other names for it: `1.8`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The base image that its commands run in.
    pub build: Option<String>,
    /// The base image that its applications run on.
    pub run: Option<String>,
    /// The day it came out, `YYYY-MM-DD`.
    #[serde(default, deserialize_with = "day")]
    pub released: Option<jiff::civil::Date>,
    /// The day its support ends, `YYYY-MM-DD`.
    pub end_of_life: Option<String>,
    /// The C library of its build image: of several releases, commands run in the image with the newest.
    #[serde(default, deserialize_with = "optional_version")]
    pub libc: Option<Version>,
    /// Environment of every command of this release.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// A warning of plans.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarningDefinition {
    /// When it is given: an expression.
    #[serde(rename = "if")]
    pub condition: String,
    /// Its stable code.
    pub code: String,
    /// What is so: a template.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What to do about a command that failed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HintDefinition {
    /// Texts of which one of the last lines holds one.
    pub says: Vec<String>,
    /// What to do: a template; empty says nothing.
    pub hint: String,
}

/// What a library deploys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibraryDefinition {
    /// How the ecosystem names it: a template.
    pub coordinates: String,
    /// The repository that takes it: a template.
    pub repository: String,
}

/// A file with credentials, there in one step alone.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// The step.
    pub step: Step,
    /// The settings that hold `url` and the name of the `credentials`, or a list of such: `mirrors.maven_deploy`.
    pub settings: Vec<String>,
    /// How values are escaped.
    pub escape: Escape,
    /// The file's text: a template over `url`, `username` and `password` of the first account, and all `accounts`, which
    /// have these, the `host`, and the `address`, which is the host with the port that the URL has.
    pub text: String,
}

/// One command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDefinition {
    /// The step that it belongs to. Commands of `dockerfile` come last: they see the layers where the image has them.
    pub step: Step,
    /// An expression over the template's context; without one the command always runs.
    #[serde(rename = "if")]
    pub condition: Option<String>,
    /// What it may reach.
    #[serde(default = "bridge")]
    pub network: Network,
    /// Program and arguments.
    pub command: Vec<Argument>,
    /// Environment of this command.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory, relative to the repository's root; a template. The application's directory if absent.
    pub workdir: Option<String>,
    /// Whether the build goes on when the command fails.
    #[serde(default)]
    pub may_fail: bool,
    /// After so many seconds the command is stopped, however much time the build has left.
    pub seconds: Option<u32>,
    /// Whether it runs in the image that the application will run in; a library has none and leaves it out.
    #[serde(default)]
    pub in_run_image: bool,
    /// How the command runs without a network when all it needs is in the cache.
    pub offline: Option<Offline>,
}

/// A command that may run offline when the same manifests were resolved before in the same cache.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offline {
    /// Arguments put behind the program.
    pub args: Vec<String>,
    /// An expression that forbids it.
    pub unless: String,
    /// Names of the files that say what has to be resolved.
    pub files: Vec<String>,
    /// What its last lines say where something is missing that the network has: then it runs once more, with the network.
    /// Without any, whenever it fails.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// One element of a command.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// One argument: a template.
    One(String),
    /// Every element of a list of the context, one argument each.
    Each(Each),
    /// Arguments that are only there when an expression holds.
    When(When),
}

/// See [`Argument::Each`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// The list's path in the context: `settings.toolchain.args`.
    pub each: String,
    /// Put before every element as an argument of its own.
    pub before: Option<String>,
    /// An expression; where it does not hold there are none.
    #[serde(rename = "if")]
    pub condition: Option<String>,
}

/// See [`Argument::When`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The expression.
    #[serde(rename = "if")]
    pub condition: String,
    /// The arguments.
    pub args: Vec<String>,
}

/// What the commands leave behind, where it has to be read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactDefinition {
    /// The directory that holds it, relative to the repository's root; a template.
    pub directory: String,
}

/// The image of a toolchain's applications.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDefinition {
    /// The application's directory.
    pub workdir: String,
    /// How an application starts that the reader names no command for.
    #[serde(default)]
    pub command: Vec<Argument>,
    /// Environment: templates.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Ports, where nobody states one.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Patterns of files that belong into the image although they usually do not.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Patterns of files that an application does not need to run.
    #[serde(default)]
    pub leave_out: Vec<String>,
    /// Layers, least changing first.
    pub layers: Vec<LayerDefinition>,
}

/// One layer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerDefinition {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub from: LayerSource,
    /// The directory in the image that it fills.
    pub to: String,
    /// An expression over the template's context; without one the layer is always there.
    #[serde(rename = "if")]
    pub condition: Option<String>,
}

fn bridge() -> Network {
    Network::Bridge
}

fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<jiff::civil::Date>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

fn optional_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    version(deserializer).map(Some)
}

fn version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
