//! Failures as data: a stable code, whose fault, what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A position in Slipway's pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The source is fetched.
    Checkout,
    /// Everything is decided.
    Plan,
    /// The toolchain compiles, or resolves dependencies.
    Compile,
    /// Artifacts are brought into their fixed shape.
    Package,
    /// Artifacts go to the package repository.
    Deploy,
    /// The Dockerfile and the build context are written.
    Dockerfile,
    /// The image is built.
    Image,
    /// The image is pushed.
    Push,
}

impl Step {
    /// The name in reports, logs and toolchain files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Plan => "plan",
            Self::Compile => "compile",
            Self::Package => "package",
            Self::Deploy => "deploy",
            Self::Dockerfile => "dockerfile",
            Self::Image => "image",
            Self::Push => "push",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// Whoever asked: the message, the flags.
    Request,
    /// The repository.
    Project,
    /// Slipway, its operator, or what it depends on.
    Service,
}

macro_rules! failure_codes {
    ($($variant:ident = $code:literal, $blame:ident, $retryable:literal, $meaning:literal, $hint:literal;)*) => {
        /// What went wrong: the list is exhaustive, the names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl FailureCode {
            /// Every code, for the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)* }
            }

            /// Whether the same request may succeed later without anyone changing anything.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// What the code means, one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to do, where nothing more precise is known.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }
    };
}

