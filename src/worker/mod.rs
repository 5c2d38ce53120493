//! `slipway worker`: takes build messages, builds, reports; survives what happens to brokers, engines and itself.
//!
//! A message is acknowledged only after its terminal report was confirmed by the broker, or after its next attempt was
//! stored. So nothing is lost; what may happen is that a build is made, or a report is sent, twice. Readers of reports
//! key on the build's id, and the first terminal report counts.

pub(crate) mod attempt;
pub(crate) mod builds;
mod control;
mod dying;
mod events;
mod gate;
mod intake;
mod job;
mod reports;
mod room;
mod start;
pub(crate) mod verdict;
mod vitals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::amqp::names::Names;
use crate::amqp::{Incoming, Publisher};
use crate::config::Config;
use crate::message::Lane;
use crate::model::failure::Failure;
use crate::pipeline::Services;
use crate::traces;
pub use start::check;

use builds::Builds;
use gate::Gate;
use reports::Reports;
use vitals::Vitals;

/// How long stopped builds have to clean up after themselves.
const CLEANUP: Duration = Duration::from_secs(15);

/// What everything that a worker does has at hand.
pub struct Worker {
    /// What reports call it.
    name: String,
    /// Tells it apart from every other, its own earlier lives included.
    instance: String,
    /// As it was at the start; builds use their services' own.
    config: Arc<Config>,
    names: Names,
    /// What builds are made with; replaced when the configuration changes.
    services: watch::Receiver<Arc<Services>>,
    publisher: Arc<Publisher>,
    reports: Reports,
    builds: Builds,
    gate: Gate,
    slots: BTreeMap<Lane, Semaphore>,
    session: watch::Receiver<u64>,
    vitals: Vitals,
}

/// What tells a worker to go.
#[derive(Debug, Clone, Default)]
pub struct Going {
    /// Take nothing more, and end what runs.
    pub drain: CancellationToken,
    /// Give back what runs, at once.
    pub now: CancellationToken,
}

/// Works until it is told to go.
///
/// # Errors
/// `configuration_invalid` when the configuration or the broker's topology is not what a worker needs.
pub async fn run(services: watch::Receiver<Arc<Services>>, going: Going) -> Result<(), Failure> {
    let started = start::start(services, &going).await?;
    let start::Started { worker, consumer, incoming } = started;
    let stop = CancellationToken::new();
    let mut background = JoinSet::new();
    background.spawn(consumer.run(stop.clone()));
    for task in [Task::Outbox, Task::Control, Task::Room, Task::Vitals, Task::Tidiness] {
        let worker = Arc::clone(&worker);
        background.spawn(async move { worker.attend(task).await });
    }
    let mut jobs = work(&worker, incoming, &going).await;
    worker.drain(&mut jobs, &going).await;
    stop.cancel();
    // The consumer closes its connection; the others have nothing to end.
    let _ = tokio::time::timeout(Duration::from_secs(2), background.join_next()).await;
    worker.publisher.close().await;
    Ok(())
}

/// What goes on beside builds.
enum Task {
    Outbox,
    Control,
    Room,
    Vitals,
    Tidiness,
}

/// Takes what comes, until the worker goes.
async fn work(worker: &Arc<Worker>, mut incoming: mpsc::UnboundedReceiver<Incoming>, going: &Going) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    loop {
        tokio::select! {
            message = incoming.recv() => match message {
                Some(message) => worker.accept(message, &mut jobs).await,
                None => return jobs,
            },
            Some(_) = jobs.join_next() => {}
            () = going.drain.cancelled() => break,
        }
    }
    worker.gate.draining();
    worker.vitals.probes.going();
    // Cancellations still count, until the last build has ended.
    let worker = Arc::clone(worker);
    jobs.spawn(async move {
        while worker.builds.count() > 0 {
            tokio::select! {
                Some(message) = incoming.recv() => worker.decline(message).await,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    });
    jobs
}

impl Worker {
    async fn accept(self: &Arc<Self>, message: Incoming, jobs: &mut JoinSet<()>) {
        let worker = Arc::clone(self);
        if message.queue == self.names.control() {
            control::read(self, message).await;
        } else if message.queue == self.names.dying() {
            let span = tracing::info_span!("dying", build_id = job::id(&message));
            jobs.spawn(async move { dying::bury(&worker, message).await }.instrument(span));
        } else {
            let span = tracing::info_span!("build", build_id = job::id(&message));
            traces::follow(&span, message.headers.get(traces::HEADER).map(String::as_str));
            jobs.spawn(async move { intake::take(&worker, message).await }.instrument(span));
        }
    }

    /// What comes while the worker goes.
    async fn decline(&self, message: Incoming) {
        if message.queue == self.names.control() {
            control::read(self, message).await;
        } else {
            intake::settled(message.receipt.requeue().await);
        }
    }

    async fn attend(&self, task: Task) {
        match task {
            Task::Outbox => self.reports.run().await,
            Task::Control => control::keep_informed(self).await,
            Task::Room => room::watch(self).await,
            Task::Vitals => vitals::tell(self).await,
            Task::Tidiness => vitals::tidy(self).await,
        }
    }

    /// Lets builds end for as long as the grace lasts, then stops them and gives them back.
    async fn drain(&self, jobs: &mut JoinSet<()>, going: &Going) {
        tracing::info!(running = self.builds.count(), "the worker goes; it takes no more builds");
        let all_ended = async { while jobs.join_next().await.is_some() {} };
        let grace = self.services.borrow().config.worker.grace;
        tokio::select! {
            () = all_ended => return,
            () = tokio::time::sleep(grace) => tracing::warn!("the grace is over; what runs is given back"),
            () = going.now.cancelled() => {}
        }
        self.builds.drain();
        let all_ended = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(CLEANUP, all_ended).await.is_err() {
            tracing::error!(running = self.builds.count(), "builds do not end; the next start cleans up after them");
        }
    }

    /// Why the worker takes no builds now, if it does not.
    #[must_use]
    pub fn unready(&self) -> Option<&'static str> {
        self.gate.reason()
    }

    /// How many builds run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.builds.count()
    }

    /// How many reports wait for the broker.
    #[must_use]
    pub fn waiting_reports(&self) -> u64 {
        self.reports.waiting()
    }
}
