//! Messages that killed workers or could not be read: each is reported once and set aside.

use serde_json::Value;

use super::Worker;
use super::intake::settled;
use super::job::{self, Reply, hash, original};
use crate::amqp::names::{self, Names};
use crate::amqp::{Error, Incoming};
use crate::message::{BuildMessage, Lane, MAX_BYTES};
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::{ApplicationName, ProductLine};
use crate::model::plan::{PlannedApplication, PlannedSource};
use crate::model::report::BuildReport;
use crate::model::settings::Kind;
use crate::pipeline;

/// Reports a dying message, moves it to the dead queue, and acknowledges it.
pub(super) async fn bury(worker: &Worker, incoming: Incoming) {
    if let Err(failure) = buried(worker, incoming).await {
        tracing::error!(error = %failure, "a dying message stays where it is");
    }
}

async fn buried(worker: &Worker, incoming: Incoming) -> Result<(), Failure> {
    let mut report = autopsy(&incoming, &worker.names);
    report.worker.clone_from(&worker.name);
    let reply = Reply::of(&incoming);
    let mut json = serde_json::to_string(&report).unwrap_or_default();
    let code = report.failure.as_ref().map(|failure| failure.code.name());
    let (mut repeats, mut was_built) = (false, false);
    if let Some(finished) = worker.reports.finished(&report.id).await? {
        if finished.body_hash == hash(&incoming.body) {
            json = finished.report_json;
            let earlier: Value = serde_json::from_str(&json).unwrap_or_default();
            report.outcome = serde_json::from_value(earlier["outcome"].clone()).unwrap_or(report.outcome);
            // Its worker may have died after the end of the build; or it was reported here, and its worker died before it
            // was set aside.
            (repeats, was_built) = (true, earlier["failure"]["code"].as_str() != code);
        }
    } else if incoming.body.len() <= MAX_BYTES {
        worker.reports.ledger.record(&report.id, &hash(&incoming.body), report.attempt, &json).await?;
    }
    for message in reply.messages(&worker.names, &report, &json) {
        worker.reports.deliver(message, &incoming.receipt).await?;
    }
    if !was_built {
        let mut dead = original(&incoming, &report.id);
        dead.key = worker.names.dead();
        let reason = report.failure.as_ref().map(|failure| format!("{}: {}", failure.code.name(), failure.message));
        dead.headers.insert(names::REASON.to_owned(), reason.unwrap_or_default());
        let lane = last_words(&incoming, &worker.names).map(|(lane, _)| lane.name().to_owned());
        dead.headers.insert(names::LANE.to_owned(), lane.unwrap_or_default());
        worker.until_sent(&dead, &incoming.receipt).await.map_err(Error::failure)?;
    }
    if repeats {
        worker.vitals.metrics.repeated();
    } else {
        worker.vitals.metrics.reported(&report);
        tracing::warn!(code, "a message was reported and lies in the dead queue");
    }
    settled(incoming.receipt.ack().await);
    Ok(())
}

/// Why it died.
fn autopsy(incoming: &Incoming, names: &Names) -> BuildReport {
    let attempt = incoming.number(names::ATTEMPT).and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1);
    let killed = last_words(incoming, names).is_some_and(|(_, reason)| reason == "delivery_limit");
    let mut report = match BuildMessage::parse(&incoming.body).and_then(|message| message.request()) {
        Ok(request) if killed => pipeline::refused(
            &request,
            Failure::new(FailureCode::WorkerKilled, "every worker that took the build died"),
        ),
        Ok(request) => {
            let message = "a worker of another version could not read the message";
            pipeline::refused(&request, Failure::new(FailureCode::RequestInvalid, message))
        }
        Err(failure) => unreadable(incoming, failure),
    };
    report.attempt = attempt;
    report
}

/// The lane that it came by, and why its queue passed it on. It may have been in others before: in those where it waited
/// for this attempt.
fn last_words<'a>(incoming: &'a Incoming, names: &Names) -> Option<(Lane, &'a str)> {
    incoming.deaths.iter().find_map(|death| Some((names.lane(&death.queue)?, death.reason.as_str())))
}

/// The report of something that is no build message: what can be recognised of it is.
fn unreadable(incoming: &Incoming, failure: Failure) -> BuildReport {
    let (id, value) = (job::id(incoming), job::document(incoming));
    let application = &value["application"];
    let product_line = application["product_line"].as_str().and_then(|name| name.parse::<ProductLine>().ok());
    let name = application["name"].as_str().and_then(|name| name.parse::<ApplicationName>().ok());
    let application = PlannedApplication {
        product_line: product_line.map(String::from).unwrap_or_default(),
        name: name.map(String::from).unwrap_or_default(),
        kind: Kind::default(),
        module: None,
        process: None,
    };
    let source = PlannedSource { url: None, revision: None, commit: None, dirty: false, directory: String::new() };
    let now = crate::clock::now();
    BuildReport::begun(id, application, source, String::new(), now.clone()).ended(Some(failure), now)
}
