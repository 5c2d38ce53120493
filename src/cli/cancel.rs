//! `slipway cancel`.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::Cli;
use super::setup;
use crate::amqp::{Broker, Error, Outgoing, Publisher};
use crate::message::{CancelMessage, VERSION};
use crate::model::failure::Failure;
use crate::model::names::BuildId;

/// Tells all workers that nobody wants the build any more.
pub(super) async fn cancel(cli: &Cli, id: &BuildId, reason: Option<&str>) -> Result<ExitCode, Failure> {
    let broker = Broker::new(Arc::new(setup::config(cli)?))?;
    let message = CancelMessage { version: VERSION, id: id.clone(), reason: reason.map(str::to_owned) };
    message.check()?;
    let outgoing = Outgoing::control(&broker.names(), "cancel", id.as_str(), &message);
    let publisher = Publisher::new(broker);
    let sent = publisher.publish(&outgoing).await;
    publisher.close().await;
    sent.map_err(Error::failure)?;
    anstream::eprintln!("workers are told to cancel `{id}`");
    Ok(ExitCode::SUCCESS)
}
