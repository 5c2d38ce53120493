//! `slipway worker`: signals, and the configuration read again.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::args::Cli;
use super::setup;
use crate::model::failure::{Failure, FailureCode};
use crate::pipeline::Services;
use crate::worker::{self, Going};

/// Works until a signal says otherwise.
pub(super) async fn worker(cli: &Cli) -> Result<ExitCode, Failure> {
    let signals = Signals::new()?;
    let services = Arc::new(setup::services(cli, None, None).await?);
    let (sender, receiver) = watch::channel(services);
    let going = Going::default();
    tokio::select! {
        ended = worker::run(receiver, going.clone()) => match ended {
            Err(failure) if failure.code == FailureCode::Cancelled => Ok(ExitCode::SUCCESS),
            ended => ended.map(|()| ExitCode::SUCCESS),
        },
        () = signals.attend(cli, &sender, &going) => Ok(ExitCode::SUCCESS),
    }
}

/// What the operator says by signals.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(FailureCode::Internal, format!("no signals can be heard: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Attends to them until the program ends.
    pub(super) async fn attend(mut self, cli: &Cli, services: &watch::Sender<Arc<Services>>, going: &Going) {
        loop {
            let goes = tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => true,
                _ = self.hang_up.recv() => false,
            };
            if !goes {
                reload(cli, services).await;
            } else if going.drain.is_cancelled() {
                tracing::warn!("told to go once more: what runs is given back");
                going.now.cancel();
            } else {
                going.drain.cancel();
            }
        }
    }
}

/// Reads the configuration again; a broken one changes nothing.
async fn reload(cli: &Cli, services: &watch::Sender<Arc<Services>>) {
    match setup::services(cli, None, None).await {
        Ok(new) => {
            let amqp =
                |services: &Services| serde_json::to_value((&services.config.amqp, &services.config.worker.lanes));
            if amqp(&new).ok() != amqp(&services.borrow()).ok() {
                tracing::warn!("`amqp` and `worker.lanes` have changed, which only a restart picks up");
            }
            services.send_replace(Arc::new(new));
            tracing::info!("the configuration was read again; it holds from the next build on");
        }
        Err(failure) => {
            tracing::error!(error = %failure, "the configuration is broken, and the old one stays");
        }
    }
}
