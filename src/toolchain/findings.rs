//! What a manifest reader is asked and what it answers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::version::Demand;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::model::source_tree::SourceTree;

/// What a reader may look at. Nothing else reaches it.
#[derive(Debug, Clone, Copy)]
pub struct Inspection<'a> {
    /// The whole repository.
    pub tree: &'a SourceTree,
    /// The application's directory, `""` for the root.
    pub directory: &'a str,
    /// The application's name, which settles an ambiguity when it equals exactly one candidate.
    pub application: &'a str,
    /// `application.module`, if anyone stated it.
    pub module: Option<&'a str>,
    /// `application.process`, if anyone stated it.
    pub process: Option<&'a str>,
    /// Whether somebody said how the application starts (`runtime.command`, `[processes]`), so that
    /// finding nothing that starts is no failure.
    pub command_given: bool,
    /// Whether a library is asked for: then nothing has to start.
    pub library: bool,
    /// `toolchain.extras`.
    pub extras: &'a [String],
    /// `toolchain.args`.
    pub args: &'a [String],
    /// The toolchain's `[facts]` table: knowledge of the ecosystem as data.
    pub facts: &'a toml::Table,
}

/// What a reader found out.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// What the manifests demand of the release, strongest first.
    pub versions: Vec<Found<Demand>>,
    /// What speaks for a release without demanding it, strongest first.
    pub suggestions: Vec<Found<Demand>>,
    /// What dependencies are known not to work with, without anyone demanding it.
    pub limits: Vec<Found<Demand>>,
    /// When versions of dependencies were pinned, in seconds since 1970, where any are.
    pub pinned: Option<Found<i64>>,
    /// Further releases that the manifests ask for, by version (`toolchain.extras`).
    pub extras: Vec<Found<String>>,
    /// What manifests say of the release and does not count, with why: shown with the decision.
    pub outvoted: Vec<Rejected>,
    /// The module that is built (`application.module`), where the ecosystem has modules.
    pub module: Option<Found<String>>,
    /// The ways the application can start, by name; the plan takes `web`, or the only one.
    pub processes: Vec<Process>,
    /// What a found process is started with unless somebody says otherwise, a container's own arguments included.
    pub arguments: Option<Found<Vec<String>>>,
    /// Values for the toolchain's templates.
    pub variables: BTreeMap<String, Value>,
    /// Which shape of Dockerfile and steps fits: a name the toolchain's data knows (`spring-boot`, `cgo`), or "".
    pub shape: String,
    /// Environment the image needs by itself, for example `DJANGO_SETTINGS_MODULE`.
    pub image_env: BTreeMap<String, Found<String>>,
    /// Ports the application says it listens on.
    pub ports: Vec<Found<u16>>,
    /// Why nothing listens, where that is known: then the toolchain's usual port does not count.
    pub silent: Option<Origin>,
    /// Directories elsewhere that the application writes to by itself.
    pub volumes: Vec<Found<String>>,
    /// Patterns of files that the application needs although the toolchain leaves them out of images.
    pub include: Vec<String>,
    /// Files that whoever runs the application brings, as the repository names them.
    pub given: Vec<String>,
    /// Texts that commands see as files, by where they see them.
    pub files: BTreeMap<String, String>,
    /// Decisions of the reader that are worth showing.
    pub decisions: Vec<Decision>,
    /// What people should know.
    pub warnings: Vec<Warning>,
}

/// One way to start the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// `web`, `worker` ….
    pub name: String,
    /// Program and arguments, exec form.
    pub command: Vec<String>,
    /// Where it was found.
    pub origin: Origin,
}

/// A manifest reader: pure, so that the same tree gives the same findings.
///
/// # Errors
/// A `Failure` that names the place and the line that settles it.
pub type Reader = fn(&Inspection<'_>) -> Result<Findings, Failure>;
