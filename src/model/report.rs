//! What is reported: events while a build runs, one report at its end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, FailureCode, Step, Warning};
use super::origin::Decision;
use super::plan::{PlannedApplication, PlannedLibrary, PlannedSource, PlannedToolchain};
use super::scan::ReportedScan;

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was asked for is there.
    Succeeded,
    /// It could not be made.
    Failed,
    /// It took too long.
    TimedOut,
    /// Nobody wants it any more.
    Cancelled,
    /// The request was refused.
    Rejected,
}

/// What happens while a build runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BuildEvent {
    /// The build begins.
    Accepted {
        /// The build.
        id: String,
    },
    /// A step begins.
    StepStarted {
        /// The step.
        step: Step,
    },
    /// A step ended.
    StepFinished(StepReport),
    /// A line of a command's output, redacted.
    Log {
        /// The step.
        step: Step,
        /// The line, with the colours that it was printed in: sequences that select a foreground or bold (ECMA-48, section
        /// 8.3.117), and no other control character.
        line: String,
    },
}

/// How one step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// The step.
    pub step: Step,
    /// How it ended.
    pub outcome: Outcome,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Whether earlier work was used in place of it: the commit was in the mirror, packages came from the cache alone,
    /// every layer was there.
    pub cached: bool,
}

/// The end of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildReport {
    /// The format's version.
    pub version: u32,
    /// The build.
    pub id: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// As what it was built.
    pub application: PlannedApplication,
    /// What was built.
    pub source: PlannedSource,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub finished_at: String,
    /// Who built it.
    pub worker: String,
    /// The steps that ran.
    pub steps: Vec<StepReport>,
    /// How it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<PlannedToolchain>,
    /// Every decision with its origin.
    pub decisions: Vec<Decision>,
    /// What people should know.
    pub warnings: Vec<Warning>,
    /// What the registry's scanner found in the images that it is built on, where the operator asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<ReportedBase>,
    /// The image, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ReportedImage>,
    /// The Dockerfile that was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// What was deployed, for a library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PlannedLibrary>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Where the whole log is, if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl BuildReport {
    /// The report of a build that has just begun.
    #[must_use]
    pub fn begun(
        id: String,
        application: PlannedApplication,
        source: PlannedSource,
        worker: String,
        now: String,
    ) -> Self {
        Self {
            version: 1,
            id,
            attempt: 1,
            outcome: Outcome::Failed,
            application,
            source,
            started_at: now.clone(),
            finished_at: now,
            worker,
            steps: Vec::new(),
            toolchain: None,
            decisions: Vec::new(),
            warnings: Vec::new(),
            bases: Vec::new(),
            image: None,
            dockerfile: None,
            library: None,
            failure: None,
            log: None,
        }
    }

    /// The report of a build that ended, well or with a failure.
    #[must_use]
    pub fn ended(mut self, failure: Option<Failure>, now: String) -> Self {
        self.outcome = failure.as_ref().map_or(Outcome::Succeeded, Outcome::of);
        self.failure = failure;
        self.finished_at = now;
        self
    }
}

impl Outcome {
    /// How a build ended that ended with this failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        match failure.code {
            FailureCode::Cancelled => Self::Cancelled,
            FailureCode::TimedOut => Self::TimedOut,
            FailureCode::RequestInvalid | FailureCode::IdReused | FailureCode::SourceForbidden => Self::Rejected,
            _ => Self::Failed,
        }
    }

    /// The name in reports, which is also the last word of a report's routing key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// The image of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedImage {
    /// What it is called.
    pub references: Vec<String>,
    /// The manifest's digest, once pushed; the Engine's image id before.
    pub digest: String,
    /// Whether it was pushed.
    pub pushed: bool,
    /// Bytes.
    pub size: u64,
    /// Its layers, base included.
    pub layers: Vec<ReportedLayer>,
    /// The base image.
    pub base: String,
    /// Where else it was copied to, and how that went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<ReportedCopy>,
    /// What the registry's scanner found, where the operator asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ReportedScan>,
}

/// An image that another one is built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedBase {
    /// What it is called.
    pub image: String,
    /// What the scanner found in it.
    pub scan: ReportedScan,
}

/// A copy in another registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedCopy {
    /// The registry.
    pub registry: String,
    /// What the image is called there; what failed is missing.
    pub references: Vec<String>,
    /// Bytes that were sent.
    pub sent: u64,
    /// Why it is not there, or not under all of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A layer of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedLayer {
    /// The blob's digest, or the diff id where nothing was pushed.
    pub digest: String,
    /// Bytes; 0 where unknown.
    pub size: u64,
    /// Whether the registry had it before.
    pub reused: bool,
}
