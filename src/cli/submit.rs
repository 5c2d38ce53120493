//! `slipway submit`: sends a build message, and follows the build if asked to.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::{Cli, FormatKind, SubmitFlags};
use super::progress::Progress;
use super::{build, exit_code, explain, setup};
use crate::amqp::follow::Follower;
use crate::amqp::{Broker, Error, Outgoing, Publisher, names};
use crate::message::{BuildMessage, EventMessage, MAX_BYTES, SupersedeMessage, VERSION};
use crate::model::failure::{Failure, FailureCode};
use crate::model::report::BuildReport;
use crate::pipeline::source;

/// Sends the message; with `--wait`, ends when the build does.
pub(super) async fn submit(cli: &Cli, flags: &SubmitFlags, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    tokio::select! {
        outcome = send(cli, flags) => outcome,
        () = cancel.cancelled() => {
            let message = "nobody waits any more; the build goes on";
            Err(Failure::new(FailureCode::Cancelled, message).hint("`slipway cancel ID` ends it"))
        }
    }
}

async fn send(cli: &Cli, flags: &SubmitFlags) -> Result<ExitCode, Failure> {
    let message = pinned(cli, read(&flags.file)?).await?;
    let broker = Broker::new(Arc::new(setup::config(cli)?))?;
    let id = message.id.to_string();
    let follower = if flags.wait { Some(follow(&broker, &message).await.map_err(Error::failure)?) } else { None };
    publish(&broker, &message).await?;
    match follower {
        None => {
            anstream::println!("{id}");
            Ok(ExitCode::SUCCESS)
        }
        Some(follower) => {
            anstream::eprintln!("sent {id}");
            wait(follower, &id, cli, flags.format.format).await
        }
    }
}

/// Reads the message; version and id may be left to us.
fn read(file: &str) -> Result<BuildMessage, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(FailureCode::RequestInvalid, format!("the message `{file}` cannot be read: {error}"))
            .hint("give a file with a build message, or `-` for standard input")
    };
    let mut body = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    if file == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut body).map_err(unreadable)?;
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut body)).map_err(unreadable)?;
    }
    if let Ok(Value::Object(mut fields)) = serde_json::from_slice(&body) {
        fields.entry("version").or_insert_with(|| json!(VERSION));
        fields.entry("id").or_insert_with(|| json!(uuid::Uuid::now_v7().to_string()));
        body = serde_json::to_vec(&fields).unwrap_or(body);
    }
    BuildMessage::parse(&body)
}

/// With the commit that the revision means now, so that a second delivery builds the same.
async fn pinned(cli: &Cli, mut message: BuildMessage) -> Result<BuildMessage, Failure> {
    if message.source.commit.is_none() {
        message.source.commit = source::commit_of(&setup::planning(cli)?, &message.request()?).await?;
    }
    Ok(message)
}

async fn publish(broker: &Broker, message: &BuildMessage) -> Result<(), Failure> {
    let sent_at = crate::clock::since_epoch().as_secs();
    let outgoing = Outgoing {
        exchange: broker.names().requests(),
        key: message.lane.name().to_owned(),
        body: serde_json::to_vec(message).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?,
        message_id: message.id.to_string(),
        kind: Some("build".to_owned()),
        sent_at: Some(sent_at),
        ..Outgoing::default()
    };
    let publisher = Publisher::new(broker.clone());
    let sent = publisher.publish(&outgoing).await;
    if let (Ok(()), Some(claim)) = (&sent, SupersedeMessage::of(message, sent_at)) {
        let claim = Outgoing::control(&broker.names(), "supersede", message.id.as_str(), &claim);
        // The request is on its way: older builds end when a worker takes it, if not now.
        if let Err(error) = publisher.publish(&claim).await {
            anstream::eprintln!("warning: older builds go on until this one begins: {error}");
        }
    }
    publisher.close().await;
    sent.map_err(Error::failure)
}

/// A queue with the events and reports of the application; others' builds are passed over.
async fn follow(broker: &Broker, message: &BuildMessage) -> Result<Follower, Error> {
    let application = &message.application;
    let key = names::key(application.product_line.as_str(), application.name.as_str(), "*");
    let names = broker.names();
    let bindings = [(names.events(), key.clone()), (names.reports(), key)];
    Follower::open(broker.clone(), format!("{}-submit-{}", names.prefix(), message.id), &bindings).await
}

async fn wait(mut follower: Follower, id: &str, cli: &Cli, format: FormatKind) -> Result<ExitCode, Failure> {
    let progress = Progress::new(format, cli.quiet, cli.verbose);
    let report = loop {
        let Some(incoming) = follower.next().await else {
            return Err(Failure::new(FailureCode::BrokerUnavailable, "the events ended before the report came"));
        };
        let (ours, kind, body) = (incoming.message_id.as_deref() == Some(id), incoming.kind, incoming.body);
        // What is not acknowledged comes again, and is seen twice.
        let _ = incoming.receipt.ack().await;
        match kind.as_deref() {
            Some("event") if ours => show(&body, &progress, format),
            Some("report") if ours => break body,
            _ => {}
        }
    };
    progress.done();
    follower.close().await;
    let report: BuildReport = serde_json::from_slice(&report)
        .map_err(|error| Failure::new(FailureCode::Internal, format!("the report cannot be read: {error}")))?;
    build::print(&report, format, cli.quiet)?;
    Ok(report.failure.as_ref().map_or(ExitCode::SUCCESS, |failure| {
        if format == FormatKind::Text {
            explain::to_stderr(failure);
        }
        exit_code(failure)
    }))
}

fn show(body: &[u8], progress: &Progress, format: FormatKind) {
    if format == FormatKind::Jsonl {
        anstream::println!("{}", String::from_utf8_lossy(body));
    } else if let Ok(event) = serde_json::from_slice::<EventMessage>(body) {
        event.for_progress().iter().for_each(|event| progress.event(event));
    }
}
