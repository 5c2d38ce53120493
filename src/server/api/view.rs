//! What the API says of builds and applications.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Shared;
use super::super::application::Application;
use super::super::store::applications::Stored;
use super::super::store::builds::Build;
use super::super::store::time;

/// A build.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::server) struct BuildView {
    /// Its id.
    pub(in crate::server) id: String,
    /// `queued`, `running`, `succeeded`, `failed`, `timed_out`, `cancelled` or `rejected`.
    pub(in crate::server) state: String,
    /// The product line.
    pub(in crate::server) product_line: String,
    /// The application.
    pub(in crate::server) application: String,
    /// The branch, tag or reference that was asked for.
    pub(in crate::server) revision: String,
    /// The commit.
    pub(in crate::server) commit: String,
    /// The commit's first line, or the merge request's title.
    pub(in crate::server) title: String,
    /// `push`, `tag`, `merge_request`, `api`, `page`, `retry` or `reconciler`.
    pub(in crate::server) cause: String,
    /// Who asked.
    pub(in crate::server) who: String,
    /// The lane it waits in.
    pub(in crate::server) lane: String,
    /// Which attempt, from 1.
    pub(in crate::server) attempt: i64,
    /// The step it is in, or the one that failed.
    pub(in crate::server) step: String,
    /// Who builds it.
    pub(in crate::server) worker: String,
    /// The failure's code; empty for none.
    pub(in crate::server) failure: String,
    /// Whether somebody does not want it any more.
    pub(in crate::server) cancelled: bool,
    /// The image's bytes; 0 where there is none.
    pub(in crate::server) size: i64,
    /// RFC 3339, UTC.
    pub(in crate::server) created_at: String,
    /// RFC 3339, UTC; empty while it waits.
    pub(in crate::server) started_at: String,
    /// RFC 3339, UTC; empty until it has ended.
    pub(in crate::server) finished_at: String,
    /// From its start to its end; 0 until then.
    pub(in crate::server) duration_ms: i64,
    /// Its page.
    pub(in crate::server) url: String,
}

/// A state that a build can be in.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::server) enum StateName {
    /// It waits.
    Queued,
    /// It is built.
    Running,
    /// It came to what was wanted.
    Succeeded,
    /// It came to nothing.
    Failed,
    /// It took too long.
    TimedOut,
    /// Somebody did not want it any more.
    Cancelled,
    /// It was not begun.
    Rejected,
}

impl StateName {
    pub(in crate::server) const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::TimedOut, Self::Cancelled, Self::Rejected];

    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

impl BuildView {
    pub(in crate::server) fn of(shared: &Shared, build: &Build) -> Self {
        let over = build.finished_ms > 0 && build.started_ms > 0;
        Self {
            url: format!("{}/builds/{}", shared.url(), build.id),
            id: build.id.clone(),
            state: build.state.clone(),
            product_line: build.product_line.clone(),
            application: build.application.clone(),
            revision: build.revision.clone(),
            commit: build.commit.clone(),
            title: build.title.clone(),
            cause: build.cause.clone(),
            who: build.who.clone(),
            lane: build.lane.clone(),
            attempt: build.attempt,
            step: build.step.clone(),
            worker: build.worker.clone(),
            failure: build.failure.clone(),
            cancelled: build.cancel.is_some(),
            size: build.size,
            created_at: time(build.created_ms),
            started_at: time(build.started_ms),
            finished_at: time(build.finished_ms),
            duration_ms: if over { build.finished_ms - build.started_ms } else { 0 },
        }
    }
}

/// Builds, newest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::server) struct BuildList {
    /// The builds.
    pub(in crate::server) builds: Vec<BuildView>,
    /// What `before` is to be to get the next ones; absent where these are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::server) next: Option<String>,
}

/// An application as it is, or was.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::server) struct ApplicationView {
    /// Which version, from 1.
    pub(in crate::server) version: i64,
    /// RFC 3339, UTC.
    pub(in crate::server) changed_at: String,
    /// Who changed it.
    pub(in crate::server) who: String,
    /// The application; absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::server) application: Option<Application>,
}

impl ApplicationView {
    pub(in crate::server) fn of(stored: &Stored) -> Self {
        Self {
            version: stored.version,
            changed_at: time(stored.changed_ms),
            who: stored.who.clone(),
            application: Application::stored(&stored.body).ok(),
        }
    }
}