failure_codes! {
    RequestInvalid = "request_invalid", Request, false, "The request has an unknown, missing or malformed field.", "Correct the field that the message names.";
    IdReused = "id_reused", Request, false, "Another request was made under the same id before.", "Give every build an id of its own; a UUID will do.";
    SourceForbidden = "source_forbidden", Request, false, "The source's URL, a redirect or a submodule is not one that may be cloned.", "Use a URL below one of the operator's `sources.allow` prefixes.";
    SourceNotFound = "source_not_found", Request, false, "The repository does not exist, or the credentials do not show it.", "Check the URL, and that the named credentials may read the repository.";
    SourceUnauthorized = "source_unauthorized", Request, false, "The repository asks for credentials, or refused those given.", "Name credentials that may read it: `source.credentials`, from the operator's `[credentials]`.";
    SourceUnavailable = "source_unavailable", Service, true, "The Git server did not answer.", "Try again; if it stays, check the network between Slipway and the Git server.";
    RevisionNotFound = "revision_not_found", Request, false, "The repository has no such branch, tag or commit.", "Check the spelling, and that the revision was pushed.";
    SourceUnusable = "source_unusable", Project, false, "The checkout lacks something that the build needs.", "Commit what is missing, or fetch it from the package repository.";
    EcosystemUnrecognised = "ecosystem_unrecognised", Project, false, "No toolchain recognised the files.", "Add the manifest of your ecosystem, or set `toolchain.name` in `slipway.toml`.";
    EcosystemAmbiguous = "ecosystem_ambiguous", Project, false, "More than one toolchain recognised the files.", "Set `toolchain.name` in `slipway.toml`.";
    ManifestInvalid = "manifest_invalid", Project, false, "A manifest cannot be read.", "Correct the file at the line that is named.";
    SettingsInvalid = "settings_invalid", Project, false, "`slipway.toml` is malformed or has an unknown key.", "Correct the file at the line that is named.";
    VersionUnknown = "version_unknown", Project, false, "No release of the toolchain has the version that is asked for.", "Choose one of the releases that are named.";
    VersionConflict = "version_conflict", Project, false, "Two files ask for versions that exclude each other.", "Make the files agree, or set `toolchain.version` in `slipway.toml`.";
    ApplicationAmbiguous = "application_ambiguous", Project, false, "Several modules or files could be the application.", "Choose one: `application.module` in `slipway.toml`.";
    ApplicationNotFound = "application_not_found", Project, false, "Nothing in the repository starts.", "Say how it starts with `runtime.command`, or build it as a library with `kind = \"library\"`.";
    ProcessAmbiguous = "process_ambiguous", Project, false, "Several processes could be started.", "Choose one: `application.process`, from the table `[processes]` of `slipway.toml`.";
    PlanInvalid = "plan_invalid", Project, false, "Settings contradict each other or the run image.", "Change the setting that the message names.";
    DockerfileUnsupported = "dockerfile_unsupported", Project, false, "The repository's Dockerfile uses something that may not or cannot be built here.", "Change the line that is named.";
    ToolchainForbidden = "toolchain_forbidden", Request, false, "The operator does not allow this toolchain for the product line.", "Ask the operator to list the product line in the toolchain's settings.";
    CompileFailed = "compile_failed", Project, false, "The toolchain's command failed.", "Read the log's last lines; the same command fails on a laptop too.";
    TestsFailed = "tests_failed", Project, false, "The project's tests failed.", "Read the failing tests in the log.";
    DependencyUnavailable = "dependency_unavailable", Service, true, "A package repository did not answer.", "Try again; if it stays, check the operator's mirrors.";
    CacheDamaged = "cache_damaged", Service, true, "A file in a cache that builds share is damaged.", "If it stays, remove the file that the log names from the cache directory; the next build fetches it again.";
    DeployFailed = "deploy_failed", Project, false, "The package repository refused the artifacts.", "Read the log's last lines: a released version cannot be deployed twice.";
    DeployUnauthorized = "deploy_unauthorized", Service, false, "The package repository refused the login.", "Correct the account that `mirrors.maven_deploy` names.";
    ArtifactMissing = "artifact_missing", Project, false, "The toolchain succeeded but did not make the artifact that was planned.", "Check the module's packaging and output directory.";
    ArtifactMismatch = "artifact_mismatch", Project, false, "The artifact contradicts the plan.", "Set what the message names in `slipway.toml`.";
    ArtifactInvalid = "artifact_invalid", Project, false, "An artifact is damaged or hostile.", "Build the project afresh and look at the named file.";
    OutOfMemory = "out_of_memory", Project, false, "The build used more memory than it may.", "Use less memory, or ask the operator for a higher `limits.memory`.";
    TimedOut = "timed_out", Project, false, "The build took longer than it may.", "Make the build faster, or ask the operator for a higher `limits.timeout`.";
    OutputLimit = "output_limit", Project, false, "The build wrote more than it may.", "Write less, or ask the operator for a higher limit.";
    ImageFailed = "image_failed", Project, false, "The image build failed.", "Read the log's last lines.";
    ApplicationDoesNotStart = "application_does_not_start", Project, false, "The built image was started for a trial, and the application ended at once.", "Read its last lines; `slipway run` starts it the same way.";
    BaseImageMissing = "base_image_missing", Service, false, "A base image is not there.", "Build it with `slipway base-images build`, or correct the catalogue.";
    EngineUnavailable = "engine_unavailable", Service, true, "The Docker Engine does not answer, or died while it worked.", "Start the Engine; `slipway doctor` says what it sees.";
    ToolMissing = "tool_missing", Service, false, "A program or toolchain is not installed on this machine.", "Install it, or use the container runner; `slipway doctor` lists what there is.";
    RegistryUnavailable = "registry_unavailable", Service, true, "The registry did not answer.", "Try again; if it stays, check the registry.";
    RegistryUnauthorized = "registry_unauthorized", Service, false, "The registry refused the login.", "Correct the credentials that `registry.credentials` names.";
    RegistryForbidden = "registry_forbidden", Service, false, "The account may not push to the repository.", "Give the account the right to push to the product line's project.";
    RegistryRepositoryMissing = "registry_repository_missing", Request, false, "The registry has no project of that name.", "Create the project, or correct `application.product_line`.";
    RegistryQuotaExceeded = "registry_quota_exceeded", Service, false, "The project's storage quota is used up.", "Raise the project's quota in Harbor, or remove images and run its garbage collection.";
    RegistryTagImmutable = "registry_tag_immutable", Request, false, "The tag names another image, and a rule of the project fixes it.", "Choose another tag: a tag under an immutable rule is never moved.";
    RegistryReadOnly = "registry_read_only", Service, true, "The registry takes nothing while it is maintained.", "Try again when the registry's read-only mode has ended.";
    RegistryProxyProject = "registry_proxy_project", Request, false, "The project mirrors another registry and takes no images.", "Choose a product line whose project is no proxy cache.";
    RegistryRateLimited = "registry_rate_limited", Service, true, "The registry asked for fewer requests.", "Try again later.";
    ImageVulnerable = "image_vulnerable", Project, false, "The registry's scanner found vulnerabilities in the image that the operator does not accept.", "Update the packages that are named, or the base image; the operator may accept a vulnerability for a while (`registry.scan.accept`).";
    ImageNotScanned = "image_not_scanned", Service, true, "The registry's scanner did not say what is in the image, and images have to be scanned.", "See that the registry has a scanner that works; until it does, nothing is known of the image.";
    RegistryRefused = "registry_refused", Service, false, "The registry refused the image.", "Read the registry's own words in the message.";
    DigestMismatch = "digest_mismatch", Service, true, "The registry shows another digest than the one pushed.", "Somebody may have pushed the same tag; try again.";
    BrokerUnavailable = "broker_unavailable", Service, true, "The message broker did not answer, or refused a message.", "Try again; if it stays, check the broker and `slipway queues check`.";
    WorkerKilled = "worker_killed", Service, false, "Every worker that took the build died of it.", "Look for out-of-memory kills on the workers; then `slipway dead requeue`.";
    DiskFull = "disk_full", Service, true, "The disk is full.", "Free space; `slipway doctor` shows where.";
    ConfigurationInvalid = "configuration_invalid", Service, false, "The operator's configuration or catalogue is malformed.", "Correct the file at the line that is named.";
    Cancelled = "cancelled", Request, false, "The build was cancelled.", "Ask again when it is wanted.";
    Internal = "internal", Service, true, "Slipway itself failed.", "Report this with the log.";
}

