//! Builds in this process: the database is the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::super::logs::Live;
use super::super::store::builds::{Build, Filter};
use super::super::store::{milliseconds, now};
use super::super::{Shared, ask};
use crate::message::{BuildMessage, Lane};
use crate::model::failure::{Failure, FailureCode};
use crate::model::report::{BuildEvent, BuildReport, Outcome};
use crate::model::request::BuildRequest;
use crate::pipeline;
use crate::traces;
use crate::worker::Going;
use crate::worker::attempt::{attempt, cancelled};
use crate::worker::builds::Running;
use crate::worker::verdict::{Verdict, verdict};

/// How long the queue is left alone at most.
const LOOK: Duration = Duration::from_secs(30);

/// The pause after something went wrong that is not a build's fault.
const PAUSE: Duration = Duration::from_secs(2);

/// How long stopped builds have to clean up after themselves.
const CLEANUP: Duration = Duration::from_secs(15);

/// Takes back what ran when the last server died, and begins to build.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<JoinSet<()>, Failure> {
    let revived = shared.store.revive().await?;
    if revived > 0 {
        tracing::warn!(builds = revived, "builds ran when the server died; they begin again");
    }
    let waiting = Filter { state: "queued".to_owned(), limit: 1000, ..Filter::default() };
    ask::asked(shared, &shared.store.builds(&waiting).await?);
    let lanes = shared.config.worker.lanes.clone();
    let mut jobs = JoinSet::new();
    for (lane, count) in [(Lane::Interactive, lanes.interactive), (Lane::Bulk, lanes.bulk)] {
        for _ in 0..count {
            jobs.spawn(slot(Arc::clone(shared), lane));
        }
    }
    Ok(jobs)
}

/// Lets builds end for as long as the grace lasts, then stops them and gives them back.
pub(super) async fn end(shared: &Arc<Shared>, mut jobs: JoinSet<()>, going: &Going) {
    let grace = shared.config.worker.grace;
    tokio::select! {
        () = async { while jobs.join_next().await.is_some() {} } => return,
        () = tokio::time::sleep(grace) => tracing::warn!("the grace is over; what runs is given back"),
        () = going.now.cancelled() => {}
    }
    shared.builds.drain();
    let ended = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(CLEANUP, ended).await.is_err() {
        tracing::error!(running = shared.builds.count(), "builds do not end; the next start takes them up again");
    }
}

