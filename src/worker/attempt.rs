//! One attempt at a build, wherever its request came from.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::builds::{Running, Stop};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::report::{BuildEvent, BuildReport, Outcome};
use crate::model::request::BuildRequest;
use crate::pipeline::{self, Delivery, EventSink, Services};

/// Builds and pushes; `deployed` as in [`Delivery`]. A panic is a failure of this build alone, and one that was stopped from outside says why.
pub(crate) async fn attempt(
    services: &Services,
    request: &BuildRequest,
    deployed: bool,
    running: &Running,
    events: EventSink<'_>,
) -> BuildReport {
    let sink = |event: BuildEvent| {
        match event {
            BuildEvent::StepStarted { step: Step::Push } => running.pushes(),
            BuildEvent::StepStarted { step: Step::Deploy } => running.deploys(),
            _ => {}
        }
        events(event);
    };
    let delivery = Delivery { push: true, deployed, ..Delivery::default() };
    let run = pipeline::run(services, request, &delivery, &sink, &running.cancel);
    let mut report = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
        pipeline::refused(request, Failure::new(FailureCode::Internal, "the worker panicked while it built"))
    });
    if let (Outcome::Cancelled, Some(stop), Some(failure)) =
        (report.outcome, running.stopped(), report.failure.as_mut())
    {
        failure.message = cancelled(&stop).message;
    }
    report
}

/// The failure of a build that was stopped from outside.
pub(crate) fn cancelled(stop: &Stop) -> Failure {
    let message = match stop {
        Stop::Cancelled(Some(reason)) => format!("the build was cancelled: {reason}"),
        Stop::Cancelled(None) => "the build was cancelled".to_owned(),
        Stop::Superseded(newer) => format!("the newer build `{newer}` took its place"),
        Stop::Drained => "the worker went away".to_owned(),
    };
    Failure::new(FailureCode::Cancelled, message)
}