/// A place in the repository that a failure or a warning speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Relative to the repository's root.
    pub path: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In characters, from 1, where a format's reader tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// Why a build, or its planning, ended without what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// Whose fault it is.
    pub blame: Blame,
    /// Whether trying again may help.
    pub retryable: bool,
    /// The step that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// What happened, one or two sentences.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The values one of which would settle it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// Where to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// The log's last lines, redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

impl Failure {
    /// A failure with the code's own blame and hint.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            blame: code.blame(),
            retryable: code.retryable(),
            step: None,
            message: message.into(),
            hint: code.hint().to_owned(),
            candidates: Vec::new(),
            places: Vec::new(),
            log_tail: Vec::new(),
        }
    }

    /// With the sentence that says what to do here.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// With a place to look at.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>, line: Option<u32>) -> Self {
        self.places.push(Place { path: path.into(), line, column: None });
        self
    }

    /// With a place to look at, to the character.
    #[must_use]
    pub fn at_column(mut self, path: impl Into<String>, line: Option<u32>, column: Option<u32>) -> Self {
        self.places.push(Place { path: path.into(), line, column });
        self
    }

    /// With the values to choose from.
    #[must_use]
    pub fn candidates(mut self, candidates: impl IntoIterator<Item = String>) -> Self {
        self.candidates.extend(candidates);
        self
    }

    /// In a step, unless it already names one.
    #[must_use]
    pub fn in_step(mut self, step: Step) -> Self {
        self.step.get_or_insert(step);
        self
    }

    /// With the log's last lines.
    #[must_use]
    pub fn log_tail(mut self, lines: Vec<String>) -> Self {
        self.log_tail = lines;
        self
    }
}

/// Something that a person should know and that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// A stable code, in `snake_case`.
    pub code: String,
    /// What is so.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Where, relative to the repository's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Warning {
    /// A warning about the repository as a whole.
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), hint: hint.into(), path: None, line: None }
    }

    /// With the place it speaks of.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>, line: Option<u32>) -> Self {
        self.path = Some(path.into());
        self.line = line;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_serde_names_them() {
        for code in FailureCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }
}