/// One build after the other.
async fn slot(shared: Arc<Shared>, lane: Lane) {
    let mut work = shared.work.subscribe();
    while !shared.leaving.is_cancelled() {
        work.mark_unchanged();
        match shared.store.claim(lane.name(), &shared.name).await {
            Ok(Some(build)) => {
                let span = tracing::info_span!("build", build_id = build.id);
                traces::follow(&span, Some(&build.traceparent));
                take(&shared, &build).instrument(span).await;
            }
            Ok(None) => {
                let pause = pause(&shared).await;
                tokio::select! {
                    _ = work.changed() => {}
                    () = tokio::time::sleep(pause) => {}
                    () = shared.leaving.cancelled() => {}
                }
            }
            Err(failure) => {
                tracing::error!(error = %failure, "no build can be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Until the next attempt's time has come.
async fn pause(shared: &Shared) -> Duration {
    let next = shared.store.next_time().await.ok().flatten();
    let left = next.map(|at| Duration::from_millis(u64::try_from(at - now()).unwrap_or_default()));
    // Other lanes' builds wait too: their time being past is no reason to hurry.
    left.filter(|left| !left.is_zero()).unwrap_or(LOOK).clamp(Duration::from_millis(10), LOOK)
}

/// Builds, and writes what came of it; what cannot be written is built again.
async fn take(shared: &Arc<Shared>, build: &Build) {
    loop {
        let done = match ended(shared, build).await {
            Ok(Verdict::Final(report)) => written(shared, build, &report).await,
            Ok(Verdict::Retry(delay, failure)) => {
                let (attempt, delay_ms) = (build.attempt, delay.as_millis());
                tracing::warn!(attempt, delay_ms, code = failure.code.name(), failure = %failure, "the build is tried again");
                shared.metrics.retried();
                shared.store.retry(&build.id, build.attempt + 1, now() + milliseconds(delay)).await
            }
            Ok(Verdict::GiveBack | Verdict::Repeat(_)) => shared.store.give_back(&build.id).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => return,
            Err(failure) => tracing::error!(error = %failure, "what came of the build cannot be written"),
        }
        if shared.leaving.is_cancelled() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tries until the end of the build is written: it is not built again because the database was away.
async fn written(shared: &Arc<Shared>, build: &Build, report: &BuildReport) -> Result<(), Failure> {
    loop {
        match ask::finish(shared, build, report).await {
            Ok(_) => return Ok(()),
            Err(failure) if shared.leaving.is_cancelled() => return Err(failure),
            Err(failure) => tracing::error!(error = %failure, "the end of the build cannot be written yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Builds, unless there is nothing to build.
async fn ended(shared: &Arc<Shared>, build: &Build) -> Result<Verdict, Failure> {
    let message = BuildMessage::parse(build.message.as_bytes())?;
    let request = message.request()?;
    let signed = |mut report: BuildReport| {
        report.attempt = u32::try_from(build.attempt).unwrap_or(1);
        report.worker.clone_from(&shared.name);
        report
    };
    let refused = |failure| Ok(Verdict::end(signed(pipeline::refused(&request, failure))));
    if build.deaths >= i64::from(shared.config.amqp.delivery_limit) {
        return refused(Failure::new(FailureCode::WorkerKilled, "the server died of it every time"));
    }
    let key = ask::supersede_key(build);
    let turn = shared.builds.turn(&build.id, key.clone()).await;
    // A cancellation may have been written between the claim and now.
    if let Some(reason) = shared.store.build(&build.id).await?.and_then(|build| build.cancel) {
        shared.builds.cancel(&build.id, Some(reason).filter(|reason| !reason.is_empty()));
    }
    if let Some(key) = &key {
        shared.builds.supersede(key, ask::claim(build));
    }
    if let Some(stop) = shared.builds.unwanted(&build.id, key.as_deref()) {
        return refused(cancelled(&stop));
    }
    ask::begins(shared, build).await?;
    if build.attempt == 1 {
        shared.metrics.waited(Duration::from_millis(u64::try_from(now() - build.created_ms).unwrap_or_default()));
    }
    let report = signed(run(shared, &request, build.attempt > 1 || build.deaths > 0, &turn.running).await);
    let stop = turn.running.stopped();
    let delays = &shared.services.borrow().config.amqp.retry_delays;
    Ok(verdict(report, stop.as_ref(), u32::try_from(build.attempt).unwrap_or(1), delays))
}

async fn run(shared: &Arc<Shared>, request: &BuildRequest, again: bool, running: &Running) -> BuildReport {
    let services = shared.services.borrow().clone();
    let _running = shared.metrics.running();
    let live = shared.logs.live(&request.id);
    if again {
        // The log goes on where the last attempt, or the last server, ended.
        live.line("slipway", "the build begins again");
    }
    let id = request.id.to_string();
    let events = |event: BuildEvent| match event {
        BuildEvent::Log { step, line } => live.line(step.name(), &line),
        BuildEvent::StepStarted { step } => {
            live.line(step.name(), "begins");
            let (shared, id) = (Arc::clone(shared), id.clone());
            // Only people who look on need it; the build does not wait for the database.
            tokio::spawn(async move { shared.store.step(&id, step.name(), "").await });
        }
        BuildEvent::StepFinished(step) => live.line(step.step.name(), &ended_line(&step)),
        BuildEvent::Accepted { .. } => {}
    };
    let report = attempt(&services, request, again, running, &events).await;
    if let Some(failure) = &report.failure {
        last_line(&live, failure);
    }
    report
}

/// Ends the log of a build that failed with the reason.
pub(super) fn last_line(live: &Arc<Live>, failure: &Failure) {
    let step = failure.step.map_or("slipway", |step| step.name());
    live.line(step, &format!("error[{}]: {}", failure.code.name(), failure.message));
}

/// The line that ends a step.
pub(super) fn ended_line(step: &crate::model::report::StepReport) -> String {
    let word = match step.outcome {
        Outcome::Succeeded => "done",
        outcome => outcome.name(),
    };
    format!("{word} after {} ms", step.duration_ms)
}
