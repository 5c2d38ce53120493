//! One delivery, from taking it to acknowledging it.

use std::time::Duration;

use super::Worker;
use super::attempt::{attempt, cancelled};
use super::builds::Turn;
use super::events::{Attempt, Events};
use super::job::Job;
use super::verdict::{Verdict, verdict};
use crate::amqp::names::{ATTEMPT, DEPLOYED, TAKEN};
use crate::amqp::{Error, Incoming, Outgoing};
use crate::message::event::Event;
use crate::message::{SupersedeMessage, VERSION};
use crate::model::failure::{Failure, FailureCode};
use crate::model::report::{BuildEvent, BuildReport};
use crate::pipeline;

/// The pause before a message goes back that nothing could be done with here.
const PAUSE: Duration = Duration::from_secs(5);

/// Takes a delivery and settles it; what cannot be settled is delivered again.
pub(super) async fn take(worker: &Worker, incoming: Incoming) {
    let mut job = match Job::read(incoming, &worker.names) {
        Ok(job) => job,
        Err((receipt, failure)) => {
            tracing::info!(error = %failure, "a message cannot be read");
            return settled(receipt.reject().await);
        }
    };
    let Ok(_slot) = worker.slots[&job.lane].acquire().await else { return };
    let turn = worker.builds.turn(job.id(), job.supersede.clone()).await;
    // While we waited for its turn the session broke: the message is on its way again.
    if job.receipt.is_void() {
        return;
    }
    waited(worker, &job);
    match Box::pin(ended(worker, &job, &turn)).await {
        Ok(Verdict::Final(report)) => finish(worker, job, &report).await,
        Ok(Verdict::Repeat(json)) => repeat(worker, job, &json).await,
        Ok(Verdict::Retry(delay, failure)) => {
            job.deployed |= turn.running.may_have_deployed();
            retry(worker, job, delay, &failure).await;
        }
        Ok(Verdict::GiveBack) => give_back(worker, job).await,
        Err(failure) => {
            tracing::error!(error = %failure, "the build goes back to the queue");
            tokio::time::sleep(PAUSE).await;
            give_back(worker, job).await;
        }
    }
}

/// Counts how long the request waited; a later attempt has waited on purpose.
fn waited(worker: &Worker, job: &Job) {
    if job.attempt == 1 && job.sent_at > 0 {
        let waited = crate::clock::since_epoch().saturating_sub(Duration::from_secs(job.sent_at));
        worker.vitals.metrics.waited(waited);
    }
}

/// Builds, unless there is nothing to build, and says what comes of it.
async fn ended(worker: &Worker, job: &Job, turn: &Turn<'_>) -> Result<Verdict, Failure> {
    if let Some(finished) = worker.reports.finished(job.id()).await? {
        if finished.body_hash == job.hash {
            return Ok(Verdict::Repeat(finished.report_json));
        }
        return Ok(Verdict::end(refused(worker, job, id_reused())));
    }
    if worker.builds.is_another_body(job.id(), &job.hash) {
        return Ok(Verdict::end(refused(worker, job, id_reused())));
    }
    if let Some(failure) = job.reply.refusal(&worker.names) {
        return Ok(Verdict::end(refused(worker, job, failure)));
    }
    if let Some(key) = &job.supersede
        && !worker.builds.is_claimed(key, job.id())
    {
        announce(worker, job, key).await;
    }
    if let Some(stop) = worker.builds.unwanted(job.id(), job.supersede.as_deref()) {
        return Ok(Verdict::end(refused(worker, job, cancelled(&stop))));
    }
    let events = worker.events(job);
    let report = build(worker, job, turn, &events).await;
    let verdict = verdict(report, turn.running.stopped().as_ref(), job.attempt, &worker.config.amqp.retry_delays);
    if let Some(event) = verdict.event() {
        events.send(event);
    }
    events.end().await;
    Ok(verdict)
}

async fn build(worker: &Worker, job: &Job, turn: &Turn<'_>, events: &Events) -> BuildReport {
    let services = worker.services.borrow().clone();
    let running = &turn.running;
    let _running = worker.vitals.metrics.running();
    let log = worker.vitals.logs.begin(&job.request.id, job.attempt);
    let sink = |event: BuildEvent| {
        log.event(&event);
        events.send(Event::from_build(event, &worker.name));
    };
    let mut report = attempt(&services, &job.request, job.deployed, running, &sink).await;
    report.log = log.finish().await.map(|path| path.display().to_string());
    signed(worker, job, report)
}

/// The report of a request that nothing was done for.
fn refused(worker: &Worker, job: &Job, failure: Failure) -> BuildReport {
    signed(worker, job, pipeline::refused(&job.request, failure))
}

fn signed(worker: &Worker, job: &Job, mut report: BuildReport) -> BuildReport {
    report.attempt = job.attempt;
    report.worker.clone_from(&worker.name);
    report
}

fn id_reused() -> Failure {
    Failure::new(FailureCode::IdReused, "another request was made under the same id before")
}

