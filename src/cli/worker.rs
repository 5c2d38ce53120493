//! `slipway worker`: signals, and the configuration read again.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::args::Cli;
use super::setup;
use crate::config::Config;
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
        () = signals.attend(cli, Role::Worker, &sender, &going) => Ok(ExitCode::SUCCESS),
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
    pub(super) async fn attend(
        mut self,
        cli: &Cli,
        role: Role,
        services: &watch::Sender<Arc<Services>>,
        going: &Going,
    ) {
        let began = services.borrow().config.clone();
        loop {
            let goes = tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => true,
                _ = self.hang_up.recv() => false,
            };
            if !goes {
                reload(cli, role, &began, services).await;
            } else if going.drain.is_cancelled() {
                tracing::warn!("told to go once more: what runs is given back");
                going.now.cancel();
            } else {
                going.drain.cancel();
            }
        }
    }
}

/// What the program is that reads its configuration again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It takes builds from the broker.
    Worker,
    /// A server that builds.
    Server,
    /// A server that only sends: it needs nothing that builds are made with.
    Sender,
}

impl Role {
    /// Keys that are read at the start alone.
    fn fixed(self) -> &'static [&'static str] {
        match self {
            // `amqp.consumer_timeout` is only stated, and checked.
            Self::Worker => &[
                "amqp.url",
                "amqp.credentials",
                "amqp.prefix",
                "amqp.retry_delays",
                "amqp.delivery_limit",
                "logs",
                "probes",
                "traces",
                "worker.name",
                "worker.directory",
                "worker.lanes",
            ],
            Self::Server | Self::Sender => &["amqp", "database", "server", "traces"],
        }
    }

    /// What a start would refuse.
    fn check(self, config: &Config) -> Result<(), Failure> {
        match self {
            Self::Worker => worker::check(config),
            Self::Server | Self::Sender => crate::server::check(config),
        }
    }

    async fn services(self, cli: &Cli, old: &Services) -> Result<Services, Failure> {
        let services = match self {
            Self::Worker | Self::Server => setup::services_again(cli, old).await?,
            Self::Sender => setup::planning(cli)?,
        };
        self.check(&services.config)?;
        Ok(services)
    }
}

/// Reads the configuration again; a broken one changes nothing.
async fn reload(cli: &Cli, role: Role, began: &Config, services: &watch::Sender<Arc<Services>>) {
    let old = services.borrow().clone();
    match role.services(cli, &old).await {
        Ok(new) => {
            let changed = changed(role.fixed(), began, &new.config);
            if !changed.is_empty() {
                tracing::warn!("{} changed since the start, which only a restart picks up", changed.join(", "));
            }
            services.send_replace(Arc::new(new));
            tracing::info!("the configuration was read again; it holds from the next build on");
        }
        Err(failure) if failure.retryable => {
            tracing::error!(error = %failure, "the configuration cannot be used now, and the old one stays");
        }
        Err(failure) => {
            tracing::error!(at = at(&failure), error = %failure, "the configuration is broken, and the old one stays");
        }
    }
}

/// Where in the files it is.
fn at(failure: &Failure) -> Option<String> {
    let place = failure.places.first()?;
    Some(place.line.map_or_else(|| place.path.clone(), |line| format!("{}:{line}", place.path)))
}

/// Those of the keys that have other values.
fn changed(keys: &[&str], old: &Config, new: &Config) -> Vec<String> {
    let (Ok(mut old), Ok(mut new)) = (serde_json::to_value(old), serde_json::to_value(new)) else { return Vec::new() };
    for picked_up in ["/server/gitlab/webhook_secrets", "/server/harbor/webhook_secrets"] {
        for config in [&mut old, &mut new] {
            config.pointer_mut(picked_up).map(Value::take);
        }
    }
    let at = |config: &Value, key: &str| config.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
    keys.iter().filter(|key| at(&old, key) != at(&new, key)).map(|key| format!("`{key}`")).collect()
}