/// Tells all workers that this build has begun, where its sender has not; they agree on the newest by the order in the
/// stream.
async fn announce(worker: &Worker, job: &Job, key: &str) {
    let message =
        SupersedeMessage { version: VERSION, id: job.request.id.clone(), key: key.to_owned(), sent_at: job.sent_at };
    let mut outgoing = Outgoing::control(&worker.names, "supersede", job.id(), &message);
    outgoing.headers.insert(TAKEN.to_owned(), "1".to_owned());
    if let Err(error) = worker.until_sent(&outgoing, &job.receipt).await {
        tracing::warn!(%error, "the other workers do not hear of the build");
    }
}

/// A terminal report: noted, sent and confirmed before the request is acknowledged.
async fn finish(worker: &Worker, job: Job, report: &BuildReport) {
    let Ok(json) = serde_json::to_string(report) else { return };
    // The id belongs to the first request; what a second one is told is no end of the first.
    let reused = report.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::IdReused);
    if !reused && let Err(failure) = worker.reports.ledger.record(job.id(), &job.hash, job.attempt, &json).await {
        tracing::error!(error = %failure, "the end of the build cannot be noted; a second delivery would build again");
    }
    let code = report.failure.as_ref().map(|failure| failure.code.name());
    let why = report.failure.as_ref().map(|failure| failure.message.as_str());
    tracing::info!(outcome = report.outcome.name(), attempt = job.attempt, code, why, "the build ended");
    worker.vitals.metrics.reported(report);
    deliver(worker, job, report, &json).await;
}

/// The same report as before.
async fn repeat(worker: &Worker, job: Job, json: &str) {
    tracing::info!("the build has ended before; its report is sent again");
    worker.vitals.metrics.repeated();
    let mut report = pipeline::refused(&job.request, Failure::new(FailureCode::Internal, "unread"));
    // Only the outcome is needed, for the routing key.
    let parsed: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    if let Ok(outcome) = serde_json::from_value(parsed["outcome"].clone()) {
        report.outcome = outcome;
    }
    deliver(worker, job, &report, json).await;
}

async fn deliver(worker: &Worker, job: Job, report: &BuildReport, json: &str) {
    for message in job.reply.messages(&worker.names, report, json) {
        if let Err(failure) = worker.reports.deliver(message, &job.receipt).await {
            tracing::error!(error = %failure, "the report can neither be sent nor kept");
            tokio::time::sleep(PAUSE).await;
            return give_back(worker, job).await;
        }
    }
    settled(job.receipt.ack().await);
}

/// The next attempt waits in a queue of its own.
async fn retry(worker: &Worker, job: Job, delay: Duration, failure: &Failure) {
    let mut next = job.original.clone();
    next.exchange = worker.names.retry(delay);
    next.headers.insert(ATTEMPT.to_owned(), (job.attempt + 1).to_string());
    next.headers.extend(deployed(&job));
    let code = failure.code.name();
    tracing::warn!(attempt = job.attempt, delay_ms = delay.as_millis(), code, error = %failure, "the build is tried again");
    worker.vitals.metrics.retried();
    if worker.until_sent(&next, &job.receipt).await.is_ok() {
        settled(job.receipt.ack().await);
    }
}

/// Somebody else shall build it. The broker counts what comes back as if its worker had died, so a message that came back
/// often is sent anew instead.
async fn give_back(worker: &Worker, job: Job) {
    if job.deliveries + 1 < u64::from(worker.config.amqp.delivery_limit) {
        return settled(job.receipt.requeue().await);
    }
    let mut anew = job.original.clone();
    anew.exchange = worker.names.requests();
    anew.headers.extend(deployed(&job));
    if worker.until_sent(&anew, &job.receipt).await.is_ok() {
        settled(job.receipt.ack().await);
    }
}

/// What the next run has to know, and the broker forgets: that it is not the first.
fn deployed(job: &Job) -> Option<(String, String)> {
    job.deployed.then(|| (DEPLOYED.to_owned(), "1".to_owned()))
}

/// What could not be settled is delivered again.
pub(super) fn settled(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a message could not be settled and comes again");
    }
}

impl Worker {
    /// Sends until the broker has it, as long as the delivery counts that it is sent for.
    pub(super) async fn until_sent(&self, message: &Outgoing, receipt: &crate::amqp::Receipt) -> Result<(), Error> {
        loop {
            match self.publisher.publish(message).await {
                Ok(()) => return Ok(()),
                Err(error) if receipt.is_void() => return Err(error),
                Err(error) => tracing::warn!(%error, "a message is sent once more"),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = receipt.voided() => {}
            }
        }
    }

    fn events(&self, job: &Job) -> Events {
        let attempt = Attempt {
            id: job.id().to_owned(),
            number: job.attempt,
            product_line: job.request.product_line.to_string(),
            application: job.request.name.to_string(),
            exchange: self.names.events(),
        };
        Events::start(std::sync::Arc::clone(&self.publisher), attempt)
    }
}
